"""The words a small text-image model was taught, so that an artist learns which ones it ignores.

A model folder may hold ``words.json``: ``{"classes": {"looks": {"gold": ["golden", …]}, …},
"other": […]}``. Large models have no such file: they were trained on the language as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FILE_NAME = "words.json"
_WORD = re.compile(r"[^\s!-/:-@\[-`{-~“”„‘’‚«»…–—¿¡]+")


@dataclass(frozen=True)
class KnownWords:
    """classes: kind (``looks``) → class (``gold``) → its phrases. other: phrases of no class."""

    classes: Mapping[str, Mapping[str, tuple[str, ...]]]
    other: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> KnownWords:
        """Read a ``words.json``. Raises OSError, ValueError, KeyError or TypeError."""
        content = json.loads(path.read_text(encoding="utf-8"))
        classes = {
            kind: {name: tuple(phrases) for name, phrases in named.items()}
            for kind, named in content["classes"].items()
        }
        return cls(classes, tuple(content["other"]))

    @cached_property
    def all(self) -> frozenset[str]:
        """Every single word of every phrase, in lower case."""
        phrases = [p for named in self.classes.values() for group in named.values() for p in group]
        return frozenset(words_of((*phrases, *self.other)))

    def unknown(self, texts: Iterable[str]) -> list[str]:
        """The words of texts that were never taught, as written, each once."""
        found: dict[str, str] = {}
        for text in texts:
            for match in _WORD.finditer(text):
                if match[0].lower() not in self.all:
                    found.setdefault(match[0].lower(), match[0])
        return list(found.values())


def words_of(texts: Sequence[str]) -> list[str]:
    """All words of texts, in lower case; emoji and runs of any script count as words."""
    return [word for text in texts for word in _WORD.findall(text.lower())]
