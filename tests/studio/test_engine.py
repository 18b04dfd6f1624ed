"""Recipe -> engine -> store: what is refused before the work, what the receipt says, how work is stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_kind
from PIL import Image

from pipelines.core.errors import Cancelled, InputError, WeightsError
from studio import pictures, recipe, registry, settings, sidecar
from studio.engine import Engine, Progress
from studio.errors import OutputError, UsageError
from studio.store import Artefact
from studio.targets import Target


@pytest.fixture
def engine() -> Engine:
    """An engine on the CPU, in the test's workspace."""
    return Engine(settings.load(device="cpu", dtype="float32"))


@pytest.fixture
def made(engine: Engine, photo: Path, tmp_path: Path) -> Artefact:
    """A softened photo."""
    return engine.execute(engine.draft("soften", {"person": photo}, seed=4), Target(tmp_path / "out.png", "png"))


def test_recipe_is_complete(made: Artefact, photo: Path) -> None:
    wanted = made.sidecar.recipe
    assert wanted.kind == "soften" and wanted.seed == 4 and wanted.inputs["person"].name == "photo.png"
    assert wanted.settings == tiny_kind.SoftenSettings().model_dump(mode="json")  # defaults are written out
    assert recipe.parse(wanted.canonical()) == wanted


def test_receipt(made: Artefact) -> None:
    receipt = made.sidecar.receipt
    assert (
        receipt["seed"] == 4 and receipt["edit"]["changed_outside_mask"] == 0 and receipt["edit"]["mask_pixels"] == 480
    )
    assert [finding["code"] for finding in receipt["findings"]] == ["soften.note"]
    assert receipt["timings"]["total"] >= receipt["timings"]["loading"] >= 0 and receipt["peak_rss_mb"] > 30
    assert {"device", "dtype", "torch", "threads", "numpy", "opencv", "studio", "code", "system"} <= set(
        made.sidecar.environment
    )


def test_leak_is_counted(engine: Engine, photo: Path, tmp_path: Path) -> None:
    draft = engine.draft("soften", {"person": photo}, {"leak": True})
    made = engine.execute(draft, Target(tmp_path / "out.png", "png"))
    assert made.sidecar.receipt["edit"]["changed_outside_mask"] == 1


def test_same_recipe_same_pixels(engine: Engine, made: Artefact, tmp_path: Path) -> None:
    again = engine.execute(engine.reopen(made.sidecar.recipe), Target(tmp_path / "again.png", "png"))
    assert again.sidecar.output.pixels_sha256 == made.sidecar.output.pixels_sha256
    assert again.sidecar.recipe_sha256 == made.sidecar.recipe_sha256


def test_input_metadata_stays_out(engine: Engine, pixels: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}  # GPS
    exif[0xA431] = "SERIAL-4711"
    exif[0x010F] = "CAMERA-MAKER"
    source = tmp_path / "in.jpg"
    Image.fromarray(pixels).save(source, exif=exif, xmp=b"<x>XMP-SECRET</x>", comment=b"COMMENT-SECRET")
    assert b"SERIAL-4711" in source.read_bytes()
    for name in ("png", "jpeg", "webp"):
        target = Target(tmp_path / f"out.{name}", name)
        data = engine.execute(engine.draft("soften", {"person": source}), target).path.read_bytes()
        assert [word for word in (b"SERIAL", b"CAMERA", b"SECRET", b"GPS", b"Exif") if word in data] == []


def test_orientation_and_size_are_those_of_the_upright_photo(
    engine: Engine, pixels: np.ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(tmp_path / "in.png", exif=exif)
    made = engine.execute(engine.draft("soften", {"person": tmp_path / "in.png"}), Target(tmp_path / "o.png", "png"))
    shown = pictures.pixels_of(made.path.read_bytes())
    assert shown.shape == pixels.shape and np.array_equal(shown[60:], pixels[60:])


def test_mask_slot(engine: Engine, photo: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[5:15, 5:25] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    draft = engine.draft("soften", {"person": photo, "mask": tmp_path / "mask.png"})
    made = engine.execute(draft, Target(tmp_path / "o.png", "png"))
    assert made.sidecar.receipt["edit"]["mask_pixels"] == 200
    outside = mask == 0
    assert np.array_equal(pictures.pixels_of(made.path.read_bytes())[outside], pixels[outside])


@pytest.mark.parametrize(
    ("files", "values", "code"),
    [
        ({}, {}, "recipe.inputs"),
        ({"person": "photo", "dog": "photo"}, {}, "recipe.inputs"),
        ({"person": "photo"}, {"steps": "many"}, "recipe.bad"),
        ({"person": "photo"}, {"colour": 1}, "recipe.bad"),
        ({"person": "photo"}, {"fail": "oddly"}, "recipe.bad"),
    ],
)
def test_refused_before_anything(
    engine: Engine, photo: Path, files: dict[str, str], values: dict[str, Any], code: str, workspace: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        engine.draft("soften", {slot: photo for slot in files}, values)
    assert caught.value.code == code and not (workspace / "inputs").exists()


def test_unknown_kind(engine: Engine, photo: Path) -> None:
    with pytest.raises(UsageError) as caught:
        engine.draft("dream", {"person": photo})
    assert caught.value.code == "recipe.kind"


def test_target_is_tried_before_the_work(engine: Engine, photo: Path, tmp_path: Path) -> None:
    steps: list[Progress] = []
    with pytest.raises(OutputError):
        engine.execute(
            engine.draft("soften", {"person": photo}), Target(photo / "x.png", "png"), on_progress=steps.append
        )
    assert steps == []


def test_dry_run_touches_nothing(engine: Engine, photo: Path, workspace: Path) -> None:
    engine.draft("soften", {"person": photo}, keep=False)
    assert not workspace.exists()


def test_progress(engine: Engine, photo: Path, tmp_path: Path) -> None:
    steps: list[Progress] = []
    draft = engine.draft("soften", {"person": photo}, {"steps": 4, "seconds": 0.02})
    engine.execute(draft, Target(tmp_path / "o.png", "png"), on_progress=steps.append)
    assert [step.fraction for step in steps] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert steps[1].eta is not None and 0.04 < steps[1].eta < 1 and steps[1].preview.shape == (96, 80, 3)


def test_cancel_inside_a_step(engine: Engine, photo: Path, tmp_path: Path) -> None:
    steps: list[Progress] = []
    with pytest.raises(Cancelled):
        engine.execute(
            engine.draft("soften", {"person": photo}, {"steps": 50}),
            Target(tmp_path / "o.png", "png"),
            on_progress=steps.append,
            cancelled=lambda: len(steps) > 3,
        )
    assert len(steps) == 4 and sorted(os.listdir(tmp_path)) == ["photo.png"]


@pytest.mark.parametrize(("fail", "kind"), [("bug", RuntimeError), ("memory", MemoryError), ("input", InputError)])
def test_failure_leaves_nothing(engine: Engine, photo: Path, tmp_path: Path, fail: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        engine.execute(engine.draft("soften", {"person": photo}, {"fail": fail}), Target(tmp_path / "o.png", "png"))
    assert sorted(os.listdir(tmp_path)) == ["photo.png"]


# -- weights


def test_own_weights(photo: Path, tmp_path: Path) -> None:
    folder = tiny_kind.FilterPipeline.create(tmp_path / "My Filter")
    engine = Engine(settings.load(device="cpu"), own_weights={"filter": folder})
    made = engine.execute(engine.draft("filter", {"person": photo}), Target(tmp_path / "o.png", "png"))
    (part,) = made.sidecar.receipt["weights"]
    assert (part["name"], part["tier"], part["commercial"], part["licence"]) == (
        "own-my-filter", "own", "unclear", "not stated",
    )  # fmt: skip
    assert made.sidecar.recipe.weights == {"filter": part["sha256"]}
    assert made.sidecar.receipt["tier"] == "own"


def test_weights_hash_knows_every_file(tmp_path: Path) -> None:
    from studio.weights import hash_folder

    folder = tiny_kind.FilterPipeline.create(tmp_path / "a")
    first = hash_folder(folder)
    (folder / "notes.txt").write_text("not part of it")
    assert hash_folder(folder) == first
    (folder / "config.json").write_text('{"kind": "other"}')
    assert hash_folder(folder) != first


def test_pipelines_stay_warm(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_kind.FilterPipeline.create(tmp_path / "f")
    engine = Engine(settings.load(device="cpu"), own_weights={"filter": folder})
    loads: list[Path] = []
    real = tiny_kind.FilterPipeline.from_pretrained
    monkeypatch.setattr(
        tiny_kind.FilterPipeline,
        "from_pretrained",
        lambda folder, **options: loads.append(folder) or real(folder, **options),
    )
    for name in ("a.png", "b.png"):
        engine.execute(engine.draft("filter", {"person": photo}), Target(tmp_path / name, "png"))
    assert loads == [folder]


@pytest.mark.parametrize("damage", ["missing-folder", "missing-key", "pickle", "cut", "no-config"])
def test_bad_weights(photo: Path, tmp_path: Path, damage: str) -> None:
    import torch
    from safetensors.torch import save_file

    folder, trap = tiny_kind.FilterPipeline.create(tmp_path / "f"), tmp_path / "ran"
    file = folder / "model.safetensors"
    if damage == "missing-folder":
        folder = tmp_path / "nowhere"
    elif damage == "missing-key":
        save_file({"weight": torch.zeros(3, 3, 3, 3)}, file)
    elif damage == "pickle":
        file.write_bytes(f"cos\nsystem\n(S'touch {trap}'\ntR.".encode())
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    else:
        (folder / "config.json").unlink()
    engine = Engine(settings.load(device="cpu"), own_weights={"filter": folder})
    with pytest.raises(WeightsError) as caught:
        engine.execute(engine.draft("filter", {"person": photo}), Target(tmp_path / "o.png", "png"))
    assert not (tmp_path / "o.png").exists() and not trap.exists()
    if damage == "missing-key":
        assert caught.value.code == "weights.mismatch" and "bias" in str(caught.value.seen)


def test_weights_that_are_not_used(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Engine(settings.load(), own_weights={"filter": tmp_path}).draft("soften", {"person": photo})
    assert caught.value.code == "weights.not-used"


# -- registry


@pytest.mark.parametrize("name", ["tryon", "mask", "pose", "parse"])
def test_rows_lead_to_functions(name: str) -> None:
    from importlib import import_module

    row = registry.kind(name)
    module, function = row.runner.split(":")
    assert callable(getattr(import_module(module), function))
    schema = registry.schema(name)
    assert schema["settings"]["properties"] and schema["inputs"]["person"]["required"]
    assert registry.typed(row, {}).model_dump() is not None and set(row.own) <= set(row.weights)


def test_sidecar_reads_what_it_writes(made: Artefact) -> None:
    assert sidecar.read(made.path) == (sidecar.parse(pictures.embedded_sidecar(made.path.read_bytes()) or ""), [])
