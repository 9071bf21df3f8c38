"""The networks' training to and from a checkpoint state, so that it resumes exactly.

A state holds the weights, the moments of the phase's Adam, and the random generator's state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.atlas.row_adam import RowAdam
from backend.checkpoint import State

WARM, JOINT = "warm start", "joint"
RANDOM, NETWORK = "random", "network."
UNUSABLE = "The saved state of the interrupted atlas does not fit, so the atlas starts over."


def pack(
    phase: str,
    step: int,
    networks: nn.Module,
    adam: RowAdam,
    random: torch.Generator,
    numbers: dict[str, float],
) -> State:
    """The state of the phase ``warm start`` or ``joint`` before a step."""
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
    """Restore networks, Adam and random numbers; the state must fit."""
    with torch.no_grad():
        for name, weight in _weights(networks).items():
            weight.copy_(state.tensors[name])
    adam.restore(state.tensors)
    random.set_state(state.tensors[RANDOM].cpu())


def _weights(networks: nn.Module) -> dict[str, Tensor]:
    return {NETWORK + name: one.detach() for name, one in networks.named_parameters()}
