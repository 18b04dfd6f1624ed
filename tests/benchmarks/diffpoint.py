"""DiffPoint: what a step costs by the number of points, at both sizes, and what cutting patches costs.

Farthest-point sampling and nearest neighbours are ours in torch, beside open3d's, which does one cloud at a time, and
beside the straightforward way that computes all distances anew for every point picked.
"""

from __future__ import annotations

import resource
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from pipelines.core import runtime
from pipelines.diffpoint.network import CONFIGS, DiffPoint
from pipelines.diffpoint.patches import farthest_points, nearest
from tests.benchmarks.timing import matmul_rate, median_seconds

POINTS = (512, 1024, 2048, 4096, 8192, 16_384)
CLOUDS, OF, PICKED, NEIGHBOURS = 8, 1024, 96, 16


def plain_farthest(cloud: Tensor, count: int) -> Tensor:
    """Each point the farthest from all those before it, looked at all of them again; (B, N, 3) -> (B, count)."""
    picked = [torch.zeros(len(cloud), dtype=torch.int64)]
    for _ in range(1, count):
        chosen = torch.stack([cloud[row, torch.stack(picked, 1)[row]] for row in range(len(cloud))])
        picked.append(torch.cdist(cloud, chosen).amin(2).argmax(1))
    return torch.stack(picked, 1)


def measure(repeats: int) -> dict[str, Any]:
    """Seconds of one step and of the operations in it, by size."""
    where = runtime.choose("cpu", "auto")
    rate = matmul_rate(where.dtype) / 1e9
    found: dict[str, Any] = {"matmul_gflops": rate, "dtype": str(where.dtype)[6:], "steps": {}}
    for name, config in CONFIGS.items():
        torch.manual_seed(0)
        model = runtime.channels_last(DiffPoint(config)).eval()
        condition = torch.randn(1, config.condition, config.embed)

        def step(points: int, model: DiffPoint = model, condition: Tensor = condition) -> None:
            with torch.inference_mode(), where.autocast():
                model(torch.randn(1, points, 3), torch.tensor([400]), condition)

        sizes = [points for points in POINTS if points >= config.groups]
        seconds = {points: median_seconds(step, (points,), repeats) for points in sizes}
        found["steps"][name] = {
            points: {"ms": round(1000 * each, 2), "us_a_point": round(1e6 * each / points, 2)}
            for points, each in seconds.items()
        }
    cloud = torch.randn(CLOUDS, OF, 3, generator=torch.Generator().manual_seed(0))
    found["patches_ms"] = _patches(cloud, repeats)
    found["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def _patches(cloud: Tensor, repeats: int) -> dict[str, float]:
    """Milliseconds a cloud."""
    import open3d

    clouds = [open3d.geometry.PointCloud(open3d.utility.Vector3dVector(each.double().numpy())) for each in cloud]
    centres = cloud[:, :PICKED]

    def by_open3d() -> None:
        for each in clouds:
            each.farthest_point_down_sample(PICKED)

    def neighbours_by_open3d() -> None:
        for each, own in zip(cloud, centres, strict=True):
            search = open3d.core.nns.NearestNeighborSearch(open3d.core.Tensor(each.numpy()))
            search.knn_index()
            search.knn_search(open3d.core.Tensor(np.ascontiguousarray(own.numpy())), NEIGHBOURS)

    ways = {
        "farthest, torch": lambda: farthest_points(cloud, PICKED),
        "farthest, open3d": by_open3d,
        "farthest, straightforward": lambda: plain_farthest(cloud, PICKED),
        "nearest, torch": lambda: nearest(centres, cloud, NEIGHBOURS),
        "nearest, open3d": neighbours_by_open3d,
    }
    return {name: round(1000 * median_seconds(way, (), repeats) / CLOUDS, 3) for name, way in ways.items()}


def table(result: dict[str, Any]) -> Table:
    """The figures for people."""
    shown = Table(title=f"DiffPoint, {result['dtype']}, matrix products {result['matmul_gflops']:.0f} GFLOP/s")
    for column in ("what", "points", "ms", "µs a point"):
        shown.add_column(column, justify="left" if column == "what" else "right")
    for name, sizes in result["steps"].items():
        for points, each in sizes.items():
            shown.add_row(f"a step, {name}", str(points), f"{each['ms']:.1f}", f"{each['us_a_point']:.1f}")
    for name, each in result["patches_ms"].items():
        shown.add_row(name, str(OF), f"{each:.2f}", "")
    shown.add_row("peak memory, MB", "", str(result["peak_rss_mb"]), "")
    return shown
