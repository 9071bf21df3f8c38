"""The output folder: it holds the frames of one run, and nothing else is ever deleted from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from backend import media
from backend.media import Pixels
from protocol.jobs import JobError

MANIFEST = "run.json"
"""Lists the frames that the last run wrote, by which the next one knows what it may remove."""
FILES = ("preview.mp4", "sheet.png")
"""What a run writes beside its frames."""
FRAME = re.compile(r"(?:\d{5,}|-\d{4,})\.png")


class OutputFolder:
    """Where a run writes its frames. folders: those it will write frames to, such as ``layer``."""

    def __init__(self, path: Path, folders: Sequence[str]) -> None:
        self.path = path
        self._folders = folders
        self._earlier = self._listed()
        self._written: list[str] = []

    def prepare(self, nbytes: int, sources: Iterable[Path]) -> None:
        """Check before the work that the run can write here. sources: the files that it reads.

        Raises JobError ``cannot_write``; ``out_in_use`` if that would mix frames of two runs, or
        overwrite what the run reads.
        """
        if self.path.exists() and not self.path.is_dir():
            raise JobError(
                "cannot_write",
                f"--out {self.path} is a file.",
                "Name a folder; it is made if it does not exist.",
            )
        for source in sources:
            if self._overwrites(source.resolve()):
                raise JobError(
                    "out_in_use",
                    f"The run reads {source}, which --out {self.path} would overwrite or add to.",
                    "Choose another folder.",
                )
        for name in self._folders:
            unknown = sorted(self._frames_in(name) - set(self._earlier))
            if unknown:
                raise JobError(
                    "out_in_use",
                    f"{self.path} already holds {len(unknown)} frames that no earlier run lists, "
                    f"such as {unknown[0]}.",
                    "Choose another folder, or move them away.",
                )
        media.prepare_folder(self.path, nbytes)

    def _overwrites(self, source: Path) -> bool:
        """Whether the run would write over what it reads, or into a folder of images it reads."""
        path = self.path.resolve()
        if source == path or source in [path / name for name in (*FILES, MANIFEST)]:
            return True
        return any(path / name in (source, *source.parents) for name in self._folders)

    def begin(self, folders: Iterable[str], names: Sequence[str]) -> None:
        """List the frames that are about to be written: every name in every folder."""
        self._written = [f"{folder}/{name}" for folder in folders for name in names]
        # Until the end, the list covers both runs: after a crash the next one removes all of them.
        self._list(sorted({*self._earlier, *self._written}))

    def write(self, folder: str, name: str, image: Pixels) -> None:
        """Write one frame."""
        media.write_png(self.path / folder / name, image)

    def finish(self) -> int:
        """Remove the frames of the earlier run that this one did not replace; their number."""
        stale = [self.path / name for name in set(self._earlier) - set(self._written)]
        removed = 0
        for file in stale:
            with suppress(FileNotFoundError):
                file.unlink()
                removed += 1
        for folder in {file.parent for file in stale}:
            with suppress(OSError):
                folder.rmdir()  # only if it is empty
        self._list(sorted(self._written))
        return removed

    def _frames_in(self, folder: str) -> set[str]:
        with suppress(OSError):
            names = [file.name for file in (self.path / folder).iterdir()]
            return {f"{folder}/{name}" for name in names if FRAME.fullmatch(name)}
        return set()

    def _listed(self) -> list[str]:
        """The frames that the last run listed, without any path that leads elsewhere."""
        try:
            found = json.loads((self.path / MANIFEST).read_text("utf-8"))["frames"]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
        return [name for name in names if re.fullmatch(rf"[a-z0-9_]+/{FRAME.pattern}", name)]

    def _list(self, names: list[str]) -> None:
        media.write_text(self.path / MANIFEST, json.dumps({"frames": names}, indent=1) + "\n")
