"""A simulated user of Blender's window: pointer, keys, buttons found by operator, screenshots.

Runs inside Blender, started with --enable-event-simulate. A story is a generator that yields
seconds to wait, or a condition to wait for. Call every method that takes time with yield from.
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
PAUSE_S = 0.04  # between events, so that Blender draws in between
HOVER_S = 0.015  # before reading what is under the pointer
SCAN_STEP = 10  # pixels between two tries to find a button
COLUMNS = (0.62, 0.865, 0.36)  # where buttons are, as fractions of the sidebar's width
TIMEOUT_S = 1800.0  # on a slow machine an edit takes many minutes


def play_story(story: Story) -> None:
    """Play a story and quit Blender; with status 1 and the reason if it fails."""
    state: dict[str, Any] = {"wait": 0.0, "since": time.monotonic()}

    def advance() -> float:
        try:
            wait = state["wait"]
            if callable(wait) and not wait():
                if time.monotonic() - state["since"] > TIMEOUT_S:
                    raise TimeoutError("the story waited too long")
                return 0.1
            state.update(wait=next(story), since=time.monotonic())
        except StopIteration:
            bpy.ops.wm.quit_blender()
            return 1.0
        except Exception:
            traceback.print_exc()
            with within(bpy.context.window_manager.windows[0]):
                bpy.ops.screen.screenshot(filepath="failed.png", check_existing=False)
            os._exit(1)
        return PAUSE_S if callable(state["wait"]) else float(state["wait"])

    bpy.app.timers.register(advance, first_interval=2.0, persistent=True)


@contextlib.contextmanager
def within(window: Any, area: Any = None, region: Any = None) -> Iterator[None]:
    """A context for operators, with the add-on's threads paused.

    Blender up to 5.0 may crash in a script's override while another thread allocates.
    """
    parts = {"window": window, "area": area, "region": region}
    given = {name: part for name, part in parts.items() if part is not None}
    with contextlib.ExitStack() as held:
        runtime = sys.modules.get("text2live.blender.runtime")
        if runtime is not None:
            held.enter_context(runtime.current().session.threads_paused())
        held.enter_context(bpy.context.temp_override(**given))
        yield


def region_of(area: Any, kind: str) -> Any:
    """The area's region of this kind: UI, PREVIEW, WINDOW."""
    return next(region for region in area.regions if region.type == kind)


class SimulatedUser:
    """A pointer and a keyboard in a window."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.at = (window.width // 2, window.height // 2)

    def event(self, kind: str, value: str, **more: Any) -> None:
        """Send an event at the pointer. more: unicode, ctrl, shift, alt."""
        self.window.event_simulate(type=kind, value=value, x=self.at[0], y=self.at[1], **more)

    def move(self, x: float, y: float, pause: float = PAUSE_S) -> Story:
        """Move the pointer; x and y from the window's lower left."""
        self.at = (int(x), int(y))
        self.event("MOUSEMOVE", "NOTHING")
        yield pause

    def click(self, x: float, y: float) -> Story:
        """Click at a point."""
        yield from self.move(x, y)
        for value in ("PRESS", "RELEASE"):
            self.event("LEFTMOUSE", value)
            yield PAUSE_S

    def drag(self, *points: tuple[float, float]) -> Story:
        """Press at the first point, move through all, release at the last."""
        yield from self.move(*points[0])
        self.event("LEFTMOUSE", "PRESS")
        yield PAUSE_S
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            for step in range(1, 9):
                yield from self.move(x0 + (x1 - x0) * step / 8, y0 + (y1 - y0) * step / 8)
        self.event("LEFTMOUSE", "RELEASE")
        yield 4 * PAUSE_S

    def key(self, kind: str, **held: bool) -> Story:
        """Press a key. held: ctrl, shift, alt."""
        for value in ("PRESS", "RELEASE"):
            self.event(kind, value, **held)
            yield PAUSE_S

    def type(self, text: str) -> Story:
        """Type lower-case letters and spaces."""
        for letter in text:
            kind = "SPACE" if letter == " " else letter.upper()
            self.event(kind, "PRESS", unicode=letter)
            yield PAUSE_S
            self.event(kind, "RELEASE")
            yield PAUSE_S

    def find(self, area: Any, what: str, columns: tuple[float, ...] = COLUMNS) -> Story:
        """Move the pointer to the first button of the sidebar with an operator or property.

        what: part of the operator's call or the property's name. columns: where to look, as
        fractions of the sidebar's width. Scrolls down; raises LookupError.
        """
        region = region_of(area, "UI")
        yield from self.to_top(area)
        for _page in range(4):
            for x in columns:
                for y in range(
                    region.y + region.height - 2 * SCAN_STEP, region.y + SCAN_STEP, -SCAN_STEP
                ):
                    yield from self.move(region.x + region.width * x, y, HOVER_S)
                    if what in self._under(area, region):
                        return
            yield from self._wheel("WHEELDOWNMOUSE", 10)
        raise LookupError(f"the sidebar has no button for {what}")

    def _under(self, area: Any, region: Any) -> str:
        """The operator call or property path of the button under the pointer."""
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
        yield 4 * PAUSE_S

    def fill_in(self, area: Any, what: str, text: str) -> Story:
        """Click a text field of the sidebar, type, and press Enter."""
        yield from self.find(area, what)
        yield from self.click(*self.at)
        yield 4 * PAUSE_S
        yield from self.type(text)
        yield from self.key("RET")
        yield 4 * PAUSE_S

    def collapse(self, area: Any, what: str) -> Story:
        """Collapse the panel that contains a button, with the key A."""
        yield from self.find(area, what)
        yield from self.key("A")
        yield 10 * PAUSE_S

    def expand(self, area: Any, panel: Any, below: str) -> Story:
        """Click the header of a collapsed panel somewhere below a button."""
        yield from self.find(area, below)
        region = region_of(area, "UI")
        x, y = region.x + 120, self.at[1]
        with _watched(panel) as drawn:
            for offset in range(24, min(200, y - region.y), 6):
                yield from self.click(x, y - offset)
                yield 6 * PAUSE_S
                if drawn:
                    return
                yield from self.click(x, y - offset)  # it was another header, or none
                yield 6 * PAUSE_S
        raise LookupError("the header of that panel was not found")

    def to_top(self, area: Any) -> Story:
        """Scroll the sidebar up."""
        yield from self._to_middle(area)
        yield from self._wheel("WHEELUPMOUSE", 40)

    def _to_middle(self, area: Any) -> Story:
        region = region_of(area, "UI")
        yield from self.move(region.x + region.width * 0.08, region.y + region.height / 2)

    def _wheel(self, kind: str, notches: int) -> Story:
        for _notch in range(notches):
            self.event(kind, "PRESS")
        yield 6 * PAUSE_S

    def open_tab(self, area: Any, panel: Any) -> Story:
        """Click along the sidebar's tabs until a panel is drawn."""
        region = region_of(area, "UI")
        with _watched(panel) as drawn:
            for offset in range(30, region.height - 10, 30):
                yield from self.click(
                    region.x + region.width - 10, region.y + region.height - offset
                )
                yield 6 * PAUSE_S
                if drawn:
                    return
        raise LookupError("the sidebar has no such tab")


@contextlib.contextmanager
def _watched(panel: Any) -> Iterator[list[bool]]:
    """A list that grows whenever a panel is drawn."""
    drawn: list[bool] = []

    def record(_panel: Any, _context: Any) -> None:
        drawn.append(True)

    panel.append(record)
    try:
        yield drawn
    finally:
        panel.remove(record)


class Screenshots:
    """Screenshots of the window, and the part of each to keep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, list[int]] = {}

    def take(self, user: SimulatedUser, name: str, *shown: Any) -> Story:
        """Take a screenshot. shown: areas or regions to crop it to; none: the whole window."""
        corner = (user.window.width // 2, 4)
        user.at = corner
        user.event("MOUSEMOVE", "NOTHING")
        yield 12 * PAUSE_S
        for area in user.window.screen.areas:
            area.tag_redraw()
        yield 12 * PAUSE_S
        with within(user.window):
            bpy.ops.screen.screenshot(
                filepath=str(self.folder / f"{name}.png"), check_existing=False
            )
        window = user.window
        boxes = [(one.x, one.y, one.x + one.width, one.y + one.height) for one in shown]
        if not boxes:
            boxes = [(0, 0, window.width, window.height)]
        left, low = min(box[0] for box in boxes), min(box[1] for box in boxes)
        right, high = max(box[2] for box in boxes), max(box[3] for box in boxes)
        # Blender counts from the bottom, images from the top.
        self._kept[name] = [left, window.height - high, right, window.height - low]
        (self.folder / "kept.json").write_text(json.dumps(self._kept))
        print(f"picture {name}", flush=True)
