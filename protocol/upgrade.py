"""Jobs of other versions: reading those of an earlier one, and what a backend must know."""

from __future__ import annotations

from typing import Any

import msgspec

from .jobs import EditJob, JobError, JobSpec, MaskJob
from .limits import NEEDED_MINOR
from .painters import images_of, packed_settings, settings_of

MOVED = ("screen", "recipe", "strength", "detail")
"""Fields of an edit in protocol 1.0 that are settings of the painter text2live since 1.1."""


def needed_minor(spec: JobSpec) -> int:
    """The lowest minor version of a backend that does all that a job asks for.

    An older one would ignore a field that it does not know, and make something else.
    """
    if isinstance(spec, EditJob):
        return 5 if images_of(spec) else 4 if spec.variant else NEEDED_MINOR
    return 4 if isinstance(spec, MaskJob) else NEEDED_MINOR


def job_from(fields: object) -> JobSpec:
    """Convert unpacked msgpack to a job. Raises msgspec.ValidationError if it is not a job.

    Settings that equal their defaults are left out, so that equal jobs compare equal.
    """
    if isinstance(fields, dict):
        fields = _upgraded(fields)
    spec: JobSpec = msgspec.convert(fields, JobSpec)
    if not isinstance(spec, EditJob) or not spec.settings:
        return spec
    try:
        settings = packed_settings(settings_of(spec))
    except JobError:  # the check of the job reports it
        return spec
    return msgspec.structs.replace(spec, settings=settings)


def _upgraded(fields: dict[str, Any]) -> dict[str, Any]:
    """Upgrade from protocol 1.0, which had atlas_engine and Text2LIVE's settings in the edit."""
    if "engine" not in fields and "atlas_engine" in fields:
        fields = {**fields, "engine": fields["atlas_engine"]}
    if fields.get("kind") == "edit" and "painter" not in fields and "settings" not in fields:
        settings = {name: fields[name] for name in MOVED if name in fields}
        fields = {**fields, "settings": settings}
    return fields
