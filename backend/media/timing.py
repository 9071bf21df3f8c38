"""When a movie's frames are shown: its rate, whether it varies, which frames repeat or drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

STANDARD = tuple(
    Fraction(*rate)
    for rate in (
        (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (48, 1), (50, 1), (60000, 1001),
        (60, 1), (12, 1), (15, 1), (10, 1), (120, 1),
    )
)  # fmt: skip
NEAR = 0.0004  # share by which a measured rate may differ from a standard one: 23.976 is not 24
CLOSE = 0.01  # the same for a rate that the file states ...
ROUGH = 0.02  # ... and for the usual rate of frames whose rate varies
EVEN = Fraction(3, 10)  # of a frame: stamps this close to even ones are rounded, or pulled down
JITTER = 0.3  # share by which the usual time between frames may vary


@dataclass(frozen=True)
class Timing:
    """rate: frames a second. repeats: how often each time stamp's frame is shown.

    repeats is empty if the rate is constant: every frame is shown once.
    """

    rate: Fraction
    repeats: dict[int, int]

    @property
    def variable(self) -> bool:
        """Whether the frame rate varies."""
        return bool(self.repeats)

    @property
    def shown(self) -> int:
        """How many frames are shown at the constant rate; 0 if the rate does not vary."""
        return sum(self.repeats.values())

    def note(self, name: str, read: int) -> str:
        """A note about a variable rate. name: of the movie. read: how many frames were read."""
        dropped = sum(times == 0 for times in self.repeats.values())
        return (
            f"{name} has a variable frame rate: its {read} frames are read as {self.shown} at "
            f"{float(self.rate):.4g} frames a second, by their time stamps"
            + (f" ({dropped} are never shown)." if dropped else ".")
        )


def ends_early(name: str, read: int, promised: int) -> str:
    """The note about a movie of which only some frames could be read. promised: 0 if unknown."""
    of = f" of {promised}" if read < promised else ""
    return (
        f"{name} ends early: {read}{of} frames could be read. Only these are used. Copy or export "
        "the movie again if you need the rest."
    )


def timing_of(
    stamps: Sequence[int], last: int, unit: Fraction, stated: Sequence[Fraction]
) -> Timing:
    """The timing of frames with these time stamps.

    stamps: of each frame, ascending, in units of `unit` seconds. last: how long the last frame is
    shown, 0 if unknown. stated: rates that the file names, the best first.

    The rate is constant if the stamps are evenly spaced, apart from rounding to the stream's clock
    and 3:2 pulldown, or if each frame is the one to show at its place in a constant rate. Otherwise
    the frames are shown at a constant rate by their stamps: long ones repeat, short ones may drop.
    """
    count = len(stamps)
    if count < 2:
        return Timing(next(iter(stated), Fraction(24)), {})
    steps = sorted(b - a for a, b in pairwise(stamps))
    middle = steps[len(steps) // 2]
    alike = [step for step in steps if abs(step - middle) <= JITTER * middle]
    usual = max(Fraction(1), Fraction(sum(alike), len(alike)))
    mean = Fraction(stamps[-1] - stamps[0], count - 1)
    even = all(abs(stamp - stamps[0] - k * mean) <= EVEN * mean for k, stamp in enumerate(stamps))
    if even:
        length = stamps[-1] - stamps[0] + (last or mean)
        return Timing(_named(count / (length * unit), 1 / (mean * unit), stated), {})
    rate = _nominal(1 / (usual * unit), stated)
    if all(round((stamp - stamps[0]) * unit * rate) == k for k, stamp in enumerate(stamps)):
        return Timing(rate, {})
    ends = [*stamps[1:], stamps[-1] + (last or usual)]
    repeats: dict[int, int] = {}
    for start, end in zip(stamps, ends, strict=True):
        # A frame of the constant rate shows what is on screen in the middle of its time.
        first, after = (round((stamp - stamps[0]) * unit * rate) for stamp in (start, end))
        repeats[start] = after - first
    repeats[stamps[-1]] = max(1, repeats[stamps[-1]])
    return Timing(rate, repeats)


def _nominal(measured: Fraction, stated: Sequence[Fraction]) -> Fraction:
    """The rate meant by frames that are shown for about 1/measured seconds each."""
    near = [rate for rate in STANDARD if abs(rate / measured - 1) < ROUGH]
    named = [rate for rate in near if rate in stated] or near
    return min(
        named, key=lambda rate: abs(rate - measured), default=measured.limit_denominator(1001)
    )


def _named(measured: Fraction, spaced: Fraction, stated: Sequence[Fraction]) -> Fraction:
    """The standard rate that the file states or that was measured; else the measured one.

    measured: from the whole length; spaced: from the space between frames.
    """
    for rate in stated:
        if rate in STANDARD and any(abs(rate / one - 1) < CLOSE for one in (measured, spaced)):
            return rate
    for rate in STANDARD:
        if abs(rate / measured - 1) < NEAR:
            return rate
    return measured.limit_denominator(1001)
