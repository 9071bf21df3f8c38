"""Measure the demo CLIP on held-out images: python -m scripts.demo_model.evaluate [--model DIR].

Five sets, all from another seed than training's (other textures, other scenes): look × thing pairs
that training never drew; all other pairs; the unseen pairs through snow, rain, fog, smoke or fire;
looks that only partly cover what was there before; and views as rough as training's. Each facet is
zero-shot among all its classes; a class is the mean of its words' text embeddings. --relevancy N
measures where a thing's word is found in N images; --blender DIR measures a set rendered by
scripts.demo_model.blender_set.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional

from backend.clip.load import load_clip
from backend.clip.templates import TEMPLATES
from protocol.jobs import ClipModel
from scripts.demo_model import evaluate_blender, evaluate_relevancy
from scripts.demo_model.export import load_exported
from scripts.demo_model.looks import LOOKS
from scripts.demo_model.photo_bank import load
from scripts.demo_model.photos import tiles
from scripts.demo_model.scenes import BACKGROUNDS, EFFECT_NAMES
from scripts.demo_model.things import THINGS
from scripts.demo_model.tokens import Tokens
from scripts.demo_model.views import SIZE, Example, batch
from scripts.demo_model.vocabulary import BACKGROUND_WORDS, EFFECT_WORDS, LOOK_WORDS, THING_WORDS
from scripts.demo_model.world import World

DEMO = Path(__file__).parents[2] / "backend" / "clip" / "demo"
HELD_OUT_SEED = 90_001
"""Seed of the textures and drawings of all evaluations; training must not use it."""
FACETS: dict[str, tuple[str, ...]] = {
    "look": LOOKS,
    "thing": THINGS,
    "background": BACKGROUNDS,
    "effect": EFFECT_NAMES,
}


def class_sentences(facet: str, name: str) -> list[str]:
    """The words that stand for a class."""
    if facet == "look":
        words = LOOK_WORDS[name]
        return [
            f"{words.adjectives[0]} object",
            f"object {words.joins[0]} {words.nouns[0]}",
            words.nouns[0],
        ]
    if facet == "thing":
        return [THING_WORDS[name][0]]
    return [
        f"object {words}"
        for words in (BACKGROUND_WORDS if facet == "background" else EFFECT_WORDS)[name]
    ]


def class_embeddings(model: CLIP, tokens: Tokens, facet: str) -> Tensor:
    """Unit embeddings `[classes, D]`, each the mean over words and templates."""
    rows = []
    for name in FACETS[facet]:
        texts = [t.format(s) for s in class_sentences(facet, name) for t in TEMPLATES]
        rows.append(
            functional.normalize(model.encode_text(tokens(texts), normalize=True).mean(0), dim=0)
        )
    return torch.stack(rows)


def image_embeddings(model: CLIP, images: Sequence[np.ndarray]) -> Tensor:
    """Unit embeddings `[N, D]` of uint8 pictures `[64, 64, 3]`."""
    found = []
    for start in range(0, len(images), 200):
        chunk = torch.from_numpy(np.stack(images[start : start + 200]))
        found.append(
            model.encode_image(chunk.permute(0, 3, 1, 2).float() / 127.5 - 1, normalize=True)
        )
    return torch.cat(found)


def examples(count: int, world: World) -> list[Example]:
    """The same held-out examples at every call."""
    number = int(world.rough) + 2 * int(world.held_out) + 4 * round(world.partial)
    number += 8 * round(world.weather)
    return batch(HELD_OUT_SEED, number, count, world)


def scores(
    model: CLIP, tokens: Tokens, drawn: Sequence[Example]
) -> tuple[dict[str, float], list[str]]:
    """Top-1 shares by facet, green screen against not, and the commonest confusions of looks."""
    images = image_embeddings(model, [e.image for e in drawn])
    truth = torch.tensor([e.seen.row() for e in drawn])
    found: dict[str, float] = {}
    confusions: list[str] = []
    for number, (facet, names) in enumerate(FACETS.items()):
        have = truth[:, number] >= 0
        right = truth[have, number]
        guess = (images[have] @ class_embeddings(model, tokens, facet).T).argmax(1)
        found[facet] = float((guess == right).float().mean())
        if facet == "look":
            wrong = Counter(
                (names[a], names[b]) for a, b in zip(right, guess, strict=True) if a != b
            )
            confusions = [f"{a} taken for {b} ({n})" for (a, b), n in wrong.most_common(12)]
        if facet == "background":
            green = BACKGROUNDS.index("green screen")
            found["green screen or not"] = float(
                ((guess == green) == (right == green)).float().mean()
            )
    return found, confusions


def evaluate(folder: Path, count: int) -> dict[str, dict[str, float]]:
    """All scores of an exported model by set; prints them as a Markdown table with confusions."""
    model, tokens = load_exported(folder)
    plain = World(seed=HELD_OUT_SEED, icons=0.0, rough=0.0, partial=0.0, weather=0.0)
    sets = {
        "unseen look × thing pairs": replace(plain, held_out=True),
        "all other pairs": plain,
        "unseen pairs, through weather": replace(plain, held_out=True, weather=1.0),
        "edits in progress": replace(plain, partial=1.0),
        "rough views": replace(plain, partial=0.25, rough=1.0, weather=0.15),
    }
    results, notes = {}, []
    for name, world in sets.items():
        results[name], confusions = scores(model, tokens, examples(count, world))
        notes.append(f"{name}: {', '.join(confusions)}")
    columns = list(next(iter(results.values())))
    print("| set | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in results.items():
        print(f"| {name} | " + " | ".join(f"{100 * row[c]:.1f} %" for c in columns) + " |")
    print("\n".join(["", *notes]))
    return results


def evaluate_things(folder: Path, count: int) -> dict[str, float]:
    """Relevancy of the thing's word on held-out plain pictures with a thing; prints the scores."""
    world = World(seed=HELD_OUT_SEED, icons=0.0, rough=0.0, partial=0.0, weather=0.0)
    drawn = [e for e in examples(2 * count, world) if e.seen.thing >= 0 and e.mask.any()][:count]
    clip = load_clip(ClipModel(checkpoint=str(folder.resolve())), "cpu")
    found = evaluate_relevancy.scores(clip, drawn)
    print(f"\nrelevancy of {len(drawn)} things: {listed(found)}")
    return found


def evaluate_rendered(folder: Path, pictures: Path) -> dict[str, float]:
    """Look and thing among all classes on a set rendered by Blender; prints scores and misses."""
    rendered, labels = evaluate_blender.read_set(pictures)
    model, tokens = load_exported(folder)
    found, notes = evaluate_blender.scores(
        image_embeddings(model, rendered),
        labels,
        FACETS,
        lambda facet: class_embeddings(model, tokens, facet),
    )
    print(f"\n{len(labels)} pictures by Blender: {listed(found)}", *notes, sep="\n")
    return found


def evaluate_photos(folder: Path, library: Path) -> dict[str, float]:
    """Materials of photographs that training never saw, named among all looks; prints the misses.

    `all looks`: share of photographs named rightly; `photographed`: the same among the looks that
    have photographs; `a look's mean`: mean over looks, so that common ones do not decide.
    """
    model, tokens = load_exported(folder)
    told = [
        (LOOKS.index(look), load(path, (SIZE, SIZE)))
        for look, paths in tiles(library, held_out=True).items()
        for path in paths
    ]
    truth = torch.tensor([look for look, _ in told])
    score = (
        image_embeddings(model, [image for _, image in told])
        @ class_embeddings(model, tokens, "look").T
    )
    have = torch.unique(truth)
    few = torch.full_like(score, -2.0)
    few[:, have] = score[:, have]
    right = score.argmax(1) == truth
    found = {
        "all looks": float(right.float().mean()),
        "photographed": float((few.argmax(1) == truth).float().mean()),
        "a look's mean": float(
            torch.stack([right[truth == k].float().mean() for k in have]).mean()
        ),
    }
    misses = Counter(
        (LOOKS[a], LOOKS[b]) for a, b in zip(truth, score.argmax(1), strict=True) if a != b
    )
    shown = ", ".join(f"{a} taken for {b} ({n})" for (a, b), n in misses.most_common(12))
    print(f"\n{len(told)} photographs: {listed(found)}", shown, sep="\n")
    return found


def listed(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=DEMO, help="folder of the exported model")
    parser.add_argument("--count", type=int, default=2000, help="images in each set; 0: none")
    parser.add_argument("--json", type=Path, help="also write the scores here")
    parser.add_argument("--relevancy", type=int, metavar="N", help="relevancy of N things, too")
    parser.add_argument("--blender", type=Path, metavar="DIR", help="a set made by blender_set")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="photographs of materials")
    options = parser.parse_args()
    if options.blender:
        try:
            evaluate_blender.read_set(options.blender)
        except FileNotFoundError as error:
            parser.error(str(error))
    results = evaluate(options.model, options.count) if options.count else {}
    if options.relevancy:
        results["relevancy"] = evaluate_things(options.model, options.relevancy)
    if options.blender:
        results["blender"] = evaluate_rendered(options.model, options.blender)
    if options.photos:
        results["photographs"] = evaluate_photos(options.model, options.photos)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
