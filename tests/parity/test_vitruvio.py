"""Vitruvio against reference outputs of CDInstitute/Vitruvio 48043d6: networks, surface extraction, metrics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from pipelines.core import checkpoint, shape_metrics
from pipelines.vitruvio.extraction import Extraction, extract
from pipelines.vitruvio.inference import field_of
from pipelines.vitruvio.network import BLOCKS, CONFIGS, OccupancyNetwork
from tests.parity.discovery import DATA, REST, Case, close, filled, parameters, read_json, root, shapes_of

RELATIVE, ABSOLUTE = 1e-4, 1e-5
NAMES = {"img_onet": "published", "default_yaml": "default-yaml", "cbn_z64": "cbn-z64"}  # manifest's -> ours
MANIFEST = next(p for p in (root() / "vitruvio/manifest.json", DATA / "vitruvio/manifest.json") if p.is_file())
FIGURES = {
    "accuracy": "accuracy",
    "completeness": "completeness",
    "chamfer-L1": "chamfer_l1",
    "accuracy2": "accuracy_squared",
    "completeness2": "completeness_squared",
    "chamfer-L2": "chamfer_l2",
    "normals accuracy": "normals_accuracy",
    "normals completeness": "normals_completeness",
    "normals": "normal_consistency",
}


def config_name(case: Case, arrays: dict[str, Tensor]) -> str:
    """Which network a case was computed with: as its name says, else as its arrays' sizes do."""
    for theirs, ours in NAMES.items():
        if theirs in case.path.stem:
            return ours
    if arrays["c_in"].shape[1] == CONFIGS["default-yaml"].c_dim:
        return "default-yaml"
    return "cbn-z64" if "mean_z" in arrays else "published"


def load(model: OccupancyNetwork, case: Case, arrays: dict[str, Tensor]) -> None:
    """Fill with the case's salt. A case that declares none was filled without one, or with its name or a part of it."""
    declared = case.entry().get("salt", read_json(MANIFEST).get("salt", case.arrays().get("salt")))
    names = ["", case.path.stem, case.name, *case.path.stem.split("_")]
    salts = names if declared is None else [str(declared)]
    for salt in salts:
        checkpoint.load_strict(model, filled(shapes_of(model), salt), source=case.path.name)
        found = model.decode(arrays["points"], arrays["c_in"])
        if torch.allclose(found, arrays["logits_c_in"], rtol=0, atol=ABSOLUTE):
            return


def relative(name: str, found: Tensor, expected: Tensor, record: Any) -> None:
    """Close against the largest value: filled weights push values to thousands, whose last bits are not small."""
    close(name, found, expected, RELATIVE * max(1.0, float(expected.abs().max())), record)


@pytest.mark.parametrize("case", parameters("vitruvio", "extra", REST))
@torch.inference_mode()
def test_network(case: Case, record: Any) -> None:
    arrays = {n: torch.from_numpy(np.asarray(a)) for n, a in case.arrays().items() if a.dtype.kind in "biuf"}
    model = OccupancyNetwork(CONFIGS[config_name(case, arrays)]).eval()
    load(model, case, arrays)
    points, occupied = arrays["points"], arrays["occ"].float()
    close("logits_c_in", model.decode(points, arrays["c_in"]), arrays["logits_c_in"], ABSOLUTE, record)
    fast = [field_of(model, c.unsqueeze(0))(p.numpy()) for c, p in zip(arrays["c_in"], points, strict=True)]
    close("logits_c_in_fast", np.stack(fast), arrays["logits_c_in"], ABSOLUTE, record)

    picture = arrays["image_u8"].permute(0, 3, 1, 2).float() / 255
    relative("feat", model.encoder.features(model.encoder.normalised(picture)), arrays["feat"], record)
    c = model.encode(picture)
    relative("c", c, arrays["c"], record)
    trace: list[Tensor] = []
    blocks = [model.decoder.get_submodule(f"block{number}") for number in range(BLOCKS)]
    hooks = [blocks[0].register_forward_pre_hook(lambda _, inputs: trace.append(inputs[0][:, :, :8]))]
    hooks += [block.register_forward_hook(lambda _, __, out: trace.append(out[:, :, :8])) for block in blocks]
    relative("logits", model(points, picture), arrays["logits"], record)
    for hook in hooks:
        hook.remove()
    if "decoder_trace" in arrays:
        assert len(arrays["decoder_trace"]) == len(trace)
        for number, (found, expected) in enumerate(zip(trace, arrays["decoder_trace"], strict=True)):
            relative(f"decoder_trace_{number}", found, expected, record)

    if "mean_z" in arrays:
        mean, deviation = model.infer_latent(points, occupied, c)
        relative("mean_z", mean, arrays["mean_z"], record)
        relative("std_z", deviation, arrays["std_z"], record)
        relative("logits_at_qmean", model.decode(points, c, mean), arrays["logits_at_qmean"], record)
    loss = model.loss(points, occupied, picture, draw=torch.zeros_like)
    relative("kl", loss.divergence, arrays["kl"], record)
    relative("bce", loss.cross_entropy, arrays["bce"], record)
    relative("loss", loss.total, arrays["loss"], record)


@pytest.mark.parametrize("name", [pytest.param(name, id=f"vitruvio/{name}") for name in NAMES])
def test_published_sizes_load_strictly(name: str, tmp_path: Path) -> None:
    manifest = read_json(MANIFEST)
    values, config = manifest["configs"][name], CONFIGS[NAMES[name]]
    assert (config.c_dim, config.z_dim, config.decoder) == (values["c_dim"], values["z_dim"], values["decoder"])
    assert config.hidden == values["hidden"]
    state = filled(manifest["shapes"][name], "any")
    torch.save({"model": state, "epoch_it": 1, "loss_val_best": 0.5}, tmp_path / "model.pt")
    model = OccupancyNetwork(config)
    assert {key: list(shape) for key, shape in shapes_of(model).items()} == manifest["shapes"][name]
    checkpoint.load_strict(model, checkpoint.read_state_dict(tmp_path / "model.pt"), source=name)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    if name == "img_onet":
        assert (sum(parameter.numel() for parameter in model.parameters()), len(state)) == (13_414_465, 223)
    del state["decoder.fc_p.weight"]
    with pytest.raises(checkpoint.WeightsError, match=r"missing decoder\.fc_p\.weight"):
        checkpoint.load_strict(model, state, source=name)


def described(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """The field of a case, and what was measured on it by run, from the JSON files beside it."""
    for path in sorted(case.path.parent.glob("*mise*.json")):
        listed = read_json(path)
        for name, field in listed["field"].items():
            if case.name == name or case.name.startswith(f"{name}_"):
                runs = {key.partition("/")[2]: run for key, run in listed["runs"].items() if key.startswith(f"{name}/")}
                return field, runs
    raise AssertionError(f"no JSON file beside {case.path.name} describes {case.name}")


def box_distance(points: NDArray[np.float64], box: Any) -> NDArray[np.float64]:
    """Signed distance to a box given by centre and half extents."""
    q = np.abs(points - np.asarray(box[0])) - np.asarray(box[1])
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)


def extracted(field: dict[str, Any], run: str) -> Extraction:
    """Run ``thrT_rR_uU`` on a smooth union of boxes; without upsampling R counts points, with it cells."""
    matched = re.fullmatch(r"thr([\d.]+)_r(\d+)_u(\d+)", run)
    assert matched, run
    resolution, upsampling = int(matched[2]), int(matched[3])

    def logits(points: NDArray[np.float32]) -> NDArray[np.float32]:
        exact = points.astype(np.float64)
        first, *others = [box_distance(exact, box) for box in field["boxes"]]
        k, distance = field["k_smooth"], first
        for other in others:
            distance = np.minimum(distance, other) - np.maximum(k - np.abs(distance - other), 0) ** 2 / (4 * k)
        if field.get("cut"):
            distance = np.maximum(distance, -box_distance(exact, field["cut"]))
        return (-field["gain"] * distance).astype(np.float32)

    return extract(
        logits,
        threshold=float(matched[1]),
        resolution=resolution if upsampling else resolution - 1,
        upsampling=upsampling,
        batch=50_000,
    )


@pytest.mark.parametrize("case", parameters("vitruvio", "mise"))
def test_extraction(case: Case, record: Any) -> None:
    field, runs = described(case)
    runs = {name: run for name, run in runs.items() if re.fullmatch(r"thr[\d.]+_r\d+_u\d+", name)}
    assert runs, f"nothing was measured on {case.name}"
    reference = case.arrays()["vertices"].astype(np.float64)
    compared = 0
    for name, run in runs.items():
        found = extracted(field, name)
        assert list(found.queries) == run["queries"]
        assert (len(found.vertices), len(found.faces)) == (run["n_vertices"], run["n_faces"])
        mesh = trimesh.Trimesh(found.vertices, found.faces, process=False)
        assert (mesh.is_watertight, mesh.is_winding_consistent) == (run["watertight"], run["winding_consistent"])
        assert (mesh.euler_number, mesh.body_count) == (run["euler"], run["components"])
        close(f"{name}:volume", mesh.volume, run["volume"], 0.0, record, relative=1e-5)
        close(f"{name}:area", mesh.area, run["area"], 0.0, record, relative=1e-5)
        close(f"{name}:bounds", mesh.bounds, run["bounds"], 1e-6, record)
        if len(reference) == len(found.vertices):
            gap, nearest = cKDTree(reference).query(found.vertices)
            close(f"{name}:vertices", gap, np.zeros_like(gap), 1e-6, record)
            assert len(set(nearest.tolist())) == len(reference), "two vertices stand for one of the reference"
            compared += 1
    assert compared, f"no run has the {len(reference)} vertices of {case.path.name}"


@pytest.mark.parametrize("case", parameters("vitruvio", "metrics"))
def test_metrics(case: Case, record: Any) -> None:
    arrays = case.arrays()
    field, runs = described(case)
    expected = runs["metrics"]
    found = shape_metrics.surface_metrics(arrays["pred"], arrays["pred_normals"], arrays["tgt"], arrays["tgt_normals"])
    for theirs, ours in FIGURES.items():
        close(ours, found[ours], expected[theirs], 1e-6, record)
    close("iou", shape_metrics.occupancy_iou(arrays["occ_pred"], arrays["occ_tgt"]), expected["iou"], 1e-6, record)
    if "iou_points" in arrays:
        mesh = extracted(field, "thr0.2_r32_u2")
        inside = shape_metrics.inside(mesh.vertices, mesh.faces, arrays["iou_points"])
        assert (inside != arrays["occ_pred"]).mean() <= 0.001
