"""IML-ViT against reference outputs of SunnyHaze/IML-ViT 07dd2be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.core import checkpoint
from pipelines.core.metrics import pixel_f1
from pipelines.iml_vit.losses import edge_mask, losses
from pipelines.iml_vit.network import CONFIGS, ImlVit, ImlVitConfig, config_of, from_published, probability
from pipelines.iml_vit.preprocess import padded, prepared
from tests.parity.discovery import DATA, Case, close, filled, parameters, read_json, root, shapes_of, weights_folder

TOLERANCE = 1e-4


@pytest.mark.parametrize("case", parameters("iml_vit", "tiny", "full"))
@torch.inference_mode()
def test_network(case: Case, record: Any) -> None:
    arrays = case.arrays()
    stored = read_json(case.path.parent / f"config_{case.path.stem}.json")
    state = from_published(filled(stored["shapes"], stored.get("salt", ""), positional=True))
    config = config_of(state, instance=stored["predict_head_norm"] == "IN")
    side = stored["input_size"]
    assert (config.input_size, config.embed, config.fpn) == (side, stored["embed_dim"], stored["fpn_channels"])
    model = ImlVit(config).eval()
    checkpoint.load_strict(model, state, source=case.path.name)
    assert sum(parameter.numel() for parameter in model.parameters()) == stored["params"]
    x = torch.from_numpy(prepared(arrays["image_u8"], side, side)[None])
    last, _ = model.encoder_net(x)
    levels = dict(zip(("p2", "p3", "p4", "p5", "p6"), model.featurePyramid_net(last), strict=True))
    logits = model(x)
    close("logits", logits, arrays["logits"], TOLERANCE, record)
    found = {"last_feat": last, "p5": levels["p5"], "p6": levels["p6"], "p2_chan0": levels["p2"][:, :1],
             "last_feat_chan0_3": last[:, :4]}  # fmt: skip
    for name in set(found) & set(arrays):
        close(name, found[name], arrays[name], TOLERANCE, record)
    chance = probability(logits, (side, side))
    if "mask_prob" in arrays:
        close("mask_prob", chance, arrays["mask_prob"], TOLERANCE, record)
    if "mask_prob_sub8" in arrays:
        close("mask_prob_sub8", chance[..., ::8, ::8], arrays["mask_prob_sub8"], TOLERANCE, record)
    edge = edge_mask(arrays["gt_mask"], int(arrays["edge_width"]))
    assert (edge == (arrays["edge_mask"] > 0)).all()
    truth, band = (
        torch.from_numpy(padded(array.astype(np.float32), side, side)[None, None])
        for array in (arrays["gt_mask"] > 0, edge)
    )
    everywhere, along = losses(logits, truth, band)
    close("loss_edge", along, arrays["loss_edge"], TOLERANCE, record)
    close("loss_total", everywhere + along, arrays["loss_total"], TOLERANCE, record)


@pytest.mark.parametrize("case", parameters("iml_vit", "edge"))
def test_edges(case: Case) -> None:
    arrays = case.arrays()
    checked = 0
    for name, expected in arrays.items():
        if named := re.fullmatch(r"edge(\d+)_(.+)", name):
            found = edge_mask(arrays[f"mask_{named[2]}"], int(named[1]))
            assert (found == (expected > 0)).all(), name
            checked += 1
    assert checked, f"{case.path.name} holds no edge to compare with"


@pytest.mark.parametrize("case", parameters("iml_vit", "metric"))
def test_metric(case: Case, record: Any) -> None:
    arrays = case.arrays()
    found = []
    for chance, truth, (height, width) in zip(arrays["pred"], arrays["gt"], arrays["image_hw"], strict=True):
        marked, inside = (array[0, :height, :width] for array in (chance > 0.5, truth > 0))
        found.append(pixel_f1(marked, inside))
    close("F1", found, arrays["F1"], 1e-6, record)


LISTED = {path.stem: path for folder in (DATA, root()) for path in (folder / "iml_vit").glob("manifest_*.json")}


@pytest.mark.parametrize("path", [pytest.param(path, id=f"iml_vit/{stem}") for stem, path in sorted(LISTED.items())])
def test_published_size_loads_strictly(path: Path) -> None:
    listed = read_json(path)
    with torch.device("meta"):
        state = {
            key: torch.zeros(shape, dtype=torch.int64 if key.endswith("num_batches_tracked") else torch.float32)
            for key, shape in listed["shapes"].items()
        }
        config = config_of(from_published(state), instance=listed["predict_head_norm"] == "IN")
        model = ImlVit(config)
    assert config == ImlVitConfig(norm=listed["predict_head_norm"])
    assert len(state) == listed["tensors"]
    assert sum(parameter.numel() for parameter in model.parameters()) == listed["params"]
    checkpoint.load_strict(model, state, source=path.name)
    state.pop("encoder_net.pos_embed")
    with pytest.raises(checkpoint.WeightsError, match=r"missing encoder_net\.pos_embed"):
        checkpoint.load_strict(model, state, source=path.name)


def test_every_head_is_listed() -> None:
    assert {read_json(path)["predict_head_norm"] for path in LISTED.values()} >= {"BN", "LN", "IN"}


def test_signature() -> None:
    with torch.device("meta"):
        expected = {key: list(shape) for key, shape in shapes_of(ImlVit(CONFIGS["official"])).items()}
    assert read_json(weights_folder() / "signatures" / "iml-vit-official.json") == expected
