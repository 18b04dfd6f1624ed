"""What training draws, and that a small network learns from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.core import checkpoint
from pipelines.core.errors import InputError
from pipelines.core.runtime import choose
from pipelines.core.training import TrainConfig
from pipelines.diffpoint import diffusion, training
from pipelines.diffpoint.augmentation import disturbed
from pipelines.diffpoint.network import CONFIGS, DiffPoint
from pipelines.diffpoint.views import GREY, as_input
from tests.diffpoint.test_network import TINY

CPU = choose("cpu", "float32")
CELLS = replace(TINY, cells=8)
ASKED = replace(CELLS, cameras=True)
STEPS = 90


def test_items_hold_views_and_a_surface() -> None:
    item = training.drawn_object(np.random.default_rng(0), 32)
    assert item["views"].shape == (3, 32, 32, 4) and item["views"].dtype == np.uint8
    assert item["points"].shape == (4096, 9) and np.abs(item["points"][:, :3]).max() <= 0.5
    batch = training.sample(item, np.random.default_rng(1), 100, 8)
    assert batch["cameras"].shape == (3, 3) and (np.abs(batch["cameras"][:, 0]) <= 180).all()
    assert batch["views"].shape == (3, 4, 32, 32) and batch["cloud"].shape == (100, 9)
    assert np.abs(batch["cloud"][:, :3]).max() <= 0.5 * diffusion.SCALE
    assert np.ptp(batch["cloud"][:, :3], axis=0).max() > 0.6 * diffusion.SCALE


def test_what_is_not_covered_is_grey() -> None:
    view = np.full((8, 8, 4), 255, np.uint8)
    view[:4, :, 3] = 0
    found = as_input(view)
    assert found[:3, :4] == pytest.approx(GREY / 127.5 - 1, abs=1e-6) and (found[3, :4] == -1).all()
    assert (found[:, 4:] == 1).all()


def test_disturbed_views_still_show_the_object() -> None:
    view = training.drawn_object(np.random.default_rng(2), 128)["views"][0]
    covers = [disturbed(view, np.random.default_rng(seed))[..., 3] >= 128 for seed in range(30)]
    before = view[..., 3] >= 128
    ratios = [float(cover.sum() / before.sum()) for cover in covers]
    assert 0.5 < min(ratios) and max(ratios) < 1.8 and len(set(ratios)) > 10


def test_the_loss_is_least_for_a_network_that_knows() -> None:
    batch = {
        name: torch.from_numpy(np.stack([value, value]))
        for name, value in training.sample(
            training.drawn_object(np.random.default_rng(3), 32), np.random.default_rng(0), 64, 8
        ).items()
    }

    class Knowing(DiffPoint):
        def forward(self, cloud: torch.Tensor, steps: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
            return batch["cloud"].repeat_interleave(training.NOISED, 0)

        def occupied(self, condition: torch.Tensor) -> torch.Tensor:
            cells = batch["cells"] if len(condition) > 1 else batch["cells"].mean(0, keepdim=True)
            return torch.logit(cells.double(), eps=1e-12).float()

        def coloured(self, condition: torch.Tensor) -> torch.Tensor:
            return batch["colours"].nan_to_num()

    share = diffusion.signal()
    value, parts = training.cloud_loss(Knowing(CELLS), batch, share)
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert set(parts) == {"place", "colour", "normal", "cells", "cells_colour"}
    assert float(training.cloud_loss(DiffPoint(CELLS), batch, share)[0].detach()) > 0.1


def test_a_small_network_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIGS, "starter", ASKED)
    monkeypatch.setattr(training, "_HELD", 2)
    monkeypatch.setattr(training, "_KEPT", 4)
    monkeypatch.setattr(training, "COLOUR", 0.3)  # so few steps go mostly into what weighs most
    config = TrainConfig(minutes=None, steps=STEPS, batch=8, lr=4e-3, warmup=5)
    folder = training.train(tmp_path / "run", config, CPU, points=64)
    again = training.train(tmp_path / "run", replace(config, steps=STEPS + 1), CPU, points=64)
    assert folder == again and (folder / "model.safetensors").is_file()
    torch.manual_seed(0)
    rng = np.random.default_rng(9)
    items = [training.sample(training.drawn_object(rng, 32), rng, 64, 8) for _ in range(16)]
    batch = {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}
    trained = DiffPoint(ASKED)
    checkpoint.load_component(folder, trained)
    with torch.no_grad():
        before, after = (
            training.cloud_loss(net.train(), batch, diffusion.signal())[1] for net in (DiffPoint(ASKED), trained)
        )
    assert after["place"] < 0.85 * before["place"]
    for name in ("colour", "cells", "cells_colour"):
        assert after[name] < 0.7 * before[name], name
    assert (tmp_path / "run" / "reading" / "state.pt").is_file()


def test_views_keep_their_cameras() -> None:
    item = training.drawn_object(np.random.default_rng(0), 32)
    item["views"] = np.stack([np.full((32, 32, 4), 60 * number, np.uint8) for number in range(3)])
    for seed in range(8):
        batch = training.sample(item, np.random.default_rng(seed), 64, 8)
        levels = batch["views"][:, 3].mean((1, 2))  # coverage survives what disturbs the colours, by its order
        assert np.array_equal(item["cameras"][np.argsort(np.argsort(levels))].astype(np.float32), batch["cameras"])
    del item["cameras"]
    assert np.isnan(training.sample(item, np.random.default_rng(0), 64, 8)["cameras"]).all()


def test_the_first_part_teaches_reading_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randint", lambda *_: torch.tensor(1))  # one view
    torch.manual_seed(0)
    model = DiffPoint(ASKED).train()
    rng = np.random.default_rng(1)
    items = [training.sample(training.drawn_object(rng, 32), rng, 64, 8) for _ in range(4)]
    batch = {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}
    value, told, condition = training.reading_loss(model, batch)
    value.backward()
    taught = {name.split(".")[0] for name, each in model.named_parameters() if each.grad is not None}
    assert taught == {"image", "fusion", "nothing", "cells", "colours", "cameras"} and len(condition) == 4
    assert set(told) == {"cells", "cells_colour", "camera"}
    assert batch["cells"].sum(1).min() > 10 and set(batch["cells"].unique().tolist()) == {0.0, 1.0}
    # A block has a colour where one of its eight cells is filled, and it is the mean of its points' colours.
    filled = batch["cells"].view(4, 4, 2, 4, 2, 4, 2).amax((2, 4, 6)).flatten(1).bool()
    assert (batch["colours"].isfinite().all(-1) == filled).all()
    cloud = torch.from_numpy(items[0]["cloud"])
    block = ((cloud[:, :3] / diffusion.SCALE + 0.5) * 4).long().clamp(0, 3) @ torch.tensor([16, 4, 1])
    near = torch.stack([cloud[block == number, 3:6].mean(0) for number in block.unique()])
    assert (near - batch["colours"][0][block.unique()]).abs().mean() < 0.1
    one, two = training.parts_of(TrainConfig(minutes=40.0), 0.25)
    assert (one.minutes, two.minutes) == (10, 30)
    one, two = training.parts_of(TrainConfig(minutes=None, steps=90), 0.25)
    assert (one.steps, two.steps, one.minutes) == (22, 68, None)


def test_what_cannot_be_trained_is_told(tmp_path: Path) -> None:
    for values, code in (
        ({"network": "official"}, "train.network"),
        ({"points": 8}, "train.points"),
        ({"reading": 1.0}, "train.reading"),
    ):
        with pytest.raises(InputError) as caught:
            training.train(tmp_path, TrainConfig(), CPU, **values)  # type: ignore[arg-type]
        assert caught.value.code == code
