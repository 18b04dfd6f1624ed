"""In a process of its own: the 200 buildings of the evaluation drawn by hand, made solid, and asked of slicers.

Each is made 100 mm long. Before anything is repaired the mesh has to be one closed, positively oriented solid with a
flat base. Then the files are read back: by PrusaSlicer's ``--info`` (it exits with 0 whatever it finds), by lib3mf in
strict mode, and ten are sliced solid, whose plastic is compared with the passport's volume.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipelines.core.types import Mesh
from pipelines.mesh import export, printability, scale
from pipelines.vitruvio import evaluation_set
from pipelines.vitruvio.evaluation import REPAIR, is_solid, volume_moved
from pipelines.vitruvio.pipeline import VitruvioPipeline
from tests.mesh import slicer

SIDE = 100.0  # mm
SLICED = 10
PRINT = ("--skirts", "0", "--layer-height", "0.2")


def slicer_is_content(path: Path) -> bool:
    """Whether PrusaSlicer calls the file manifold, without an open edge and without a reversed facet."""
    found = slicer.info(path)
    open_edges, turned = (float(found.get(name, 0)) for name in ("open_edges", "facets_reversed"))
    return found.get("manifold") == "yes" and open_edges == 0 and turned == 0


def strict_warnings(data: bytes) -> int:
    """Warnings of lib3mf in strict mode; an error is raised as its own exception."""
    import lib3mf

    reader = lib3mf.get_wrapper().CreateModel().QueryReader("3mf")
    reader.SetStrictModeActive(True)
    reader.ReadFromBuffer(data)
    return int(reader.GetWarningCount())


def judged(mesh: Mesh, report: printability.Passport, folder: Path) -> tuple[int, int]:
    """Write ``solid.stl`` and ``solid.3mf``: how many of them the slicer is content with, and lib3mf's warnings."""
    content = warnings = 0
    for kind in ("stl", "3mf"):
        data = export.encode(mesh, kind, passport=report)
        path = folder / f"solid.{kind}"
        path.write_bytes(data)
        if kind == "3mf":
            warnings = strict_warnings(data)
        if slicer.SLICER is not None:
            content += slicer_is_content(path)
    return content, warnings


def main() -> None:
    """Measure and write one JSON object."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    pipeline = VitruvioPipeline.from_pretrained("vitruvio")
    result: dict[str, Any] = {
        "count": 0,
        "solid": 0,
        "slicer": slicer.SLICER is not None,
        "content": 0,
        "strict_warnings": 0,
    }
    ratios = []
    with tempfile.TemporaryDirectory() as scratch:
        for index, read in enumerate(evaluation_set.rendered(count)):
            answer = pipeline(read().picture)
            mesh = scale.to_print(answer.mesh, longest=SIDE)
            result["count"] += 1
            result["solid"] += is_solid(answer.mesh) and volume_moved(answer.mesh, answer.raw, answer.side) <= REPAIR
            report = printability.passport(mesh, printability.PROFILES["prusa-mk4"])
            content, warnings = judged(mesh, report, Path(scratch))
            result["content"] += content
            result["strict_warnings"] += warnings
            if slicer.SLICER is not None and index < SLICED and report.volume_cm3:
                ratios.append(slicer.sliced(Path(scratch) / "solid.3mf", *PRINT)[0] / report.volume_cm3)
    result["volume_off_max"] = max((abs(ratio - 1) for ratio in ratios), default=None)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
