"""Training the three networks, from single photographs (ours) or on the data set of VITON-HD (the paper's way).

The layout of the folder decides. CCP layout: pairs.py un-warps the worn garment into a flat one and fits it back with
errors, so that each photo is its own ground truth; the losses of losses.py. VITON-HD layout: pairs of person and worn
garment (paired.py); the losses of adversarial.py, and Adam with rates that could not be checked against the paper. Ours
there: the shared loop's warm-up, cosine, averaging of weights and clipping of gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipelines.core import checkpoint, hub, training
from pipelines.core.errors import InputError, PipelineError
from pipelines.core.runtime import Runtime
from pipelines.viton_hd import adversarial, losses, pairs
from pipelines.viton_hd.discriminator import DiscriminatorConfig, MultiscaleDiscriminator
from pipelines.viton_hd.network import (
    CONFIGS,
    AliasConfig,
    ALIASGenerator,
    SegConfig,
    SegGenerator,
    SpectralConv2d,
    VitonHDConfig,
)
from pipelines.viton_hd.paired import CCP, VITON_HD, PairedPeople, layout_of, paired_people
from pipelines.viton_hd.preprocess import LOAD_SIZE
from pipelines.viton_hd.warping import GMM, GmmConfig

PARTS = ("seg", "gmm", "alias")
LAYOUT_FILE = "layout.txt"  # in the run folder: `VITON_HD` or `CCP`
# Peak rate and Adam's betas on the VITON-HD layout; the discriminator of ALIASGenerator learns four times as fast.
RATES = {"seg": 4e-4, "gmm": 2e-4, "alias": 1e-4}
BETAS = {"seg": (0.5, 0.999), "gmm": (0.5, 0.999), "alias": (0.0, 0.9)}
ALIAS_RIVAL = 4.0
SETTLED = 30  # power iterations after which averaged weights know their singular value


@dataclass(frozen=True)
class Task:
    """What `training.fit` needs beside folder and bounds."""

    model: nn.Module
    loss: Callable[[nn.Module, dict[str, Any]], tuple[torch.Tensor, dict[str, float]]]
    draw: Callable[[Any], dict[str, Any]]
    values: dict[str, Any]
    rival: training.Rival | None = None


def train(
    data: Sequence[str | Path],
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    part: str = "alias",
    garments: Sequence[str | Path] = (),
    rendered: int = 300,
    network: str = "starter",
    parsing: str = "parsing",
    pose: str = "pose",
    gmm: str = "",
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train one network and write it to ``folder``/PART/weights.

    Args:
        data: Folders, all in the CCP layout or all in the VITON-HD layout.
        folder: Run folder; the run resumes. One layout, one folder.
        config: Bounds and optimiser settings. On the VITON-HD layout betas and weight decay are the paper's way, and
            the rate is that of `RATES` where none is given.
        runtime: Device and dtype.
        part: ``seg``, ``gmm`` or ``alias``.
        garments: CCP layout: folders of photos of upper garments, whose outlines the un-warped garments take; none
            takes the few of the samples.
        rendered: CCP layout: rendered people to add to the photographs.
        network: A name of `CONFIGS`. On the VITON-HD layout its sizes, with the published channels; the published flow
            runs ``official`` only, the smaller one is for trials.
        parsing: Parser whose encoder measures the feature distance of ``alias``.
        pose: CCP layout: pose network that finds the joints of the photographs.
        gmm: VITON-HD layout, ``alias``: folder of the GMM that bends the cloth; default ``folder``/gmm/weights.
        log: Receives progress lines.

    Returns:
        The folder of the component.

    Raises:
        PipelineError: ``train.resume`` if ``folder`` holds a run on the other layout.
        InputError: ``train.part`` or ``train.network`` for an unknown name; ``data.layout``, ``data.mixed``,
            ``data.unpaired`` or ``data.empty``.
        WeightsError: ``weights.missing`` if ``alias`` finds no GMM.
    """
    if part not in PARTS:
        raise InputError("train.part", "There is no such network", seen=part, remedy=f"Use one of: {', '.join(PARTS)}")
    if network not in CONFIGS:
        raise InputError(
            "train.network", "There is no such configuration", seen=network, remedy=f"Use one of: {', '.join(CONFIGS)}"
        )
    layouts = {layout_of(place) for place in data}
    if len(layouts) > 1:
        raise InputError(
            "data.mixed", "These folders are in two layouts", seen=", ".join(map(str, data)), remedy="Train on one"
        )
    folder, shape = Path(folder), CONFIGS[network]
    mark, layout = folder / LAYOUT_FILE, VITON_HD if layouts == {VITON_HD} else CCP
    _check_layout(mark, layout)
    torch.manual_seed(config.seed)
    if layouts == {VITON_HD}:
        lr = RATES[part] if config.lr is None else config.lr
        config = replace(config, lr=lr, betas=BETAS[part], weight_decay=0.0)
        shape = published(shape)
        people = paired_people(data, _load_size(part, shape))
        log(f"{len(people)} pairs of person and worn garment")
        task = _paired(part, people, shape, Path(gmm) if gmm else folder / "gmm" / "weights", parsing, runtime)
    else:
        store = pairs.prepare(data, folder / "pairs.npz", garments=garments, rendered=rendered, pose=pose, log=log)
        log(f"{len(store)} people with {store.fits} fitted garments")
        task = _single(part, store, shape, parsing, runtime)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(layout + "\n", encoding="utf-8")
    model = training.fit(task.model, task.loss, task.draw, folder / part, config, runtime, rival=task.rival, log=log)
    for module in model.modules():
        if isinstance(module, SpectralConv2d):
            module.settle(SETTLED)
    checkpoint.save_component(folder / part / "weights", model, task.values)
    return folder / part / "weights"


def _check_layout(mark: Path, layout: str) -> None:
    """Refuse to go on with a run on the other layout: its GMM would fit, so only the run itself can say it."""
    began = mark.read_text(encoding="utf-8").strip() if mark.is_file() else layout
    if began != layout:
        raise PipelineError(
            "train.resume",
            "This folder holds a run on the other data layout",
            seen=f"{mark.parent}: {began} instead of {layout}",
            remedy="Name another folder, or the data that the run began with",
        )


def published(shape: VitonHDConfig) -> VitonHDConfig:
    """The sizes of ``shape`` with the channels that the published flow reads and writes."""
    seg, alias = SegConfig(), AliasConfig()
    return replace(
        shape,
        seg=replace(shape.seg, input_nc=seg.input_nc, output_nc=seg.output_nc),
        alias=replace(shape.alias, input_nc=alias.input_nc, output_nc=alias.output_nc),
    )


def _single(part: str, store: pairs.PairStore, shape: VitonHDConfig, parsing: str, runtime: Runtime) -> Task:
    """Self-supervised training on single photographs."""
    if part == "seg":
        return Task(SegGenerator(shape.seg), losses.seg_loss, store.sample, asdict(shape.seg))
    if part == "gmm":
        return Task(GMM(shape.gmm), losses.gmm_loss, store.gmm_sample, asdict(shape.gmm))
    model = ALIASGenerator(shape.alias)
    for parameter in model.conv_img.parameters():  # start from the first fill and the plain cloth, uncorrected
        nn.init.zeros_(parameter)
    return Task(model, losses.alias_loss(_features(parsing, runtime)), store.sample, asdict(shape.alias))


def _load_size(part: str, shape: VitonHDConfig) -> tuple[int, int]:
    if part == "seg":
        return LOAD_SIZE  # the flow brings every load size to SegGenerator's one, and so does its loss
    size = shape.gmm if part == "gmm" else shape.alias
    return size.load_height, size.load_width


def _paired(part: str, people: PairedPeople, shape: VitonHDConfig, gmm: Path, parsing: str, runtime: Runtime) -> Task:
    """The paper's training on pairs of person and worn garment."""
    if part == "gmm":
        return Task(GMM(shape.gmm), adversarial.paired_gmm_loss, people.sample, asdict(shape.gmm))
    if part == "seg":
        seen = shape.seg.input_nc + shape.seg.output_nc
        critic = MultiscaleDiscriminator(DiscriminatorConfig(seen, shape.seg.width))
        game = adversarial.SegGame(critic)
        rival = training.Rival(critic, game.opposing)
        return Task(SegGenerator(shape.seg), game, people.sample, asdict(shape.seg), rival)
    bending = GMM(GmmConfig(**checkpoint.read_config(gmm))).to(runtime.device)
    checkpoint.load_component(gmm, bending)
    seen = shape.alias.input_nc + shape.alias.output_nc
    critic = MultiscaleDiscriminator(DiscriminatorConfig(seen, shape.alias.ngf, scales=2, spectral=True))
    play = adversarial.AliasGame(critic, bending, _features(parsing, runtime))
    rival = training.Rival(critic, play.opposing, ALIAS_RIVAL)
    return Task(ALIASGenerator(shape.alias), play, people.sample, asdict(shape.alias), rival)


def _features(parsing: str, runtime: Runtime) -> losses.Features:
    from pipelines.person.parsing.pipeline import ParsingPipeline

    pipeline = ParsingPipeline.from_pretrained(hub.resolve(parsing), device=str(runtime.device))
    return losses.features_of(pipeline.model)  # type: ignore[arg-type]
