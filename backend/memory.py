"""What the process does with memory it is done with: keeps it for the next step.

glibc gives large blocks back to the system as soon as they are freed, and a tensor is one. The next
step's tensors are then given to it page by page anew, which is a fifth of an edit's CPU time.
"""

from __future__ import annotations

import ctypes
from typing import Any

# mallopt's numbers for its settings, from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed() -> bool:
    """From now on freed memory stays with this process until `give_back`; False without glibc.

    The most that the process ever held at once is what it holds on to.
    """
    libc = _glibc()
    if libc is None:
        return False
    taken = libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, -1)
    return bool(taken and libc.mallopt(_TOP_PAD, 2**26))


def give_back() -> None:
    """Return to the system what is free now: between jobs others need it more."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> Any:
    """The C library, where it is glibc; other systems' have no such settings."""
    try:
        libc = ctypes.CDLL(None)
    except TypeError:  # Windows
        return None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
