"""Every weight and switch of the edit, and the three presets. Imports no torch.

Below, *paper* is Text2LIVE (Bar-Tal et al., ECCV 2022, arXiv 2204.02491) and *reference* its
released implementation, where that differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from protocol.jobs import LAYERS, JobError
from protocol.validate import check_preset


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """Random views of an image that the text-image model scores (paper, appendix)."""

    count: int = 16
    """Views per image, the first of them the whole image. 16 for images, 6 for video."""
    crop: tuple[float, float] = (0.6, 1.0)
    """Each side of a random crop as a share of the image's side."""
    one_share: bool = False
    """Draw one share for both sides of a crop, as in the reference; False: one for each."""
    beyond_crop: Literal["image", "fill"] = "image"
    """What a turned or bent view shows beyond its crop. ``image``: the image around it; the fill
    begins where the image ends. ``fill``: the fill, as in the reference, which crops first."""
    flip: float = 0.5
    """Probability of a left-right flip."""
    affine: float = 0.8
    """Probability of a rotation and translation."""
    degrees: float = 15.0
    """Largest rotation to either side, degrees."""
    translate: float = 0.1
    """Largest shift to either side as a share of the view's side."""
    perspective: float = 0.5
    """Probability of a perspective distortion."""
    distortion: float = 0.4
    """How far a corner may move inwards: 1 would reach the centre."""
    jitter: float = 0.7
    """Probability of a colour jitter."""
    jitter_strength: float = 0.1
    """Brightness, contrast, saturation: factors in 1 ± this; hue: rotation by ± this, in turns."""
    grey: float = 0.15
    """Probability of dropping the colour."""
    fill: float = 1.0
    """Value outside the image: 1 white (images), 0 black (video)."""
    shape: Literal["square", "picture"] = "square"
    """``square``: every view is the model's own square; a wide image is squeezed into it.
    ``picture``, as in the reference: the short side is the model's, the long side up to 10/7 of it
    (320 to 224), with interpolated positions. All views of an image have its shape."""


@dataclass(frozen=True, kw_only=True)
class EditConfig:
    """One edit: sizes, schedule, generator, loss weights, augmentation."""

    # --- schedule -------------------------------------------------------------------------------
    steps: int = 1000
    """Optimiser steps: 1000 for images, 3000 for video."""
    lr: float = 2.5e-3
    """MADGRAD's learning rate."""
    decay: float = 0.99
    """Learning-rate factor per step: 0.99 for images, 0.999 for video."""
    lr_min: float = 1e-5
    """The learning rate never falls below this."""
    weight_decay: float = 0.01
    momentum: float = 0.9
    seed: int = 0
    """Drives initialisation and every draw; same seed, same pixels on the same CPU."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the image model's matrix products and, on CUDA, of the generator.

    bfloat16 takes about half the time on CPUs with AMX tiles and on GPUs; where it would be slower,
    float32 is used. Losses, weights and texts are always float32. The reference found mixed
    precision (float16) unstable."""

    # --- sizes ----------------------------------------------------------------------------------
    size: int = 512
    """Long side of what is edited, pixels: the image, the frame (background) or the object with its
    margin (foreground). Nothing is enlarged."""
    still_side: Literal["long", "short"] = "long"
    """Stills: the side that `size` is about. ``short``: as in the reference, which also enlarges
    small images; at 16:9 that is 3.2 times as many pixels."""
    atlas_limit: int = 1024
    """Longest side of the atlas while editing, pixels; its scale follows the frames' up to here."""

    # --- generator ------------------------------------------------------------------------------
    channels: int = 128
    scales: int = 7
    """Levels of the U-Net; fewer if the image is too small for them."""
    skip_channels: int = 4
    last_norm: bool = True
    """Normalise the top level once more after its 1×1 convolution; the reference does not."""

    # --- losses ---------------------------------------------------------------------------------
    distance: Literal["spherical", "cosine"] = "spherical"
    """Image-text distance. Paper: cosine. Reference: squared great-circle distance. A model trained
    with a sigmoid has its own (`backend.edit.losses.sigmoid_distance`)."""
    composition: float = 1.0
    """Weight of the first part of the composition loss: the edited image shows the prompt."""
    direction: float = 1.0
    """Weight of its second, directional part."""
    paired_texts: bool = False
    """Compare alternative i of the prompt with alternative i of the source, as in the reference,
    which leaves out those without a partner; False: with the mean of all sources."""
    same_views: bool = True
    """Score source and output in the same random views; the reference draws them separately."""
    reference: float = 0.0
    """How much reference images count against the texts in both parts, 0..1. Ours."""
    screen: float = 1.0
    """λ_g, the layer alone over green."""
    structure: float = 2.0
    """λ_s, self-similarity of the source's tokens. 2 for images, 3 for video."""
    structure_norm: Literal["mse", "frobenius"] = "mse"
    """Paper: Frobenius norm of the difference. Reference: mean squared difference."""
    sparsity: float = 6.0
    """Factor of both sparsity parts. Reference: 6 for images, 0.1 for video."""
    sparsity_l1: float = 0.01
    sparsity_l0: float = 0.01
    """Weights of mean α and of Ψ₀(α) = 2·sigmoid(5α) − 1. Video: 0.01 and 0.005."""
    bootstrap: float = 10.0
    """Initial weight of the squared difference between α and where the edit belongs (video: off in
    the reference)."""
    bootstrap_where: Literal["text", "layer"] = "text"
    """Where that is. ``text``: the artist's mask or, in images without one, the relevancy map of
    region or source. ``layer``: the mask, or the whole image. Video: always the layer's own
    opacity. A region text narrows down the whole image or the opacity, but not the mask."""
    bootstrap_steps: int = 1000
    """The bootstrap weight falls linearly to 0 over this many steps; 0 switches it off."""
    bootstrap_level: float = 1.0
    """α that the bootstrap asks for where the edit belongs. Below 1 for semi-transparent layers: a
    run that starts opaque stays opaque, because no term pulls it back."""
    opaque: float = 0.0
    """Weight of the mean square of what α exceeds opaque_above by. The text alone drives α to 1,
    and the paper's sparsity only makes the layer smaller; this makes it more transparent. Ours."""
    opaque_above: float = 0.7
    bootstrap_negative: float = 0.6
    """Where the relevancy N of an avoid text exceeds this, α is pulled down."""
    bootstrap_avoid: Literal["target", "second"] = "target"
    """How. ``target``: the relevancy map is 0 there. ``second``: by a second squared difference,
    of 1−α and N, as in the reference; the two then contradict each other where both maps are
    high."""
    relevancy_frames: int = 8
    """Video: number of frames in which a region's relevancy is computed. Its map is their mean,
    texel by texel, so that it moves with the layer."""
    relevancy_layers: int = 1
    """How many of the last transformer blocks the relevancy map is rolled out from. Reference: 1.
    With the demo CLIP, more blocks find the object less often (2: 80 % of highest points against
    96 %)."""
    relevancy_windows: int = 2
    """Sliding windows per side besides the whole, for a finer relevancy map. Reference: 1, the map
    as it is. With more, the map also follows the image's edges. IoU with the object at half of the
    maximum, demo CLIP, 150 held-out images: 2×2 windows .78, along the edges .89; with 3×3 windows
    as well .81 and .89; the mean with the mirrored image adds .001 (60 images)."""
    relevancy_templates: bool = True
    """Look for a text's mean over all templates; the reference looks for the text alone."""
    templates: float = 0.5
    """Share of the text templates drawn at each step; prompt and source share a draw."""
    template_draws: Literal["share", "any"] = "share"
    """``any``: as in the reference, a random number of sentences with replacement, drawn separately
    for each of the three text terms."""
    screen_templates: int = 2
    """How many of SCREEN_TEMPLATES the screen text is put into. Paper: only the first (1)."""
    green: tuple[float, float, float] = (0.0, 177 / 255, 64 / 255)
    """Colour of the green screen, sRGB 0..1."""

    # --- the layer ------------------------------------------------------------------------------
    detail: float = 0.0
    """Weight of the footage's own fine detail in the layer's colours (see backend.edit.detail).
    Ours; 0: none, as in the paper."""
    detail_radius: float = 0.04
    """How coarse detail may be: standard deviation of the blur that removes it, as a share of
    size."""
    matte: tuple[float, float] = (0.08, 0.95)
    """α of the finished layer is stretched so that these become 0 and 1; (0, 1) leaves it as it
    is."""

    # --- augmentation ---------------------------------------------------------------------------
    views: ViewConfig = ViewConfig()
    internal: bool = True
    """Train on random crops, flips and colours of the image (the internal dataset); False: on the
    same image at every step (video: whole frames, or the object's box with its margin)."""
    internal_count: int = 0
    """Size of a fixed set of crops, each with its own views: the source of a crop that recurs need
    not be embedded again. 0: a new crop at every step, as in the reference. Stills only."""
    internal_scale: tuple[float, float] = (0.8, 1.2)
    internal_crop: tuple[float, float] = (0.85, 1.0)
    internal_one_share: bool = False
    """One share for both sides of a crop, as in the reference."""
    internal_flip: float = 0.5
    internal_jitter: float = 0.1
    """Probability of a colour jitter of the input."""
    internal_jitter_strength: float = 0.1
    whole_every: int = 75
    """Every this many steps, the whole unaugmented image (video: the atlas) is also an example."""

    # --- video ----------------------------------------------------------------------------------
    neighbours: int = 2
    """k: a step edits the frames t−k, t and t+k."""
    frame_crop: float = 0.8
    """Background: a crop keeps at least this share of each side of the frame."""
    object_crop: float = 0.95
    """Foreground: a crop keeps at least this share of each side of the object's box."""
    object_margin: float = 30 / 768
    """Foreground: margin around the object's box as a share of the frame's long side."""
    backdrop: Literal["frame", "atlas"] = "frame"
    """What the layer is composited over while training: the original frame, or (reference) the
    layer alone. Then an object is cut out, with black around it, and the background is its
    reconstruction, without any object in front."""
    direct: bool = True
    """Also edit one of the three frame crops directly, without the distortion of the atlas."""
    atlas_whole_scale: float = 1.0
    """Scale of the whole atlas in its periodic step. Reference: 1/3 for the background."""

    preset: str = ""
    """Name of the preset this came from, for messages."""

    # --- progress -------------------------------------------------------------------------------
    preview_every: int = 50
    """Steps between the previews sent to the artist; the first comes within 5 % of the run."""
    preview_size: int = 320
    """Long side of a preview, pixels."""


def preset(name: str, *, video: bool, layer: str, seed: int = 0) -> EditConfig:
    """Settings of ``draft``, ``preview`` or ``final``.

    name: one of PRESETS. video: an atlas is edited rather than one image. layer: ``foreground`` or
    ``background``. Raises JobError("unknown_preset") or ("unknown_layer").
    """
    check_preset(name)
    if layer not in LAYERS:
        raise JobError(
            "unknown_layer",
            f"There is no layer named “{layer}”.",
            f"Choose one of: {', '.join(LAYERS)}.",
        )
    config = _video(layer, seed) if video else EditConfig(seed=seed, internal_count=64)
    # Runs of 100 and of 400 steps learnt no detail of their own. Final runs have it too: detail
    # seen in a preview must survive in the final.
    config = replace(config, preset=name, precision="bfloat16", detail=1.0)
    if name == "preview":
        config = _shortened(config, video, steps=400, views=8, preview_every=20)
        return replace(config, size=256, atlas_limit=512, channels=48, scales=5)
    if name == "draft":
        config = _shortened(config, video, steps=100, views=4, preview_every=10)
        config = replace(config, size=128, atlas_limit=224, channels=16, scales=4, whole_every=25)
        return _like_a_still(config) if video and layer == "foreground" else config
    return config


def _like_a_still(config: EditConfig) -> EditConfig:
    """For drafts of an object in a clip: what serves stills, and a coarse atlas.

    With the clip's own settings the learning rate is still high at step 100, and a golden swan has
    dark patches (demo clip, seed 0, seen by eye). The footage gives the fine detail.
    """
    views = replace(config.views, fill=1.0)
    return replace(config, decay=0.98, structure=2.0, atlas_limit=112, views=views)


def _shortened(
    config: EditConfig, video: bool, *, steps: int, views: int, preview_every: int
) -> EditConfig:
    """For short runs: start from the mask and fade that prior out.

    Without it, a short run settles on the first part of the object that satisfies the text.
    """
    config = replace(
        config,
        steps=steps,
        bootstrap=10.0,
        bootstrap_steps=steps,
        views=replace(config.views, count=min(config.views.count, views)),
        preview_every=preview_every,
    )
    return config if video else replace(config, sparsity=2.0)


def _video(layer: str, seed: int) -> EditConfig:
    """The reference's settings for clips."""
    return EditConfig(
        seed=seed, steps=3000, decay=0.999, size=768, structure=3.0, sparsity=0.1,
        sparsity_l0=0.005, bootstrap=0.0, bootstrap_steps=0,
        views=ViewConfig(count=6, fill=0.0),
        atlas_whole_scale=1 / 3 if layer == "background" else 1.0,
        preview_every=75,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EditTexts:
    """The artist's texts; each field is a list of alternatives.

    prompt: the edited frame as a whole. screen: the layer alone (empty: prompt). source: what is
    there now (empty: region). region: where the edit goes (empty: source). avoid: where it must not
    go.
    """

    prompt: tuple[str, ...]
    source: tuple[str, ...] = ()
    screen: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
