"""In a process of its own: objects of the fixed set become clouds, clouds solids, and slicers are asked of these.

Each cloud is made of three pictures and each solid 100 mm long. A cloud is refused with a reason or becomes one closed,
positively oriented shell; the files are judged as those of buildings are (solids.py). An object that rests on a point,
as its passport says, cannot be sliced without supports, whose plastic would count: ten others are sliced.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from pipelines.core.errors import InputError
from pipelines.diffpoint import evaluation
from pipelines.diffpoint.pipeline import DiffPointPipeline
from pipelines.mesh import printability, scale
from pipelines.mesh.surface import surface
from tests.acceptance.solids import PRINT, SIDE, SLICED, judged
from tests.mesh import slicer


def main() -> None:
    """Measure and write one JSON object."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    pipeline = DiffPointPipeline.from_pretrained("diffpoint")
    result: dict[str, Any] = {"count": 0, "solid": 0, "slicer": slicer.SLICER is not None}
    result |= {"content": 0, "strict_warnings": 0, "supported": 0}
    refused: Counter[str] = Counter()
    methods: Counter[str] = Counter()
    ratios, off = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for read in evaluation.fixed(count):
            result["count"] += 1
            try:
                made = surface(pipeline(read().views).cloud)
            except InputError as error:
                refused[error.code] += 1
                continue
            methods[made.method] += 1
            off.append(made.off)
            mesh = scale.to_print(made.mesh, longest=SIDE)
            report = printability.passport(mesh, printability.PROFILES["prusa-mk4"])
            result["solid"] += report.manifold and len(report.shells) == 1
            content, warnings = judged(mesh, report, Path(scratch))
            result["content"] += content
            result["strict_warnings"] += warnings
            if slicer.SLICER is not None and len(ratios) < SLICED and report.volume_cm3:
                try:
                    plastic, _ = slicer.sliced(Path(scratch) / "solid.3mf", *PRINT)
                except subprocess.CalledProcessError:
                    slicer.sliced(Path(scratch) / "solid.3mf", *PRINT, "--support-material")
                    result["supported"] += 1
                else:
                    ratios.append(plastic / report.volume_cm3)
    result["volume_off_max"] = max((abs(ratio - 1) for ratio in ratios), default=None)
    result |= {"refused": dict(refused), "methods": dict(methods), "off_max": max(off, default=None)}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
