"""A client on an older backend: no job is sent that it would take for another one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from protocol import messages as m
from protocol.events import RequestFailed
from protocol.jobs import Clip, EditJob, MaskJob, Masks, reference
from protocol.limits import MINOR, NEEDED_MINOR
from protocol.open_requests import OpenRequests
from protocol.upgrade import needed_minor

IMAGE = reference(np.zeros((8, 8, 3), np.uint8))
MASK = MaskJob(clip=Clip(frames=(IMAGE,)), masks=Masks(mode="auto"))
EDIT = EditJob(clip=MASK.clip, masks=MASK.masks, layer="background", prompt=("snow",))
PLAIN: dict[str, Any] = msgspec.to_builtins(IMAGE)


def edit(**fields: Any) -> EditJob:
    return msgspec.structs.replace(EDIT, **fields)


JOBS = [
    (EDIT, NEEDED_MINOR),
    (MASK, 4),
    (edit(variant=1), 4),
    (edit(settings={"reference": [PLAIN]}, variant=1), 5),
    (edit(painter="from_frames", settings={"painted_frames": [{"frame": 0, "image": PLAIN}]}), 5),
]


@pytest.mark.parametrize(("spec", "needed"), JOBS)
def test_a_job_is_sent_only_to_a_backend_that_knows_all_of_it(spec, needed):
    assert needed_minor(spec) == needed <= MINOR
    sent, events = [], []
    link = SimpleNamespace(
        state="ready",
        round=1,
        minor=needed,
        proof="",
        welcome=m.Welcome(protocol=1, server="s", epoch="e"),
        ask=lambda _channel, message, *_, **__: sent.append(message),
    )
    requests = OpenRequests(link, events.append)  # type: ignore[arg-type]
    requests.pump(0.0)
    requests.submit("0" * 32, spec, lambda _: None)
    assert [type(message) for message in sent] == [m.Submit]
    assert events == []

    sent.clear()
    link.minor = needed - 1
    requests.submit("1" * 32, spec, lambda _: None)
    link.round += 1
    requests.pump(0.0)  # the first job, on another backend
    assert [type(one) for one in events] == [RequestFailed, RequestFailed]
    assert {one.problem.code for one in events} == {"backend_too_old"}
    assert f"needs protocol 1.{needed}" in events[0].problem.message
    assert sent == []
