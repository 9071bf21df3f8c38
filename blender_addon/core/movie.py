"""Writing a layer's frames to a movie in a second, windowless Blender, in the background."""

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

WROTE = "text2live wrote a frame"  # printed by the second Blender after each frame
State = Literal["writing", "written", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True)
class MovieOrder:
    """A movie to write. frames: PNGs in one folder, in order. size: (W, H) of each."""

    frames: tuple[str, ...]
    size: tuple[int, int]
    fps: int
    fps_base: float
    path: str

    def write(self, file: Path) -> None:
        """Write it to a file for the second Blender."""
        file.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")


class MovieWriter:
    """Writes one movie; nothing here blocks, except stop(). Call poll() regularly.

    command: starts the second Blender; the file with the order is appended. The movie gets its name
    once it is complete.
    """

    def __init__(self, command: list[str], order: MovieOrder) -> None:
        self.state: State = "writing"
        self.problem: jobs.Problem | None = None
        self.done, self.total = 0, len(order.frames)
        self.path = Path(order.path)
        # In the same folder, so that renaming it does not copy.
        self._part = self.path.with_name(f"{uuid.uuid4().hex[:8]}.part{self.path.suffix}")
        self._scratch = Path(tempfile.mkdtemp(prefix="text2live-movie-"))
        self._log = self._scratch / "log"
        self._log_read, self._last = 0, ""
        file = self._scratch / "order.json"
        try:
            dataclasses.replace(order, path=str(self._part)).write(file)
            with self._log.open("wb") as output:
                self._process = subprocess.Popen(
                    [*command, str(file)],
                    stdin=subprocess.PIPE,  # closed with this process: then it ends
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
                "Check that Blender was not moved or updated while it was running.",
            ) from error

    def poll(self) -> bool:
        """Update the progress; True when anything changed."""
        if self.state != "writing":
            return False
        status, before = self._process.poll(), self.done
        self._read_log()
        if status is None:
            return self.done != before
        try:
            if status:
                raise OSError(self._last or "it ended without any output")
            os.replace(self._part, self.path)
            self.state = "written"
        except OSError as error:
            self.state = "failed"
            self.problem = jobs.Problem(
                code="not_baked",
                message=f"Blender did not write {self.path}: {error}.",
                hint="Check that all frames are there and that the disk has space, then try again.",
            )
        self._clean_up()
        return True

    def stop(self) -> None:
        """Stop, and remove what is written so far."""
        if self.state == "writing":
            self.state = "stopped"
            self._process.kill()
            self._process.wait()
            self._clean_up()

    def _read_log(self) -> None:
        """Count the frames written, and remember the last other line."""
        with self._log.open("rb") as log:
            log.seek(self._log_read)
            text = log.read()
        *lines, unfinished = text.split(b"\n")
        self._log_read += len(text) - len(unfinished)
        texts = [line.decode(errors="replace").strip() for line in lines]
        self.done += texts.count(WROTE)
        self._last = next((line for line in reversed(texts) if line not in ("", WROTE)), self._last)

    def _clean_up(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._part.unlink(missing_ok=True)
        shutil.rmtree(self._scratch, ignore_errors=True)
