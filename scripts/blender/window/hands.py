"""Hands and eyes in Blender's window: pointer, keys, buttons found by what they do, pictures.

Runs inside Blender, started with --enable-event-simulate. A story is a generator: it yields seconds
to wait, or a condition to wait for; everything here that takes time is to be used with yield from.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

Wait = float | Callable[[], bool]
Story = Iterator[Wait]
BEAT_S = 0.04  # between two events: Blender must have drawn in between
GLANCE_S = 0.015  # at what is under the pointer
LINE = 10  # pixels between two looks for a button
COLUMNS = (0.62, 0.865, 0.36)  # of the sidebar's width, where buttons are
PATIENCE_S = 420.0


def play(story: Story) -> None:
    """Have Blender play a story, and end; with status 1 and the reason if it breaks off."""
    state: dict[str, Any] = {"wait": 0.0, "since": time.monotonic()}

    def beat() -> float:
        try:
            wait = state["wait"]
            if callable(wait) and not wait():
                if time.monotonic() - state["since"] > PATIENCE_S:
                    raise TimeoutError("what the story waited for did not happen")
                return 0.1
            state.update(wait=next(story), since=time.monotonic())
        except StopIteration:
            bpy.ops.wm.quit_blender()
            return 1.0
        except Exception:
            traceback.print_exc()
            with within(bpy.context.window_manager.windows[0]):
                bpy.ops.screen.screenshot(filepath="broken_off.png", check_existing=False)
            os._exit(1)
        return BEAT_S if callable(state["wait"]) else float(state["wait"])

    bpy.app.timers.register(beat, first_interval=2.0, persistent=True)


@contextlib.contextmanager
def within(window: Any, area: Any = None, region: Any = None) -> Iterator[None]:
    """A place for operators of scripts; the add-on's threads stand still meanwhile.

    Blender up to 5.0 may crash in a script's override while another thread allocates.
    """
    parts = {"window": window, "area": area, "region": region}
    given = {name: part for name, part in parts.items() if part is not None}
    with contextlib.ExitStack() as held:
        runtime = sys.modules.get("text2live.blender.runtime")
        if runtime is not None:
            held.enter_context(runtime.current().session.standing_still())
        held.enter_context(bpy.context.temp_override(**given))
        yield


def region_of(area: Any, kind: str) -> Any:
    """An area's region of a kind: UI, PREVIEW, WINDOW."""
    return next(region for region in area.regions if region.type == kind)


class Hands:
    """One pointer and one keyboard in one window, which may be another after a while."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.at = (window.width // 2, window.height // 2)

    def event(self, kind: str, value: str, **more: Any) -> None:
        """One event where the pointer is. more: unicode, ctrl, shift, alt."""
        self.window.event_simulate(type=kind, value=value, x=self.at[0], y=self.at[1], **more)

    def move(self, x: float, y: float, pause: float = BEAT_S) -> Story:
        """Put the pointer somewhere; from the window's lower left."""
        self.at = (int(x), int(y))
        self.event("MOUSEMOVE", "NOTHING")
        yield pause

    def click(self, x: float, y: float) -> Story:
        """Click there."""
        yield from self.move(x, y)
        for value in ("PRESS", "RELEASE"):
            self.event("LEFTMOUSE", value)
            yield BEAT_S

    def drag(self, *points: tuple[float, float]) -> Story:
        """Press at the first point, go through all, let go at the last."""
        yield from self.move(*points[0])
        self.event("LEFTMOUSE", "PRESS")
        yield BEAT_S
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            for step in range(1, 9):
                yield from self.move(x0 + (x1 - x0) * step / 8, y0 + (y1 - y0) * step / 8)
        self.event("LEFTMOUSE", "RELEASE")
        yield 4 * BEAT_S

    def key(self, kind: str, **held: bool) -> Story:
        """Press a key. held: ctrl, shift, alt."""
        for value in ("PRESS", "RELEASE"):
            self.event(kind, value, **held)
            yield BEAT_S

    def type(self, text: str) -> Story:
        """Type small letters and spaces."""
        for letter in text:
            kind = "SPACE" if letter == " " else letter.upper()
            self.event(kind, "PRESS", unicode=letter)
            yield BEAT_S
            self.event(kind, "RELEASE")
            yield BEAT_S

    def find(self, area: Any, what: str, columns: tuple[float, ...] = COLUMNS) -> Story:
        """Put the pointer on the first button of the sidebar that has an operator or a property.

        what: part of the operator's call or the property's name. columns: where to look, of the
        sidebar's width. Scrolls down; raises LookupError.
        """
        region = region_of(area, "UI")
        yield from self.to_top(area)
        for _page in range(4):
            for x in columns:
                for y in range(region.y + region.height - 2 * LINE, region.y + LINE, -LINE):
                    yield from self.move(region.x + region.width * x, y, GLANCE_S)
                    if what in self._under(area, region):
                        return
            yield from self._wheel("WHEELDOWNMOUSE", 10)
        raise LookupError(f"no button of the sidebar does {what}")

    def _under(self, area: Any, region: Any) -> str:
        """What the button under the pointer does."""
        with within(self.window, area, region):
            if bpy.ops.ui.copy_data_path_button.poll():
                bpy.ops.ui.copy_data_path_button(full_path=True)
            elif bpy.ops.ui.copy_python_command_button.poll():
                bpy.ops.ui.copy_python_command_button()
            else:
                return ""
        return str(bpy.context.window_manager.clipboard)

    def press(self, area: Any, what: str, columns: tuple[float, ...] = COLUMNS) -> Story:
        """Click a button of the sidebar."""
        yield from self.find(area, what, columns)
        yield from self.click(*self.at)
        yield 4 * BEAT_S

    def fill(self, area: Any, what: str, text: str) -> Story:
        """Click a text field of the sidebar, type, and press Enter."""
        yield from self.find(area, what)
        yield from self.click(*self.at)
        yield 4 * BEAT_S
        yield from self.type(text)
        yield from self.key("RET")
        yield 4 * BEAT_S

    def fold(self, area: Any, what: str) -> Story:
        """Fold the panel a button is in, as the key A does."""
        yield from self.find(area, what)
        yield from self.key("A")
        yield 10 * BEAT_S

    def unfold(self, area: Any, panel: Any, below: str) -> Story:
        """Click the heading of a folded panel, somewhere below a button."""
        yield from self.find(area, below)
        x, y = region_of(area, "UI").x + 120, self.at[1]
        with _watched(panel) as drawn:
            for offset in range(24, 200, 6):
                yield from self.click(x, y - offset)
                yield 6 * BEAT_S
                if drawn:
                    return
                yield from self.click(x, y - offset)  # it was another one, or none
                yield 6 * BEAT_S
        raise LookupError("no heading of that panel was found")

    def to_top(self, area: Any) -> Story:
        """Scroll the sidebar up."""
        yield from self._to_middle(area)
        yield from self._wheel("WHEELUPMOUSE", 40)

    def to_bottom(self, area: Any) -> Story:
        """Scroll the sidebar down."""
        yield from self._to_middle(area)
        yield from self._wheel("WHEELDOWNMOUSE", 40)

    def _to_middle(self, area: Any) -> Story:
        region = region_of(area, "UI")
        yield from self.move(region.x + region.width * 0.08, region.y + region.height / 2)

    def _wheel(self, kind: str, notches: int) -> Story:
        for _notch in range(notches):
            self.event(kind, "PRESS")
        yield 6 * BEAT_S

    def open_tab(self, area: Any, panel: Any) -> Story:
        """Click along the sidebar's tabs until a panel is drawn."""
        region = region_of(area, "UI")
        with _watched(panel) as drawn:
            for offset in range(30, region.height - 10, 30):
                yield from self.click(
                    region.x + region.width - 10, region.y + region.height - offset
                )
                yield 6 * BEAT_S
                if drawn:
                    return
        raise LookupError("the sidebar has no such tab")


@contextlib.contextmanager
def _watched(panel: Any) -> Iterator[list[bool]]:
    """Grows whenever a panel is drawn."""
    drawn: list[bool] = []

    def seen(_panel: Any, _context: Any) -> None:
        drawn.append(True)

    panel.append(seen)
    try:
        yield drawn
    finally:
        panel.remove(seen)


class Album:
    """Pictures of the window, and what of each is to be kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, list[int]] = {}

    def take(self, hands: Hands, name: str, *shown: Any) -> Story:
        """A picture of the window. shown: areas or regions to crop it to; none: all of it."""
        aside = (hands.window.width // 2, 4)
        hands.at = aside
        hands.event("MOUSEMOVE", "NOTHING")
        yield 12 * BEAT_S
        for area in hands.window.screen.areas:
            area.tag_redraw()
        yield 12 * BEAT_S
        with within(hands.window):
            bpy.ops.screen.screenshot(
                filepath=str(self.folder / f"{name}.png"), check_existing=False
            )
        window = hands.window
        boxes = [(one.x, one.y, one.x + one.width, one.y + one.height) for one in shown]
        if not boxes:
            boxes = [(0, 0, window.width, window.height)]
        left, low = min(box[0] for box in boxes), min(box[1] for box in boxes)
        right, high = max(box[2] for box in boxes), max(box[3] for box in boxes)
        # Blender counts from below, pictures from above.
        self._kept[name] = [left, window.height - high, right, window.height - low]
        (self.folder / "kept.json").write_text(json.dumps(self._kept))
        print(f"picture {name}", flush=True)
