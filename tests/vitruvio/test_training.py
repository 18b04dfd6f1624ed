"""Training on a folder: the network sees the stored views and points, and learns them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.core import checkpoint
from pipelines.core.errors import InputError
from pipelines.core.runtime import Runtime
from pipelines.core.training import TrainConfig
from pipelines.mesh import export
from pipelines.synthetic.buildings import sample_building
from pipelines.vitruvio import dataset, preparation, training
from pipelines.vitruvio.network import CONFIGS, OccupancyConfig

CPU = Runtime(torch.device("cpu"), torch.float32)
TINY = OccupancyConfig(
    c_dim=16, hidden=16, picture_size=32, channels=1, encoder_width=8, pooled=1, octaves=2, local=4
)  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve buildings of three views: nine to train on, one to validate on."""
    meshes = tmp_path_factory.mktemp("meshes")
    rng = np.random.default_rng(0)
    for number in range(12):
        mesh = sample_building(rng, "slab").mesh()
        (meshes / f"b{number:02d}.obj").write_bytes(export.encode(mesh, "obj"))
    settings = preparation.Settings(views=3, points=600, side=40, up="y")
    return preparation.prepare(meshes, tmp_path_factory.mktemp("data") / "set", settings).folder


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIGS, "tiny", TINY)  # type: ignore[arg-type]  it is a dict, declared to be read only


def config(steps: int) -> TrainConfig:
    return TrainConfig(minutes=None, steps=steps, batch=8, lr=1e-2, warmup=5, ema=0.9)


def test_samples_are_the_stored_ones(prepared: Path) -> None:
    source, held = training.from_folders([prepared], TINY, np.random.default_rng(0), 200)
    models = dataset.models(prepared, "train")
    stored = {dataset.read_view(path, 32).tobytes(): (model, view) for model in models
              for view, path in enumerate(model.views())}  # fmt: skip
    seen = set()
    rng = np.random.default_rng(1)
    for _ in range(60):
        drawn = source(rng)
        model, view = stored[drawn["sketch"].tobytes()]
        points, occupied = model.points()
        away = np.linalg.norm(drawn["points"][:, None] - points, axis=2)
        chosen = away.argmin(1)
        assert len(set(chosen)) == 200 and 0 < away.min(1).max() < 1e-3
        assert (drawn["occupied"] == occupied[chosen]).all()
        np.testing.assert_array_equal(drawn["projection"], model.projection(view))
        seen.add((model.folder.name, view))
    assert {view for _, view in seen} == {0, 1, 2} and len({name for name, _ in seen}) == len(models)
    (first,) = held
    (validated,) = dataset.models(prepared, "val")
    assert (first["picture"][0] * 255 == dataset.read_view(validated.views()[0], 32)).all()


def test_it_learns_from_a_folder(prepared: Path, tmp_path: Path) -> None:
    weights = training.train(tmp_path / "run", config(80), CPU, data=[prepared], network="tiny", points=256)
    state = checkpoint.read_config(weights)
    assert state["pose"] == "quarter" and state["c_dim"] == 16
    log = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    _, occupied = dataset.models(prepared, "val")[0].points()
    # everything inside would score the share that is; measured: 0.55
    assert json.loads(log[-1])["val_iou"] > max(0.4, 2 * occupied.mean())


def test_cameras_are_optional(prepared: Path, tmp_path: Path) -> None:
    """As published: without cameras.npz, and mirrored only where the pose allows it."""
    (tmp_path / "set").mkdir()
    for path in sorted(prepared.rglob("*")):
        target = tmp_path / "set" / path.relative_to(prepared)
        if path.is_dir():
            target.mkdir()
        elif path.name not in (dataset.CAMERAS, preparation.SETTINGS):
            target.write_bytes(path.read_bytes())
    source, held = training.from_folders([tmp_path / "set"], TINY, np.random.default_rng(0), 64)
    assert "projection" not in source(np.random.default_rng(0)) and "projection" not in held[0]
    weights = training.train(tmp_path / "run", config(2), CPU, data=[tmp_path / "set"], network="tiny", points=64)
    assert checkpoint.read_config(weights)["pose"] == "canonical"


def test_refusals(prepared: Path, tmp_path: Path) -> None:
    for options, code in (
        ({"data": [prepared], "points": 601}, "data.points"),
        ({"data": [tmp_path]}, "data.layout"),
        ({"data": [prepared], "pose": "standing"}, "train.pose"),
    ):
        with pytest.raises(InputError) as raised:
            training.train(tmp_path / "run", config(1), CPU, network="tiny", **options)
        assert raised.value.code == code
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "train.lst").write_text("\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        training.train(tmp_path / "run", config(1), CPU, data=[tmp_path], network="tiny")
    assert raised.value.code == "data.empty"
