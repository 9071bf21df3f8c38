"""Pictures into a movie, by another Blender without a window, so that this one stays free."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..wire import jobs

WROTE = "text2live wrote a frame"  # how the other Blender tells how far it is
State = Literal["writing", "written", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True)
class MovieOrder:
    """What is to be written. pictures: PNGs of one folder, in order. size: (W, H) of each."""

    pictures: tuple[str, ...]
    size: tuple[int, int]
    fps: int
    fps_base: float
    path: str

    def write(self, file: Path) -> None:
        """Keep it for the other Blender."""
        file.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")


class MovieWriter:
    """One movie on its way; nothing here blocks, except stop(). Call poll() now and then.

    command: starts the other Blender; the file with the order is added to it. The movie appears
    under its name when it is complete.
    """

    def __init__(self, command: list[str], order: MovieOrder) -> None:
        self.state: State = "writing"
        self.problem: jobs.Problem | None = None
        self.done, self.total = 0, len(order.pictures)
        self.path = Path(order.path)
        # Beside the movie: then giving it its name is no copy.
        self._part = self.path.with_name(f"{uuid.uuid4().hex[:8]}.part{self.path.suffix}")
        self._scratch = Path(tempfile.mkdtemp(prefix="text2live-movie-"))
        self._log = self._scratch / "log"
        self._read, self._last = 0, ""
        file = self._scratch / "order.json"
        try:
            dataclasses.replace(order, path=str(self._part)).write(file)
            with self._log.open("wb") as output:
                self._process = subprocess.Popen(
                    [*command, str(file)],
                    stdin=subprocess.PIPE,  # it ends when its input does, even if we are killed
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
        except OSError as error:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise jobs.JobError(
                "not_baked",
                f"A second Blender cannot be started: {error.strerror or error}.",
                "Check that this Blender was not moved or updated since it was started.",
            ) from error

    def poll(self) -> bool:
        """See how far it is; True when anything changed."""
        if self.state != "writing":
            return False
        status, before = self._process.poll(), self.done
        self._listen()
        if status is None:
            return self.done != before
        try:
            if status:
                raise OSError(self._last or "it ended without a word")
            os.replace(self._part, self.path)
            self.state = "written"
        except OSError as error:
            self.state = "failed"
            self.problem = jobs.Problem(
                code="not_baked",
                message=f"Blender did not write {self.path}: {error}.",
                hint="See that all its pictures are there and the disk has room, then try again.",
            )
        self._clean_up()
        return True

    def stop(self) -> None:
        """End it; what is written so far is removed."""
        if self.state == "writing":
            self.state = "stopped"
            self._process.kill()
            self._process.wait()
            self._clean_up()

    def _listen(self) -> None:
        """Count the frames; keep the last line that tells of none."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        *lines, _unfinished = text.split(b"\n")
        self._read += len(text) - len(_unfinished)
        said = [line.decode(errors="replace").strip() for line in lines]
        self.done += said.count(WROTE)
        self._last = next((line for line in reversed(said) if line not in ("", WROTE)), self._last)

    def _clean_up(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._part.unlink(missing_ok=True)
        shutil.rmtree(self._scratch, ignore_errors=True)
