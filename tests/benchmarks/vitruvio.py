"""Vitruvio's published network on this machine: a picture's code, then the surface at 32 cells and two refinements.

An untrained network has no building in it, and how many points an extraction asks for depends on the building. So the
network is asked for every point and its answer is thrown away; the surface is that of a house of boxes. Beside it, in
the same run: all of the 129^3 points through the same path, and the plain network of network.py on some of them, whose
time for the same number of points is reckoned from that.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from pipelines.vitruvio.extraction import extract
from pipelines.vitruvio.inference import field_of
from pipelines.vitruvio.network import CONFIGS, OccupancyNetwork
from tests.benchmarks.timing import matmul_rate, median_seconds

BOXES = (((0.0, -0.35, 0.0), (0.4, 0.1, 0.3)), ((-0.12, -0.05, 0.02), (0.18, 0.28, 0.18)))  # centre, half sides
PLAIN_POINTS = 20_000
SIDE = 129
GAIN = 40.0  # logits per unit of distance


def house(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits of a podium and a tower, from their signed distances; (N, 3) -> (N,)."""
    distances = []
    for centre, half in BOXES:
        beyond = np.abs(points - np.float32(centre)) - np.float32(half)
        distances.append(np.linalg.norm(beyond.clip(0), axis=1) + beyond.max(1).clip(max=0))
    return (-GAIN * np.minimum(*distances)).astype(np.float32)


@torch.inference_mode()
def measure(repeats: int) -> dict[str, Any]:
    """Time the network; keys are named after what they hold, times in seconds."""
    torch.manual_seed(0)
    network = OccupancyNetwork(CONFIGS["published"]).eval()
    picture = torch.rand(1, 3, 224, 224)
    encode = median_seconds(network.encode, (picture,), repeats)
    code = network.encode(picture)
    field = field_of(network, code)

    def surface() -> tuple[int, ...]:
        def asked(points: NDArray[np.float32]) -> NDArray[np.float32]:
            field(points)
            return house(points)

        return extract(asked, threshold=0.2, resolution=32, upsampling=2).queries

    queries = sum(surface())
    extraction = median_seconds(surface, (), repeats)
    points = torch.rand(1, PLAIN_POINTS, 3) - 0.5
    plain = median_seconds(network.decode, (points, code), repeats) / PLAIN_POINTS
    every = np.random.default_rng(0).random((SIDE**3, 3), np.float32) - np.float32(0.5)
    started = time.perf_counter()
    field(every)
    dense = time.perf_counter() - started
    weights = sum(
        value.numel() for name, value in network.decoder.named_parameters() if ".fc_" in name and value.ndim > 1
    )
    return {
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "matmul_gflops": matmul_rate(torch.float32) / 1e9,
        "queries": queries,
        "seconds": encode + extraction,
        "seconds_encode": encode,
        "seconds_plain": encode + plain * queries,
        "seconds_dense": dense,
        "ratio_to_plain": (encode + plain * queries) / (encode + extraction),
        "ratio_to_dense": dense / extraction,
        "share_of_matmul_rate": 2 * weights * queries / extraction / matmul_rate(torch.float32),
    }


def table(result: dict[str, Any]) -> Table:
    """The result for people."""
    grid = Table(title=f"Vitruvio, published size, float32, {result['threads']} threads, {result['queries']:,} points")
    for heading in ("way", "seconds", "ratio"):
        grid.add_column(heading, justify="left" if heading == "way" else "right")
    grid.add_row("studio", f"{result['seconds']:.2f}", "1")
    grid.add_row("plain network, the same points", f"{result['seconds_plain']:.2f}", f"{result['ratio_to_plain']:.1f}x")
    grid.add_row(f"studio, all {SIDE}^3 points", f"{result['seconds_dense']:.2f}", f"{result['ratio_to_dense']:.1f}x")
    return grid
