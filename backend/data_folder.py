"""The data folder: for its owner alone, created so and checked at every start."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from protocol.jobs import JobError

MODELS = "models"  # of the operator, who may put links there; the backend only reads it
_OTHERS = 0o077
_NAMED = 3  # files that an error names


def prepare(data: Path, *, fix: bool = False) -> None:
    """Create the folder, or check that it is safe to use; from now on, new files are private.

    fix: first take all permissions in it from other users. Raises JobError: ``bad_data`` (it cannot
    be created), ``data_exposed`` (other users can reach it), ``data_foreign`` (something in it
    belongs to another user), ``data_link`` (something in it is a symbolic link).
    """
    if os.name == "posix":
        os.umask(_OTHERS)
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.name != "posix":
            return
        _check_owner(data, [data])
        if fix or not any(data.iterdir()):
            data.chmod(0o700)
        if stat.S_IMODE(data.stat().st_mode) & _OTHERS:
            raise JobError(
                "data_exposed",
                f"Other users of this machine can reach the data folder {data}.",
                "Start the backend once with --fix-permissions, which makes it private, or choose "
                "another folder with --data.",
            )
        _check_inside(data, everything=fix)
    except OSError as why:
        raise JobError(
            "bad_data",
            f"The folder {data} cannot be used: {why.strerror or why}.",
            "Choose another one with --data.",
        ) from why


def _check_inside(data: Path, *, everything: bool) -> None:
    """Refuse links and other users' files; take permissions from others.

    everything: down to the last file. Otherwise two levels, as what lies deeper can be reached only
    through them.
    """
    links, foreign, exposed = [], [], []
    for path in _paths(data, depth=10**6 if everything else 2):
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            if MODELS not in path.relative_to(data).parts[:1]:
                links.append(path)
        elif not _is_trusted(info.st_uid):
            foreign.append(path)
        elif info.st_uid == os.geteuid() and stat.S_IMODE(info.st_mode) & _OTHERS:
            exposed.append(path)
    if links:
        raise JobError(
            "data_link",
            f"The data folder {data} contains symbolic links: {_names(data, links)}.",
            "Remove them; to keep everything on another disk, choose a folder there with --data.",
        )
    _check_owner(data, foreign)
    for path in exposed:
        _make_private(path)


def _paths(folder: Path, depth: int) -> Iterator[Path]:
    """Everything in a folder, links included but not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            yield path
            if depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from _paths(path, depth - 1)


def _is_trusted(owner: int) -> bool:
    return owner in (os.geteuid(), 0)


def _check_owner(data: Path, paths: list[Path]) -> None:
    foreign = [path for path in paths if not _is_trusted(path.lstat().st_uid)]
    if foreign:
        raise JobError(
            "data_foreign",
            f"Another user owns the data folder {data}, or files in it: {_names(data, foreign)}.",
            "Make them yours with chown if you trust them, or choose another folder with --data.",
        )


def _names(data: Path, paths: list[Path]) -> str:
    names = [str(path.relative_to(data)) for path in paths[:_NAMED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _make_private(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        os.fchmod(handle, mode & ~_OTHERS)
    finally:
        os.close(handle)
