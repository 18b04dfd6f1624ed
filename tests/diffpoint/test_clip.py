"""Tokens of CLIP against transformers' own output, and training through them; the tower is tiny and drawn at random."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.core import checkpoint
from pipelines.core.errors import InputError, PipelineError, WeightsError
from pipelines.core.runtime import choose
from pipelines.core.training import TrainConfig
from pipelines.diffpoint import clip, training
from pipelines.diffpoint.clip import ClipTokens
from pipelines.diffpoint.network import CONFIGS, DiffPoint
from pipelines.diffpoint.views import as_input
from tests.diffpoint.test_network import TINY

transformers = pytest.importorskip("transformers", reason="transformers (extra clip) is not installed")

CPU = choose("cpu", "float32")
TOWER: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
    "patch_size": 8, "projection_dim": 8,
}  # fmt: skip
OFFICIAL = replace(TINY, image="clip", image_width=16)


@pytest.fixture
def tower() -> Any:
    torch.manual_seed(1)
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**TOWER)).eval()


@pytest.fixture
def folder(tmp_path: Path, tower: Any) -> Path:
    ClipTokens(tower, CPU).save_pretrained(tmp_path / "clip")
    return tmp_path / "clip"


def test_tokens_are_those_of_transformers(tower: Any, folder: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 4), np.uint8)
    pictures[..., 3] = np.random.default_rng(1).integers(0, 2, (2, 3, 32, 32), np.uint8) * 255
    views = torch.from_numpy(np.stack([[as_input(view) for view in row] for row in pictures]))
    found = ClipTokens.from_pretrained(folder, CPU).tokens(views.requires_grad_())
    assert found.shape == (2, 3, 16, 16) and not found.requires_grad
    mean, std = transformers.image_utils.OPENAI_CLIP_MEAN, transformers.image_utils.OPENAI_CLIP_STD
    for row, own in zip(pictures, found, strict=True):
        for picture, tokens in zip(row, own, strict=True):
            on_grey = np.where(picture[..., 3:] > 0, picture[..., :3], 128) / 255
            pixels = torch.from_numpy(((on_grey - mean) / std).astype(np.float32).transpose(2, 0, 1))[None]
            with torch.no_grad():
                states = tower(pixel_values=pixels, output_hidden_states=True)
            assert torch.allclose(tokens, states.hidden_states[-1][0, 1:], atol=1e-5)


def test_the_published_size_is_vit_l_14() -> None:
    official = CONFIGS["official"]
    assert (official.image, official.image_width, official.image_size) == ("clip", 1024, 224)


def test_a_whole_clip_is_read_in_silence(tmp_path: Path, tower: Any, capfd: pytest.CaptureFixture[str]) -> None:
    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "vocab_size": 50, "projection_dim": 8, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    whole = transformers.CLIPModel(transformers.CLIPConfig(vision_config=TOWER, text_config=text, projection_dim=8))
    whole.vision_model.load_state_dict(tower.state_dict())
    whole.save_pretrained(tmp_path)
    capfd.readouterr()
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("transformers").addHandler(handler)
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_warning()
    try:
        found = ClipTokens.from_pretrained(tmp_path, CPU)
        assert transformers.utils.logging.get_verbosity() == logging.WARNING and not records
    finally:
        transformers.utils.logging.set_verbosity(before)
        logging.getLogger("transformers").removeHandler(handler)
    views = torch.rand(1, 1, 4, 32, 32)
    assert torch.equal(found.tokens(views), ClipTokens(tower, CPU).tokens(views))
    assert capfd.readouterr() == ("", "")


def test_a_tower_stored_in_half_is_read_as_float32(tmp_path: Path, tower: Any) -> None:
    tower.half().save_pretrained(tmp_path)
    found = ClipTokens.from_pretrained(tmp_path, CPU)
    assert {value.dtype for value in found.model.parameters()} == {torch.float32}
    assert found.tokens(torch.rand(1, 1, 4, 32, 32)).dtype == torch.float32


def _without_a_layer(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in state.items() if ".layers.1." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def _config(**values: Any) -> Any:
    def change(folder: Path) -> None:
        known = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(known | values))

    return change


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda folder: (folder / "config.json").unlink(), "weights.missing"),
        (lambda folder: (folder / "config.json").write_text("["), "weights.damaged"),
        (lambda folder: (folder / "model.safetensors").unlink(), "weights.damaged"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"none"), "weights.damaged"),
        (_config(hidden_size=32), "weights.damaged"),
        (_config(hidden_size="wide"), "weights.damaged"),
        (_config(model_type="bert"), "weights.mismatch"),
        (_without_a_layer, "weights.mismatch"),
    ],
    ids=["no config", "bad config", "no weights", "bad weights", "other width", "text for a width", "bert", "a layer"],
)
def test_what_is_no_tower_is_told(folder: Path, damage: Any, code: str) -> None:
    damage(folder)
    with pytest.raises(WeightsError) as caught:
        ClipTokens.from_pretrained(folder, CPU)
    assert caught.value.code == code and caught.value.remedy


def test_a_missing_library_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "find_spec", lambda name: None)
    with pytest.raises(PipelineError) as caught:
        ClipTokens.from_pretrained(folder, CPU)
    assert caught.value.code == "diffpoint.needs-extra" and "[clip]" in caught.value.remedy


def test_the_published_size_trains_through_the_tower(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONFIGS, "official", OFFICIAL)
    monkeypatch.setattr(training, "_HELD", 2)
    before = load_file(folder / "model.safetensors")
    read: list[tuple[int, ...]] = []
    tokens = ClipTokens.tokens

    def counted(self: ClipTokens, views: torch.Tensor) -> torch.Tensor:
        read.append(tuple(views.shape))
        assert not any(p.requires_grad for p in self.model.parameters()) and not self.model.training
        return tokens(self, views)

    monkeypatch.setattr(ClipTokens, "tokens", counted)
    config = TrainConfig(minutes=None, steps=3, batch=4)
    weights = training.train(tmp_path / "run", config, CPU, network="official", clip=folder)
    assert [shape[0] for shape in read] == [4, 4, 4, 2, 2]  # three steps, then the score of one view and of three
    assert {shape[1] for shape in read} <= {1, 2, 3} and [shape[1] for shape in read[-2:]] == [1, 3]
    state = checkpoint.read_torch(tmp_path / "run" / "state.pt")
    assert state["settings"] == {"network": "official", "points": OFFICIAL.coarse}
    assert set(state["model"]) == set(DiffPoint(OFFICIAL).state_dict())
    assert sorted(path.name for path in weights.iterdir()) == ["config.json", "model.safetensors"]
    assert set(load_file(weights / "model.safetensors")) == set(DiffPoint(OFFICIAL).state_dict())
    torch.manual_seed(0)
    untrained, trained = DiffPoint(OFFICIAL), DiffPoint(OFFICIAL)
    checkpoint.load_component(weights, trained)
    assert not torch.equal(untrained.image.weight, trained.image.weight)
    ClipTokens.from_pretrained(folder, CPU).save_pretrained(weights / "image_encoder")
    after = load_file(weights / "image_encoder" / "model.safetensors")
    assert set(after) == set(before) and all(torch.equal(after[name], value) for name, value in before.items())


def test_other_towers_and_networks_are_refused(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for values in ({"network": "official"}, {"clip": folder}):
        with pytest.raises(InputError, match="CLIP") as caught:
            training.train(tmp_path / "run", TrainConfig(minutes=None, steps=1), CPU, **values)
        assert caught.value.code == "train.network"
    for change, seen in ({"image_width": 24}, "16 wide"), ({"image_size": 64}, "32 pixels"):
        monkeypatch.setitem(CONFIGS, "official", replace(OFFICIAL, **change))
        with pytest.raises(WeightsError, match=seen) as refused:
            training.train(tmp_path / "run", TrainConfig(minutes=None, steps=1), CPU, network="official", clip=folder)
        assert refused.value.code == "weights.mismatch"
