"""Options of the network, both namings, and the flip test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipelines.core import checkpoint, runtime
from pipelines.core.types import Box
from pipelines.vitpose.decoding import COCO_FLIP
from pipelines.vitpose.network import CONFIGS, VitPose, VitPoseConfig, from_published
from pipelines.vitpose.pipeline import VitPosePipeline, flip_average

TINY = VitPoseConfig(embed=32, depth=2, heads=4, image_size=(64, 48), deconv_channels=(16, 16))


def tiny(config: VitPoseConfig = TINY) -> VitPose:
    torch.manual_seed(0)
    return VitPose(config).eval()


@torch.inference_mode()
def test_flip_test_is_equivariant() -> None:
    model, order = tiny(), list(COCO_FLIP)
    x = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    straight, mirrored = flip_average(model, x), flip_average(model, x.flip(3))
    assert (mirrored.flip(3)[:, order] - straight).abs().max() < 1e-5
    assert (model(x.flip(3)).flip(3)[:, order] - model(x)).abs().max() > 1e-3, "the network alone must not pass"


def to_huggingface(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The other direction, written independently: names are built up here and matched there."""
    renamed = {}
    for key, value in state.items():
        block = key.split(".")[2] if key.startswith("backbone.blocks.") else ""
        layer = f"backbone.encoder.layer.{block}."
        rest = key.removeprefix(f"backbone.blocks.{block}.")
        if rest.startswith("attn.qkv."):
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[f"{layer}attention.attention.{part}.{rest[9:]}"] = third.clone()
            continue
        known = {
            "backbone.pos_embed": "backbone.embeddings.position_embeddings",
            "backbone.patch_embed.proj.weight": "backbone.embeddings.patch_embeddings.projection.weight",
            "backbone.patch_embed.proj.bias": "backbone.embeddings.patch_embeddings.projection.bias",
            "norm1.weight": f"{layer}layernorm_before.weight",
            "norm1.bias": f"{layer}layernorm_before.bias",
            "norm2.weight": f"{layer}layernorm_after.weight",
            "norm2.bias": f"{layer}layernorm_after.bias",
            "attn.proj.weight": f"{layer}attention.output.dense.weight",
            "attn.proj.bias": f"{layer}attention.output.dense.bias",
            "backbone.last_norm.weight": "backbone.layernorm.weight",
            "backbone.last_norm.bias": "backbone.layernorm.bias",
        }
        if rest in known:
            renamed[known[rest]] = value
        elif block:
            renamed[layer + rest] = value
        else:
            for theirs, ours in (
                ("deconv1", "deconv_layers.0"), ("batchnorm1", "deconv_layers.1"), ("deconv2", "deconv_layers.3"),
                ("batchnorm2", "deconv_layers.4"), ("conv", "final_layer"),
            ):  # fmt: skip
                if key.startswith(f"keypoint_head.{ours}."):
                    renamed[f"head.{theirs}." + key.split(".")[-1]] = value
    return renamed


@pytest.mark.parametrize("head", ["classic", "simple"])
@torch.inference_mode()
def test_huggingface_names_come_back_with_the_same_outputs(head: str) -> None:
    config = VitPoseConfig(embed=32, depth=11, heads=4, head=head, image_size=(64, 48), deconv_channels=(16, 16))
    model, other = tiny(config), VitPose(config).eval()
    theirs = to_huggingface(dict(model.state_dict()))
    assert not set(theirs) & set(model.state_dict()) and len(theirs) == len(model.state_dict()) + 2 * 2 * config.depth
    checkpoint.load_strict(other, from_published(theirs), source="test")
    x = torch.randn(1, 3, 64, 48)
    assert torch.equal(model(x), other(x))


def test_official_names_pass_and_unused_tensors_are_dropped() -> None:
    state = dict(tiny().state_dict())
    extra = {"backbone.cls_token": torch.zeros(1), "associate_keypoint_heads.2.final_layer.bias": torch.zeros(1)}
    assert from_published({**state, **extra}).keys() == state.keys()


def test_other_extra_tensors_are_not_dropped_silently() -> None:
    with pytest.raises(checkpoint.WeightsError, match=r"unexpected backbone\.mystery"):
        state = from_published({**tiny().state_dict(), "backbone.mystery": torch.zeros(1)})
        checkpoint.load_strict(tiny(), state, source="test")


def test_a_folder_of_transformers_is_read(tmp_path: Path) -> None:
    model = tiny(replace(TINY, eps=1e-12))
    save_file(
        to_huggingface({key: value.clone() for key, value in model.state_dict().items()}),
        tmp_path / "model.safetensors",
    )
    backbone = {"image_size": [64, 48], "num_attention_heads": 4, "hidden_size": 32}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vitpose", "backbone_config": backbone}))
    loaded = VitPosePipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    assert loaded.config == model.config
    x = torch.randn(1, 3, 64, 48)
    with torch.inference_mode():
        assert torch.equal(loaded.model(x), model(x))


@pytest.mark.parametrize(
    "config", [{"width": 3}, {"backbone_config": {}}, {"image_size": 3, "deconv_channels": [1, 2]}]
)
def test_a_folder_of_something_else_is_one_clear_error(tmp_path: Path, config: dict[str, object]) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(checkpoint.WeightsError) as raised:
        VitPosePipeline.from_pretrained(tmp_path)
    assert raised.value.code == "weights.mismatch"


def test_heads_divide_every_width() -> None:
    assert all(config.embed % config.heads == 0 for config in CONFIGS.values())


def test_starter_puts_out_a_quarter_of_its_input_per_joint() -> None:
    config = CONFIGS["starter"]
    with torch.inference_mode():
        maps = tiny(config)(torch.zeros(2, 3, *config.image_size))
    assert maps.shape == (2, 17, config.image_size[0] // 4, config.image_size[1] // 4)


def test_pipeline_round_trip_and_boxes(tmp_path: Path) -> None:
    pipeline = VitPosePipeline(tiny(), runtime.choose("cpu", "float32"))
    pipeline.save_pretrained(tmp_path)
    loaded = VitPosePipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    image = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    boxes = [Box(0, 0, 90, 120), Box(20, 30, 40, 60)]
    steps: list[tuple[int, int]] = []
    poses = loaded(image, boxes, on_step=lambda done, total, preview: steps.append((done, total)))
    assert steps == [(1, 2), (2, 2)] and [pose.box for pose in poses] == boxes
    assert all(pose.xy.shape == (17, 2) and np.isfinite(pose.xy).all() for pose in poses)
    assert all(0 <= pose.score.min() and pose.score.max() <= 1 for pose in poses)
    again = loaded(image, boxes)
    assert all(np.array_equal(a.xy, b.xy) for a, b in zip(poses, again, strict=True))
