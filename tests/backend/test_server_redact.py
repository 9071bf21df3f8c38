"""What clients read names no folder of the backend's machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.executors.base import Failed, Note, Started
from backend.redact import Redactor
from protocol.jobs import Problem

REDACTOR = Redactor(Path("/srv/my data"), Path("/srv/my data/models"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Log: /srv/my data/logs/worker-0.log", "Log: data/logs/worker-0.log"),
        (
            "no file /srv/my data/models/x/y.pt.",
            "no file models/x/y.pt.",
        ),
        ("for /srv/my data: full", "for data: full"),
        ("like /srv/my data2/x", "like …/my data2/x"),
        ("cannot open /etc/shadow.", "cannot open …/shadow."),
        ("[Errno 2] No such file: '/home/a b/x y.pt'", "[Errno 2] No such file: '…/x y.pt'"),
        ('File "/opt/venv/lib/a.py", line 3, in f', 'File "…/a.py", line 3, in f'),
        ("at (/usr/lib/x.so+0x12)", "at (…/x.so+0x12)"),
        ("path=/usr/lib/x.so:12", "path=…/x.so:12"),
        (r"C:\Users\me\w.pt is missing", "…/w.pt is missing"),
        (r"'C:\Users\my self\w.pt'", "'…/w.pt'"),
        (r"\\host\share\w.pt", "…/w.pt"),
        ("~/models/w.pt", "…/w.pt"),
        (
            "https://example.org/a/b, 3/4 of 12/2",
            "https://example.org/a/b, 3/4 of 12/2",
        ),
        ("12 MB/s, and/or, a / b", "12 MB/s, and/or, a / b"),
        ("models/x.pt of openai/clip", "models/x.pt of openai/clip"),
        ("", ""),
    ],
)
def test_paths_are_shortened_and_other_texts_stay(text, expected):
    assert REDACTOR.text(text) == expected
    assert REDACTOR.text(expected) == expected


def test_reports_that_reach_clients_are_redacted():
    problem = Problem(code="x", message="at /a/b", hint="in /c/d", retryable=True)
    failed = REDACTOR.report(Failed(job="a", problem=problem))
    assert failed == Failed(
        job="a", problem=Problem(code="x", message="at …/b", hint="in …/d", retryable=True)
    )
    assert REDACTOR.report(Note(job="a", text="at /a/b")) == Note(job="a", text="at …/b")
    assert REDACTOR.report(Started(job="a")) == Started(job="a")
