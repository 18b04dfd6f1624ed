"""The flow with real (small, untrained) networks: seeds, order of steps, cancelling; its pieces against definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipelines.core.errors import Cancelled
from pipelines.viton_hd import flow
from pipelines.viton_hd.inference import accelerate
from pipelines.viton_hd.network import GMM, GmmConfig, SegConfig, SegGenerator
from pipelines.viton_hd.preprocess import Sample
from tests.viton_hd.scenes import tiny_alias

SIZE = (256, 256)


def sample() -> Sample:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(4)]
    mask = np.zeros(SIZE, np.uint8)
    mask[60:200, 60:200] = 1
    parse = np.zeros(SIZE, np.uint8)
    parse[20:60, 100:150], parse[200:, 80:180] = 13, 9
    return Sample("p_00.jpg", "c_00.jpg", pictures[0], pictures[1], parse, pictures[2], pictures[3], mask)


@pytest.fixture(scope="module")
def networks() -> tuple[SegGenerator, GMM, torch.nn.Module]:
    torch.manual_seed(0)
    return (
        SegGenerator(SegConfig(width=4)).eval(),
        GMM(GmmConfig(*SIZE, width=4)).eval(),
        tiny_alias(load_height=SIZE[0], load_width=SIZE[1]),
    )


@pytest.fixture(scope="module")
def inputs() -> flow.Inputs:
    return flow.to_inputs([sample()])


def run(inputs: flow.Inputs, networks: tuple, **options: object) -> flow.Steps:
    # GMM's inputs follow its own size, which for a tiny one is not that of the published flow.
    seg, gmm, alias = networks

    def warp(person: torch.Tensor, cloth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return gmm(F.interpolate(person, size=(64, 64)), F.interpolate(cloth, size=(64, 64)))

    return flow.run(inputs, seg, warp, alias, **options)  # type: ignore[arg-type]


def test_a_seed_decides_everything(inputs: flow.Inputs, networks: tuple) -> None:
    one, same, other = (run(inputs, networks, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(one.output, same.output) and np.array_equal(one.labels, same.labels)
    assert not torch.equal(one.seg_input[:, -1], other.seg_input[:, -1])
    assert not torch.equal(one.output, other.output)


def test_fast_networks_give_the_same_picture(inputs: flow.Inputs, networks: tuple) -> None:
    plain, fast = run(inputs, networks, seed=1), run(inputs, tuple(accelerate(n) for n in networks), seed=1)
    assert (plain.labels != fast.labels).mean() < 0.003
    assert ((plain.output - fast.output).abs() > 1e-3).float().mean() < 0.003


def test_misalignment_and_labels_share_the_wanted_cloth(inputs: flow.Inputs, networks: tuple) -> None:
    steps = run(inputs, networks, seed=1)
    wanted = torch.from_numpy(steps.labels[0] == flow.UPPER7).float()
    assert torch.allclose(steps.parse_divided[0, flow.UPPER7] + steps.parse_divided[0, 7], wanted, atol=1e-6)
    assert torch.equal(steps.misalign[0, 0], (wanted - steps.warped_mask[0, 0]).clamp(min=0))
    assert steps.output.shape == (1, 3, *SIZE) and steps.output.abs().max() <= 1


def test_steps_are_reported_in_order_and_can_be_stopped(inputs: flow.Inputs, networks: tuple) -> None:
    seen: list[tuple[int, int]] = []
    run(inputs, networks, on_step=lambda done, total, preview: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]

    def stop(done: int, total: int, preview: object) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run(inputs, networks, on_step=stop)


def test_segmentation_noise_is_sparse_and_binary() -> None:
    noise = flow.segmentation_noise(0, (1, 1, 256, 192))
    assert set(noise.unique().tolist()) == {0.0, 1.0}
    assert abs(float(noise.mean()) - 0.159) < 0.01
    assert torch.equal(noise, flow.segmentation_noise(0, (1, 1, 256, 192)))
    assert not torch.equal(noise, flow.segmentation_noise(1, (1, 1, 256, 192)))
    assert not torch.equal(noise, flow.segmentation_noise(1 << 32, (1, 1, 256, 192)))


def test_blur_is_a_gaussian_with_zeros_outside() -> None:
    spot = torch.zeros(1, 2, 41, 41)
    spot[0, 0, 20, 20], spot[0, 1] = 1, 1
    found = flow.blur(spot)
    distance = torch.arange(41.0) - 20
    line = torch.exp(-(distance**2) / 18) * (distance.abs() <= 7)
    assert (found[0, 0] - torch.outer(line, line) / line.sum() ** 2).abs().max() < 1e-6
    assert abs(float(found[0, 1, 20, 20]) - 1) < 1e-5 and 0.2 < float(found[0, 1, 0, 0]) < 0.4


def test_pictures_are_cut_off_not_rounded() -> None:
    output = torch.tensor([-1.2, -1.0, -0.001, 0.0, 0.999, 1.0, 1.3]).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    [picture] = flow.to_pictures(output)
    assert picture.dtype == np.uint8 and picture[0, :, 0].tolist() == [0, 0, 127, 127, 254, 255, 255]


def test_result_names() -> None:
    assert flow.result_name("00891_00.jpg", "01430_00.jpg") == "00891_01430_00.jpg"
    assert flow.result_name("plain.jpg", "shirt.jpg") == "plain.jpg_shirt.jpg"
