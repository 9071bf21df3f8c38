"""Prompts to choose from: those used before, and looks that the built-in model knows."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

KEPT = 100
SHOWN = 30

DEMO_LOOKS = (
    *("gold", "silver", "copper", "rust", "wood", "marble", "stone", "water", "ice", "snow"),
    *("frost", "lava", "fire", "smoke", "fog", "clouds", "glass", "crystal", "stars", "sand"),
    *("grass", "moss", "leaves", "flowers", "feathers", "leopard", "zebra", "tiger", "giraffe"),
    *("brick", "stained glass", "mosaic", "leather", "denim", "wool", "crochet", "tartan"),
    *("polka dots", "stripes", "checkerboard", "rainbow", "neon", "chocolate", "candy"),
    *("origami", "graffiti"),
)
"""The looks that the built-in model knows (backend/clip/demo/README.md)."""


class PromptHistory:
    """The prompts of earlier edits, newest first, in a file of the user."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._prompts = _read(file)

    @property
    def prompts(self) -> tuple[str, ...]:
        """All of them, newest first."""
        return tuple(self._prompts)

    def add(self, prompt: str) -> None:
        """Put a prompt in front and write the file."""
        prompt = prompt.strip()
        if not prompt or self._prompts[:1] == [prompt]:
            return
        self._prompts = [prompt, *(one for one in self._prompts if one != prompt)][:KEPT]
        part = self._file.with_name(self._file.name + ".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self._prompts, ensure_ascii=False), encoding="utf-8")
            os.replace(part, self._file)
        except OSError:  # only suggestions are lost
            with contextlib.suppress(OSError):
                part.unlink()

    def suggest(self, text: str, model: str) -> list[str]:
        """Prompts that contain a text; for the built-in model also looks that it knows.

        model: the backend's text-image model.
        """
        looks: Iterable[str] = DEMO_LOOKS if model.partition(":")[0] == "demo" else ()
        wanted = text.strip().lower()
        found = [one for one in self._prompts if wanted in one.lower()]
        *before, last = wanted.split(" ") if wanted else [""]
        start = " ".join(before)
        found += [f"{start} {look}".strip() for look in looks if look.startswith(last)]
        return list(dict.fromkeys(found))[:SHOWN]


def _read(file: Path) -> list[str]:
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        return [str(one) for one in plain][:KEPT]
    except (OSError, ValueError, TypeError):
        return []
