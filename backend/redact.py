"""Keep the machine's folders out of what clients read: no text for them has an absolute path."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from backend.executors.base import AnyReport, Failed, Note
from protocol.jobs import Problem

_START = r"(?:/|~/|[A-Za-z]:[\\/]|\\\\)"
_PART = r"[^\s/\\:;,'\"“”‘’<>|()\[\]{}]+"
_QUOTED = re.compile(rf"(?P<open>['\"“‘]){_START}[^'\"“”‘’]*(?=['\"”’])")
_PLAIN = re.compile(rf"(?<![\w.:/\\~…-]){_START}(?:{_PART}[\\/]+)*(?:{_PART})?")


class Redactor:
    """Replaces absolute paths in texts.

    Those in the data folder begin with ``data``, those in the models folder with ``models``; of all
    others only the last part stays.
    """

    def __init__(self, data: Path, models: Path) -> None:
        self._names = [(str(models), "models"), (str(data), "data")]  # models may be inside data

    def text(self, text: str) -> str:
        """The text without absolute paths."""
        for folder, name in self._names:
            text = re.sub(rf"{re.escape(folder)}(?![\w.-])", name, text)
        text = _QUOTED.sub(lambda found: found["open"] + _last(found[0][1:]), text)
        return _PLAIN.sub(lambda found: _last(found[0]), text)

    def problem(self, problem: Problem) -> Problem:
        """The problem without absolute paths."""
        return msgspec.structs.replace(
            problem, message=self.text(problem.message), hint=self.text(problem.hint)
        )

    def unexpected(self, why: Exception) -> Problem:
        """The problem for a request that failed with an exception nobody expected."""
        return self.problem(
            Problem(
                code="server_error",
                message=f"The backend failed on this request: {type(why).__name__}: {why}",
                hint="The details are in logs/server.log in the backend's data folder.",
            )
        )

    def report(self, report: AnyReport) -> AnyReport:
        """A worker's report whose texts reach clients, without absolute paths."""
        if isinstance(report, Failed):
            return msgspec.structs.replace(report, problem=self.problem(report.problem))
        if isinstance(report, Note):
            return msgspec.structs.replace(report, text=self.text(report.text))
        return report


def _last(path: str) -> str:
    """The last part of a path, after ``…/``; a lone slash stays as it is."""
    sentence = path.rstrip(".")
    last = re.split(r"[\\/]", sentence.rstrip("\\/"))[-1]
    return f"…/{last}{path[len(sentence) :]}" if last.strip("~") else path
