"""The trimmed token table: which of open_clip's tokens have a row of their own.

Row 0 is padding ("!" shares it, as in CLIP), row 1 stands for every token that was never taught,
the last row is end-of-text: pooling looks for the highest number in a text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import open_clip
import torch
from torch import Tensor

from scripts.demo_model.captions import phrases

PADDING, UNKNOWN = 0, 1


class Tokens:
    """Turns texts into rows `[N, context_length]` of the trimmed table."""

    def __init__(self, rows: dict[int, int], context_length: int) -> None:
        self.rows = rows
        self.context_length = context_length
        self.tokenizer = open_clip.SimpleTokenizer(context_length=context_length)
        self.table = torch.full((self.tokenizer.vocab_size,), UNKNOWN)
        for token, row in rows.items():
            self.table[token] = row

    @classmethod
    @cache
    def taught(cls, context_length: int) -> Tokens:
        """The table of all words that the captions use."""
        tokenizer = open_clip.SimpleTokenizer()
        found = {token for phrase in phrases() for token in tokenizer.encode(phrase)}
        found |= {
            token for mark in (".", ",", "...", "..", "!") for token in tokenizer.encode(mark)
        }
        found -= {0, tokenizer.sot_token_id, tokenizer.eot_token_id}
        order = [tokenizer.sot_token_id, *sorted(found), tokenizer.eot_token_id]
        return cls(
            {0: PADDING, **{token: row for row, token in enumerate(order, UNKNOWN + 1)}},
            context_length,
        )

    @classmethod
    def load(cls, path: Path, context_length: int) -> Tokens:
        """Read `vocab.json` as `save` writes it."""
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["unknown"] != UNKNOWN:
            raise ValueError(f"{path}: the row of unknown tokens must be {UNKNOWN}")
        return cls({int(token): row for token, row in told["rows"].items()}, context_length)

    def save(self, path: Path) -> None:
        told = {"rows": {str(token): row for token, row in self.rows.items()}, "unknown": UNKNOWN}
        path.write_text(json.dumps(told) + "\n", encoding="utf-8")

    @property
    def size(self) -> int:
        return len(self.rows) + 1

    def __call__(self, texts: Sequence[str]) -> Tensor:
        return self.table[self.tokenizer(list(texts))]
