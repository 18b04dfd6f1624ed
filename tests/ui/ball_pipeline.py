"""A stand-in for DiffPoint that needs no network: every object is a ball of the colour that its first picture has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.types import Cloud, Finding
from pipelines.diffpoint.pipeline import CloudResult
from pipelines.diffpoint.views import View, prepare
from pipelines.synthetic.objects import Camera


class BallPipeline:
    """What the page needs of the pipeline."""

    @classmethod
    def from_pretrained(cls, folder: Path, **options: Any) -> BallPipeline:
        return cls()

    def prepare(self, picture: np.ndarray) -> View:
        return prepare(picture, 64)

    def __call__(
        self, pictures: list[np.ndarray], *, points: int, steps: int, seed: int, on_step: Any, **_: Any
    ) -> Any:
        views = tuple(self.prepare(picture) for picture in pictures)
        normals = np.random.default_rng(seed).normal(size=(points, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        colours = np.tile(views[0].picture[32, 32, :3], (points, 1))
        cloud = Cloud((normals / 2).astype(np.float32), colours, normals.astype(np.float32))
        picture = np.full((64, 64, 3), 200, np.uint8)
        for step in range(steps):
            on_step(step, steps, picture)
        alone = tuple(cloud.points[:64] for _ in views) if len(views) > 1 else ()
        cameras = tuple(Camera(90.0 * number, 20.0, 2.0) for number in range(len(views)))
        notes = tuple(finding for view in views for finding in view.findings)
        unsure = Finding("cloud.unsure", "warning", "Low confidence", "Add pictures")
        return CloudResult(
            cloud, views, cameras, alone, np.zeros((steps, 64, 3), np.float16), 0.01, None, 0.75, (*notes, unsure),
            {"cloud": picture, "view-1": views[0].on_grey, "from-1": picture},
        )  # fmt: skip


class FlatPipeline(BallPipeline):
    """Every object is a disc, which encloses nothing."""

    def __call__(self, *arguments: Any, **options: Any):
        made = super().__call__(*arguments, **options)
        return replace(made, cloud=replace(made.cloud, points=made.cloud.points * np.float32([1, 0, 1])))
