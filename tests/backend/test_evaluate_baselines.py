"""Text2LIVE's two baselines: what each is trained on, with the same number of views a step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from flat_atlas import FlatAtlas
from tiny_clip import tiny_model

from backend.edit.config import EditConfig, EditTexts, ViewConfig
from backend.edit.train import Setup
from backend.edit.video import edit_atlas
from backend.progress import Silent
from scripts.measure.evaluate.baselines import edit_atlas_alone, edit_frames_alone

H, W, T = 56, 72, 5
BOX = (12, 8, 52, 48)  # x0 y0 x1 y1
TINY = EditConfig(
    steps=2, size=64, channels=4, scales=3, bootstrap_steps=0, views=ViewConfig(count=2, fill=0.0),
    atlas_limit=80, matte=(0.0, 1.0), whole_every=99,
)  # fmt: skip
TEXTS = EditTexts(prompt=("golden wall",), source=("wall",))


class NoisyAtlas(FlatAtlas):
    """One picture of noise, panned over; its right edge no frame sees."""

    def __init__(self, seed=0):
        super().__init__((T, H, W), (H, 90), shift=3.0, object=BOX)
        noise = torch.rand(1, 3, 14, 23, generator=torch.Generator().manual_seed(seed))
        self.colours = torch.nn.functional.interpolate(noise, (H, 90), mode="bicubic").clamp(0, 1)

    def image(self, layer):
        return self.colours

    def coverage(self, layer):
        seen = torch.ones(1, 1, H, 90)
        seen[..., 80:] = 0
        return seen

    def opacity(self, layer, t, size=None):
        return torch.nn.functional.interpolate(super().opacity(layer, t), size or (H, W))


def frames(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (T, H, W, 3), dtype=np.uint8)


def alone(config=TINY, atlas=None, clip=None):
    atlas, clip = atlas or NoisyAtlas(), clip or tiny_model()
    return edit_atlas_alone(atlas, "foreground", TEXTS, clip, config, Silent())


def framewise(config=TINY, atlas=None, clip=None, layer="foreground", clip_frames=None):
    shown = frames() if clip_frames is None else clip_frames
    atlas, clip = atlas or NoisyAtlas(), clip or tiny_model()
    return np.stack(edit_frames_alone(shown, atlas, layer, Setup(TEXTS, clip, config, Silent())))


@pytest.mark.slow
def test_the_atlas_alone_gives_an_rgba_atlas_clear_where_no_frame_looks():
    made = alone()
    assert made.shape == (1, 4, H, 90)
    assert float(made[:, 3, :, 82:].max()) == 0
    assert float(made[:, 3, :, :78].min()) > 0
    assert torch.equal(made, alone())
    assert not torch.equal(made, alone(atlas=NoisyAtlas(seed=1)))


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["foreground", "background"])
def test_the_frames_alone_give_a_layer_within_the_opacity(layer):
    made = framewise(layer=layer)
    assert made.shape == (T, H, W, 4)
    assert made.dtype == np.uint8
    object_ = np.zeros((H, W), bool)
    object_[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    there = object_ if layer == "foreground" else ~object_
    assert (made[:, ~there, 3] == 0).all()
    assert (made[:, there, 3] > 0).all()


@pytest.mark.slow
def test_the_frames_alone_see_the_frames_and_no_atlas():
    made = framewise()
    np.testing.assert_array_equal(made, framewise(atlas=NoisyAtlas(seed=1)))
    assert not np.array_equal(made, framewise(clip_frames=frames(seed=1)))


@pytest.mark.slow
def test_the_frames_alone_take_on_their_own_detail():
    """Each frame is a mesh of columns, twice as fine as what is edited."""
    mesh = np.full((T, H, W, 3), 102, np.uint8)
    mesh[:, :, ::2] = 153
    step = float(torch.tensor(0.6).logit() - torch.tensor(0.4).logit())
    for weight in (0.0, 1.0):
        config = replace(TINY, size=24, object_margin=0.0, detail=weight)
        made = framewise(config, clip_frames=mesh)[:, 14:42, 20:44, :3] / 255
        columns = torch.from_numpy(made).logit()
        gap = float((columns[:, :, ::2] - columns[:, :, 1::2]).mean())
        assert gap == pytest.approx(weight * step, abs=0.1 * step)


def test_the_frames_alone_are_edited_each_by_itself():
    """Two equal frames get equal layers, whatever lies between them."""
    shown = frames()
    shown[4] = shown[1]
    made = framewise(clip_frames=shown)
    np.testing.assert_array_equal(made[4], made[1])
    assert not np.array_equal(made[3], made[1])


def test_a_frame_without_the_object_is_left_alone():
    class Gone(NoisyAtlas):
        def opacity(self, layer, t, size=None):
            return super().opacity(layer, t, size) * (t != 2).reshape(-1, 1, 1, 1)

    made = framewise(atlas=Gone())
    assert made[2, ..., 3].max() == 0
    assert made[1, ..., 3].max() > 0


def pictures_of_a_step(run):
    """How many pictures the CLIP embeds in a step that is not the first."""

    def count(steps):
        clip, seen = tiny_model(), []
        real = clip.encode_image
        clip.encode_image = lambda x: seen.append(len(x)) or real(x)
        run(replace(TINY, steps=steps), clip)
        return sum(seen)

    return count(2) - count(1)


@pytest.mark.slow
def test_all_look_at_as_many_views_in_a_step():
    ours = pictures_of_a_step(
        lambda config, clip: edit_atlas(
            frames(), NoisyAtlas(), "foreground", Setup(TEXTS, clip, config, Silent())
        )
    )
    assert ours > 0
    assert pictures_of_a_step(lambda config, clip: alone(config, clip=clip)) == ours
    assert pictures_of_a_step(lambda config, clip: framewise(config, clip=clip)) == ours
