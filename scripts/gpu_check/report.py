"""gpu.json and gpu.md: what a visit found, for programs and for people."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from scripts.gpu_check.runner import Outcome, Visit

KEY_VALUES = (
    ("image", "ms_per_step", "ms per step of a still, final"),
    ("image", "kernels_per_step", "kernels per step"),
    ("image", "kernel_ms_per_step", "GPU busy, ms per step"),
    ("image", "peak_gb", "peak of tensors, GB"),
    ("image", "extrapolated_s", "seconds for the whole still"),
    ("video", "foreground.ms_per_step", "ms per step of a clip's foreground, final"),
    ("video", "background.ms_per_step", "ms per step of a clip's background, final"),
    ("video", "foreground.kernels_per_step", "kernels per step, foreground"),
    ("video", "foreground.peak_gb", "peak of tensors, foreground, GB"),
    ("video", "foreground.extrapolated_s", "seconds for a whole foreground"),
    ("video", "background.extrapolated_s", "seconds for a whole background"),
    ("atlas", "seconds", "seconds of the atlas, 70 frames of 768×432, final"),
    ("atlas", "psnr_held_out", "its held-out PSNR, dB"),
    ("atlas", "peak_gb", "its peak of tensors, GB"),
    ("still", "large.seconds", "seconds of a whole still, 1000 steps"),
    ("clip", "seconds", "seconds of a whole foreground, 3000 steps, and its frames"),
    ("survival", "cancel_s", "seconds until a cancel acts"),
    ("waits", "edit still.per_step", "waits per step of a still"),
    ("waits", "edit clip.per_step", "waits per step of a clip's edit"),
    ("waits", "atlas.Unwrapping.per_step", "waits per UV step"),
    ("waits", "atlas.Fitting the atlas.per_step", "waits per joint step"),
)
"""Item, value and wording of the figures at the top of gpu.md."""
LONGEST_CELL = 90


def write_report(visit: Visit) -> str:
    """Write both files from the outcomes so far; returns the summary of gpu.md."""
    settings = visit.settings
    found = {
        "device": settings.device,
        "quick": settings.quick,
        "at": time.strftime("%Y-%m-%d %H:%M:%S"),
        "seconds": visit.seconds,
        "items": [one.as_json() for one in visit.outcomes],
    }
    _write(settings.out / "gpu.json", json.dumps(found, indent=1))
    summary = _summary(visit)
    details = "\n".join(_details(one) for one in visit.outcomes)
    _write(settings.out / "gpu.md", f"{summary}\n{details}")
    return summary


def _write(path: Any, text: str) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def line_of(outcome: Outcome) -> str:
    """An outcome in one line, and its failed checks in one each."""
    head = f"{outcome.number:2} {outcome.name:10} {outcome.state:8} {outcome.seconds:6.1f} s  "
    return "\n".join([head + outcome.summary, *(f"     - {_cut(p, 400)}" for p in _short(outcome))])


def _short(outcome: Outcome) -> list[str]:
    """Problems in one line each: the end of a traceback is what matters."""
    return [" | ".join(problem.strip().splitlines()[-3:]) for problem in outcome.problems]


def _cut(text: str, length: int = LONGEST_CELL) -> str:
    return text if len(text) <= length else f"…{text[1 - length :]}"


def _summary(visit: Visit) -> str:
    machine = next((one.values for one in visit.outcomes if one.name == "machine"), {})
    lines = ["# GPU check", ""]
    if visit.settings.quick:
        lines += ["Tiny sizes (--quick): times mean nothing.", ""]
    lines += [
        f"- {label}: {machine[name]}"
        for name, label in (
            ("name", "Device"), ("memory_gb", "Memory, GB"), ("capability", "Capability"),
            ("driver", "Driver"), ("torch", "torch"), ("cuda", "CUDA"), ("cudnn", "cuDNN"),
            ("cores", "CPU cores"), ("commit", "Commit"),
        )
        if name in machine
    ]  # fmt: skip
    lines += ["", "| # | check | result | seconds | |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.number} | {one.title} | {one.state} | {one.seconds:.1f} | {one.summary} |"
        for one in visit.outcomes
    ]
    by_name = {one.name: one.values for one in visit.outcomes}
    rows = [
        f"| {label} | {_number(by_name[item][name])} |"
        for item, name, label in KEY_VALUES
        if name in by_name.get(item, {})
    ]
    if rows:
        lines += ["", "| figure | value |", "|---|---|", *rows]
    lines += ["", f"{visit.seconds:.0f} s in all."]
    return "\n".join(lines) + "\n"


def _details(outcome: Outcome) -> str:
    lines = [f"\n## {outcome.number}. {outcome.title}", "", f"{outcome.state}: {outcome.summary}"]
    lines += [f"- {_cut(problem, 600)}" for problem in _short(outcome)]
    if outcome.values:
        lines += ["", "| value | |", "|---|---|"]
        lines += [f"| {name} | {text} |" for name, text in _flat("", outcome.values)]
    return "\n".join(lines)


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    """Named values of nested ones; long lists are left to gpu.json."""
    if isinstance(value, dict):
        return [row for key, one in value.items() for row in _flat(f"{prefix}.{key}", one)]
    if isinstance(value, list):
        value = f"{len(value)} values" if len(value) > 12 else ", ".join(map(_number, value))
    return [(prefix.lstrip("."), _number(value))]


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
