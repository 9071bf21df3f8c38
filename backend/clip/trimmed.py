"""A token table with only the words that its training used, as the built-in model has one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from backend.clip.weights_files import DEMO_HINT
from protocol.jobs import JobError


class TrimmedEmbedding(nn.Module):
    """A table of the embeddings of some tokens.

    Token ids stay open_clip's own, as its pooling looks for the end token's id. The look-up goes
    through a map from id to row; ids without a row share the unknown one.
    """

    def __init__(self, table: nn.Embedding, rows: dict[int, int], unknown: int) -> None:
        super().__init__()
        self.table = table
        size = max(rows, default=0) + 1
        row_of_V = torch.full((size + 1,), unknown, dtype=torch.long)
        for token, row in rows.items():
            row_of_V[token] = row
        self.register_buffer("row_of_V", row_of_V, persistent=False)

    def forward(self, ids_NL: Tensor) -> Tensor:
        """ids: int64 [N,L] → embeddings [N,L,E]."""
        row_of_V: Tensor = self.get_buffer("row_of_V")
        embedded: Tensor = self.table(row_of_V[ids_NL.clamp(max=len(row_of_V) - 1)])
        return embedded


def trimmed(table: nn.Embedding, path: Path) -> TrimmedEmbedding:
    """Read ``{"rows": {"<token id>": row, ...}, "unknown": row}``."""
    try:
        vocabulary = json.loads(path.read_text(encoding="utf-8"))
        rows = {int(token): int(row) for token, row in vocabulary["rows"].items()}
        unknown = int(vocabulary["unknown"])
        if not all(0 <= row < table.num_embeddings for row in (*rows.values(), unknown)):
            raise ValueError(f"a row lies outside the table's {table.num_embeddings}")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise JobError(
            "weights_broken", f"The token map {path} cannot be used: {error}.", DEMO_HINT
        ) from error
    return TrimmedEmbedding(table, rows, unknown)
