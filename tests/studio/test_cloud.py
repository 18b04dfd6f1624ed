"""Pictures, clouds and solids through the spine: recipe, engine, store, replay and command line, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from pipelines.core.types import Cloud
from pipelines.mesh import topology
from pipelines.synthetic.objects import Camera, picture, sample_object
from studio import clouds, errors, media, meshes, registry, replay, sealing, sidecar, viewing
from studio import settings as studio_settings
from studio.cli import run
from studio.engine import Engine

FEW = ("--points", "512", "--steps", "2")


def view(path: Path, seed: int = 3, category: str = "chair", azimuth: float = 30, *, transparent: bool = True) -> Path:
    """A picture of an object, on nothing or on a grey wall."""
    shape = sample_object(np.random.default_rng(seed), category)
    colours, cover = picture(shape, Camera(azimuth, 20, 2.5), 160)
    if transparent:
        cv2.imwrite(str(path), np.dstack([colours[..., ::-1], cover]))
        return path
    share = np.pad(cover, 30)[..., None] / 255
    wall = np.pad(colours, ((30, 30), (30, 30), (0, 0)))[..., ::-1] * share + 205 * (1 - share)
    cv2.imwrite(str(path), wall.astype(np.uint8))
    return path


def ball(path: Path, *middles: float) -> Path:
    """Balls of 2,000 points side by side."""
    normals = np.random.default_rng(0).normal(size=(2000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = np.concatenate([normals * 0.5 + [x, 0, 0] for x in middles or (0,)])
    directions = np.concatenate([normals] * max(len(middles), 1))
    made = Cloud(points.astype(np.float32), np.full(points.shape, 90, np.uint8), directions.astype(np.float32))
    path.write_bytes(clouds.encode(made, path.suffix[1:]))
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of a command."""
    code = run([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_cloud_in_every_format_is_sealed_and_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = view(tmp_path / "one.png"), view(tmp_path / "two.png", azimuth=140)
    also = [word for name in ("xyz", "las", "laz") for word in ("--also", name)]
    code, told = answer(capsys, "cloud", one, two, "-o", tmp_path / "out.ply", *FEW, *also, "--layers")
    assert code == 0 and [Path(path).suffix for path in told["outputs"]] == [".ply", ".xyz", ".las", ".laz"]
    assert told["receipt"]["cloud"]["points"] == 512 and told["receipt"]["cloud"]["pictures"] == 2
    first = None
    for path in map(Path, told["outputs"]):
        cloud = clouds.decode(path.read_bytes(), path.name)
        assert cloud.points.shape == (512, 3) and cloud.colours is not None and cloud.normals is not None
        assert cloud.points[:, 2].min() == pytest.approx(0, abs=1e-6)
        assert np.ptp(cloud.points, axis=0).max() == pytest.approx(1, abs=1e-4)
        first = cloud if first is None else first
        assert cloud.points == pytest.approx(first.points, abs=1e-6)
        seal, notes = sidecar.read(path)
        assert seal.recipe.kind == "cloud" and seal.output.format == path.suffix[1:] and not notes
        embedded = sidecar.embedded(path.read_bytes())
        assert (embedded is None) == (path.suffix == ".xyz")
    names = {path.name for path in (tmp_path / "out.ply.layers").iterdir()}
    assert {"view-1.png", "view-2.png", "cloud.png", "view.bin"} <= names
    engine = Engine(studio_settings.load())
    again = replay.rerun(engine, tmp_path / "out.ply")
    assert again["verdict"] == "bit-exact" and "512 points" in again["comparison"]
    assert replay.explain(engine, tmp_path / "out.laz")["notes"] == []


def test_a_changed_cloud_is_told(tmp_path: Path) -> None:
    assert run(["cloud", str(view(tmp_path / "one.png")), "-o", str(tmp_path / "out.xyz"), *FEW]) == 0
    path = tmp_path / "out.xyz"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[1:] + lines[:1]) + "\n")
    notes = replay.explain(Engine(studio_settings.load()), path)["notes"]
    assert any("the points are not those that were written" in note for note in notes)


def test_a_solid_of_a_cloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = ball(tmp_path / "ball.ply")
    code, told = answer(capsys, "surface", source, "--height", "50mm", "-o", tmp_path / "ball.3mf", "--also", "stl")
    assert code == 0 and told["receipt"]["passport"]["manifold"] and told["receipt"]["surface"]["method"] == "poisson"
    mesh = meshes.decode((tmp_path / "ball.stl").read_bytes(), "ball.stl")
    assert topology.edge_report(mesh).closed and np.ptp(mesh.vertices[:, 2]) == pytest.approx(50, abs=0.01)
    seal, _ = sidecar.read(tmp_path / "ball.3mf")
    assert registry.kind("surface").origin.parent == "cloud" and seal.recipe.inputs["cloud"].name == "ball.ply"


def test_a_cloud_and_its_solid_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.runners.cloud.PIPELINE", "tests.ui.ball_pipeline:BallPipeline")
    source, paths = view(tmp_path / "one.png"), (tmp_path / "a.ply", "--mesh", tmp_path / "a.3mf")
    code, told = answer(capsys, "cloud", source, "-o", *paths, "--dry-run")
    assert code == 0 and told["mesh"]["output"] == str(tmp_path / "a.3mf") and not paths[0].exists()
    code, told = answer(capsys, "cloud", source, "-o", *paths)
    assert code == 0 and told["output"] == str(paths[0]) and told["mesh"]["output"] == str(tmp_path / "a.3mf")
    mesh = meshes.decode((tmp_path / "a.3mf").read_bytes(), "a.3mf")
    assert topology.edge_report(mesh).closed and len(topology.split(mesh)) == 1


def test_a_solid_that_is_refused_leaves_the_cloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.runners.cloud.PIPELINE", "tests.ui.ball_pipeline:FlatPipeline")
    source = view(tmp_path / "one.png")
    code, told = answer(capsys, "cloud", source, "-o", tmp_path / "a.ply", "--mesh", tmp_path / "a.3mf")
    assert (
        code == errors.INPUT and told["error"]["code"] == "surface.flat" and told["output"] == str(tmp_path / "a.ply")
    )
    assert (tmp_path / "a.ply").is_file() and not (tmp_path / "a.3mf").exists()


def test_names_are_those_of_the_pipelines() -> None:
    from pipelines.diffpoint import diffusion, pipeline
    from pipelines.mesh import clouds as files
    from pipelines.mesh import surface
    from studio.commands import cloud as commands

    fields = registry.CloudSettings.model_fields
    assert get_args(fields["sampler"].annotation) == diffusion.SAMPLERS == tuple(commands.Sampler)
    assert get_args(registry.kind("surface").settings.model_fields["method"].annotation) == get_args(surface.Method)
    assert tuple(commands.Method) == get_args(surface.Method)
    assert clouds.FORMATS == files.FORMATS and registry.MOST_VIEWS == pipeline.MOST_VIEWS
    limits = {name: (fields[name].metadata[0].ge, fields[name].metadata[1].le) for name in ("points", "steps")}
    assert limits == {"points": pipeline.POINTS, "steps": pipeline.STEPS}


def test_what_encloses_nothing_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ball(tmp_path / "two.laz", -3, 3)
    code, told = answer(capsys, "surface", source, "-o", tmp_path / "two.3mf")
    assert code == errors.INPUT and told["error"]["code"] == "surface.open"
    assert "separate parts" in told["error"]["seen"] and not (tmp_path / "two.3mf").exists()
    code, told = answer(capsys, "surface", source, "--longest", "0mm", "-o", tmp_path / "two.3mf")
    assert code == errors.USAGE and told["error"]["code"] == "size.range"


def test_a_mesh_is_no_cloud_and_a_cloud_no_mesh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = ball(tmp_path / "ball.ply")
    assert run(["surface", str(cloud), "-o", str(tmp_path / "solid.ply")]) == 0
    capsys.readouterr()
    assert answer(capsys, "surface", tmp_path / "solid.ply")[1]["error"]["code"] == "cloud.is-mesh"
    assert answer(capsys, "passport", cloud)[1]["error"]["code"].startswith("mesh.")


BAD = {
    "no object": (np.full((120, 160, 3), 190, np.uint8), "object.none"),
    "noise": (np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8), "object.none"),
    "eight pixels": (np.zeros((8, 8, 3), np.uint8), "input.too-small"),
    "all transparent": (np.zeros((120, 160, 4), np.uint8), "input.transparent"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_shows_no_object_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    pixels, code = BAD[name]
    cv2.imwrite(str(tmp_path / "bad.png"), pixels)
    good = view(tmp_path / "good.png")
    exit_code, told = answer(capsys, "cloud", good, tmp_path / "bad.png", "-o", tmp_path / "out.ply", *FEW)
    assert exit_code == errors.INPUT and told["error"]["code"] == code and told["error"]["remedy"]
    if code == "object.none":
        assert told["error"]["seen"].startswith("picture 2:")
    assert not (tmp_path / "out.ply").exists()


def test_two_objects_in_one_picture_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = cv2.imread(str(view(tmp_path / "a.png", transparent=False)))
    other = cv2.imread(str(view(tmp_path / "b.png", seed=5, category="lamp", transparent=False)))
    cv2.imwrite(str(tmp_path / "two.png"), np.concatenate([one, other], 1))
    code, told = answer(capsys, "cloud", tmp_path / "two.png", "-o", tmp_path / "out.ply", *FEW)
    assert code == 0 and "object.several" in [finding["code"] for finding in told["receipt"]["findings"]]


def test_transparency_cuts_the_object_out(tmp_path: Path) -> None:
    source = view(tmp_path / "one.png")
    pixels, info = media.decode(source.read_bytes(), "one.png", keep_alpha=True)
    assert pixels.shape[2] == 4 and not info.findings
    engine = Engine(studio_settings.load())
    product = engine.perform(engine.draft("cutout", {"view": source})).product
    assert product.pixels.shape == (128, 128, 3) and (product.pixels[0] == 128).all()
    assert np.array_equal(product.layers["mask"] > 127, pixels[..., 3] > 127)


def test_options_that_do_not_fit_are_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = view(tmp_path / "one.png")
    for arguments, code in (
        ([source] * 9, "cloud.views"),
        ([source, "--height", "20mm"], "cloud.no-mesh"),
        ([source, "--mesh", tmp_path / "a.ply", "-o", tmp_path / "a.stl"], "output.format"),
        ([source, "--mesh", tmp_path / "a.xyz"], "output.format"),
        ([source, "--mesh", source, "--force"], "output.format"),
        ([source, "--points", "100"], "usage"),
        ([source, "--profile", "ender-3"], "cloud.no-mesh"),
        ([source, "-o", tmp_path / "a.ply", "--mesh", tmp_path / "a.ply"], "output.is-input"),
        ([source, "-o", tmp_path / "a.las", "--also", "ply", "--mesh", tmp_path / "a.ply"], "output.is-input"),
    ):
        exit_code, told = answer(capsys, "cloud", *arguments)
        assert exit_code == errors.USAGE and told["error"]["code"] == code, arguments
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png"]


def test_the_viewer_gets_what_was_kept(tmp_path: Path) -> None:
    cloud = Cloud(np.ones((5, 3), np.float32), np.full((5, 3), 7, np.uint8))
    packed = viewing.pack_cloud(cloud, np.zeros((2, 4, 3), np.float16), (np.ones((4, 3), np.float32),) * 3)
    assert np.frombuffer(packed[:16], "<u4").tolist() == [5, 2, 4, 3]
    assert len(packed) == 16 + 12 * (5 + 2 * 4 + 3 * 4) + 15 and packed[-15:] == b"\7" * 15
    with pytest.raises(ValueError, match="colours"):
        viewing.pack_cloud(Cloud(cloud.points), np.zeros((1, 4, 3), np.float16), ())


def test_a_cloud_goes_into_another_format_with_its_recipe(tmp_path: Path) -> None:
    assert run(["cloud", str(view(tmp_path / "one.png")), "-o", str(tmp_path / "out.ply"), *FEW]) == 0
    data, seal = (tmp_path / "out.ply").read_bytes(), sidecar.read(tmp_path / "out.ply")[0]
    body, new = sealing.converted(data, seal, "laz")
    assert new.output.format == "laz" and sealing.content_hash(sealing.content(body, "laz")) == new.output.pixels_sha256
    assert sidecar.parse(sidecar.embedded(body) or "").recipe == seal.recipe
