"""VITON-HD's three networks at their published size, on this machine.

For each: seconds of a plain eager float32 forward of network.py, seconds of the path that the studio takes, and the
share of the machine's own matrix-multiply rate, measured in the same process. The share counts the operations of the
plain network, also where the studio's path needs fewer. Weights are random: they do not change the time.
"""

from __future__ import annotations

import os
import platform
from typing import Any

import cv2
import numpy as np
import torch
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pipelines.core import runtime
from pipelines.viton_hd import inference
from pipelines.viton_hd.network import CONFIGS, GMM, ALIASGenerator, SegGenerator, seeded_noise
from tests.benchmarks.timing import matmul_rate, median_seconds

SMALL, LARGE = (256, 192), (1024, 768)


def figure_labels(size: tuple[int, int]) -> Tensor:
    """(1, 7, H, W) float32 one-hot of a standing person, drawn coarsely.

    A parse has large areas and few edges, which the studio's path makes use of; random labels would hide that.
    """
    height, width = size
    canvas = np.zeros(size, np.uint8)

    def at(*points: tuple[float, float]) -> list[np.ndarray]:
        return [np.array([(x * width, y * height) for x, y in points], np.int32)]

    cv2.fillPoly(canvas, at((0.36, 0.62), (0.64, 0.62), (0.68, 1.0), (0.32, 1.0)), 1)
    cv2.fillPoly(canvas, at((0.30, 0.24), (0.70, 0.24), (0.66, 0.66), (0.34, 0.66)), 2)
    cv2.fillPoly(canvas, at((0.30, 0.24), (0.36, 0.40), (0.24, 0.66), (0.16, 0.64)), 5)
    cv2.fillPoly(canvas, at((0.70, 0.24), (0.64, 0.40), (0.76, 0.66), (0.84, 0.64)), 6)
    cv2.ellipse(canvas, (width // 2, round(0.13 * height)), (width // 8, height // 9), 0, 0, 360, 3, -1)
    cv2.ellipse(canvas, (width // 2, round(0.15 * height)), (width // 11, height // 12), 0, 0, 360, 4, -1)
    return torch.nn.functional.one_hot(torch.from_numpy(canvas).long(), 7).permute(2, 0, 1)[None].float()


def cases() -> dict[str, tuple[torch.nn.Module, tuple[Any, ...]]]:
    """Network and inputs by name, sizes as the published test run uses them."""
    torch.manual_seed(0)
    official = CONFIGS["official"]
    labels = figure_labels(LARGE)
    misalign = labels[:, 2:3].clone()
    misalign[:, :, : round(0.55 * LARGE[0])] = 0  # the warped cloth ends above the hem
    divided = torch.cat([labels, misalign], 1)
    divided[:, 2:3] -= misalign
    alias = ALIASGenerator(official.alias)
    for name, parameter in alias.named_parameters():
        if name.endswith("noise_scale"):  # 0 in an untrained network, which would spare the studio's path its noise
            torch.nn.init.normal_(parameter, 0, 0.1)
    return {
        "SegGenerator": (SegGenerator(official.seg), (torch.randn(1, 21, *SMALL),)),
        "GMM": (GMM(official.gmm), (torch.randn(1, 7, *SMALL), torch.randn(1, 3, *SMALL))),
        "ALIASGenerator": (
            alias,
            (torch.randn(1, 9, *LARGE), labels, divided, misalign, seeded_noise(0)),
        ),
    }


@torch.inference_mode()
def measure(repeats: int) -> dict[str, Any]:
    """Time every network both ways."""
    chosen = runtime.choose()
    rates = {"float32": matmul_rate(torch.float32), "bfloat16": matmul_rate(torch.bfloat16)}
    dtype = str(chosen.dtype).removeprefix("torch.")
    rows = []
    for name, (network, inputs) in cases().items():
        network = network.eval()
        with FlopCounterMode(display=False) as counter:
            network(*inputs)
        operations = counter.get_total_flops()
        plain = median_seconds(network, inputs, repeats)
        fast = inference.accelerate(network, chosen.dtype)
        ours = median_seconds(fast, inputs, repeats)
        rows.append(
            {
                "name": name,
                "seconds": ours,
                "seconds_eager_fp32": plain,
                "ratio": plain / ours,
                "gflop": operations / 1e9,
                "share_of_matmul_rate": operations / ours / rates[dtype],
                "share_of_matmul_rate_eager_fp32": operations / plain / rates["float32"],
            }
        )
    total, total_plain = (sum(row[key] for row in rows) for key in ("seconds", "seconds_eager_fp32"))
    return {
        "device": str(chosen.device),
        "dtype": dtype,
        "bf16_in_hardware": runtime.cpu_has_bf16(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "matmul_gflops": {name: rate / 1e9 for name, rate in rates.items()},
        "seconds": total,
        "seconds_eager_fp32": total_plain,
        "ratio": total_plain / total,
        "networks": rows,
    }


def table(result: dict[str, Any]) -> Table:
    """The result for people."""
    rate = ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in result["matmul_gflops"].items())
    grid = Table(title=f"VITON-HD at 1024x768, {result['dtype']}, {result['threads']} threads; matmul {rate}")
    for heading in ("network", "GFLOP", "eager float32", "studio", "ratio", "share of matmul rate"):
        grid.add_column(heading, justify="left" if heading == "network" else "right")
    for row in result["networks"]:
        grid.add_row(
            row["name"],
            f"{row['gflop']:.0f}",
            f"{row['seconds_eager_fp32']:.2f} s",
            f"{row['seconds']:.2f} s",
            f"{row['ratio']:.2f}x",
            f"{row['share_of_matmul_rate']:.0%}",
        )
    grid.add_row(
        "all", "", f"{result['seconds_eager_fp32']:.2f} s", f"{result['seconds']:.2f} s", f"{result['ratio']:.2f}x"
    )
    return grid
