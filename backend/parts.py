"""Objects during their upload: ``objects/ab/<digest>.part``, renamed to ``.blob`` when complete.

A part may end at any byte, because the server may be killed at any instruction. A part of full
length is verified and finished, or dropped, by whatever meets it next.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from backend.disk import (
    disk_problem,
    make_folder,
    refuse_link,
    sync_folder,
    sync_or_delete,
    together,
)
from protocol.jobs import JobError, ObjectRef


class Parts:
    """Uploads into a content-addressed folder. Only one process may write them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # Of parts: bytes hashed, the shape that they are hashed with, the hash.
        self._hashes: dict[str, tuple[int, tuple[int, ...], hashlib._Hash]] = {}

    def path(self, digest: str) -> Path:
        """The path of a digest's blob, whether or not it exists."""
        return self.folder / digest[:2] / f"{digest[2:]}.blob"

    def _part(self, digest: str) -> Path:
        return self.path(digest).with_suffix(".part")

    def has(self, ref: ObjectRef) -> bool:
        """Whether the complete object is here."""
        try:
            return self.path(ref.digest).stat().st_size == ref.nbytes
        except FileNotFoundError:
            return False

    def held(self, ref: ObjectRef, *others: ObjectRef) -> int:
        """How many bytes of the object are here, complete or not.

        Finishes an upload that was interrupted after its last byte. others: further references to
        the same digest, with other shapes. Raises JobError ``disk_full``, ``disk_error``.
        """
        refs = (ref, *others)
        complete = [one.nbytes for one in refs if self.has(one)]
        if complete:
            return complete[0]
        if not self.is_full(refs):
            return self._part_size(ref.digest)
        outcome = self.finish([refs])[ref.digest]
        if isinstance(outcome, JobError) and outcome.problem.code != "wrong_digest":
            raise outcome
        return outcome.nbytes if isinstance(outcome, ObjectRef) else self._part_size(ref.digest)

    def is_full(self, refs: Sequence[ObjectRef]) -> bool:
        """Whether a part of this digest may be complete: `finish` decides."""
        return self._part_size(refs[0].digest) >= min(ref.nbytes for ref in refs)

    def _part_size(self, digest: str) -> int:
        try:
            return self._part(digest).stat().st_size
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
        held = ref.nbytes if self.has(ref) else self._part_size(ref.digest)
        if offset + len(data) > held:
            _check_chunk(ref, held, offset, crc, data)
            try:
                self._append(ref, held, data)
            except OSError as why:
                self._hashes.pop(ref.digest, None)
                raise disk_problem(why, self.folder) from why
            held += len(data)
        if finish and held >= ref.nbytes and not self.has(ref):
            outcome = self.finish([(ref,)])[ref.digest]
            if isinstance(outcome, JobError):
                raise outcome
        return held

    def _append(self, ref: ObjectRef, held: int, data: bytes | memoryview) -> None:
        part = self._part(ref.digest)
        make_folder(part.parent)
        running = self._running_hash(ref, held)
        try:
            refuse_link(part)
            with part.open("ab") as file:
                file.write(data)
        except OSError:
            with contextlib.suppress(OSError):  # half a chunk must not count as held
                os.truncate(part, held)
            raise
        running.update(data)
        self._hashes[ref.digest] = (held + len(data), ref.shape, running)

    def _running_hash(self, ref: ObjectRef, held: int) -> hashlib._Hash:
        """The hash of the bytes held: kept from the last chunk, or computed from the part."""
        at, shape, running = self._hashes.pop(ref.digest, (-1, (), hashlib.sha256()))
        if at == held and shape == ref.shape:
            return running
        running = start_hash(ref)
        if held:
            with self._part(ref.digest).open("rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    running.update(block)
        return running

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
        for refs in uploads:
            digest = refs[0].digest
            try:
                match = self._matching(refs)
                full = self._part_size(digest) >= max(ref.nbytes for ref in refs)
            except OSError as why:
                outcomes[digest] = disk_problem(why, self.folder)
                continue
            if match is not None:
                verified.append(match)
            else:
                outcomes[digest] = self._drop_part(digest) if full else None
        outcomes.update(self._publish(verified))
        return outcomes

    def _matching(self, refs: Sequence[ObjectRef]) -> ObjectRef | None:
        size = self._part_size(refs[0].digest)
        for ref in refs:
            if ref.nbytes == size and self._running_hash(ref, size).hexdigest() == ref.digest:
                return ref
        return None

    def drop_part(self, digest: str) -> None:
        """Delete what was uploaded of an object that nobody waits for."""
        self._hashes.pop(digest, None)
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

        def step(action: Callable[[Path], None], path: Callable[[str], Path]) -> None:
            left = [digest for digest, one in outcomes.items() if isinstance(one, ObjectRef)]
            for digest, why in together(action, {digest: path(digest) for digest in left}).items():
                outcomes[digest] = disk_problem(why, self.folder)

        step(sync_or_delete, self._part)
        for digest, one in outcomes.items():
            try:
                if isinstance(one, ObjectRef):
                    self._part(digest).replace(self.path(digest))
            except OSError as why:
                outcomes[digest] = disk_problem(why, self.folder)
        step(sync_folder, lambda digest: self.path(digest).parent)
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
