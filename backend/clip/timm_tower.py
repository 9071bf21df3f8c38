"""The image side of a model from timm, under open_clip's names, for images of any size."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import timm
from torch import Tensor, nn


class TimmTower(nn.Module):
    """A timm network and a projection, with the weights' names of open_clip's TimmModel.

    vision: open_clip's vision_cfg. embed_dim: width of the joint space.
    """

    def __init__(self, vision: dict[str, Any], embed_dim: int) -> None:
        super().__init__()
        name, side = vision["timm_model_name"], vision.get("image_size", 224)
        pool, proj = vision.get("timm_pool", "avg"), vision.get("timm_proj", "linear")
        self.image_size = (side, side) if isinstance(side, int) else tuple(side)
        self.output_dim = embed_dim
        options: dict[str, Any] = {} if name.startswith("fastvit") else {"dynamic_img_size": True}
        if pool:
            options["global_pool"] = pool
        own_head = proj not in ("linear", "mlp")
        options["num_classes"] = embed_dim if own_head and proj != "none" else 0
        self.trunk: Any = timm.create_model(name, **options)
        self.head = nn.Sequential()
        width, bias = self.trunk.num_features, bool(vision.get("timm_proj_bias", False))
        if proj == "linear":
            self.head = nn.Sequential(OrderedDict(proj=nn.Linear(width, embed_dim, bias=bias)))
        elif proj == "mlp":
            mlp = timm.layers.Mlp(width, 2 * embed_dim, embed_dim, bias=(True, bias))
            self.head = nn.Sequential(OrderedDict(mlp=mlp))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Normalised images → embeddings [B,D]."""
        embedded: Tensor = self.head(self.trunk(x_BCHW))
        return embedded
