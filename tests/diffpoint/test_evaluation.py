"""What the figures mean, with answers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.diffpoint import evaluation
from pipelines.diffpoint.evaluation import Item, distances, fixed, in_frame, score
from pipelines.synthetic.objects import HELD_OUT


def cube(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3), np.float32)


def test_clouds_are_compared_in_one_frame() -> None:
    points = cube(3000)
    framed = in_frame(points * 7 + 3)
    assert framed.shape == (2048, 3) and np.abs(framed).max() <= 0.5 + 1e-6
    assert np.ptp(framed, axis=0).max() == pytest.approx(1, abs=2e-3)
    figures = distances(points, points * 2 - 1)
    assert figures["chamfer"] == pytest.approx(0, abs=1e-6) and figures["emd"] == pytest.approx(0, abs=1e-6)
    assert figures["fscore_0.01"] == figures["fscore_0.05"] == 1


def test_distances_by_hand() -> None:
    line = np.stack([np.linspace(0, 1, 1024), np.zeros(1024), np.zeros(1024)], 1).astype(np.float32)
    bent = line.copy()
    bent[512:, 1] = 0.03  # its box's middle is 0.015 from both halves
    figures = distances(bent, line)
    assert figures["chamfer"] == pytest.approx(0.015, rel=0.02) and figures["emd"] == pytest.approx(0.015, rel=0.02)
    assert figures["fscore_0.05"] == 1 and figures["fscore_0.01"] == 0


def test_refusing_never_pays() -> None:
    true = cube(2500)
    refused = distances(np.zeros((1, 3), np.float32), true)
    worst = distances(cube(2500, seed=1) * np.array([1, 0, 0], np.float32), true)
    assert refused["chamfer"] > worst["chamfer"] and refused["emd"] > worst["emd"]
    assert refused["fscore_0.01"] < 0.01


def test_scores_by_category_with_retrieval() -> None:
    items = fixed(9)

    def true(pictures: list[np.ndarray]) -> tuple[np.ndarray, float]:
        number = next(n for n, each in enumerate(drawn) if np.array_equal(each.views[0], pictures[0]))
        if number == 2:
            raise InputError("object.none", "No object")
        noise = 0.0 if len(pictures) == 3 else 0.02
        return drawn[number].points + np.float32(noise) * cube(len(drawn[number].points)), 0.5

    drawn = [read() for read in items]
    told = score(items, true, known=20, seed=3)
    assert told["n"] == 9 and told["refused"] == {"object.none": 1} and told["known"] == 20
    assert told["held_out"]["category"] == HELD_OUT and told["held_out"]["n"] == 1 and told["trained"]["n"] == 8
    assert set(told["categories"]) == {item.category for item in drawn}
    kinds = [each for name, each in told["categories"].items() if name != drawn[2].category]
    assert all(each["chamfer_3views"] < each["chamfer"] < each["chamfer_retrieval"] for each in kinds)
    assert told["ratio"] == pytest.approx(told["chamfer"] / told["chamfer_retrieval"], abs=1e-3)
    assert told["confidence"] == 0.5


def test_an_item_with_one_view_has_no_figure_of_three() -> None:
    one = fixed(1)[0]()
    item = Item(one.name, "", one.views[:1], one.points)
    told = score([lambda: item], lambda pictures: (item.points, 1.0), known=0)
    assert told["chamfer"] == pytest.approx(0, abs=1e-6) and "chamfer_3views" not in told and "ratio" not in told
    assert told["categories"] == {}


def test_the_fixed_set_has_no_more_objects() -> None:
    for count in (0, 201):
        with pytest.raises(InputError) as caught:
            fixed(count)
        assert caught.value.code == "data.rendered"
    with pytest.raises(InputError):
        evaluation.evaluate("folder", rendered=3)
