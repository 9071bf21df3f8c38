"""Checkpoints in the layout of the released Layered Neural Atlases become atlases of ours."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jobs import Job
from msgspec.structs import replace
from torch import Tensor, nn

from backend import media
from backend.atlas.mlp import config as mlp_config
from backend.atlas.mlp import nla
from backend.atlas.mlp.model import MlpAtlas
from backend.atlas.mlp.networks import Frame
from backend.atlas.render import render_layer
from backend.cli import atlas as command
from backend.imported_atlases import folder_for, folder_of
from backend.methods.atlas import atlas_of
from backend.progress import Silent
from protocol.jobs import AtlasJob, Clip, JobError, Masks, reference

H, W, T = 36, 64, 3
CPU = torch.device("cpu")


class Theirs(nn.Module):
    """A network of the released code, by its description: octaves together, sines then cosines."""

    def __init__(self, inputs: int, outputs: int, width: int, layers: int, octaves: int = 0,
                 skips: tuple[int, ...] = ()) -> None:  # fmt: skip
        super().__init__()
        self.octaves, self.skips = octaves, skips
        encoded = 2 * inputs * octaves if octaves else inputs
        self.hidden = nn.ModuleList(
            nn.Linear(
                encoded if i == 0 else width + (encoded if i in skips else 0),
                outputs if i == layers - 1 else width,
            )
            for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.octaves:
            parts = []
            for k in range(self.octaves):
                parts += [(2**k * math.pi * x).sin(), (2**k * math.pi * x).cos()]
            x = torch.cat(parts, 1)
        out = x
        for i, layer in enumerate(self.hidden):
            out = out.relu() if i else out
            out = layer(torch.cat([out, x], 1) if i in self.skips else out)
        return out.tanh()


@pytest.fixture(scope="module")
def networks() -> dict[str, Theirs]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = {
            "model_F_mapping1": Theirs(3, 2, 24, 6),
            "model_F_mapping2": Theirs(3, 2, 24, 4),
            "model_F_alpha": Theirs(3, 1, 20, 8, 5),
            "F_atlas": Theirs(2, 3, 28, 8, 10, (4, 7)),
        }
        # As after their warm start: coordinates are those of the frame, and the object is there.
        for name, gain in (("model_F_mapping1", 1.5), ("model_F_mapping2", 1.2)):
            for layer in made[name].hidden:
                nn.init.orthogonal_(layer.weight, gain)
            made[name].hidden[-1].weight.data *= 0.7
        made["model_F_alpha"].hidden[-1].weight.data *= 8
    return made


def save(networks: dict[str, Theirs], path: Path, **more: Any) -> Path:
    states = {f"{name}_state_dict": one.state_dict() for name, one in networks.items()}
    weights = [w for one in networks.values() for w in one.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-4).state_dict()
    torch.save(
        {**states, "iteration": 400_000, "optimizer_all_state_dict": optimizer, **more}, path
    )
    return path


def their_points(t: int) -> Tensor:
    """x/(L/2) − 1, y/(L/2) − 1, t/(T/2) − 1 of every pixel, row by row."""
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    points = torch.stack([x / (W / 2) - 1, y / (W / 2) - 1, torch.full((H, W), t / (T / 2) - 1)])
    return points.reshape(3, -1).T.float()


@torch.no_grad()
def their_frame(networks: dict[str, Theirs], t: int) -> tuple[Tensor, Tensor]:
    """Colours [H,W,3] and opacity [H,W,1] of a frame, as the released code renders it."""
    p = their_points(t)
    fg = networks["F_atlas"](networks["model_F_mapping1"](p) * 0.5 + 0.5) * 0.5 + 0.5
    bg = networks["F_atlas"](networks["model_F_mapping2"](p) * 0.5 - 0.5) * 0.5 + 0.5
    alpha = 0.99 * (networks["model_F_alpha"](p) + 1) / 2 + 0.001
    return (alpha * fg + (1 - alpha) * bg).reshape(H, W, 3), alpha.reshape(H, W, 1)


@pytest.fixture(scope="module")
def clip(networks: dict[str, Theirs]) -> np.ndarray:
    frames = [(their_frame(networks, t)[0] * 255).round().byte().numpy() for t in range(T)]
    return np.stack(frames)


@pytest.fixture(scope="module")
def imported(networks: dict[str, Theirs], clip: np.ndarray, tmp_path_factory: Any) -> MlpAtlas:
    path = save(networks, tmp_path_factory.mktemp("nla") / "checkpoint")
    return nla.import_atlas(nla.read_networks(path), clip, (H, W), CPU, Silent())


def test_the_networks_give_the_same_numbers(networks: dict[str, Theirs], tmp_path: Path) -> None:
    ours = nla.read_networks(save(networks, tmp_path / "checkpoint"))
    frame = Frame((H, W), T, ours.config.uv_scale, ours.config.coordinates)
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    xy = torch.stack([x, y], -1).reshape(-1, 2)
    for t in range(T):
        p = frame.points(xy, torch.full((len(xy),), t))
        torch.testing.assert_close(p, their_points(t))
        colour, alpha = ours.render(p)
        wanted, opacity = their_frame(networks, t)
        torch.testing.assert_close(colour, wanted.reshape(-1, 3), rtol=1e-4, atol=2e-5)
        torch.testing.assert_close(alpha, opacity.reshape(-1, 1), rtol=1e-4, atol=2e-5)


def test_the_atlas_reproduces_the_clip(imported: MlpAtlas, networks: dict[str, Theirs]) -> None:
    assert imported.numbers["psnr"] > 30
    for t in range(T):
        _, alpha = their_frame(networks, t)
        made = imported.opacity("foreground", torch.tensor([t]))[0, 0]
        wanted = ((alpha[..., 0] - 0.001) / 0.99).clamp(0, 1)
        assert float((made - wanted).abs().mean()) < 0.01
        plane = imported.plane("background", torch.tensor([t]), (H, W))[0]
        theirs = networks["model_F_mapping2"](their_points(t)).detach().T.reshape(2, H, W)
        assert float((plane - theirs).abs().max()) < 0.02


def test_an_imported_atlas_is_a_folder_like_any_other(imported: MlpAtlas, tmp_path: Path) -> None:
    imported.save(tmp_path / "atlas")
    again = MlpAtlas.load(tmp_path / "atlas", CPU)
    assert again.numbers == imported.numbers
    assert again.networks().config == imported.networks().config
    paint = torch.zeros(1, 4, *imported.image("foreground").shape[-2:])
    paint[:, 0] = paint[:, 3] = 1
    layers = list(render_layer(again, "foreground", paint, Silent()))
    assert [one.shape for one in layers] == T * [(H, W, 4)]
    assert max(one[..., 3].max() for one in layers) > 100


@pytest.mark.parametrize("layer", ["foreground", "background"])
def test_an_edit_made_for_the_released_code_lands_on_the_same_pixels(
    imported: MlpAtlas, networks: dict[str, Theirs], layer: str
) -> None:
    size = 200
    edit = np.zeros((size, size, 4), np.uint8)
    y, x = np.mgrid[:size, :size]
    edit[..., 0], edit[..., 1] = 255 * x // size, 255 * y // size
    edit[..., 3] = np.where((x // 40 + y // 40) % 2, 255, 0)
    paint = torch.from_numpy(nla.repainted(imported, layer, edit)).permute(2, 0, 1)[None] / 255
    made = torch.nn.functional.grid_sample(
        paint, imported.uv(layer, torch.tensor([1])), align_corners=False
    )[0]
    # The released code: texel number = (coordinate − corner) / side · size.
    name, shift = ("model_F_mapping1", 0.5) if layer == "foreground" else ("model_F_mapping2", -0.5)
    uv = networks[name](their_points(1)).detach() * 0.5 + shift
    corner, side = torch.zeros(2), 1.0
    if layer == "background":
        found = []
        for t in range(T):
            p = their_points(t)
            shown = -networks["model_F_alpha"](p)[:, 0] > -0.5
            found.append((networks["model_F_mapping2"](p) * 0.5 - 0.5)[shown].detach())
        corner, high = torch.cat(found).amin(0), torch.cat(found).amax(0)
        side = float((high - corner).max())
    texel = ((uv - corner) / side * size).numpy()
    inside = ((texel >= 1) & (texel < size - 2)).all(1)
    nearest = np.rint(texel[inside]).astype(int)
    wanted = edit[nearest[:, 1], nearest[:, 0], 3] / 255
    found_alpha = made[3].reshape(-1).numpy()[inside]
    assert inside.mean() > 0.5
    assert np.abs(found_alpha - wanted).mean() < 0.12
    both = (found_alpha > 0.95) & (wanted == 1)
    assert both.mean() > 0.2
    for channel in (0, 1):
        seen = made[channel].reshape(-1).numpy()[inside][both]
        there = edit[nearest[:, 1], nearest[:, 0], channel][both] / 255
        assert np.abs(seen - there).max() < 0.05


def test_a_job_on_these_frames_uses_it_whatever_its_masks(
    imported: MlpAtlas, clip: np.ndarray, tmp_path: Path
) -> None:
    refs = tuple(reference(frame) for frame in clip)
    job = Job(tmp_path)
    imported.save(folder_for(tmp_path, refs))
    spec = AtlasJob(clip=Clip(frames=refs), engine="mlp", preset="draft", seed=5)
    assert atlas_of(spec, clip, job.ctx).numbers == imported.numbers
    assert "imported" in job.notes()
    for other in (
        replace(spec, engine="explicit"),
        replace(spec, masks=Masks(mode="none")),
        replace(spec, clip=Clip(frames=refs[:2])),
    ):
        assert folder_of(other, tmp_path) is None


def test_the_command_imports_and_converts(
    networks: dict[str, Theirs], clip: np.ndarray, tmp_path: Path, capsys: Any
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for t, frame in enumerate(clip):
        media.write_png(frames / f"{t:05}.png", frame)
    path = save(networks, tmp_path / "checkpoint")
    config = {"resx": W, "resy": H, "maximum_number_of_frames": 70}
    (tmp_path / "config.json").write_text(json.dumps(config))
    at = ["--data", str(tmp_path / "data")]
    assert command.main(["import", str(path), str(frames), *at, "--device", "cpu"]) == 0
    assert "dB" in capsys.readouterr().out
    media.write_png(tmp_path / "edit.png", np.full((100, 100, 4), 200, np.uint8))
    words = ["repaint", str(tmp_path / "edit.png"), str(frames), "--out", str(tmp_path / "p.png")]
    assert command.main([*words, *at]) == 0
    atlas = MlpAtlas.load(next((tmp_path / "data" / "imported_atlases").iterdir()), CPU)
    assert media.read_rgba(tmp_path / "p.png").shape[:2] == atlas.image("foreground").shape[-2:]
    # One frame more than the networks know.
    config["maximum_number_of_frames"] = 2
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert command.main(["import", str(path), str(frames), *at]) == 2
    assert "first 2 frames" in capsys.readouterr().err
    assert command.main(["import", str(path), str(frames), *at, "--size", "64x64"]) == 2


@pytest.mark.parametrize("kind", ["missing", "text", "code", "other", "encoded", "names", "nan"])
def test_other_files_are_refused_and_no_code_in_them_runs(
    networks: dict[str, Theirs], tmp_path: Path, kind: str
) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    path, code = tmp_path / "checkpoint", "checkpoint_foreign"
    if kind == "missing":
        code = "checkpoint_missing"
    elif kind == "text":
        path.write_text("no checkpoint")
        code = "checkpoint_unreadable"
    elif kind == "code":
        save(networks, path, extra=Trap())
        code = "checkpoint_unreadable"
    elif kind == "other":
        torch.save({"state_dict": {"x": torch.zeros(1)}}, path)
    elif kind == "encoded":
        save({**networks, "model_F_mapping1": Theirs(3, 2, 24, 6, 4)}, path)
    elif kind == "names":
        save({**networks, "model_F_mapping1": nn.Linear(3, 2)}, path)  # type: ignore[dict-item]
    else:
        broken = Theirs(3, 2, 24, 4)
        broken.hidden[0].weight.data.fill_(float("nan"))
        save({**networks, "model_F_mapping2": broken}, path)
    with pytest.raises(JobError) as why:
        nla.read_networks(path)
    assert why.value.problem.code == code
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("hidden.0.weight", 3, "no tensors"),
        ("hidden.0.weight", torch.tensor(1.0), "no matrices"),
        ("hidden.0.weight", torch.zeros(1).expand(2**14, 2**14), "too large"),
        ("hidden.1.bias", torch.full((24,), float("inf")), "not finite"),
    ],
)
def test_layers_that_are_no_weights_are_refused(
    networks: dict[str, Theirs], tmp_path: Path, name: str, value: Any, said: str
) -> None:
    state = {**networks["model_F_mapping1"].state_dict(), name: value}
    path = save(networks, tmp_path / "checkpoint", model_F_mapping1_state_dict=state)
    with pytest.raises(JobError, match=said) as why:
        nla.read_networks(path)
    assert why.value.problem.code == "checkpoint_foreign"


def test_a_damaged_checkpoint_is_refused(networks: dict[str, Theirs], tmp_path: Path) -> None:
    whole = save(networks, tmp_path / "checkpoint").read_bytes()
    for damaged in (b"", whole[:-900], whole[:400], b"\x80\x02c__main__\nX\n.", b"PK\3\4" * 99):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(JobError) as why:
            nla.read_networks(tmp_path / "damaged")
        assert why.value.problem.code == "checkpoint_unreadable"


def test_settings_of_earlier_atlases_keep_their_identity() -> None:
    """A fit takes hours: its name may not change because a setting was added."""
    made = mlp_config.identity(mlp_config.preset("final", 0))
    assert not {"atlas_skip_gradient", "coordinates"} & set(made)
    assert mlp_config.identity(mlp_config.REFERENCE)["coordinates"] == "corner"
