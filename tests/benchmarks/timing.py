"""Seconds of a call, and what this machine can do at most."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def median_seconds(run: Callable[..., object], inputs: tuple[Any, ...], repeats: int) -> float:
    """Median time of ``run`` after one run that is not counted."""
    run(*inputs)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run(*inputs)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def matmul_rate(dtype: torch.dtype, size: int = 2048) -> float:
    """Floating-point operations a second of one square matrix product."""
    left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    return 2 * size**3 / median_seconds(torch.matmul, (left, right), 5)
