"""A result made again from the file alone; and what a file says of itself, whoever wrote it."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_kind
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.core.errors import InputError, PipelineError
from studio import pictures, replay, sidecar, targets
from studio import settings as studio_settings
from studio.engine import Engine
from studio.errors import UsageError
from studio.targets import Target


@pytest.fixture
def engine() -> Engine:
    """An engine on the CPU."""
    return Engine(studio_settings.load(device="cpu", dtype="float32"))


def make(engine: Engine, photo: Path, path: Path, kind: str = "soften", **values: object) -> Path:
    """A result in the format of the path's suffix."""
    return engine.execute(
        engine.draft(kind, {"person": photo}, values, seed=9), Target(path, targets.FORMAT_OF[path.suffix])
    ).path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_bit_exact_from_the_file_alone(engine: Engine, photo: Path, tmp_path: Path, suffix: str) -> None:
    path = make(engine, photo, tmp_path / f"a{suffix}")
    elsewhere = tmp_path / "elsewhere" / f"renamed{suffix}"
    elsewhere.parent.mkdir()
    shutil.copy(path, elsewhere)  # without the sidecar beside it
    photo.unlink()
    answer = replay.rerun(engine, elsewhere)
    assert (answer["verdict"], answer["changed_pixels"], answer["differences"]) == ("bit-exact", 0, [])


def test_document_again(engine: Engine, photo: Path, tmp_path: Path) -> None:
    path = make(engine, photo, tmp_path / "a.json", "count")
    assert replay.rerun(engine, path)["verdict"] == "bit-exact"
    data = json.loads(path.read_text())
    data["mean"] += 1
    path.write_text(json.dumps(data))
    assert replay.rerun(engine, path)["verdict"] == "differs"


def test_written_again(engine: Engine, photo: Path, tmp_path: Path) -> None:
    path = make(engine, photo, tmp_path / "a.png")
    answer = replay.rerun(engine, path, tmp_path / "b.webp")
    assert answer["output"] == str(tmp_path / "b.webp")
    assert np.array_equal(pictures.pixels_of((tmp_path / "b.webp").read_bytes()), pictures.pixels_of(path.read_bytes()))


def test_input_beside_the_file(engine: Engine, photo: Path, tmp_path: Path, workspace: Path) -> None:
    path = make(engine, photo, tmp_path / "a.png")
    shutil.rmtree(workspace / "inputs")
    assert replay.rerun(engine, path)["verdict"] == "bit-exact"
    photo.rename(tmp_path / "other-name.png")
    with pytest.raises(InputError) as caught:
        replay.rerun(engine, path)
    assert caught.value.code == "input.not-kept" and "photo.png" in caught.value.what
    told = replay.explain(engine, path)
    assert told["missing"] and "photo.png" in told["missing"][0]


def test_changed_pixels_are_counted(engine: Engine, photo: Path, tmp_path: Path) -> None:
    path = make(engine, photo, tmp_path / "a.png")
    text = pictures.embedded_sidecar(path.read_bytes())
    pixels = pictures.pixels_of(path.read_bytes()).copy()
    pixels[3, 4:7] ^= 8
    assert text is not None
    path.write_bytes(pictures.embed(pictures.encode(pixels, "png"), "png", text))
    answer = replay.rerun(engine, path)
    assert (answer["verdict"], answer["changed_pixels"], answer["max_difference"]) == ("differs", 3, 8)
    assert any("describes other bytes" in note for note in answer["differences"])
    assert any("changed since" in note for note in replay.explain(engine, path)["notes"])


def test_other_weights_are_named(photo: Path, tmp_path: Path) -> None:
    first, second = (tiny_kind.FilterPipeline.create(tmp_path / f"w{i}", seed=i) for i in range(2))
    chosen = studio_settings.load(device="cpu", dtype="float32")
    engine = Engine(chosen, own_weights={"filter": first})
    made = engine.execute(engine.draft("filter", {"person": photo}), Target(tmp_path / "a.png", "png"))
    assert replay.rerun(engine, made.path)["verdict"] == "bit-exact"
    answer = replay.rerun(Engine(chosen, own_weights={"filter": second}), made.path)
    assert answer["verdict"] == "differs" and answer["changed_pixels"] > 0
    assert [text for text in answer["differences"] if text.startswith("weights filter: ")]


def test_other_environment_is_named(engine: Engine, photo: Path, tmp_path: Path) -> None:
    path = make(engine, photo, tmp_path / "a.png")
    seal, _ = sidecar.read(path)
    older = seal.model_copy(update={"environment": {**seal.environment, "torch": "1.0", "dtype": "bfloat16"}})
    path.write_bytes(pictures.embed(pictures.encode(pictures.pixels_of(path.read_bytes()), "png"), "png", older.text()))
    sidecar.path_beside(path).unlink()
    differences = replay.explain(engine, path)["differences"]
    assert any(text.startswith("torch: ") and "1.0 then" in text for text in differences)
    assert "dtype: float32 here, bfloat16 then" in differences


def test_edited_recipe_is_noticed(engine: Engine, photo: Path, tmp_path: Path) -> None:
    path = make(engine, photo, tmp_path / "a.png")
    text = (
        (pictures.embedded_sidecar(path.read_bytes()) or "")
        .replace('"seed":9', '"seed":8')
        .replace('"seed": 9', '"seed": 8')
    )
    path.write_bytes(pictures.embed(pictures.encode(pictures.pixels_of(path.read_bytes()), "png"), "png", text))
    assert any("edited" in note for note in replay.explain(engine, path)["notes"])


def test_stripped_file(engine: Engine, photo: Path, tmp_path: Path) -> None:
    path = make(engine, photo, tmp_path / "a.png")
    with Image.open(path) as picture:
        picture.copy().save(path)  # as any other program would
    sidecar.path_beside(path).unlink()
    with pytest.raises(InputError) as caught:
        replay.explain(engine, path)
    assert caught.value.code == "input.no-recipe"


def test_stripped_file_with_its_sidecar_beside(engine: Engine, photo: Path, tmp_path: Path) -> None:
    path = make(engine, photo, tmp_path / "a.png")
    with Image.open(path) as picture:
        picture.copy().save(path)
    answer = replay.rerun(engine, path)
    assert answer["verdict"] == "bit-exact" and any("other bytes" in note for note in answer["differences"])


def forged(text: str) -> bytes:
    """A picture that carries ``text`` as its sidecar."""
    return pictures.embed(pictures.encode(np.zeros((64, 64, 3), np.uint8), "png"), "png", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "{" * 9000,
        '{"schema": "studio.sidecar/2"}',
        '{"recipe": {"kind": "__import__(\'os\')"}}',
    ],
)
def test_forged_sidecars(engine: Engine, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.png").write_bytes(forged(text))
    with pytest.raises(PipelineError) as caught:
        replay.explain(engine, tmp_path / "a.png")
    assert caught.value.code in ("recipe.bad", "input.no-recipe")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_as_sidecar_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        sidecar.parse(text)


def test_recipe_from_a_picture_opens_no_path(engine: Engine, photo: Path, tmp_path: Path) -> None:
    """A name in a recipe is looked for beside the file only, and used only if the hash is right."""
    path = make(engine, photo, tmp_path / "a.png")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"not the photo")
    seal, _ = sidecar.read(path)
    ref = seal.recipe.inputs["person"].model_copy(update={"sha256": "0" * 64, "name": "secret.png"})
    other = seal.model_copy(update={"recipe": seal.recipe.model_copy(update={"inputs": {"person": ref}})})
    path.write_bytes(forged(other.text()))
    sidecar.path_beside(path).unlink()
    with pytest.raises(InputError) as caught:
        replay.rerun(engine, path)
    assert caught.value.code == "input.not-kept"


def test_explain_shows_no_control_characters(engine: Engine, photo: Path, tmp_path: Path) -> None:
    path = make(engine, photo, tmp_path / "a.png")
    seal, _ = sidecar.read(path)
    evil = seal.model_copy(
        update={"receipt": {"findings": [{"severity": "info", "message": "\x1b]0;owned\x07\x1b[2J"}]}}
    )
    path.write_bytes(pictures.embed(pictures.encode(pictures.pixels_of(path.read_bytes()), "png"), "png", evil.text()))
    sidecar.path_beside(path).unlink()
    lines = replay.lines(replay.explain(engine, path))
    assert any("owned" in line for line in lines) and all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    "receipt", [{}, {"weights": 3, "edit": [], "findings": {"a": 1}, "timings": None}, {"edit": {"mask_pixels": []}}]
)
def test_explain_bears_any_receipt(engine: Engine, photo: Path, tmp_path: Path, receipt: dict[str, object]) -> None:
    path = make(engine, photo, tmp_path / "a.png")
    seal, _ = sidecar.read(path)
    odd = seal.model_copy(update={"receipt": receipt})
    path.write_bytes(pictures.embed(pictures.encode(pictures.pixels_of(path.read_bytes()), "png"), "png", odd.text()))
    sidecar.path_beside(path).unlink()
    assert replay.lines(replay.explain(engine, path))


def test_bomb_with_a_recipe(engine: Engine, photo: Path, tmp_path: Path) -> None:
    """A file of ours whose pixels were exchanged for a bomb is refused by its header."""
    path = make(engine, photo, tmp_path / "a.png")
    text = pictures.embedded_sidecar(path.read_bytes()) or ""
    stream = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(stream, "PNG")
    path.write_bytes(pictures.embed(stream.getvalue(), "png", text))
    with pytest.raises(InputError) as caught:
        replay.rerun(engine, path)
    assert caught.value.code in ("input.too-large", "input.no-recipe")
