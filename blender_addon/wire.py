"""The protocol package: inside the built extension, or beside the add-on in a checkout."""

from __future__ import annotations

try:
    from .protocol import client, jobs, keys, local, models, painters, validate
except ModuleNotFoundError as missing:
    if missing.name != f"{__package__}.protocol":
        raise
    from protocol import client, jobs, keys, local, models, painters, validate

__all__ = ["client", "jobs", "keys", "local", "models", "painters", "validate"]
