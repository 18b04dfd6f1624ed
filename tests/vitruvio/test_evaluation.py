"""The score: the truth scores full marks, known wrong answers score what geometry says, and nothing depends on luck."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.core.errors import InputError, PipelineError
from pipelines.core.runtime import Runtime
from pipelines.core.types import Mesh
from pipelines.mesh import topology
from pipelines.synthetic.buildings import FAMILIES, HELD_OUT, Building, evaluation_set
from pipelines.synthetic.linework import Camera
from pipelines.vitruvio import evaluation_set as sets
from pipelines.vitruvio.baselines import CELLS, THRESHOLDS, Known, cell_centres
from pipelines.vitruvio.evaluation import evaluate, is_solid, score, volume_moved
from pipelines.vitruvio.evaluation_set import listed, read_item, rendered, write_evaluation_set
from pipelines.vitruvio.network import OccupancyConfig, OccupancyNetwork
from pipelines.vitruvio.pipeline import VitruvioPipeline

EMPTY = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
COUNT = 4


@dataclass
class Answered:
    """What the pipeline returns, as far as it is scored."""

    mesh: Mesh
    raw: Mesh
    prepared: Any
    side: float = 1.0


def smaller(picture: np.ndarray) -> np.ndarray:
    """Stands for the preparation: 32 px, by the darkest pixel."""
    return picture[..., 0].reshape(32, 16, 32, 16).min((1, 3))


class Oracle:
    """Knows the building of every picture of the fixed set."""

    def __init__(self) -> None:
        self.known: dict[bytes, Building] = {}
        for item, building in zip(rendered(COUNT), evaluation_set(), strict=False):
            self.known[item().picture.tobytes()] = building
        self.by_image = {smaller(np.frombuffer(key, np.uint8).reshape(512, 512, 3)).tobytes(): value
                         for key, value in self.known.items()}  # fmt: skip

    def __call__(self, picture: np.ndarray) -> Answered:
        mesh = self.known[picture.tobytes()].mesh()
        return Answered(mesh, mesh, SimpleNamespace(image=smaller(picture)))

    def field(self, image: np.ndarray):
        building = self.by_image[image.tobytes()]
        return lambda points: np.where(building.occupancy(points), 4.0, -4.0).astype(np.float32)


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


def scored(oracle: Oracle, answer: Any = None, **options: Any) -> dict[str, Any]:
    options = {"known": 0, "samples": 2_000, **options}
    return score(rendered(COUNT), answer or oracle, prepare=smaller, field=oracle.field, **options)


def test_the_truth_scores_full_marks(oracle: Oracle) -> None:
    figures = scored(oracle)
    assert figures["iou"] > 0.9995 and figures["field_iou"] == 1  # float32 rays at the very surface
    assert figures["watertight_share"] == figures["solid_share"] == 1
    assert figures["chamfer_l1_x10"] < 0.2 and figures["normal_consistency"] > 0.93
    assert (figures["n"], figures["n_mesh"], figures["refused"]) == (COUNT, COUNT, {})
    assert figures["families"].keys() == set(FAMILIES[:COUNT]) and figures["families_from"] == {"name": COUNT}
    assert figures["retrieval_iou"] is None and figures["held_out"]["n"] == int(HELD_OUT in FAMILIES[:COUNT])
    json.dumps(figures, allow_nan=False)


def test_the_threshold_is_a_probability(oracle: Oracle) -> None:
    inside_at = 1 / (1 + np.exp(-4.0))
    assert scored(oracle, threshold=inside_at - 1e-4)["field_iou"] == 1
    assert scored(oracle, threshold=inside_at + 1e-4)["field_iou"] == 0


def test_a_field_in_another_frame_is_not_scored(oracle: Oracle) -> None:
    figures = score(rendered(COUNT), oracle, prepare=smaller, field=None, known=0, samples=500)
    assert figures["field_iou"] is None and figures["iou"] > 0.999


def test_a_shifted_answer_is_measured(oracle: Oracle) -> None:
    """Moved up by 0.1, the chamfer distance cannot pass 0.1, and IoU follows from the points themselves."""
    shift = np.array([0, 0.1, 0])

    def shifted(picture: np.ndarray) -> Answered:
        answer = oracle(picture)
        return replace(answer, mesh=Mesh(answer.mesh.vertices + shift, answer.mesh.faces))

    figures = scored(oracle, shifted)
    expected = []
    for read, building in zip(rendered(COUNT), evaluation_set(), strict=False):
        points = read().points
        true, found = building.occupancy(points), building.occupancy(points - shift)
        expected.append((true & found).sum() / (true | found).sum())
    assert figures["iou"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert 0.3 < figures["chamfer_l1_x10"] < 1.0 and figures["field_iou"] == 1 and figures["watertight_share"] == 1


def test_refusing_never_pays(oracle: Oracle) -> None:
    asked = list(oracle.known)

    def half(picture: np.ndarray) -> Answered:
        number = asked.index(picture.tobytes())
        if number == 0:
            raise InputError("sketch.empty", "no")
        if number == 1:
            raise InputError("building.nothing", "no")
        return oracle(picture)

    figures = scored(oracle, half, known=3)
    assert figures["refused"] == {"sketch.empty": 1, "building.nothing": 1}
    assert figures["iou"] == pytest.approx(scored(oracle)["iou"] / 2, abs=1e-3) and figures["field_iou"] == 0.5
    assert figures["watertight_share"] == 0.5 and (figures["n"], figures["n_mesh"]) == (COUNT, COUNT - 2)
    assert figures["families"][FAMILIES[0]]["retrieval_iou"] == 0 < figures["families"][FAMILIES[2]]["retrieval_iou"]

    def broken(picture: np.ndarray) -> Answered:
        raise PipelineError("vitruvio.field", "NaN")

    with pytest.raises(PipelineError):
        scored(oracle, broken)


def test_the_seed_decides_everything(oracle: Oracle) -> None:
    steps: list[tuple[int, int]] = []
    first = scored(oracle, known=26, seed=3, on_step=lambda done, total, _: steps.append((done, total)))
    assert first == scored(oracle, known=26, seed=3) != scored(oracle, known=26, seed=4)
    assert steps == [(done, COUNT + 2) for done in range(1, COUNT + 3)]
    assert 0 < first["retrieval_iou"] < 1 and 0 < first["mean_shape_iou"] < 1
    assert first["mean_shape_threshold"] in THRESHOLDS


def test_retrieval_finds_the_drawing_that_is_asked_about() -> None:
    """Asked about the very drawings it will make, it finds each one's building."""
    images: list[np.ndarray] = []

    def remembered(picture: np.ndarray) -> np.ndarray:
        images.append(smaller(picture))
        return images[-1]

    first = Known(np.zeros((1, 32, 32), np.uint8), remembered)
    rng = np.random.default_rng(5)
    for _ in range(8):
        first.add(rng)
    again = Known(np.stack(images), smaller)
    rng = np.random.default_rng(5)
    for _ in range(8):
        again.add(rng)
    assert (again.distance == 0).all()
    occupied = [building.occupancy(again.centres) for building in again.nearest if building]
    assert all((np.unpackbits(bits, count=CELLS**3) == true).all() for bits, true in zip(again.occupied, occupied,
                                                                                        strict=True))  # fmt: skip
    mean = again.mean_shape()
    share = np.mean(occupied, axis=0)
    assert (mean.occupancy(cell_centres()) == (share > mean.threshold)).all()
    best = [np.mean([(true & (share > t)).sum() / (true | (share > t)).sum() for true in occupied]) for t in THRESHOLDS]
    assert mean.threshold == THRESHOLDS[int(np.argmax(best))]


def test_solids() -> None:
    mesh = evaluation_set()[0].mesh()
    assert is_solid(mesh) and volume_moved(mesh, Mesh(mesh.vertices * 0.8, mesh.faces), 0.8) < 1e-9
    assert not is_solid(Mesh(mesh.vertices, mesh.faces[:, ::-1])) and not is_solid(Mesh(mesh.vertices, mesh.faces[1:]))
    assert not is_solid(EMPTY) and volume_moved(mesh, EMPTY, 1.0) == np.inf
    assert not is_solid(topology.joined([mesh, Mesh(mesh.vertices * 0.1 + 3, mesh.faces)]))
    tilted = mesh.vertices @ np.array([[1, 0.01, 0], [0, 1, 0], [0, 0, 1.0]])
    assert not is_solid(Mesh(tilted, mesh.faces))
    speck = topology.joined([mesh, Mesh(mesh.vertices * 0.5 + 3, mesh.faces)])
    assert volume_moved(mesh, speck, 1.0) == pytest.approx(0.125 / 1.125)


def test_the_set_on_disk_is_the_set(oracle: Oracle, tmp_path: Path) -> None:
    written = write_evaluation_set(tmp_path, count=COUNT)
    assert [path.name for path in written] == [f"{FAMILIES[i]}-{i:03d}" for i in range(COUNT)]
    assert listed(tmp_path) == sorted(written)
    for path, read in zip(written, rendered(COUNT), strict=True):
        stored, drawn = read_item(path), read()
        assert (stored.name, stored.family) == (drawn.name, drawn.family)
        assert (stored.picture == drawn.picture).all() and (stored.points == drawn.points).all()
        assert (stored.occupied == drawn.occupied).all() and drawn.mesh is not None and stored.mesh is not None
        np.testing.assert_allclose(stored.mesh.vertices, drawn.mesh.vertices, atol=1e-7)
        assert 0 < Camera(**json.loads((path / "view.json").read_text(encoding="utf-8"))).azimuth < 90
    items = [lambda path=path: read_item(path) for path in written]
    again = score(items, oracle, prepare=smaller, field=oracle.field, known=0, samples=2_000)
    for name, value in scored(oracle).items():
        assert again[name] == (pytest.approx(value, abs=1e-5) if isinstance(value, float) else again[name])


def test_folders_of_others(tmp_path: Path) -> None:
    """Without mesh.obj, with a family of its own, in a split, or damaged."""
    (path,) = write_evaluation_set(tmp_path / "a", count=1)
    (path / "mesh.obj").unlink()
    (path / "family.txt").write_text("villa\n", encoding="utf-8")
    item = read_item(path)
    assert (item.family, item.family_from, item.mesh) == ("villa", "family.txt", None)
    nameless = path.rename(tmp_path / "a" / "x7")
    (nameless / "family.txt").unlink()
    assert read_item(nameless).family == read_item(nameless).family_from == "unknown"
    for split, code in (("val", "data.empty"), ("dev", "data.split")):
        with pytest.raises(InputError) as raised:
            listed(tmp_path / "a", split)
        assert raised.value.code == code
    with pytest.raises(InputError) as raised:
        listed(tmp_path)
    assert raised.value.code == "data.empty"
    (nameless / "sketch.png").write_bytes(b"")
    with pytest.raises(InputError) as raised:
        read_item(nameless)
    assert raised.value.code == "input.unreadable"
    for count in (0, 201):
        with pytest.raises(InputError) as raised:
            rendered(count)
        assert raised.value.code == "data.rendered"


def test_unknown_families_are_in_no_group(oracle: Oracle) -> None:
    items = [lambda read=read: replace(read(), family=sets.UNKNOWN, family_from=sets.UNKNOWN) for read in rendered(2)]
    figures = score(items, oracle, prepare=smaller, field=oracle.field, known=0, samples=500)
    assert figures["families"] == {} and figures["trained"]["n"] == figures["held_out"]["n"] == 0
    assert figures["n"] == 2 and figures["families_from"] == {"unknown": 2}


def test_items_lie_in_the_frame() -> None:
    item = rendered(1)[0]()
    assert item.picture.shape == (512, 512, 3) and item.points.shape == (20_000, 3) and item.points.dtype == np.float32
    assert np.abs(item.points).max() <= 0.55 and 0 < item.occupied.mean() < 1


def test_the_pipeline_is_scored_through_its_public_way(tmp_path: Path) -> None:
    """A network that holds everything to be inside answers with a cube, and scores what a cube scores."""
    shape = OccupancyConfig(c_dim=8, hidden=8, picture_size=128, channels=1, encoder_width=4, pooled=1)
    model = OccupancyNetwork(shape)
    with torch.no_grad():
        model.decoder.fc_out.weight.zero_()  # type: ignore[union-attr,operator]  the module's own layers
        model.decoder.fc_out.bias.fill_(1.0)  # type: ignore[union-attr,operator]
    cpu = Runtime(torch.device("cpu"), torch.float32)
    VitruvioPipeline(model, cpu, pose="quarter", threshold=0.5).save_pretrained(tmp_path / "weights")
    figures = evaluate(weights=tmp_path / "weights", rendered=2, known=2, device="cpu", dtype="float32")
    items = [read() for read in rendered(2)]
    assert figures["refused"] == {} and figures["n"] == 2
    assert figures["field_iou"] == pytest.approx(np.mean([item.occupied.mean() for item in items]))
    cube = [(np.abs(item.points).max(1) <= 0.5) | item.occupied for item in items]
    expected = np.mean([item.occupied.sum() / both.sum() for item, both in zip(items, cube, strict=True)])
    assert figures["iou"] == pytest.approx(expected, rel=0.02)
    assert figures["watertight_share"] == figures["solid_share"] == 1
    assert figures["weights"] == str(tmp_path / "weights") and len(figures["weights_sha256"]) == 64
    for options, code in (
        ({"data": tmp_path, "rendered": 2}, "data.rendered"),
        ({"data": tmp_path}, "data.empty"),
        ({"rendered": 201}, "data.rendered"),
    ):
        with pytest.raises(InputError) as raised:
            evaluate(weights=tmp_path / "weights", **options)
        assert raised.value.code == code
