"""The networks' training as a state to keep, and back: it goes on as if nothing had been.

Kept are the weights, the moments of the phase's Adam, and where the random numbers are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.atlas.explicit.optim import RowAdam
from backend.checkpoint import State

WARM, JOINT = "warm start", "joint"
RANDOM, NETWORK = "random", "network."


def pack(
    phase: str,
    step: int,
    networks: nn.Module,
    adam: RowAdam,
    random: torch.Generator,
    numbers: dict[str, float],
) -> State:
    """The state in ``warm start`` or ``joint`` before a step."""
    tensors = {RANDOM: random.get_state(), **_weights(networks), **adam.state()}
    return State(phase, step, tensors, numbers)


def fits(state: State, networks: nn.Module, adam: RowAdam) -> bool:
    """Whether it is a state of these networks and this phase's Adam."""
    wanted = {name: one.shape for name, one in (_weights(networks) | adam.state()).items()}
    random = torch.Generator().get_state()
    wanted[RANDOM] = random.shape
    return (
        state.step >= 0
        and {name: one.shape for name, one in state.tensors.items()} == wanted
        and state.tensors[RANDOM].dtype == random.dtype
    )


def unpack(state: State, networks: nn.Module, adam: RowAdam, random: torch.Generator) -> None:
    """Networks, Adam and random numbers as they were; the state must fit."""
    with torch.no_grad():
        for name, weight in _weights(networks).items():
            weight.copy_(state.tensors[name])
    adam.restore(state.tensors)
    random.set_state(state.tensors[RANDOM].cpu())


def _weights(networks: nn.Module) -> dict[str, Tensor]:
    return {NETWORK + name: one.detach() for name, one in networks.named_parameters()}
