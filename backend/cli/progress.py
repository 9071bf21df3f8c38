"""A job's events on a terminal: one updating line, or a line every 10 % if it is not a terminal."""

from __future__ import annotations

import time
from typing import TextIO

from protocol.client import ClientEvent, ConnectionChanged, JobEvent, Uploading

REDRAW_S = 0.2


class Progress:
    """Prints phase, percentage and time left. Pass it to Client.run as on_event."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._moving = out.isatty()
        self._phase = ""
        self._drawn_at = 0.0
        self._tenth = -1
        self._begun = False  # until then, the caller reports that the backend is unreachable
        self._lost = False

    def __call__(self, news: ClientEvent) -> None:
        """Print one event."""
        self._begun = self._begun or isinstance(news, Uploading | JobEvent)
        if isinstance(news, ConnectionChanged):
            self._connection(news)
        elif isinstance(news, Uploading):
            self._progress("Sending frames", news.sent, news.total, None)
        elif isinstance(news, JobEvent):
            event = news.event
            if event.kind == "progress":
                self._progress(event.phase, event.done, event.total, event.eta_s)
            elif event.kind == "note":
                self._say(event.text)
            elif event.kind == "state":
                self._say(event.state)

    def _connection(self, news: ConnectionChanged) -> None:
        if news.state == "ready" and self._lost:
            self._lost = False
            self._say("The backend answers again.")
        elif news.state == "lost" and news.problem is not None and self._begun and not self._lost:
            self._lost = True
            self._say(f"{news.problem.message} {news.problem.hint}")

    def _progress(self, phase: str, done: int, total: int, eta_s: float | None) -> None:
        share = done / max(1, total)
        left = f"  {eta_s:.0f} s left" if eta_s is not None and share < 1 else ""
        line = f"  {phase}: {100 * share:.0f} %{left}"
        if phase != self._phase:
            self._end_line()
            self._phase, self._tenth, self._drawn_at = phase, -1, 0.0
        if self._moving:
            now = time.monotonic()
            if share < 1 and now - self._drawn_at < REDRAW_S:
                return
            self._drawn_at = now
            self._write(f"\r\033[K{line}")
        elif int(10 * share) > self._tenth:
            self._tenth = int(10 * share)
            self._write(f"{line}\n")

    def _say(self, text: str) -> None:
        self._end_line()
        self._phase = ""
        self._write(f"  {text}\n")

    def _end_line(self) -> None:
        if self._moving and self._phase:
            self._write("\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
