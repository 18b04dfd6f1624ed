"""In a process of its own: the 200 buildings of the evaluation drawn by hand, made solid, and asked of slicers.

Each is made 100 mm long. Before anything is repaired the mesh has to be one closed, positively oriented solid with a
flat base. Then the files are read back: by PrusaSlicer's ``--info`` (it exits with 0 whatever it finds), by lib3mf in
strict mode, and ten are sliced solid, whose plastic is compared with the passport's volume.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipelines.mesh import export, printability, scale
from pipelines.vitruvio import evaluation_set
from pipelines.vitruvio.evaluation import REPAIR, is_solid, volume_moved
from pipelines.vitruvio.pipeline import VitruvioPipeline

SIDE = 100.0  # mm
SLICED = 10
SOLID = ("--fill-density", "100%", "--fill-pattern", "rectilinear", "--skirts", "0", "--layer-height", "0.2")


def slicer_is_content(slicer: str, path: Path) -> bool:
    """Whether ``prusa-slicer --info`` calls the file manifold, without an open edge and without a reversed facet."""
    done = subprocess.run([slicer, "--info", path.name], cwd=path.parent, capture_output=True, text=True, check=True)
    found = dict(re.findall(r"^(\w+) = (\S+)", done.stdout, re.MULTILINE))
    open_edges, turned = (float(found.get(name, 0)) for name in ("open_edges", "facets_reversed"))
    return found.get("manifold") == "yes" and open_edges == 0 and turned == 0


def sliced_volume(slicer: str, path: Path) -> float:
    """Plastic in cm3 that a solid print of the file takes."""
    target = path.with_suffix(".gcode")
    command = [slicer, "--export-gcode", *SOLID, "-o", target.name, path.name]
    subprocess.run(command, cwd=path.parent, capture_output=True, check=True)
    found = re.search(r"filament used \[cm3\] = ([\d.]+)", target.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{target.name} names no volume")
    return float(found[1])


def strict_warnings(data: bytes) -> int:
    """Warnings of lib3mf in strict mode; an error is raised as its own exception."""
    import lib3mf

    reader = lib3mf.get_wrapper().CreateModel().QueryReader("3mf")
    reader.SetStrictModeActive(True)
    reader.ReadFromBuffer(data)
    return int(reader.GetWarningCount())


def main() -> None:
    """Measure and write one JSON object."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    slicer = shutil.which("prusa-slicer")
    pipeline = VitruvioPipeline.from_pretrained("vitruvio")
    result: dict[str, Any] = {"count": 0, "solid": 0, "slicer": slicer is not None, "content": 0, "strict_warnings": 0}
    ratios = []
    with tempfile.TemporaryDirectory() as scratch:
        for index, read in enumerate(evaluation_set.rendered(count)):
            answer = pipeline(read().picture)
            mesh = scale.to_print(answer.mesh, longest=SIDE)
            result["count"] += 1
            result["solid"] += is_solid(answer.mesh) and volume_moved(answer.mesh, answer.raw, answer.side) <= REPAIR
            report = printability.passport(mesh, printability.PROFILES["prusa-mk4"])
            for kind in ("stl", "3mf"):
                data = export.encode(mesh, kind, passport=report)
                path = Path(scratch) / f"building.{kind}"
                path.write_bytes(data)
                if kind == "3mf":
                    result["strict_warnings"] += strict_warnings(data)
                if slicer is not None:
                    result["content"] += slicer_is_content(slicer, path)
            if slicer is not None and index < SLICED and report.volume_cm3:
                ratios.append(sliced_volume(slicer, Path(scratch) / "building.3mf") / report.volume_cm3)
    result["volume_off_max"] = max((abs(ratio - 1) for ratio in ratios), default=None)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
