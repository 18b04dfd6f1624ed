"""In a process of its own: load the starter once, dress a 768x1024 photo repeatedly, report the median and the peak."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from pipelines.viton_hd.pipeline import VitonHDPipeline
from studio import media

WIDTH, HEIGHT, REPEATS = 768, 1024, 5


def picture(path: str) -> np.ndarray:
    """Decode a picture as the studio does: (H, W, 3) uint8 sRGB."""
    return media.decode(media.read_bytes(Path(path)), path)[0]


def filled(image: np.ndarray) -> np.ndarray:
    """Enlarge and crop a picture to 768x1024 around its centre, as a camera of that size would frame it."""
    scale = max(WIDTH / image.shape[1], HEIGHT / image.shape[0])
    large = cv2.resize(
        image, (round(image.shape[1] * scale), round(image.shape[0] * scale)), interpolation=cv2.INTER_CUBIC
    )
    top, left = (large.shape[0] - HEIGHT) // 2, (large.shape[1] - WIDTH) // 2
    return np.ascontiguousarray(large[top : top + HEIGHT, left : left + WIDTH])


def peak_gb() -> float:
    """Peak resident memory of this process; macOS counts bytes, Linux kilobytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9


def main() -> None:
    """Measure and write one JSON object."""
    person, garment = filled(picture(sys.argv[1])), picture(sys.argv[2])
    pipeline = VitonHDPipeline.from_pretrained("viton-hd")
    pipeline(person, garment, seed=0)  # kernels are chosen on the first run
    seconds, steps = [], {}
    for seed in range(REPEATS):
        started = time.perf_counter()
        steps = pipeline(person, garment, seed=seed).timings
        seconds.append(time.perf_counter() - started)
    result = {"seconds": statistics.median(seconds), "all": seconds, "peak_rss_gb": peak_gb(), "steps": dict(steps)}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
