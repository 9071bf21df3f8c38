"""All measures of one finished layer: one row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend import media
from backend.motion import flow
from backend.progress import Silent
from scripts.measure.evaluate import metrics
from scripts.measure.evaluate.cases import MaskedClip
from scripts.measure.evaluate.judge import Judge, Seen
from scripts.measure.evaluate.metrics import Pixels

GAPS = (1, 2, 4, 8)
NEAR, FAR = 1, 8  # distances in frames over which a layer is compared along the motion
TRUST = 1.0  # largest round-trip error of a flow that is used, pixels


@dataclass(frozen=True)
class Column:
    """One measure. digits: decimal places. best: ``higher``, ``lower`` or empty for neither."""

    title: str
    unit: str
    digits: int
    best: str


COLUMNS = {
    "similarity": Column("CLIP similarity", "", 3, "higher"),
    "direction": Column("directional similarity", "", 3, "higher"),
    "named": Column("named rightly", "%", 0, "higher"),
    "structure": Column("structure distance", "", 3, "lower"),
    "edges": Column("edge distance", "", 3, "lower"),
    "fine_edges": Column("fine edge distance", "", 3, "lower"),
    "psnr_outside": Column("PSNR outside", "dB", 1, "higher"),
    "alpha_outside": Column("α outside", "%", 1, "lower"),
    "coverage": Column("α inside", "", 2, ""),
    "flicker": Column("warp error, 1 frame", "", 4, "lower"),
    "drift": Column("warp error, 8 frames", "", 4, "lower"),
    "extent": Column("picture covered", "%", 0, ""),
    "density": Column("mean α there", "", 2, ""),
    "seconds": Column("seconds", "", 0, "lower"),
    "peak_mb": Column("peak", "MB", 0, "lower"),
}
"""Name of a measure → how it is shown; flicker and drift exist only for clips long enough."""


class Bench:
    """A clip on which layers are measured; whatever depends only on the source is computed once."""

    def __init__(self, footage: MaskedClip, judge: Judge) -> None:
        self.footage, self.judge = footage, judge
        self.window = footage.inside
        self.source: Seen = judge.look(judge.close_ups(footage.frames, self.window))
        self.flows: flow.Flows | None = None
        if len(footage.frames) > NEAR:
            self.flows = flow.estimate(footage.frames, GAPS, TRUST, Silent())

    def measure(
        self, layers: Pixels, source: str, prompts: Sequence[str], prompt: int
    ) -> dict[str, float]:
        """The measures of layers uint8 [T,H,W,4]. prompts: all prompts of the clip."""
        frames, inside, judge = self.footage.frames, self.footage.inside, self.judge
        composites = np.stack(
            [media.composite(one, layer) for one, layer in zip(frames, layers, strict=True)]
        )
        seen = judge.look(judge.close_ups(composites, self.window))
        texts = [judge.read(text) for text in (*prompts, source)]
        extent, density = metrics.presence(layers)
        row = {
            "similarity": metrics.similarity(seen.embeddings, texts[prompt]),
            "direction": metrics.direction(
                seen.embeddings, self.source.embeddings, texts[prompt], texts[-1]
            ),
            "named": metrics.named(seen.embeddings, texts, prompt),
            "structure": metrics.self_similarity_distance(seen.tokens, self.source.tokens),
            "edges": metrics.edge_distance(frames, composites, inside),
            "fine_edges": metrics.edge_distance(frames, composites, inside, 0.0),
            "psnr_outside": metrics.psnr_outside(frames, composites, inside),
            "alpha_outside": metrics.alpha_outside(layers, inside),
            "coverage": metrics.coverage(layers, inside),
            "extent": extent,
            "density": density,
        }
        if self.flows is not None:
            for name, gap in (("flicker", NEAR), ("drift", FAR)):
                if gap in self.flows.gaps:
                    row[name] = metrics.warp_error(layers, self.flows, gap)
        return row


def shown(name: str, value: float) -> str:
    """A measure as the table shows it."""
    column = COLUMNS[name]
    return f"{100 * value if column.unit == '%' else value:.{column.digits}f}"
