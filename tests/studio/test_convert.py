"""Published checkpoints become folders that the pipelines load, or one clear error and no folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pipelines.core import checkpoint
from pipelines.core.errors import WeightsError
from pipelines.viton_hd import conversion as viton_hd
from pipelines.viton_hd.network import CONFIGS as VITON_HD
from pipelines.viton_hd.network import ALIASGenerator, SegGenerator
from pipelines.viton_hd.pipeline import VitonHDPipeline
from pipelines.viton_hd.warping import GMM
from pipelines.vitpose import conversion as vitpose
from pipelines.vitpose.network import VitPose, VitPoseConfig
from pipelines.vitpose.pipeline import VitPosePipeline
from pipelines.vitruvio import conversion as vitruvio
from pipelines.vitruvio.network import CONFIGS as OCCUPANCY
from pipelines.vitruvio.network import OccupancyNetwork
from studio.cli import run


def saved(path: Path, model: nn.Module, wrapper: str | None = None, prefix: str = "") -> Path:
    state = {prefix + key: value for key, value in model.state_dict().items()}
    torch.save({wrapper: state, "epoch_it": 3} if wrapper else state, path)
    return path


def same(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def small_viton(monkeypatch: pytest.MonkeyPatch) -> dict[str, nn.Module]:
    """The three classes at a small size, in the place of the published one."""
    starter = VITON_HD["starter"]
    alias = replace(starter.alias, input_nc=9, output_nc=3)
    config = replace(starter, seg=replace(starter.seg, width=4), alias=alias)
    monkeypatch.setitem(VITON_HD, "official", config)
    return {"seg": SegGenerator(config.seg), "gmm": GMM(config.gmm), "alias": ALIASGenerator(config.alias)}


def test_viton_hd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = small_viton(monkeypatch)
    files = [saved(tmp_path / f"{name}_final.pth", net, prefix="module.") for name, net in reversed(made.items())]
    out = tmp_path / "official"
    assert run(["weights", "convert", "viton-hd", *map(str, files), "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == str(out)
    loaded = VitonHDPipeline.from_pretrained(out, device="cpu", dtype="float32")
    assert loaded.tier == "official"
    assert all(same(loaded.networks[name], net) for name, net in made.items())


def test_pose_and_buildings(tmp_path: Path) -> None:
    pose = VitPose(VitPoseConfig(embed=384, depth=12, heads=12, head="simple"))
    file = saved(tmp_path / "vitpose.pth", pose, "state_dict")
    assert run(["weights", "convert", "pose", str(file), "-o", str(tmp_path / "pose")]) == 0
    assert same(VitPosePipeline.from_pretrained(tmp_path / "pose", device="cpu", dtype="float32").model, pose)

    for name in ("published", "default-yaml", "cbn-z64"):
        network = OccupancyNetwork(OCCUPANCY[name])
        file = saved(tmp_path / f"{name}.pt", network, "model")
        vitruvio.convert([file], tmp_path / name)
        config = checkpoint.read_config(tmp_path / name)
        assert vitruvio.OccupancyConfig(**config) == OCCUPANCY[name]
        again = OccupancyNetwork(OCCUPANCY[name])
        checkpoint.load_component(tmp_path / name, again)
        assert same(again, network)


@pytest.mark.parametrize(
    "case", ["one-missing", "twice", "foreign", "key-missing", "no-file", "full-folder", "no-system"]
)
def test_bad_input_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    made = small_viton(monkeypatch)
    files = {name: saved(tmp_path / f"{name}.pth", net) for name, net in made.items()}
    system, given, out = "viton-hd", list(files.values()), tmp_path / "out"
    wanted, code = {
        "one-missing": ("weights.files", 6),
        "twice": ("weights.files", 6),
        "foreign": ("weights.mismatch", 4),
        "key-missing": ("weights.mismatch", 4),
        "no-file": ("weights.missing", 4),
        "full-folder": ("output.exists", 2),
        "no-system": ("weights.no-conversion", 2),
    }[case]
    if case == "one-missing":
        given = given[:2]
    elif case == "twice":
        given[1] = given[0]
    elif case == "foreign":
        given[1] = saved(tmp_path / "other.pth", nn.Linear(2, 2))
    elif case == "key-missing":
        state = made["gmm"].state_dict()
        state.pop(next(iter(state)))
        torch.save(state, files["gmm"])
    elif case == "no-file":
        given[0] = tmp_path / "nothing.pth"
    elif case == "full-folder":
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    elif case == "no-system":
        system = "parsing"
    status = run(["weights", "convert", system, *map(str, given), "-o", str(out), "--json"])
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], status) == (wanted, code)
    assert out.exists() == (case == "full-folder")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("convert", "state"),
    [
        (vitruvio.convert, {"decoder.fc_p.weight": torch.zeros(())}),
        (vitruvio.convert, {"decoder.fc_z.weight": torch.zeros(2)}),
        (vitpose.convert, {"backbone.last_norm.weight": torch.zeros(())}),
        (vitpose.convert, {"backbone.last_norm.weight": torch.zeros(384)}),
    ],
)
def test_tensors_of_other_shapes_are_a_mismatch(tmp_path: Path, convert, state: dict) -> None:
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(WeightsError) as raised:
        convert([tmp_path / "odd.pth"], tmp_path / "out")
    assert raised.value.code == "weights.mismatch" and not (tmp_path / "out").exists()


def test_which_file_is_which_is_told_by_its_tensors() -> None:
    with torch.device("meta"):
        assert {name: type(make()).__name__ for name, make in viton_hd.PARTS.items()} == {
            "seg": "SegGenerator",
            "gmm": "GMM",
            "alias": "ALIASGenerator",
        }
