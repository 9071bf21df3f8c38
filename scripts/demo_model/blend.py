"""Weights between the clean and the robust demo CLIP: python -m scripts.demo_model.blend --help.

Fine-tuned weights and those they started from lie in one basin: on the line between them a model
keeps most of what either of them is good at (WiSE-FT, Wortsman et al. 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor

from scripts.demo_model.export import CONTEXT, export, load_exported
from scripts.demo_model.tokens import UNKNOWN, Tokens

TABLE = "token_embedding.weight"


def blend(clean: Path, robust: Path, share: float) -> dict[str, Tensor]:
    """The state `share` of the way from the clean weights (0) to the robust ones (1).

    Tokens that the clean model never learnt have the robust model's rows. Raises ValueError where
    the robust model has another token table than today's.
    """
    before, taught = load_exported(clean)
    after, tokens = load_exported(robust)
    if tokens.rows != Tokens.taught(CONTEXT).rows:
        raise ValueError(f"{robust} was trained with other words: train it again")
    start, state = before.state_dict(), after.state_dict()
    mixed = {k: start[k].lerp(v, share) for k, v in state.items() if k != TABLE}
    table = state[TABLE].clone()
    table[UNKNOWN] = start[TABLE][UNKNOWN].lerp(state[TABLE][UNKNOWN], share)
    for token, row in tokens.rows.items():
        if token in taught.rows:
            table[row] = start[TABLE][taught.rows[token]].lerp(state[TABLE][row], share)
    return {**mixed, TABLE: table}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clean", type=Path, required=True, help="folder of the start")
    parser.add_argument("--robust", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--share", type=float, required=True, help="0: clean, 1: robust")
    parser.add_argument("--out", type=Path, required=True, help="folder for the result")
    options = parser.parse_args()
    export(blend(options.clean, options.robust, options.share), options.out)


if __name__ == "__main__":
    main()
