"""How long jobs took on a backend before: the only honest base for saying how long one will take.

Kept in a small file of the user's, never in a .blend.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

from .jobs import Job

KEPT = 200  # jobs in the file
LOOKED_AT = 5  # newest jobs like the one that is asked about
ALIKE = 2.0  # clips of at most so many times as many frames, or as few, are alike


@dataclass(frozen=True, kw_only=True)
class Took:
    """One finished job. server: whose. analysed: the shot's atlas was there before."""

    server: str
    kind: str
    preset: str
    analysed: bool
    frames: int
    seconds: float


class History:
    """Finished jobs in a file; a file that is damaged or cannot be written is as none."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._jobs = _read(file)

    def add(self, job: Took) -> None:
        """Remember one more."""
        self._jobs = [*self._jobs, job][-KEPT:]
        part = self._file.with_name(self._file.name + ".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps([asdict(one) for one in self._jobs]), encoding="utf-8")
            os.replace(part, self._file)
        except OSError:  # an estimate less, nothing more
            part.unlink(missing_ok=True)

    def remember(self, job: Job) -> None:
        """Remember how long a job took, if that is known."""
        if job.seconds and job.settings is not None:
            self.add(
                Took(
                    server=job.server,
                    kind=job.kind,
                    preset=job.settings.preset,
                    analysed=job.analysed,
                    frames=job.anchor.frames,
                    seconds=job.seconds,
                )
            )

    def expected(
        self, server: str, kind: str, preset: str, analysed: bool, frames: int
    ) -> float | None:
        """Seconds such a job takes on this server: the median of the newest; None if unknown."""
        alike = [
            job.seconds
            for job in self._jobs
            if (job.server, job.kind, job.preset, job.analysed) == (server, kind, preset, analysed)
            and frames <= job.frames * ALIKE
            and job.frames <= frames * ALIKE
        ]
        return median(alike[-LOOKED_AT:]) if alike else None


def _read(file: Path) -> list[Took]:
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        known = {field.name for field in fields(Took)}
        return [Took(**{name: one[name] for name in known}) for one in plain]
    except (OSError, ValueError, TypeError, KeyError):
        return []
