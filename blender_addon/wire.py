"""The protocol package: bundled in the built extension, or beside the add-on in a checkout."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

_BUNDLED = find_spec(f"{__package__}.protocol") is not None

if TYPE_CHECKING or not _BUNDLED:
    from protocol import client, jobs, keys, local, models, painters, validate
else:
    from .protocol import client, jobs, keys, local, models, painters, validate

__all__ = ["client", "jobs", "keys", "local", "models", "painters", "validate"]
