"""Objects during their upload: ``objects/ab/<digest>.part``, renamed to ``.blob`` when complete.

A part may end at any byte, because the server may be killed at any instruction. A part of full
length is verified and finished, or dropped, by whatever meets it next.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from backend.disk import (
    append,
    disk_problem,
    make_folder,
    pool,
    sync_folder,
    sync_or_delete,
    together,
)
from protocol.jobs import JobError, ObjectRef

_HASHED_AT_ONCE = 2**16  # bytes of a chunk from which another thread is worth it


class _Part(NamedTuple):
    """A part that this process writes: its bytes, and their hash as an image of this shape.

    hashing: the last chunk, if it is being hashed in another thread.
    """

    held: int
    shape: tuple[int, ...]
    running: hashlib._Hash
    hashing: Future[None] | None

    def hash(self) -> hashlib._Hash:
        """The hash of all bytes held. Waits until it is known."""
        if self.hashing is not None:
            self.hashing.result()
        return self.running


class Parts:
    """Uploads into a content-addressed folder. Only one process may write them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._place = str(folder)
        self._parts: dict[str, _Part] = {}  # by digest; those on the disk may be more
        self._folders: set[str] = set()  # that exist and are no links, by their first two digits

    def path(self, digest: str) -> Path:
        """The path of a digest's blob, whether or not it exists."""
        return Path(f"{self._place}/{digest[:2]}/{digest[2:]}.blob")

    def _part_name(self, digest: str) -> str:
        return f"{self._place}/{digest[:2]}/{digest[2:]}.part"

    def _part(self, digest: str) -> Path:
        return Path(self._part_name(digest))

    def has(self, ref: ObjectRef) -> bool:
        """Whether the complete object is here."""
        try:  # called for every chunk: os.stat of a string is the fastest way
            size = os.stat(f"{self._place}/{ref.digest[:2]}/{ref.digest[2:]}.blob").st_size
        except FileNotFoundError:
            return False
        return size == ref.nbytes

    def held(self, ref: ObjectRef, *others: ObjectRef, finish: bool = True) -> int:
        """How many bytes of the object are here, complete or not.

        finish: complete an upload that was interrupted after its last byte. others: further
        references to the same digest, with other shapes. Raises JobError ``disk_full``,
        ``disk_error``.
        """
        refs = (ref, *others)
        complete = [one.nbytes for one in refs if self.has(one)]
        if complete:
            return complete[0]
        if not finish or not self.is_full(refs):
            return self._part_size(ref.digest)
        outcome = self.finish([refs])[ref.digest]
        if isinstance(outcome, JobError) and outcome.problem.code != "wrong_digest":
            raise outcome
        return outcome.nbytes if isinstance(outcome, ObjectRef) else self._part_size(ref.digest)

    def is_full(self, refs: Sequence[ObjectRef]) -> bool:
        """Whether a part of this digest may be complete: `finish` decides."""
        return self._part_size(refs[0].digest) >= min(ref.nbytes for ref in refs)

    def _part_size(self, digest: str) -> int:
        if digest in self._parts:
            return self._parts[digest].held
        try:
            return os.stat(self._part_name(digest)).st_size
        except FileNotFoundError:
            return 0

    def write(
        self,
        ref: ObjectRef,
        offset: int,
        crc: int | None,
        data: bytes | memoryview,
        *,
        finish: bool = True,
    ) -> int:
        """Append a chunk to an object that is being uploaded; return the bytes then held.

        Accepts a chunk that is already written. finish: complete the object after its last byte;
        otherwise call `finish`. Raises JobError: ``bad_crc``, ``wrong_offset``, ``too_long``,
        ``wrong_digest`` (the part is deleted), ``disk_full``, ``disk_error``.
        """
        written = ref.digest in self._parts
        held = ref.nbytes if not written and self.has(ref) else self._part_size(ref.digest)
        if offset + len(data) > held:
            _check_chunk(ref, held, offset, crc, data)
            try:
                self._append(ref, held, data)
            except OSError as why:
                self._parts.pop(ref.digest, None)
                self._folders.discard(ref.digest[:2])
                raise disk_problem(why, self.folder) from why
            held += len(data)
        if finish and held >= ref.nbytes and not self.has(ref):
            outcome = self.finish([(ref,)])[ref.digest]
            if isinstance(outcome, JobError):
                raise outcome
        return held

    def _append(self, ref: ObjectRef, held: int, data: bytes | memoryview) -> None:
        part = self._part_name(ref.digest)
        if ref.digest[:2] not in self._folders:
            make_folder(self.path(ref.digest).parent)
            self._folders.add(ref.digest[:2])
        running = self._running_hash(ref, held)
        try:
            append(part, data)
        except OSError:
            with contextlib.suppress(OSError):  # half a chunk must not count as held
                os.truncate(part, held)
            raise
        hashing = None
        if len(data) < _HASHED_AT_ONCE:
            running.update(data)
        else:
            hashing = pool().submit(running.update, data)
        self._parts[ref.digest] = _Part(held + len(data), ref.shape, running, hashing)

    def _running_hash(self, ref: ObjectRef, held: int) -> hashlib._Hash:
        """The hash of the bytes held: kept from the last chunk, or computed from the part."""
        known = self._parts.get(ref.digest)
        if known is not None and (known.held, known.shape) == (held, ref.shape):
            return known.hash()
        running = start_hash(ref)
        if held:
            with self._part(ref.digest).open("rb") as file:
                hashlib.file_digest(file, lambda: running)
        return running

    def adopt(self, digest: str, file: Path) -> None:
        """Make a file in the data folder the part of a digest, in place of what is there.

        Raises JobError ``not_placed``, ``disk_full``, ``disk_error``.
        """
        self._parts.pop(digest, None)
        try:
            if not stat.S_ISREG(file.lstat().st_mode):  # a link may lead anywhere
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            make_folder(self.path(digest).parent)
            file.replace(self._part(digest))
        except FileNotFoundError as why:
            raise JobError(
                "not_placed",
                "An object is not in the backend's inbox.",
                "It is sent again automatically.",
                retryable=True,
            ) from why
        except OSError as why:
            raise disk_problem(why, self.folder) from why

    def finish(
        self, uploads: Iterable[Sequence[ObjectRef]]
    ) -> dict[str, ObjectRef | JobError | None]:
        """Verify parts, sync them together, and make them blobs.

        uploads: for each part, the references it may belong to; they share a digest. Returns by
        digest the reference that matches, None if more bytes are needed, or a JobError:
        ``wrong_digest`` (the part is deleted), ``disk_full``, ``disk_error``.
        """
        outcomes: dict[str, ObjectRef | JobError | None] = {}
        verified: list[ObjectRef] = []
        each = list(uploads)
        # Hashed at the same time: those that were not hashed as they came are read again.
        for refs, match in zip(each, pool().map(self._matching, each), strict=True):
            digest = refs[0].digest
            if isinstance(match, OSError):
                outcomes[digest] = disk_problem(match, self.folder)
            elif match is not None:
                verified.append(match)
            else:
                full = self._part_size(digest) >= max(ref.nbytes for ref in refs)
                outcomes[digest] = self._drop_part(digest) if full else None
        outcomes.update(self._publish(verified))
        return outcomes

    def _matching(self, refs: Sequence[ObjectRef]) -> ObjectRef | OSError | None:
        """The reference that a part's content fits, or why the part cannot be read."""
        try:
            return self._match(refs)
        except OSError as why:
            return why

    def _match(self, refs: Sequence[ObjectRef]) -> ObjectRef | None:
        size = self._part_size(refs[0].digest)
        for ref in refs:
            if ref.nbytes == size and self._running_hash(ref, size).hexdigest() == ref.digest:
                return ref
        return None

    def drop_part(self, digest: str) -> None:
        """Delete what was uploaded of an object that nobody waits for."""
        self._parts.pop(digest, None)
        with contextlib.suppress(OSError):
            self._part(digest).unlink(missing_ok=True)

    def _drop_part(self, digest: str) -> JobError:
        """Delete a part whose content is wrong, so that its upload starts from the beginning."""
        self.drop_part(digest)
        return JobError(
            "wrong_digest",
            "An object's content does not match its digest.",
            "Send it again; if that fails too, extract the frames again.",
            retryable=True,
        )

    def _publish(self, refs: list[ObjectRef]) -> dict[str, ObjectRef | JobError | None]:
        """Sync verified parts and give them their names; what was published, and what failed."""
        outcomes: dict[str, ObjectRef | JobError | None] = {ref.digest: ref for ref in refs}
        for ref in refs:  # from now on the disk decides
            self._parts.pop(ref.digest, None)

        def step(
            action: Callable[[Path], None], path: Callable[[str], Path], *, in_turn: bool = False
        ) -> None:
            left = [digest for digest, one in outcomes.items() if isinstance(one, ObjectRef)]
            paths = {digest: path(digest) for digest in left}
            for digest, why in together(action, paths, in_turn=in_turn).items():
                outcomes[digest] = disk_problem(why, self.folder)

        step(sync_or_delete, self._part)
        for digest, one in outcomes.items():
            try:
                if isinstance(one, ObjectRef):
                    self._part(digest).replace(self.path(digest))
            except OSError as why:
                outcomes[digest] = disk_problem(why, self.folder)
        # The first folder's sync commits the names in all others, too.
        step(sync_folder, lambda digest: self.path(digest).parent, in_turn=True)
        return outcomes


def start_hash(ref: ObjectRef) -> hashlib._Hash:
    """A hash that needs only the pixels to become the object's digest."""
    size = "x".join(str(n) for n in ref.shape)
    return hashlib.sha256(f"{ref.dtype}|{size}|".encode())


def _check_chunk(
    ref: ObjectRef, held: int, offset: int, crc: int | None, data: bytes | memoryview
) -> None:
    if offset != held:
        raise JobError(
            "wrong_offset",
            f"A chunk starts at byte {offset}, but {held} bytes are here.",
            "Ask with `have` where to continue.",
            retryable=True,
        )
    if crc is not None and zlib.crc32(data) != crc:
        raise JobError("bad_crc", "A chunk arrived damaged.", "Send it again.", retryable=True)
    if held + len(data) > ref.nbytes:
        raise JobError(
            "too_long",
            "An object is longer than its reference says.",
            "Start the job again; if that fails too, update the add-on.",
        )
