"""Files of the Hugging Face hub: from this machine's cache, else downloaded."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from backend.clip.weights_files import DEMO_HINT
from protocol.jobs import JobError

HUB_TIMEOUT_S = 4.0


def fetch(repository: str, names: Sequence[str], what: str) -> Path:
    """The first of these files that the repository has. what: the subject of an error's sentence.

    Raises JobError ``weights_missing``.
    """
    from huggingface_hub import hf_hub_download

    for name in names:
        try:
            return Path(hf_hub_download(repository, name, local_files_only=True))
        except (OSError, ValueError):
            continue
    trouble = unreachable()
    if not trouble:
        for name in names:
            try:
                return Path(hf_hub_download(repository, name, etag_timeout=HUB_TIMEOUT_S))
            except Exception as error:
                trouble = str(error).splitlines()[0].rstrip(".") if str(error) else repr(error)
    raise JobError(
        "weights_missing",
        f"{what} are not on this machine and could not be downloaded: {trouble}.",
        f"Download {names[0]} of {repository} on a connected machine and give it as the "
        f"checkpoint, or fill the Hugging Face cache. {DEMO_HINT}",
        retryable=True,
    )


def unreachable() -> str:
    """Why the hub cannot be reached, or "". (The hub's own client retries for half a minute.)"""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "offline mode is on"
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")):
        return ""
    parts = urlsplit(constants.ENDPOINT)
    try:
        address = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
        with socket.create_connection(address, timeout=HUB_TIMEOUT_S):
            return ""
    except OSError as error:
        return f"{parts.hostname} cannot be reached ({error.strerror or error})"


def repository_of(path: Path) -> str:
    """The repository whose cache a file lies in, such as ``OWNER/NAME``; "" for any other file."""
    for part in path.absolute().parts:
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/", 1)
    return ""
