"""How a text-image model cuts sentences into tokens: open_clip's own way, or one of the hub's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import open_clip
from open_clip.tokenizer import HFTokenizer
from torch import Tensor

from backend.clip import hub
from backend.clip.weights_files import DEMO_HINT
from protocol.jobs import JobError


class Tokenizer(Protocol):
    """Sentences → ids, int64 [N, length], cut and padded to one length."""

    def __call__(self, texts: list[str], context_length: int | None = None) -> Tensor: ...


def tokenizer_for(cfg: dict[str, Any], context_length: int, folder: Path | None) -> Tokenizer:
    """The tokenizer that a model's text_cfg names.

    folder: holds the files of a Hugging Face tokenizer; None: they are on the hub or in its cache.
    Raises JobError ``weights_missing`` if they are not, or if the package for them is not.
    """
    kwargs = dict(cfg.get("tokenizer_kwargs", {}))
    if "hf_tokenizer_name" not in cfg:
        made: Tokenizer = open_clip.SimpleTokenizer(context_length=context_length, **kwargs)
        return made
    name = cfg["hf_tokenizer_name"]
    try:
        import transformers  # noqa: F401
    except ImportError as why:
        raise JobError(
            "weights_missing",
            f"This model reads texts with {name}, which needs the package transformers.",
            f"Install it beside the backend: pip install transformers. {DEMO_HINT}",
        ) from why
    places = [(str(folder), True)] if folder is not None else [(name, True), (name, False)]
    trouble = ""
    for place, local in places:
        if not local and (trouble := hub.unreachable() or trouble):
            break
        try:
            hf: Tokenizer = HFTokenizer(
                place, context_length=context_length, local_files_only=local, **kwargs
            )
            return hf
        except Exception as error:  # transformers raises many kinds for a missing or broken file
            trouble = str(error).splitlines()[0].rstrip(".") if str(error) else repr(error)
    raise JobError(
        "weights_missing",
        f"The tokenizer {name} of this model cannot be loaded: {trouble}.",
        f"Put its tokenizer.json and tokenizer_config.json beside the weights, in a folder in "
        f"open_clip's format, or fill the Hugging Face cache. {DEMO_HINT}",
        retryable=True,
    )


def length_in(tokenize: Callable[..., Tensor]) -> Callable[[str], int]:
    """How many tokens a text has, with start and end, however long it is."""
    hf: Any = getattr(tokenize, "tokenizer", None)
    if hf is not None and callable(hf):

        def counted(text: str) -> int:
            cleaned = tokenize.clean_fn(text)  # type: ignore[attr-defined]
            ids: Sequence[int] = hf(cleaned)["input_ids"]
            return len(ids)

        return counted

    def without_padding(text: str) -> int:
        most = 4 * len(text) + 2  # a token is at least one of a character's up to four bytes
        return int((tokenize([text], most) != 0).sum())

    return without_padding
