"""A stand-in for the building pipeline: a box as wide and high as the ink. The spine is tested without a network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipelines.core.errors import InputError
from pipelines.core.types import Box, Finding, Mesh
from pipelines.synthetic.hidden_lines import Camera
from tests.mesh.shapes import box

STEPS = 3


class BoxPipeline:
    """Same calls, same fields as `pipelines.vitruvio.pipeline.VitruvioPipeline`."""

    @classmethod
    def from_pretrained(cls, folder: Path, *, device: str = "auto", dtype: str = "auto") -> BoxPipeline:
        """The folder's depth decides how deep boxes are."""
        made = cls()
        made.depth = float((Path(folder) / "depth.json").read_text())
        return made

    depth = 0.5

    def prepare(self, sketch: Any) -> Any:
        """The ink and where it is."""
        rows, columns = np.nonzero(sketch.mean(2) < 128)
        if not len(rows):
            raise InputError("sketch.empty", "There is nothing drawn", remedy="Draw something")
        found = Box(columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        image = np.full((128, 128), 255, np.uint8)
        image[32:96, 32:96] = 0
        return SimpleNamespace(image=image, box=found, roll=0.0, layers={"ink": sketch}, findings=())

    def __call__(
        self, sketch: Any, *, view: Any, variant: int, straighten: bool, detail: int, threshold: float | None,
        seed: int, on_step: Any
    ) -> Any:  # fmt: skip
        """One box; unless straightened its lid has a corner that hangs."""
        prepared = self.prepare(sketch)
        for step in range(STEPS):
            on_step(step + 1, STEPS, None)
        size = np.array([prepared.box.w, prepared.box.h, self.depth * prepared.box.w * (1 + variant)], np.float64)
        size /= size.max()
        mesh = box(tuple(size), tuple(-size / 2))
        vertices = mesh.vertices.copy()
        if not straighten:
            vertices[vertices[:, 1].argmax(), 1] -= 0.1
        return SimpleNamespace(
            mesh=Mesh(vertices, mesh.faces), prepared=prepared, camera=Camera(*(view or (45.0, 20.0)), 35.0),
            confidence=0.8, variants=3, changes=("flat base",) if straighten else (),
            findings=(Finding("building.box", "info", "This is a box", "Nothing"),),
            layers={"same view": sketch, "prepared": np.repeat(prepared.image[..., None], 3, 2)},
            timings={"all": 0.0},
        )  # fmt: skip
