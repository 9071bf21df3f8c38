"""The sentences of the demo CLIP: what an image shows, said in many ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.clip.templates import TEMPLATES
from scripts.demo_model.looks import LOOKS
from scripts.demo_model.noise import Rng
from scripts.demo_model.scenes import BACKGROUNDS, EFFECT_NAMES
from scripts.demo_model.things import THINGS
from scripts.demo_model.vocabulary import (
    ANY_THING,
    BACKGROUND_WORDS,
    EFFECT_WORDS,
    ENDED,
    ENDINGS,
    LOOK_WORDS,
    MODIFIED,
    MODIFIERS,
    SCENE_WORDS,
    SURFACES,
    THING_WORDS,
    TURNS,
)


@dataclass(frozen=True)
class Facts:
    """Class numbers of what a picture shows or a caption says; -1: nothing (said)."""

    look: int = -1
    thing: int = -1
    background: int = -1
    effect: int = -1

    def row(self) -> tuple[int, int, int, int]:
        return self.look, self.thing, self.background, self.effect


def pick(rng: Rng, options: Sequence[str]) -> str:
    """One of the options; the first is twice as likely as each other one."""
    return options[max(0, int(rng.integers(-1, len(options))))]


def turned(rng: Rng) -> str:
    """Now and then a word of how a look came to be."""
    return pick(rng, TURNS) if rng.random() < 0.1 else ""


def look_of(rng: Rng, look: str, noun: str) -> str:
    """A noun that has a look: "golden swan", "swan made of gold"."""
    words = LOOK_WORDS[look]
    if rng.random() < 0.55:
        return f"{pick(rng, words.adjectives)} {noun}"
    return f"{noun} {turned(rng)}{pick(rng, words.joins)} {pick(rng, words.nouns)}"


def surface(rng: Rng, look: str) -> str:
    """A look with nothing that wears it: "gold", "gold texture", "a surface of gold"."""
    words = LOOK_WORDS[look]
    noun = pick(rng, words.nouns)
    kind = rng.random()
    if kind < 0.4:
        return noun
    if kind < 0.75:
        return f"{pick(rng, words.adjectives)} {pick(rng, SURFACES)}"
    return f"{pick(rng, ('a surface of', 'a close up of', 'a texture of', 'a wall of'))} {noun}"


def compose(rng: Rng, facts: Facts) -> str:
    """A sentence saying exactly the given facts, in one of many ways, inside a template."""
    subject = ""
    if facts.thing >= 0:
        noun = pick(rng, THING_WORDS[THINGS[facts.thing]])
        subject = look_of(rng, LOOKS[facts.look], noun) if facts.look >= 0 else noun
    elif facts.look >= 0:
        subject = (
            surface(rng, LOOKS[facts.look])
            if rng.random() < 0.5
            else look_of(rng, LOOKS[facts.look], pick(rng, ANY_THING))
        )
    places = []
    if facts.background >= 0:
        name = BACKGROUNDS[facts.background]
        if subject:
            places.append(pick(rng, BACKGROUND_WORDS[name]))
        else:
            subject = pick(rng, SCENE_WORDS[name])
    if facts.effect >= 0:
        places.append(pick(rng, EFFECT_WORDS[EFFECT_NAMES[facts.effect]]))
    if not subject:
        subject = pick(rng, ("scene", "picture", "landscape", "view"))
    if rng.random() < MODIFIED:
        subject = f"{pick(rng, MODIFIERS)} {subject}"
    if rng.random() < ENDED:
        places.append(pick(rng, ENDINGS))
    rng.shuffle(places)
    if places and rng.random() < 0.08:
        sentence = f"{' '.join(places)}, {subject}"
    else:
        article = ("a ", "the ", "", "")[rng.integers(4)]
        sentence = f"{article}{' '.join([subject, *places])}"
    sentence = TEMPLATES[rng.integers(len(TEMPLATES))].format(sentence)
    return (
        sentence.replace("a a ", "a ")
        .replace("the the ", "the ")
        .replace("a the ", "the ")
        .replace("the a ", "a ")
    )


def say(rng: Rng, seen: Facts) -> tuple[str, Facts]:
    """A caption of a picture and which of the seen facts it says (never none of them)."""
    look = seen.look if rng.random() < 0.88 else -1
    thing = seen.thing if rng.random() < 0.75 else -1
    background = seen.background if rng.random() < 0.55 else -1
    effect = seen.effect if rng.random() < 0.85 else -1
    said = Facts(look, thing, background, effect)
    if said == Facts():
        said = seen
    return compose(rng, said), said


def classes() -> dict[str, dict[str, list[str]]]:
    """Every class by kind and name, with the phrases that mean it."""
    looks = {
        look: list(dict.fromkeys((*words.adjectives, *words.nouns)))
        for look, words in LOOK_WORDS.items()
    }
    backgrounds = {name: [*BACKGROUND_WORDS[name], *SCENE_WORDS[name]] for name in BACKGROUND_WORDS}
    return {
        "looks": {look: looks[look] for look in LOOKS},
        "things": {thing: list(words) for thing, words in THING_WORDS.items()},
        "backgrounds": backgrounds,
        "effects": {name: list(words) for name, words in EFFECT_WORDS.items()},
    }


def other_phrases() -> list[str]:
    """Phrases of the captions that stand for no class."""
    joins = {join for words in LOOK_WORDS.values() for join in words.joins}
    frames = [template.replace("{}", "thing") for template in TEMPLATES]
    return [
        *frames, *ANY_THING, *MODIFIERS, *ENDINGS, *TURNS, *SURFACES, *sorted(joins),
        "a close up of a wall of", "scene picture landscape view",
    ]  # fmt: skip


def phrases() -> list[str]:
    """Every word form the captions can use, once: the corpus of the trimmed token table."""
    taught = [p for named in classes().values() for group in named.values() for p in group]
    return [*other_phrases(), *taught]
