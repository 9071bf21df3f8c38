"""How long jobs took on each backend: the basis for estimating how long one will take.

Kept in a small file in the user's folder, never in a .blend.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

from .jobs import Job

KEPT = 200  # jobs in the file
COMPARED = 5  # newest similar jobs
SIMILAR = 2.0  # clips whose lengths differ by at most this factor are similar


@dataclass(frozen=True, kw_only=True)
class JobTime:
    """How long one job took. server: where. analysed: the shot's atlas was there before."""

    server: str
    kind: str
    preset: str
    analysed: bool
    frames: int
    seconds: float


class History:
    """Job times in a file; a damaged or unwritable file is treated as empty."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._jobs = _read(file)

    def add(self, job: JobTime) -> None:
        """Add a job time and write the file."""
        self._jobs = [*self._jobs, job][-KEPT:]
        part = self._file.with_name(self._file.name + ".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps([asdict(one) for one in self._jobs]), encoding="utf-8")
            os.replace(part, self._file)
        except OSError:  # only an estimate is lost
            part.unlink(missing_ok=True)

    def record(self, job: Job) -> None:
        """Record how long a job took, if known."""
        if job.seconds and job.settings is not None:
            self.add(
                JobTime(
                    server=job.server,
                    kind=job.kind,
                    preset=job.settings.preset,
                    analysed=job.analysed,
                    frames=job.anchor.frames,
                    seconds=job.seconds,
                )
            )

    def expected_seconds(
        self, server: str, kind: str, preset: str, analysed: bool, frames: int
    ) -> float | None:
        """Seconds such a job takes on this server: the median of the newest; None if not known."""
        similar = [
            job.seconds
            for job in self._jobs
            if (job.server, job.kind, job.preset, job.analysed) == (server, kind, preset, analysed)
            and frames <= job.frames * SIMILAR
            and job.frames <= frames * SIMILAR
        ]
        return median(similar[-COMPARED:]) if similar else None


def _read(file: Path) -> list[JobTime]:
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        known = {field.name for field in fields(JobTime)}
        return [JobTime(**{name: one[name] for name in known}) for one in plain]
    except (OSError, ValueError, TypeError, KeyError):
        return []
