"""What the fast generator needs to know of a picture: which tiles have an edge in their labels, and its statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.viton_hd.network import EPS


@dataclass(frozen=True)
class Plan:
    """Which tiles of one resolution need convolving.

    Tiles are kept in the order: those with an edge, then those of one label, by label.

    Attributes:
        shape: Tile rows, tile height, tile columns, tile width.
        order: (tiles,) position in the picture of each tile kept; None if there is only one.
        windows: (edges, labels, tile height + 4, tile width + 4): labels around the tiles with an edge, 0 outside.
        outside: For top, bottom, left, right: which tiles with an edge lie on that border.
        groups: (first, last + 1, label) of runs of equal tiles.
        labels: (distinct, labels, 5, 5), each distinct label spread over a kernel's reach.
    """

    shape: tuple[int, int, int, int]
    order: Tensor | None
    windows: Tensor
    outside: tuple[Tensor, Tensor, Tensor, Tensor]
    groups: list[tuple[int, int, int]]
    labels: Tensor

    @property
    def edges(self) -> int:
        """Number of tiles with an edge; they come first."""
        return len(self.windows)

    def cut(self, x: Tensor) -> Tensor:
        """(1, C, H, W) -> (tiles, C, tile height, tile width), both channels last."""
        rows, height, columns, width = self.shape
        if self.order is None:
            return x
        tiles = x.permute(0, 2, 3, 1).reshape(rows, height, columns, width, -1).transpose(1, 2)
        flat = tiles.reshape(rows * columns, -1)[self.order]
        return flat.view(rows * columns, height, width, -1).permute(0, 3, 1, 2)

    def join(self, tiles: Tensor) -> Tensor:
        """Undo `cut`."""
        rows, height, columns, width = self.shape
        if self.order is None:
            return tiles
        flat = torch.empty((rows * columns, height * width * tiles.shape[1]), dtype=tiles.dtype, device=tiles.device)
        flat[self.order] = tiles.permute(0, 2, 3, 1).reshape(rows * columns, -1)
        whole = flat.view(rows, columns, height, width, -1).transpose(1, 2)
        return whole.reshape(1, rows * height, columns * width, -1).permute(0, 3, 1, 2)


def make_plan(labels: Tensor, tile: int, dtype: torch.dtype) -> Plan:
    """Cut (1, L, H, W) labels into tiles; sides that ``tile`` does not divide stay whole."""
    _, count, h, w = labels.shape
    height, width = (tile if h % tile == 0 else h), (tile if w % tile == 0 else w)
    rows, columns = h // height, w // width
    padded = F.pad(labels, (2, 2, 2, 2))
    windows = padded[0].unfold(1, height + 4, height).unfold(2, width + 4, width)  # (L, rows, columns, h + 4, w + 4)
    down = (padded[:, :, 1:] != padded[:, :, :-1]).any(1, keepdim=True).float()
    across = (padded[:, :, :, 1:] != padded[:, :, :, :-1]).any(1, keepdim=True).float()
    down = F.max_pool2d(down, (height + 3, width + 4), (height, width))
    across = F.max_pool2d(across, (height + 4, width + 3), (height, width))
    inner = torch.zeros(rows, columns, dtype=torch.bool, device=labels.device)
    inner[1:-1, 1:-1] = True  # the picture's border is an edge even to labels that are 0, which the padding is too
    edged = ((torch.maximum(down, across)[0, 0] > 0) | ~inner).flatten()
    edge, flat = edged.nonzero()[:, 0], (~edged).nonzero()[:, 0]
    colours = windows[:, :, :, 2, 2].reshape(count, -1).t()[flat]
    distinct, which = torch.unique(colours, dim=0, return_inverse=True)
    sizes = torch.bincount(which, minlength=len(distinct)).tolist()
    starts = [len(edge) + sum(sizes[:i]) for i in range(len(sizes))]
    y, x = edge // columns, edge % columns
    borders = (y == 0, y == rows - 1, x == 0, x == columns - 1)
    return Plan(
        (rows, height, columns, width),
        torch.cat([edge, flat[which.argsort(stable=True)]]) if rows * columns > 1 else None,
        windows[:, y, x].transpose(0, 1).to(dtype, memory_format=torch.channels_last),
        tuple(on.nonzero()[:, 0] for on in borders),  # type: ignore[arg-type]
        [(start, start + size, i) for i, (start, size) in enumerate(zip(starts, sizes, strict=True))],
        distinct[..., None, None].expand(-1, -1, 5, 5).to(dtype, memory_format=torch.channels_last),
    )


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance by channel of (1, C, H, W) channels last, (C,) float32 each.

    The kernel adds up one value after the other; of a whole picture that would lose three digits. So pixels are
    spread over up to 64 sums, these over blocks, and the parts are merged.
    """
    flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    spread = math.gcd(len(flat), 64)
    flat = flat.view(len(flat) // spread, -1)
    zero = torch.zeros(flat.shape[1], device=x.device)
    parts = flat.split(1024)
    found = [torch.batch_norm_update_stats(part, zero.clone(), zero.clone(), 0.0) for part in parts]
    means, variances = (torch.stack([f[i].float() for f in found]).view(-1, x.shape[1]) for i in range(2))
    share = torch.tensor([len(part) / len(flat) / spread for part in parts], device=x.device)
    share = share.repeat_interleave(spread)[:, None]
    mean = (share * means).sum(0)
    return mean, (share * (variances + (means - mean) ** 2)).sum(0)


def mask_statistics(x: Tensor, mask: Tensor) -> Tensor:
    """`network.mask_norm` of one sample by matrix products: x (P, C) float32, mask (P,) -> (P, C) float32."""
    shares = torch.stack([mask, 1 - mask])  # (2, P)
    count = shares.sum(1, keepdim=True)
    count = torch.where(count == 0, 1.0, count)
    x = x - x.mean(0)  # near the regions' means, so that the squares below do not cancel
    mean = shares @ x / count
    squared = shares.square()
    spread = squared @ x.square() - 2 * mean * (squared @ x) + squared.sum(1, keepdim=True) * mean.square()
    scale = torch.sqrt(count / len(x)) * torch.rsqrt(spread.clamp(min=0) / len(x) + EPS)
    return torch.addcmul(shares.t() @ (-scale * mean), x, shares.t() @ scale)
