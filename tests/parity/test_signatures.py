"""weights/signatures lists the tensors of a published checkpoint; it follows the networks, which follow the cases."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pipelines.diffpoint.network import CONFIGS as DIFFPOINT
from pipelines.diffpoint.network import DiffPoint
from pipelines.viton_hd.network import CONFIGS, GMM, ALIASGenerator, SegGenerator
from pipelines.vitpose.network import CONFIGS as POSE_CONFIGS
from pipelines.vitpose.network import VitPose
from pipelines.vitruvio.network import CONFIGS as OCCUPANCY_CONFIGS
from pipelines.vitruvio.network import OccupancyNetwork
from tests.parity.discovery import read_json, shapes_of, weights_folder

OFFICIAL = CONFIGS["official"]
VITON_HD: dict[str, Callable[[], nn.Module]] = {
    "seg": lambda: SegGenerator(OFFICIAL.seg),
    "gmm": lambda: GMM(OFFICIAL.gmm),
    "alias": lambda: ALIASGenerator(OFFICIAL.alias),
}


def test_viton_hd_signature() -> None:
    with torch.device("meta"):
        expected = {
            f"{part}.{name}": list(shape)
            for part, make in VITON_HD.items()
            for name, shape in shapes_of(make()).items()
        }
    assert read_json(weights_folder() / "signatures" / "viton-hd-official.json") == expected


@pytest.mark.parametrize("name", sorted(set(POSE_CONFIGS) - {"starter"}))
def test_pose_signature(name: str) -> None:
    with torch.device("meta"):
        expected = {key: list(shape) for key, shape in shapes_of(VitPose(POSE_CONFIGS[name])).items()}
    file = f"pose-official-{name.removesuffix('-classic')}.json"
    assert read_json(weights_folder() / "signatures" / file) == expected


def test_vitruvio_signature() -> None:
    with torch.device("meta"):
        expected = {
            key: list(shape) for key, shape in shapes_of(OccupancyNetwork(OCCUPANCY_CONFIGS["published"])).items()
        }
    assert read_json(weights_folder() / "signatures" / "vitruvio-official.json") == expected


def test_diffpoint_signature_follows_the_network() -> None:
    # Nothing is published: this pins down what a checkpoint trained at the published size holds.
    with torch.device("meta"):
        network = DiffPoint(DIFFPOINT["official"])
    expected = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert read_json(weights_folder() / "signatures" / "diffpoint-official.json") == expected
