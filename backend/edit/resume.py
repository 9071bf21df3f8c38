"""Save and restore the state of an edit's training, so that a resumed run gives the same bytes.

The state is the generator's weights, MADGRAD's sums, the random generator and the losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from madgrad import MADGRAD
from torch import Tensor, nn

from backend.checkpoint import Checkpoint, State
from backend.progress import EDIT_PHASE, Reporter

RANDOM, LOSSES = "random", "losses"


def pack(
    network: nn.Module, optimizer: MADGRAD, random: torch.Generator, losses: Sequence[float]
) -> State:
    """The state after a step. losses: of all steps so far."""
    tensors = {RANDOM: random.get_state(), LOSSES: torch.tensor(losses, dtype=torch.float64)}
    for name, weight in network.named_parameters():
        tensors[name] = weight.detach()
        tensors |= {f"{name}:{slot}": one for slot, one in optimizer.state[weight].items()}
    return State(EDIT_PHASE, len(losses), tensors, {})


def restore(
    checkpoint: Checkpoint,
    network: nn.Module,
    optimizer: MADGRAD,
    random: torch.Generator,
    device: torch.device,
    report: Reporter,
) -> list[float]:
    """Load the saved state, if there is one; returns the losses of its finished steps.

    Network, optimizer and random generator are then as they were after the last of these steps.
    A state that does not fit the network is dropped, with a note.
    """
    state = checkpoint.load(device)
    if state is None:
        return []
    slots = _slots(network, optimizer)
    if not _fits(state, slots):
        checkpoint.drop()
        report.note("The saved state of the interrupted edit does not fit. The edit starts over.")
        return []
    with torch.no_grad():
        for name, (weight, names) in slots.items():
            weight.copy_(state.tensors[name])
            for slot in names:
                # In the weight's own memory layout, which decides the order of sums.
                saved = torch.empty_like(weight).copy_(state.tensors[f"{name}:{slot}"])
                optimizer.state[weight][slot] = saved
    optimizer.state["k"] = torch.tensor([state.step], dtype=torch.long)
    random.set_state(state.tensors[RANDOM].cpu())
    losses: list[float] = state.tensors[LOSSES].tolist()
    report.note(f"The edit resumes at step {state.step}, where it was interrupted.")
    return losses


def _slots(network: nn.Module, optimizer: MADGRAD) -> dict[str, tuple[Tensor, tuple[str, ...]]]:
    """Every weight by name, with the names of MADGRAD's state tensors for it."""
    averaged = ("x0",) if optimizer.param_groups[0]["momentum"] else ()
    names = ("grad_sum_sq", "s", *averaged)
    return {name: (weight, names) for name, weight in network.named_parameters()}


def _fits(state: State, slots: dict[str, tuple[Tensor, tuple[str, ...]]]) -> bool:
    wanted: dict[str, torch.Size | None] = {RANDOM: None, LOSSES: torch.Size([state.step])}
    for name, (weight, names) in slots.items():
        wanted |= dict.fromkeys((name, *(f"{name}:{slot}" for slot in names)), weight.shape)
    return (
        state.phase == EDIT_PHASE
        and {name: None if name == RANDOM else one.shape for name, one in state.tensors.items()}
        == wanted
    )
