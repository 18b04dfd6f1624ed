"""From pictures to a cloud: what is promised of it, what is told about it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.core.errors import Cancelled, InputError, WeightsError
from pipelines.core.runtime import choose
from pipelines.core.shape_metrics import chamfer
from pipelines.diffpoint import pipeline as module
from pipelines.diffpoint.network import DiffPoint
from pipelines.diffpoint.pipeline import DiffPointPipeline, Doubt
from pipelines.diffpoint.silhouettes import Outline, misfit
from pipelines.synthetic.objects import picture, sample_camera, sample_object
from tests.diffpoint.test_network import TINY


@pytest.fixture
def pipeline() -> DiffPointPipeline:
    torch.manual_seed(0)
    return DiffPointPipeline(DiffPoint(TINY), choose("cpu", "float32"))


def views(count: int = 1, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = sample_object(rng)
    return [np.dstack(picture(shape, sample_camera(rng), 64)) for _ in range(count)]


def test_a_cloud_is_in_its_frame_and_has_as_many_points(pipeline: DiffPointPipeline) -> None:
    for points in (512, 1500):
        made = pipeline(views(), points=points, steps=3)
        cloud = made.cloud
        assert cloud.points.shape == (points, 3) and cloud.points.dtype == np.float32
        assert cloud.colours is not None and cloud.colours.dtype == np.uint8
        assert cloud.normals is not None and np.linalg.norm(cloud.normals, axis=1) == pytest.approx(1, abs=1e-5)
        low, high = cloud.points.min(0), cloud.points.max(0)
        assert (high - low).max() == pytest.approx(1, abs=1e-5) and (low + high) == pytest.approx(0, abs=1e-5)
        assert made.steps.shape == (3, min(points, 1024), 3) and made.apart is None and not made.alone


def test_the_same_seed_gives_the_same_cloud(pipeline: DiffPointPipeline) -> None:
    one, two, other = (pipeline(views(2), points=512, steps=2, seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(one.cloud.points, two.cloud.points) and one.confidence == two.confidence
    assert not np.array_equal(one.cloud.points, other.cloud.points)
    assert len(one.alone) == 2 and one.apart is not None


def test_progress_counts_up_and_can_stop_the_work(pipeline: DiffPointPipeline) -> None:
    seen: list[tuple[int, int, bool]] = []

    def on_step(done: int, total: int, preview: Any = None) -> None:
        seen.append((done, total, preview is not None))
        if done == 5:
            raise Cancelled

    pipeline(views(), points=512, steps=2, on_step=lambda *step: seen.append((step[0], step[1], step[2] is not None)))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5] and {total for _, total, _ in seen} == {5}
    assert [shown for _, _, shown in seen] == [False, False, True, True, False]
    with pytest.raises(Cancelled):
        pipeline(views(), points=512, steps=8, on_step=on_step)


def test_opinions_that_differ_are_told(pipeline: DiffPointPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    clouds = {name: rng.normal(size=(1024, 3)).astype(np.float32) * 0.1 + at for name, at in (("a", 0), ("b", 0.5))}

    def answers(first: str, *others: str) -> Any:
        made = iter([[clouds[first]], [clouds[each] for each in others]])

        def sampled(*arguments: Any, **options: Any) -> torch.Tensor:
            places = torch.from_numpy(np.stack(next(made)))
            options.get("on_estimate", lambda *_: None)(1, torch.cat([places, places, places], -1))
            return torch.cat([places, places, places], -1)

        return sampled

    for first, others, codes in (
        ("a", "aaa", []),
        ("a", "baa", ["cloud.unsure"]),
        ("a", "aab", ["cloud.views-disagree"]),
    ):
        monkeypatch.setattr(module, "sampled", answers(first, *others))
        made = pipeline(views(2), points=1024, steps=2)
        assert [finding.code for finding in made.findings] == codes
        assert (made.confidence > 0.9) == (not codes) and (made.confidence < 0.5) == bool(codes)


def test_the_distance_between_clouds() -> None:
    one = np.array([[0, 0, 0], [1, 0, 0]], np.float32)
    assert chamfer(one, one)[0] == 0
    assert chamfer(one, one + np.float32([0, 0.25, 0]))[0] == pytest.approx(0.25)
    assert chamfer(one, one[:1])[0] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("count", "options", "code"),
    [
        (0, {}, "cloud.views"),
        (9, {}, "cloud.views"),
        (1, {"points": 511}, "cloud.points"),
        (1, {"points": 16_385}, "cloud.points"),
        (1, {"steps": 1}, "cloud.steps"),
        (1, {"sampler": "euler"}, "cloud.sampler"),
        (1, {"guidance": float("nan")}, "cloud.guidance"),
    ],
)
def test_what_cannot_be_made_is_refused(
    pipeline: DiffPointPipeline, count: int, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(InputError) as caught:
        pipeline(views(count), **options)
    assert caught.value.code == code


def test_weights_come_back_with_their_limits(pipeline: DiffPointPipeline, tmp_path: Path) -> None:
    pipeline.doubt = Doubt(0.01, 0.02)
    pipeline.save_pretrained(tmp_path / "w")
    again = DiffPointPipeline.from_pretrained(tmp_path / "w", device="cpu", dtype="float32")
    assert again.doubt == Doubt(0.01, 0.02) and again.model.config == TINY
    one, two = (each(views(), points=512, steps=2).cloud.points for each in (pipeline, again))
    assert one == pytest.approx(two, abs=2e-2)  # stored as float16
    (tmp_path / "w" / "config.json").write_text('{"embed": 8}')
    with pytest.raises(WeightsError) as caught:
        DiffPointPipeline.from_pretrained(tmp_path / "w")
    assert caught.value.code == "weights.mismatch"


def test_the_starter_holds_its_clouds_to_the_outlines() -> None:
    pipeline = DiffPointPipeline.from_pretrained("diffpoint", device="cpu")
    free = DiffPointPipeline(pipeline.model, pipeline.runtime)
    free._read = lambda seen: (*DiffPointPipeline._read(free, seen)[:2], None)  # type: ignore[method-assign]
    held, loose = [], []
    for seed, category in enumerate(("car", "plane", "table")):
        shape = sample_object(np.random.default_rng(900 + seed), category)
        rng = np.random.default_rng(seed)
        pictures = [np.dstack(picture(shape, sample_camera(rng), 128)) for _ in range(2)]
        made, other = (each(pictures, points=1024, steps=10) for each in (pipeline, free))
        assert len(made.cameras) == 2 and {"from-1", "from-2"} <= set(made.layers)
        assert other.cameras == () and "from-1" not in other.layers
        seen = list(zip(made.cameras, (Outline.of(view.picture[..., 3]) for view in made.views), strict=True))
        for figures, points in ((held, made.cloud.points), (loose, other.cloud.points)):
            figures.append(sum(misfit(points.astype(float), *each) for each in seen))
    assert sum(held) < 0.85 * sum(loose) and all(one < other for one, other in zip(held, loose, strict=True))
