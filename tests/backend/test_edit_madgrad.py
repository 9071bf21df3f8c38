"""Our MADGRAD is bit-identical to the package's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from madgrad import MADGRAD

from backend.edit.generator import Generator
from backend.edit.madgrad import Madgrad
from scripts.measure.benchmark_edit import Traffic


def trained(kind: type, **settings: Any) -> tuple[list[torch.Tensor], Any]:
    network = Generator(channels=6, scales=3, side=24)
    idle = torch.nn.Parameter(torch.ones(3))
    optimizer = kind([*network.parameters(), idle], **settings)
    random = torch.Generator().manual_seed(0)
    for step in range(4):
        optimizer.param_groups[0]["lr"] = 0.0 if step == 2 else settings["lr"] / (step + 1)
        optimizer.zero_grad(set_to_none=True)
        network(torch.rand(1, 3, 24, 28, generator=random)).square().sum().backward()
        optimizer.step()
    return [*network.parameters(), idle], optimizer


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_decay": 0.01},
        {"weight_decay": 0.0, "momentum": 0.5},
        {"weight_decay": 0.01, "momentum": 0.0},
        {"weight_decay": 0.01, "decouple_decay": True},
    ],
)
def test_the_weights_and_the_state_are_the_packages(settings: dict[str, Any]) -> None:
    wanted, theirs = trained(MADGRAD, lr=2.5e-3, **settings)
    made, ours = trained(Madgrad, lr=2.5e-3, **settings)
    assert not torch.equal(made[0], Generator(channels=6, scales=3, side=24).skip[0][0].weight)
    for a, b in zip(made, wanted, strict=True):
        assert torch.equal(a, b)
        assert set(ours.state.get(a, {})) == set(theirs.state.get(b, {}))
        for slot, value in ours.state.get(a, {}).items():
            assert torch.equal(value, theirs.state[b][slot])
    assert ours.state["k"] == theirs.state["k"] == 4


def test_calls_do_not_grow_with_the_weights() -> None:
    counts = []
    for scales in (2, 4):
        network = Generator(channels=4, scales=scales, side=48)
        optimizer = Madgrad(network.parameters(), momentum=0.9, weight_decay=0.01)
        network(torch.rand(1, 3, 48, 48)).sum().backward()
        optimizer.step()
        with Traffic() as traffic:
            optimizer.step()
        counts.append(traffic.calls)
    assert counts[0] == counts[1] < 20
