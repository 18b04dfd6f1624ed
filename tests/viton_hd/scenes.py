"""Small networks and inputs that look like the real ones: one-hot labels in patches, a soft-edged misalignment."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.viton_hd.network import AliasConfig, ALIASGenerator

TINY: dict[str, Any] = {
    "load_height": 256, "load_width": 192, "ngf": 4, "num_upsampling_layers": "more", "label_hidden": 8,
    "feature_nc": 4,
}  # fmt: skip


def tiny_alias(**options: Any) -> ALIASGenerator:
    """An untrained generator in eval mode whose noise and shifts are not zero."""
    torch.manual_seed(0)
    model = ALIASGenerator(AliasConfig(**{**TINY, **options})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("noise_scale"):
                parameter.normal_(0, 0.3)
    return model


def alias_inputs(people: int = 1, size: tuple[int, int] = (256, 192), labels: int = 7) -> tuple[Tensor, ...]:
    """x, labels, labels divided, misalignment: a striped figure on a plain ground, its cloth too short at the hem."""
    h, w = size
    generator = torch.Generator().manual_seed(5)
    x = F.interpolate(torch.rand(people, 9, 16, 12, generator=generator), size=size, mode="bilinear") * 2 - 1
    parse = torch.zeros(people, h, w, dtype=torch.long)
    for i in range(people):
        parse[i, h // 4 : h * 3 // 4, w // 4 + i : w * 3 // 4] = 2
        parse[i, h // 8 : h // 4, w // 3 : w // 2] = 3
        parse[i, h * 3 // 4 :, w // 3 : w * 2 // 3] = 1
    seg = F.one_hot(parse, labels).permute(0, 3, 1, 2).float()
    covered = ((h * 2 / 3 - torch.arange(h)) / 8).clamp(0, 1)[None, None, :, None]
    misalign = (seg[:, 2:3] - covered).clamp(min=0)
    divided = torch.cat([seg, misalign], 1)
    divided[:, 2:3] -= misalign
    return x, seg, divided, misalign
