"""An edit's training as a state to keep, and back: it goes on as if nothing had been.

Kept are the generator's weights, MADGRAD's sums, where the random numbers are, and the losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from madgrad import MADGRAD
from torch import Tensor, nn

from backend.checkpoint import Checkpoint, State
from backend.progress import EDIT_PHASE, Reporter

PHASE = EDIT_PHASE
RANDOM, LOSSES = "random", "losses"


def pack(
    network: nn.Module, optimizer: MADGRAD, random: torch.Generator, losses: Sequence[float]
) -> State:
    """The state after a step. losses: of every step so far."""
    tensors = {RANDOM: random.get_state(), LOSSES: torch.tensor(losses, dtype=torch.float64)}
    for name, weight in network.named_parameters():
        tensors[name] = weight.detach()
        tensors |= {f"{name}:{slot}": one for slot, one in optimizer.state[weight].items()}
    return State(PHASE, len(losses), tensors, {})


def take_up(
    checkpoint: Checkpoint,
    network: nn.Module,
    optimizer: MADGRAD,
    random: torch.Generator,
    device: torch.device,
    report: Reporter,
) -> list[float]:
    """Losses of the steps that are done already: none, or those of the state that was kept last.

    Network, optimizer and random numbers are then as they were after it. A state of another network
    is dropped, and that is told.
    """
    state = checkpoint.load(device)
    if state is None:
        return []
    slots = _slots(network, optimizer)
    if not _fits(state, slots):
        checkpoint.drop()
        report.note("What was kept of the interrupted edit does not fit: it is begun anew.")
        return []
    with torch.no_grad():
        for name, (weight, names) in slots.items():
            weight.copy_(state.tensors[name])
            for slot in names:
                # In the weight's own memory layout: the order of what is added up hangs on it.
                kept = torch.empty_like(weight).copy_(state.tensors[f"{name}:{slot}"])
                optimizer.state[weight][slot] = kept
    optimizer.state["k"] = torch.tensor([state.step], dtype=torch.long)
    random.set_state(state.tensors[RANDOM].cpu())
    losses: list[float] = state.tensors[LOSSES].tolist()
    report.note(f"The edit goes on from step {state.step}, where it was interrupted.")
    return losses


def _slots(network: nn.Module, optimizer: MADGRAD) -> dict[str, tuple[Tensor, tuple[str, ...]]]:
    """Every weight by name, and the names of what MADGRAD keeps beside it."""
    averaged = ("x0",) if optimizer.param_groups[0]["momentum"] else ()
    names = ("grad_sum_sq", "s", *averaged)
    return {name: (weight, names) for name, weight in network.named_parameters()}


def _fits(state: State, slots: dict[str, tuple[Tensor, tuple[str, ...]]]) -> bool:
    wanted: dict[str, torch.Size | None] = {RANDOM: None, LOSSES: torch.Size([state.step])}
    for name, (weight, names) in slots.items():
        wanted |= dict.fromkeys((name, *(f"{name}:{slot}" for slot in names)), weight.shape)
    return (
        state.phase == PHASE
        and {name: None if name == RANDOM else one.shape for name, one in state.tensors.items()}
        == wanted
    )
