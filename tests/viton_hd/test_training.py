"""Every part trains on the published layout, the discriminators take part, and a stopped run is the same run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from pipelines.core import checkpoint, runtime
from pipelines.core.errors import InputError, PipelineError, WeightsError
from pipelines.core.training import TrainConfig, batches
from pipelines.synthetic.people import render_person
from pipelines.viton_hd import adversarial, losses, training
from pipelines.viton_hd.discriminator import DiscriminatorConfig, MultiscaleDiscriminator
from pipelines.viton_hd.network import (
    CONFIGS,
    AliasConfig,
    ALIASGenerator,
    SegConfig,
    SegGenerator,
    VitonHDConfig,
)
from pipelines.viton_hd.paired import paired_people
from pipelines.viton_hd.preprocess import LOAD_SIZE
from pipelines.viton_hd.warping import GMM, GmmConfig, TpsGrid
from tests.viton_hd.layout import write_layout
from tests.viton_hd.scenes import TINY

CPU = runtime.choose("cpu", "float32")
SMALL = VitonHDConfig(SegConfig(width=4), GmmConfig(256, 256, width=4), AliasConfig(**TINY))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("viton"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIGS, "small", SMALL)


def run(data: Path, out: Path, part: str, steps: int, **options: Any) -> Path:
    config = TrainConfig(minutes=None, steps=steps, batch=2, warmup=1)
    return training.train([data], out, config, CPU, part=part, network="small", **options)


def state(out: Path, part: str) -> dict[str, Any]:
    return checkpoint.read_torch(out / part / "state.pt")


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def some_gmm(out: Path) -> Path:
    torch.manual_seed(0)
    checkpoint.save_component(out, GMM(SMALL.gmm), vars(SMALL.gmm))
    return out


@pytest.mark.parametrize("part", training.PARTS)
def test_a_part_trains_and_goes_on_where_it_stopped(folder: Path, tmp_path: Path, part: str) -> None:
    options = {"gmm": str(some_gmm(tmp_path / "bending"))} if part == "alias" else {}
    weights = run(folder, tmp_path, part, 2, **options)
    first = state(tmp_path, part)
    assert first["state"]["step"] == 2 and ("rival" in first) == (part != "gmm")
    assert first["optimizer"]["param_groups"][0]["betas"] == training.BETAS[part]

    # Resumed at its bound, a run takes no step: all that is stored must have gone through memory unchanged.
    run(folder, tmp_path, part, 2, **options)
    again = state(tmp_path, part)
    for name in ("model", "averaged", "optimizer", *(["rival"] if part != "gmm" else [])):
        assert equal(again[name], first[name]), name

    run(folder, tmp_path, part, 3, **options)
    on = state(tmp_path, part)
    assert on["state"]["step"] == 3 and not equal(on["model"], first["model"])
    if part != "gmm":
        counts = {int(s["step"]) for s in on["rival"]["optimizer"]["state"].values()}
        assert counts == {3} and not equal(on["rival"]["network"], first["rival"]["network"])

    built = {"seg": SegGenerator, "gmm": GMM, "alias": ALIASGenerator}[part]
    kind = {"seg": SegConfig, "gmm": GmmConfig, "alias": AliasConfig}[part]
    model = built(kind(**checkpoint.read_config(weights)))
    checkpoint.load_component(weights, model)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    if (
        part == "alias"
    ):  # averaged u and v are no unit vectors; what is kept must be divided by its true norm all the same
        weight = model.head_0.conv_0.weight.detach()  # type: ignore[union-attr]
        assert torch.linalg.matrix_norm(weight.flatten(1), 2) == pytest.approx(1.0, abs=0.02)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One rendered person in the CCP layout, and the run folder beside it."""
    root = tmp_path_factory.mktemp("ccp")
    for name in ("images", "labels"):
        (root / name).mkdir()
    person = render_person(3, size=(512, 384), framing="full", calm=True)
    PilImage.fromarray(person.image).save(root / "images" / "0001.jpg", quality=95)
    PilImage.fromarray(person.labels).save(root / "labels" / "0001.png")
    names = ["null", "hair", "skin", "shirt", "jeans", "dress", "shoes", "bag", "hat"]
    (root / "label_names.json").write_text(json.dumps(names))
    return root


@pytest.mark.parametrize("part", training.PARTS)
def test_single_photographs_still_train_every_part(photographs: Path, folder: Path, part: str) -> None:
    out, lines = photographs / "run", list[str]()
    config = TrainConfig(minutes=None, steps=1, batch=2, warmup=1)
    weights = training.train([photographs], out, config, CPU, part=part, rendered=1, log=lines.append)
    assert "2 people with 4 fitted garments" in lines  # the photograph with sample outlines, and the rendering
    stored = state(out, part)
    assert stored["state"]["step"] == 1 and "rival" not in stored
    assert stored["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.98)
    assert checkpoint.read_config(weights) == asdict(getattr(CONFIGS["starter"], part))
    with pytest.raises(PipelineError) as raised:
        run(folder, out, part, 2)
    assert raised.value.code == "train.resume" and "ccp instead of viton-hd" in str(raised.value.seen)
    assert equal(state(out, part), stored)


def batch_of(folder: Path, size: tuple[int, int]) -> dict[str, torch.Tensor]:
    return next(batches(paired_people([folder], size).sample, TrainConfig(batch=2)))


def seg_game(channels: int = 34) -> adversarial.SegGame:
    return adversarial.SegGame(MultiscaleDiscriminator(DiscriminatorConfig(channels, width=4)))


def alias_game(tmp_path: Path) -> adversarial.AliasGame:
    gmm = GMM(SMALL.gmm)
    critic = MultiscaleDiscriminator(DiscriminatorConfig(12, width=4, scales=2, spectral=True))
    return adversarial.AliasGame(critic, gmm, lambda picture: [picture, torch.nn.functional.avg_pool2d(picture, 4)])


@pytest.mark.parametrize("part", ["seg", "alias"])
def test_generator_and_discriminator_learn_from_each_other(folder: Path, tmp_path: Path, part: str) -> None:
    torch.manual_seed(0)
    model: Any = SegGenerator(SMALL.seg) if part == "seg" else ALIASGenerator(SMALL.alias)
    game: Any = seg_game() if part == "seg" else alias_game(tmp_path)
    batch = batch_of(folder, LOAD_SIZE if part == "seg" else (256, 192))

    def gradient() -> torch.Tensor:
        torch.manual_seed(1)  # of dropout and noise
        model.zero_grad()
        value, figures = game(model, batch)
        value.backward()
        if part == "seg":
            assert value.item() == pytest.approx(10 * figures["entropy"] + figures["gan"], rel=1e-5)
        else:
            weighed = figures["gan"] + 10 * figures["matching"] + 10 * figures["distance"]
            assert value.item() == pytest.approx(weighed, rel=1e-4)
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    before = gradient()
    assert before.abs().sum() > 0
    assert all(p.grad is None for p in game.critic.parameters()), "the generator's loss must not teach the critic"

    model.zero_grad()
    against, _ = game.opposing()
    against.backward()
    assert all(p.grad is None for p in model.parameters()), "the critic's loss must not teach the generator"
    grads = {name: p.grad for name, p in game.critic.named_parameters()}
    assert all(g is not None for g in grads.values())
    # A bias before an instance normalisation is taken out again, so weights alone tell.
    assert all(g.abs().sum() > 0 for name, g in grads.items() if "weight" in name or "original" in name)

    with torch.no_grad():
        for p in game.critic.parameters():
            p.neg_()
    assert not torch.allclose(gradient(), before), "another critic must teach something else"


def test_a_discriminator_learns_to_tell(folder: Path) -> None:
    torch.manual_seed(0)
    model, game, batch = SegGenerator(SMALL.seg), seg_game(), batch_of(folder, LOAD_SIZE)
    game(model, batch)
    optimizer = torch.optim.Adam(game.critic.parameters(), 1e-3)
    values = []
    for _ in range(12):
        value, _ = game.opposing()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]


def test_the_true_picture_costs_nothing_but_the_game(folder: Path, tmp_path: Path) -> None:
    game, batch = alias_game(tmp_path), batch_of(folder, (256, 192))
    truth = batch["image"].permute(0, 3, 1, 2).float() / 127.5 - 1
    game.critic.eval()
    _, figures = game(lambda x, labels, divided, misalign: truth, batch)
    assert figures["matching"] == figures["distance"] == figures["l1"] == 0


def test_the_constraint_is_zero_for_affine_maps_and_positive_for_others() -> None:
    points = TpsGrid(8, 8, 5).points  # (25, 2)
    matrix = torch.tensor([[0.8, 0.2], [-0.1, 1.3]])
    affine = (points @ matrix.t() + torch.tensor([0.1, -0.2]) - points).t().reshape(1, -1)
    assert losses.bend(affine) < 1e-6
    assert losses.bend(torch.zeros(1, 50)) == 0
    bulged = affine.clone()
    bulged[0, 12] += 0.3  # the middle point's x: three differences of 15 in each direction see it, by 1, 2 and 1
    assert losses.bend(bulged) == pytest.approx(2 * 0.3 * (1 + 2 + 1) / 30, rel=1e-4)
    folded = affine.clone()
    folded[0, [5, 6, 7, 8, 9]] -= 1.0
    assert losses.bend(folded) > 0.1


def test_gmm_loss_weighs_the_constraint_by_four_hundredths() -> None:
    theta = torch.zeros(1, 50)
    theta[0, 12] = 0.3
    rest = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 3, 32, 32], align_corners=False)
    cloth, mask = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    batch = {"person": mask, "cloth_small": mask, "cloth": cloth, "cloth_mask": mask, "worn": cloth, "worn_mask": mask}
    value, figures = losses.gmm_loss(lambda person, cloth: (theta, rest), batch)  # type: ignore[arg-type]
    assert figures["worn"] < 1e-5 and figures["outline"] < 1e-5
    assert value == pytest.approx(0.04 * 2 * 0.3 * 4 / 30, abs=1e-5)
    _, far = losses.gmm_loss(lambda person, cloth: (theta, rest), {**batch, "worn": cloth + 0.5})  # type: ignore[arg-type]
    assert far["worn"] == pytest.approx(0.5, abs=1e-4)


def test_the_spline_is_as_exact_under_reduced_precision() -> None:
    spline, theta = TpsGrid(64, 48, 5), torch.rand(2, 50, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.autocast("cpu", torch.bfloat16):
        found = spline(theta)
    assert torch.equal(found, spline(theta))


def test_what_cannot_be_trained_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as missing:
        run(folder, tmp_path / "a", "alias", 1)
    assert missing.value.code == "weights.missing" and "gmm" in str(missing.value.seen)
    for options, code in (({"part": "vgg"}, "train.part"), ({"network": "huge"}, "train.network")):
        with pytest.raises(InputError) as raised:
            training.train([folder], tmp_path / "b", TrainConfig(), CPU, **options)
        assert raised.value.code == code
    for part in ("images", "labels"):
        (tmp_path / "ccp" / part).mkdir(parents=True)
    with pytest.raises(InputError) as mixed:
        training.train([folder, tmp_path / "ccp"], tmp_path / "b", TrainConfig(), CPU)
    assert mixed.value.code == "data.mixed" and not (tmp_path / "b").exists()


def test_a_run_folder_of_the_other_layout_is_refused(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path, "seg", 1)
    stored = state(tmp_path, "seg")
    del stored["rival"]
    torch.save(stored, tmp_path / "seg" / "state.pt")
    with pytest.raises(PipelineError) as raised:
        run(folder, tmp_path, "seg", 2)
    assert raised.value.code == "train.resume"


def test_a_gmm_of_the_other_layout_does_not_go_on(folder: Path, photographs: Path, tmp_path: Path) -> None:
    """Its network and its optimiser are the same on both, so nothing else would notice."""
    run(folder, tmp_path, "gmm", 1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(PipelineError) as raised:
        run(photographs, tmp_path, "gmm", 2)
    assert raised.value.code == "train.resume" and "viton-hd instead of ccp" in str(raised.value.seen)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    run(folder, tmp_path, "gmm", 2)
    assert state(tmp_path, "gmm")["state"]["step"] == 2


def test_published_channels_at_any_size() -> None:
    shape = training.published(CONFIGS["starter"])
    assert (shape.alias.input_nc, shape.alias.output_nc, shape.alias.ngf) == (9, 3, CONFIGS["starter"].alias.ngf)
    assert (shape.seg.input_nc, shape.seg.output_nc) == (21, 13)
    assert training.published(CONFIGS["official"]) == CONFIGS["official"]


def test_gmm_bends_for_a_picture_of_another_size(folder: Path, tmp_path: Path) -> None:
    game = alias_game(tmp_path)
    batch = batch_of(folder, (256, 256))
    inputs, _, parse = adversarial.unpack(batch)
    labels = adversarial.seven_classes(parse)
    same = game._grid(inputs, labels)
    person, cloth = adversarial.flow.gmm_inputs(inputs, labels[:, 2:3], (64, 64))
    assert torch.allclose(same, game.gmm(person, cloth)[1], atol=1e-6)
    narrow = adversarial.unpack(batch_of(folder, (256, 192)))[0]
    grid = game._grid(narrow, adversarial.seven_classes(parse)[..., :192])
    assert grid.shape == (2, 256, 192, 2) and np.isfinite(grid.numpy()).all()
