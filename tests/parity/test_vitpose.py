"""ViTPose against reference outputs of ViTAE-Transformer/ViTPose c050ed2 and of transformers 5.23."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.core import checkpoint
from pipelines.core.types import Box
from pipelines.vitpose import decoding
from pipelines.vitpose.network import CONFIGS, VitPose, config_of, from_published
from pipelines.vitpose.pipeline import flip_average
from tests.parity.discovery import DATA, Case, close, filled, parameters, read_json, root

TOLERANCE = 1e-4
LAST_BITS = 2e-7  # a coordinate of 1000 pixels cannot be told from its neighbour in float32 any closer
EPS = {"official": 1e-6, "hf": 1e-12}


def described(case: Case) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Config values, name -> shape and salt of a network case: its own config file, else a real model's manifest."""
    own = case.path.parent / f"config_{case.name}.json"
    if own.is_file():
        stored = read_json(own)
        values = stored["config"]
        salt = values.get("salt", stored.get("salt", case.entry().get("salt", "")))
        return values, stored[f"{case.kind}_shapes"], salt
    for folder in (case.path.parent, DATA / "vitpose"):
        for path in folder.glob(f"manifest_{case.kind}_*.json"):
            if case.name.startswith(path.stem.removeprefix(f"manifest_{case.kind}_")):
                stored = read_json(path)
                return {}, stored["shapes"], case.entry().get("salt", stored.get("salt", ""))
    raise AssertionError(f"{case.path.name} has neither {own.name} nor a manifest")


@pytest.mark.parametrize("case", parameters("vitpose", "official", "hf"))
@torch.inference_mode()
def test_network(case: Case, record: Any) -> None:
    arrays = {name: torch.from_numpy(array) for name, array in case.arrays().items()}
    values, shapes, salt = described(case)
    state = from_published(filled(shapes, salt, positional=True))
    x = arrays["input"]
    eps = values.get(f"layer_norm_eps_{case.kind}", EPS[case.kind])
    config = config_of(state, image_size=(x.shape[2], x.shape[3]), heads=values.get("heads"), eps=eps)
    if values:
        assert (config.embed, config.depth, config.keypoints) == (values["embed"], values["depth"], values["k"])
        assert config.head == ("simple" if values["simple"] else "classic")
        assert list(config.image_size) == list(values["img"])
    model = VitPose(config).eval()
    checkpoint.load_strict(model, state, source=case.path.name)
    tokens: list[Tensor] = []
    hook = model.backbone.last_norm.register_forward_pre_hook(lambda _, args: tokens.append(args[0]))
    close("heatmaps", model(x), arrays["heatmaps"], TOLERANCE, record)
    hook.remove()
    if "feature" in arrays:
        close("feature", model.backbone(x), arrays["feature"], TOLERANCE, record)
    if "last_hidden" in arrays:  # transformers lists the hidden states before the last norm
        close("last_hidden", tokens[0], arrays["last_hidden"], TOLERANCE, record)
    if "heatmaps_flip_avg" in arrays:
        order = list(range(config.keypoints))
        for a, b in arrays["flip_pairs"].tolist():
            order[a], order[b] = b, a
        close("flip", flip_average(model, x, order), arrays["heatmaps_flip_avg"], TOLERANCE, record)


@pytest.mark.parametrize("case", parameters("vitpose", "decode"))
def test_decoding(case: Case, record: Any) -> None:
    arrays = case.arrays()
    maps = arrays["heatmaps"]
    size = (4 * maps.shape[2], 4 * maps.shape[3])
    framed = [decoding.box_to_centre_scale(Box(*box), size) for box in arrays["boxes_xywh"]]
    centres, scales = np.stack([c for c, _ in framed]), np.stack([s for _, s in framed])
    close("centre", centres, arrays["center"], TOLERANCE, record)
    close("scale", scales, arrays["scale"], TOLERANCE, record)

    def transformers(kernel: int) -> tuple[np.ndarray, np.ndarray]:
        return decoding.decode_udp(maps, centres, scales, kernel, sigma=0.8, border=cv2.BORDER_REFLECT)

    ways = {
        "official_udp_keypoints": lambda: decoding.decode_udp(maps, centres, scales)[0],
        "official_scores": lambda: decoding.decode_udp(maps, centres, scales)[1],
        "official_nonudp_default_keypoints": lambda: decoding.decode_classic(maps, centres, scales)[0],
        "hf_keypoints": lambda: transformers(decoding.BLUR_KERNEL)[0],
        "hf_scores": lambda: transformers(decoding.BLUR_KERNEL)[1],
        "thr05_labels": lambda: (decoding.decode_udp(maps, centres, scales)[1] > 0.5).sum(1),
    }
    for name in arrays:
        if kernel := re.fullmatch(r"hf_kernel(\d+)_keypoints", name):
            ways[name] = lambda kernel=int(kernel[1]): transformers(kernel)[0]
    checked = [name for name in ways if name in arrays]
    assert any(name.endswith("keypoints") for name in checked), f"{case.path.name} holds no keypoints to compare with"
    for name in checked:
        relative = LAST_BITS if name.startswith("hf_") else 0.0
        close(name, ways[name](), arrays[name], TOLERANCE, record, relative=relative)


@pytest.mark.parametrize("case", parameters("vitpose", "crop"))
def test_cropping(case: Case, record: Any) -> None:
    arrays = case.arrays()
    crops = [name for name in arrays if name.startswith("cv2_crop")]
    assert crops, f"{case.path.name} holds no crop to compare with"
    size = tuple(arrays[crops[0]].shape[1:3])
    framed = [decoding.box_to_centre_scale(Box(*box), size) for box in arrays["boxes_xywh"]]
    close("centre", np.stack([c for c, _ in framed]), arrays["center"], TOLERANCE, record)
    close("scale", np.stack([s for _, s in framed]), arrays["scale"], TOLERANCE, record)
    for name in crops:
        turned = re.search(r"rot(\d+)", name)
        degrees = float(turned[1]) if turned else 0.0
        classic = "nonudp" in name
        make = decoding.classic_matrix if classic else decoding.udp_matrix
        matrices = np.stack([make(centre, scale, size, degrees) for centre, scale in framed])
        listed = ("nonudp_affine_matrices" if classic else "warp_matrices") + (f"_rot{turned[1]}" if turned else "")
        if listed in arrays:
            close(listed, matrices, arrays[listed], TOLERANCE, record)
        found = np.stack([decoding.crop(arrays["image"], matrix, size) for matrix in matrices])
        gap = np.abs(found.astype(int) - arrays[name])
        record(f"max_abs_diff:{name}", int(gap.max()))
        # Equal with the OpenCV they were made with; another one may round a level differently here and there.
        assert gap.max() <= 1 and (gap > 0).mean() < 0.01


# The copies first, so that a folder that holds the same name replaces it.
LISTED = {path.stem: path for folder in (DATA, root()) for path in (folder / "vitpose").glob("manifest_*_*_*.json")}
MANIFESTS = [pytest.param(p, id=f"vitpose/{stem}") for stem, p in sorted(LISTED.items()) if "plus" not in stem]


@pytest.mark.parametrize("path", MANIFESTS)
def test_published_size_loads_strictly(path: Path) -> None:
    listed = read_json(path)
    _, naming, size, head = path.stem.split("_")
    with torch.device("meta"):
        state = {
            key: torch.zeros(shape, dtype=torch.int64 if key.endswith("num_batches_tracked") else torch.float32)
            for key, shape in listed["shapes"].items()
        }
        model = VitPose(CONFIGS[f"{size}-{head}"])
        assert (len(state), naming) == (listed["tensors"], listed["naming"])
        # Some released files hold a class token and further heads; neither may disturb.
        unused = {
            "backbone.cls_token": torch.zeros(1, 1, 1),
            "associate_keypoint_heads.0.final_layer.bias": torch.zeros(14),
        }
        ours = from_published({**state, **(unused if naming == "official" else {})})
    assert sum(parameter.numel() for parameter in model.parameters()) == listed["params"]
    checkpoint.load_strict(model, ours, source=path.name)
    ours.pop("backbone.pos_embed")
    with pytest.raises(checkpoint.WeightsError, match=r"missing backbone\.pos_embed"):
        checkpoint.load_strict(model, ours, source=path.name)


def test_every_published_size_is_listed() -> None:
    found = {tuple(parameter.values[0].stem.split("_")[1:]) for parameter in MANIFESTS}
    wanted = {(n, s, h) for n in EPS for s in ("small", "base", "large", "huge") for h in ("classic", "simple")}
    assert wanted <= found
