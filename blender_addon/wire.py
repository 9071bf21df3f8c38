"""The protocol package, wherever it lives: inside the built extension, or beside it in a checkout."""

from __future__ import annotations

try:
    from .protocol import client, jobs, keys
except ModuleNotFoundError as missing:
    if missing.name != f"{__package__}.protocol":
        raise
    from protocol import client, jobs, keys

__all__ = ["client", "jobs", "keys"]
