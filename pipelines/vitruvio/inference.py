"""Vitruvio's network as a field of one building, several times faster than the plain form and equal but for rounding.

For one code every conditional norm of an evaluating network is a fixed scale and shift, and the one between a block's
two layers goes into the first of them. What is left per block is two matrix products and one scaling. Points go through
in chunks small enough for a CPU's cache. One core, 100,000 points: starter 1.7 -> 0.5 s, published 5.2 -> 1.6 s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.vitruvio.local import Local
from pipelines.vitruvio.network import (
    BLOCKS,
    ConditionalDecoder,
    ConditionalNorm,
    OccupancyNetwork,
    with_octaves,
)

CHUNK_CPU, CHUNK_GPU = 2_048, 65_536


@torch.inference_mode()
def field_of(
    model: OccupancyNetwork, c: Tensor, z: Tensor | None = None, local: Local | None = None
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The occupancy logits of one picture, as `extraction.extract` asks for them.

    Args:
        model: In evaluation mode.
        c: (1, c_dim) from `model.encode`.
        z: (1, z_dim); None takes the prior's mean.
        local: Of one picture, from `model.read`; None for a network without local features.

    Returns:
        A function from (N, 3) float32 points to (N,) float32 logits.

    Raises:
        ValueError: for more than one code, a model in training mode, or a z or a local that this network has no use
            for, or that it lacks.
    """
    if len(c) != 1:
        raise ValueError(f"a field has one code, not {len(c)}")
    if model.training:
        raise ValueError("a network in training mode norms by its batch, and gives no field")
    if z is not None and not model.config.z_dim:
        raise ValueError("this network has no latent variable")
    if (local is None) == bool(model.config.local):
        raise ValueError(f"this network has {model.config.local} local features")
    if isinstance(model.decoder, ConditionalDecoder):
        told = None if local is None else lambda points: model.local.at(local, points.unsqueeze(0))[0]
        answer = _folded(model.decoder, c, z, told)
    else:
        answer = lambda points: model.decode(points.unsqueeze(0), c, z)[0]  # noqa: E731
    chunk = CHUNK_CPU if c.device.type == "cpu" else CHUNK_GPU

    def field(points: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            tensor = torch.as_tensor(points, dtype=c.dtype, device=c.device)
            return torch.cat([answer(part) for part in tensor.split(chunk)]).float().cpu().numpy()

    return field


def _folded(
    decoder: ConditionalDecoder, c: Tensor, z: Tensor | None, told: Callable[[Tensor], Tensor] | None
) -> Callable[[Tensor], Tensor]:
    """The decoder for one code, (N, 3) -> (N,)."""
    row = c.unsqueeze(1)
    into: Any = decoder.fc_p
    out: Any = decoder.fc_out
    first, start = into.weight[:, :, 0].t(), into.bias
    if hasattr(decoder, "fc_z"):
        start = start + (decoder.fc_z.bias if z is None else decoder.fc_z(z)[0])
    blocks = []
    for number in range(BLOCKS):
        block: Any = decoder.get_submodule(f"block{number}")
        scale, shift = _scale_and_shift(block.bn_1, row)
        inner = (block.fc_0.weight[:, :, 0] * scale.unsqueeze(1)).t().contiguous(), block.fc_0.bias * scale + shift
        outer = block.fc_1.weight[:, :, 0].t().contiguous(), block.fc_1.bias
        blocks.append((_scale_and_shift(block.bn_0, row), inner, outer))
    last_scale, last_shift = _scale_and_shift(decoder.bn, row)

    def answer(points: Tensor) -> Tensor:
        x = torch.addmm(start, with_octaves(points.unsqueeze(0), decoder.octaves)[0], first)
        if told is not None:
            x += told(points)
        for (scale, shift), (inner, inner_bias), (outer, outer_bias) in blocks:
            y = torch.addmm(inner_bias, torch.addcmul(shift, x, scale).relu_(), inner).relu_()
            x += torch.addmm(outer_bias, y, outer)
        x = torch.addcmul(last_shift, x, last_scale).relu_()
        return torch.addmv(out.bias, x, out.weight[0, :, 0])

    return answer


def _scale_and_shift(norm: ConditionalNorm, row: Tensor) -> tuple[Tensor, Tensor]:
    """What a conditional norm does to its input, (width,) each."""
    bn: Any = norm.bn
    scale = norm.conv_gamma(row)[0, 0] / torch.sqrt(bn.running_var + bn.eps)
    return scale, norm.conv_beta(row)[0, 0] - bn.running_mean * scale
