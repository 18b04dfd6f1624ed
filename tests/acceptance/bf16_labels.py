"""In a process of its own: parse real photographs in float32 and in bfloat16, count the person's pixels that differ."""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

import numpy as np

from pipelines.core import hub, runtime
from pipelines.person.parsing.pipeline import ParsingPipeline
from studio import media

PHOTOS = 20


def main() -> None:
    """Measure and write one JSON object."""
    folder = Path(sys.argv[1])
    chosen = [path for path in sorted(folder.glob("*.jpg")) if zlib.crc32(path.stem.encode()) % 10 == 0][:PHOTOS]
    result = {"skipped": "", "photos": len(chosen), "moved_share_max": 0.0, "moved_share_mean": 0.0}
    if runtime.choose("auto", "auto").dtype != runtime.DTYPES["bfloat16"]:
        result["skipped"] = "this device has no fast bfloat16, so the studio never uses it here"
    else:
        exact, half = (
            ParsingPipeline.from_pretrained(hub.resolve("parsing"), dtype=dtype) for dtype in ("float32", "bfloat16")
        )
        shares = []
        for path in chosen:
            image = media.decode(media.read_bytes(path), path.name)[0]
            wanted, got = exact(image).labels, half(image).labels
            shares.append(float((wanted != got).sum() / max(1, (wanted > 0).sum())))
        result |= {"moved_share_max": max(shares), "moved_share_mean": float(np.mean(shares))}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
