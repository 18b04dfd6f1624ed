"""Cutting clouds into patches: farthest-point sampling and nearest neighbours, batched, on any device.

Source: farthest-point sampling is that of PointNet++ (Qi et al., 2017). open3d has it in C++, four times as fast on a
CPU (tests/benchmarks/diffpoint.py), but it gives places and no numbers, one cloud at a time and on no GPU; of a step of
the starter it would save a twentieth. Its nearest neighbours are slower than a product and a selection here.
"""

from __future__ import annotations

import torch
from torch import Tensor


def farthest_points(cloud: Tensor, count: int) -> Tensor:
    """Pick points that are far from each other, each the farthest from those before it.

    Args:
        cloud: (B, N, 3); N at least ``count``.
        count: How many.

    Returns:
        (B, count) int64. The first one is always the cloud's first: a cloud has no order, so that this is as good as
        chance, and the same every time.
    """
    b, n, _ = cloud.shape
    picked = torch.zeros(b, count, dtype=torch.int64, device=cloud.device)
    planes = cloud.transpose(1, 2).contiguous()
    least = torch.full((b, n), torch.inf, device=cloud.device, dtype=cloud.dtype)
    last = picked[:, 0]
    for number in range(1, count):
        at = planes.gather(2, last[:, None, None].expand(-1, 3, 1))
        least = torch.minimum(least, (planes - at).square().sum(1))
        last = least.argmax(1)
        picked[:, number] = last
    return picked


def nearest(points: Tensor, among: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the nearest of other points.

    Args:
        points: (B, N, 3).
        among: (B, M, 3); M at least ``count``.
        count: How many.

    Returns:
        (B, N, count) int64 in ascending order of distance, and the distances.
    """
    found = torch.cdist(points, among).topk(count, largest=False)
    return found.indices, found.values


def gathered(values: Tensor, at: Tensor) -> Tensor:
    """(B, M, C) by (B, ...) int64 -> (B, ..., C)."""
    flat = at.flatten(1)
    taken = values.gather(1, flat[..., None].expand(-1, -1, values.shape[-1]))
    return taken.view(*at.shape, values.shape[-1])
