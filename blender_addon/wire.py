"""The protocol package: inside the built extension, or beside the add-on in a checkout."""

from __future__ import annotations

try:
    from .protocol import client, jobs, keys, validate
except ModuleNotFoundError as missing:
    if missing.name != f"{__package__}.protocol":
        raise
    from protocol import client, jobs, keys, validate

__all__ = ["client", "jobs", "keys", "validate"]
