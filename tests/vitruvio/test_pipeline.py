"""From a sketch to a building with a field that is known: what the pipeline makes of it, whatever the network."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.core import checkpoint, runtime
from pipelines.core.errors import WeightsError
from pipelines.mesh import topology
from pipelines.synthetic.buildings import sample_building
from pipelines.synthetic.hidden_lines import Camera
from pipelines.synthetic.linework import CLEAN, draw
from pipelines.vitruvio.network import OccupancyConfig, OccupancyNetwork
from pipelines.vitruvio.pipeline import BuildingResult, Reading, VitruvioPipeline

L_SHAPE = sample_building(np.random.default_rng(3), "l-plan")
TINY = OccupancyConfig(c_dim=8, hidden=8, encoder_width=4, picture_size=64, channels=1)


def blurred(points: np.ndarray) -> np.ndarray:
    """Logits of the L: 0 on its walls, the steeper the further from them."""
    normals, offsets = L_SHAPE.half_spaces
    beyond = (points @ normals.reshape(-1, 3).T).reshape(len(points), *offsets.shape) - offsets
    return (-60 * beyond.max(2).min(1)).astype(np.float32)


def pipeline(config: OccupancyConfig = TINY, **values: Any) -> VitruvioPipeline:
    torch.manual_seed(0)
    return VitruvioPipeline(OccupancyNetwork(config), runtime.choose("cpu", "float32"), **values)


def made(monkeypatch: pytest.MonkeyPatch, azimuth: float, **values: Any) -> BuildingResult:
    """The L, drawn from an azimuth."""
    monkeypatch.setattr(VitruvioPipeline, "read", lambda *_: Reading(blurred, projection))
    view, projection = values.pop("view", None), values.pop("projection", None)
    sketch = draw(L_SHAPE, Camera(azimuth, 25, 30), CLEAN, np.random.default_rng(0), 256)
    return pipeline(**values)(np.repeat(sketch[..., None], 3, 2), view=view, detail=1)


@pytest.mark.parametrize("threshold", [0.2, 0.8])
def test_the_clean_up_builds_where_the_threshold_is(monkeypatch: pytest.MonkeyPatch, threshold: float) -> None:
    result = made(monkeypatch, 30, threshold=threshold)
    change = result.changes[-1]
    assert change.name == "straighten" and change.changed, change.message
    assert topology.volume(result.mesh) * result.side**3 == pytest.approx(topology.volume(result.raw), rel=0.05)


@pytest.mark.parametrize(("view", "quadrant"), [(None, 0), ((125.0, 25.0), 1)])
def test_a_building_that_is_seen_from_anywhere_is_turned_to_its_camera(
    monkeypatch: pytest.MonkeyPatch, view: tuple[float, float] | None, quadrant: int
) -> None:
    """Drawn from the third quadrant, it turns half round, or as far as the view asks."""
    result = made(monkeypatch, 215, pose="canonical", threshold=0.5, view=view)
    assert result.camera.azimuth == pytest.approx(90 * quadrant + 35, abs=8)
    turn = np.linalg.matrix_power([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], (quadrant - 2) % 4)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (4000, 3))
    true, found = L_SHAPE.occupancy(points @ turn), topology.contains(result.mesh, points)
    assert (true & found).sum() > 0.9 * (true | found).sum()


def test_a_building_that_stands_at_any_angle_is_turned_to_the_view_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    result = made(monkeypatch, 30, pose="free", threshold=0.5, view=(112.5, 25.0))
    assert result.camera.azimuth == pytest.approx(112.5)
    across = np.linalg.norm(result.mesh.vertices[:, [0, 2]], axis=1)
    straight = made(monkeypatch, 30, pose="free", threshold=0.5)
    assert across == pytest.approx(np.linalg.norm(straight.mesh.vertices[:, [0, 2]], axis=1))
    turn = np.radians(112.5 - straight.camera.azimuth)
    first = straight.mesh.vertices @ np.array(
        [[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]]
    )
    assert np.allclose(result.mesh.vertices, first, atol=1e-9)


def test_the_networks_own_camera_is_taken_unless_the_view_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says 60 degrees where the outline says 30: whom is believed shows."""
    told = Camera(60, 30, 40).matrix
    result = made(monkeypatch, 30, threshold=0.5, pose="quarter", projection=told / told[2, 3])
    assert result.camera.azimuth == pytest.approx(60, abs=1)
    result = made(monkeypatch, 30, threshold=0.5, pose="quarter", projection=told / told[2, 3], view=(33.0, 25.0))
    assert result.camera.azimuth == pytest.approx(30, abs=8)


@torch.inference_mode()
def test_a_camera_is_read_from_the_picture_and_its_mirror_image() -> None:
    made = pipeline(replace(TINY, local=4), pose="quarter")
    with torch.no_grad():
        torch.nn.init.normal_(made.model.local.camera[-1].weight, std=0.05)  # pyright: ignore
    image = np.full((64, 64), 255, np.uint8)
    image[10:50, 10], image[50, 10:40] = 0, 0
    both, one, other = (made.read(image, variant).projection for variant in range(3))
    assert one is not None and other is not None and both is not None
    assert not np.allclose(one, other, atol=1e-3) and np.allclose(both, (one + other) / 2)
    turned = made.read(np.ascontiguousarray(image[:, ::-1]), 1).projection
    assert turned is not None
    points = np.concatenate([np.random.default_rng(0).uniform(-0.4, 0.4, (5, 3)), np.ones((5, 1))], 1)
    seen, flipped = points @ other.T, points[:, [2, 1, 0, 3]] @ turned.T
    assert np.allclose(seen[:, 0] / seen[:, 2], -flipped[:, 0] / flipped[:, 2], atol=1e-4)


def test_a_latent_variable_alone_makes_the_variants() -> None:
    """Variants 1 and 2 are draws, and not one way round of the picture."""
    made = pipeline(replace(TINY, z_dim=4), pose="quarter")
    decoder: Any = made.model.decoder
    with torch.no_grad():
        for block in (decoder.fc_z, decoder.fc_p, decoder.fc_out):
            torch.nn.init.normal_(block.weight)
    image = np.full((64, 64), 255, np.uint8)
    image[10:50, 10] = 0
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (200, 3)).astype(np.float32)
    answers = [made.field(image, variant, seed=3)(points) for variant in range(made.variants)]
    assert made.variants == 8
    assert all(not np.array_equal(one, other) for i, one in enumerate(answers) for other in answers[:i])
    with torch.inference_mode():
        picture = torch.from_numpy(image)[None, None].float() / 255
        mean = made.model(torch.from_numpy(points)[None], picture)[0].numpy()
    assert np.allclose(answers[0], mean, atol=1e-4)
    assert np.array_equal(answers[2], made.field(image, 2, seed=3)(points))


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    pipeline(pose="free", threshold=0.3).save_pretrained(tmp_path)
    again = VitruvioPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    assert (again.pose, again.threshold, again.model.config) == ("free", 0.3, TINY)


@pytest.mark.parametrize("wrong", [{"pose": "quater"}, {"threshold": "0.2"}, {"threshold": float("nan")}])
def test_values_beside_the_network_are_checked(tmp_path: Path, wrong: dict[str, Any]) -> None:
    made = pipeline()
    checkpoint.save_component(tmp_path, made.model, asdict(TINY) | wrong)
    with pytest.raises(WeightsError) as raised:
        VitruvioPipeline.from_pretrained(tmp_path)
    assert raised.value.code == "weights.mismatch"


def test_a_building_is_scaled_about_the_origin_and_stays_where_the_network_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = np.float32([0.02, -0.03, 0.01])
    shrunk = Reading(lambda points: blurred((points - away) / np.float32(0.9)))
    monkeypatch.setattr(VitruvioPipeline, "read", lambda *_: shrunk)
    sketch = draw(L_SHAPE, Camera(30, 25, 30), CLEAN, np.random.default_rng(0), 256)
    result = pipeline(threshold=0.5)(np.repeat(sketch[..., None], 3, 2), detail=1)
    low, high = result.mesh.vertices.min(0), result.mesh.vertices.max(0)
    assert (high - low).max() == pytest.approx(1)
    assert result.side == pytest.approx(0.9, abs=0.03)
    np.testing.assert_allclose((low + high) / 2, away / result.side, atol=0.02)
