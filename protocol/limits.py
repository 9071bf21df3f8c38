"""Limits on the sizes and counts of messages, objects and jobs, in one place."""

from __future__ import annotations

import msgspec

PROTOCOL = 1  # major version: both ends must share one
MINOR = 5
NEEDED_MINOR = 1  # lowest minor version of a backend; in older ones an edit names no painter

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MAX_HEADER = 64 * KIB
MAX_BUFFERS = 8
MAX_BUFFER = 4 * MIB
MAX_DIGESTS = 400  # of one `have`: the answer must still fit in a header
MAX_ID = 64  # characters of a message's id, which answers repeat
MAX_SENTENCES = 1000  # characters of an error's message, of its hint, and of a note
MAX_CODE = 64  # characters of an error's code


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend accepts; sent to the client in `welcome`.

    frames: of one clip. side: pixels of a frame's longer side. job_bytes: decoded size of all
    frames and masks of a job. open_jobs: unfinished jobs of one client key. text: characters of
    one prompt. texts: alternatives in one list. clicks: of one object's masks. path: characters of
    a path or a model's name. chunk: bytes. window: chunks in flight.
    """

    frames: int = 600
    side: int = 4096
    job_bytes: int = 4 * GIB
    open_jobs: int = 64
    text: int = 2000
    texts: int = 32
    clicks: int = 256
    path: int = 1024
    chunk: int = MIB
    window: int = 32


LIMITS = Limits()
