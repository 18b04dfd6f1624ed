"""``studio train`` and ``studio eval``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from studio.commands.common import Device, DryRun, Dtype, Home, Json, Meter, Quiet, say, settings, show

Name = Annotated[str, typer.Argument(help="parsing, pose, garment, cutout, viton-hd, vitruvio or iml-vit.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to ``app``."""
    app.command()(train)
    app.command("eval")(evaluate)


def train(
    name: Name,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; a run found there goes on.")],
    data: Annotated[list[Path] | None, typer.Option("--data", help="Folder of data; repeatable.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Wall-clock budget.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps instead of minutes.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples a step.")] = None,
    lr: Annotated[float | None, typer.Option(min=0.0, help="Peak learning rate, if not its own.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Data-loading processes.")] = 0,
    network: Annotated[str | None, typer.Option(help="Configuration of the network.")] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE for the system's own training options; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train weights; stops and resumes. Example: studio train pose --data data/lspet --out runs/pose --minutes 60

    viton-hd trains one network a run: --set part=seg, gmm or alias. A DIR with train/image and train_pairs.txt is taken
    as the VITON-HD data set and trained on with the paper's losses; alias then needs a gmm trained before, into the
    same --out or named by --set gmm=FOLDER. A DIR with images/ and labels/ holds single photographs (CCP layout).

    vitruvio draws its buildings as it goes; with --data it trains from folders in the layout of Occupancy Networks,
    such as `studio data prepare` writes. --set pose=quarter, canonical or free says how the buildings stand.

    iml-vit tampers with the photographs in --data as it goes, or takes a published data set of tampered pictures there
    (CASIA, Columbia, COVERAGE, NIST16, IMD2020). --set side=256 trains on smaller pieces, which makes more steps.

    diffpoint draws its objects as it goes; with --data it trains from ShapeNet-R2N2, Pix3D or folders of CATEGORY/ID/
    with view_*.png and points.npz. --network official reads pictures through CLIP: --set clip=FOLDER with its vision
    tower. --set reading=0.25 says which share of the time it learns to read pictures and nothing else.
    """
    from studio import systems

    chosen = settings(device=device, dtype=dtype, home=home)
    plan = systems.plan_training(
        name, data or [], out, minutes=minutes, steps=steps, batch=batch, lr=lr, workers=workers, seed=seed,
        network=network, options=options or [], settings=chosen,
    )  # fmt: skip
    if dry_run:
        show(
            {"ok": True, "dry_run": True, **plan.describe()},
            as_json=as_json,
            text=[json.dumps(plan.describe(), indent=2)],
        )
        return
    folder = plan.run(log=(lambda line: None) if quiet else say)
    show({"ok": True, "weights": str(folder), **plan.describe()}, as_json=as_json, text=[str(folder)])


def evaluate(
    name: Name,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of labelled data.")] = None,
    split: Annotated[str, typer.Option(help="all, or val: one item in ten, never trained on.")] = "all",
    garments: Annotated[Path | None, typer.Option(help="Folder of flat garments (viton-hd).")] = None,
    rendered: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="People (viton-hd), buildings (vitruvio) or objects (diffpoint) to draw; of the last two 200 are.",
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="Your own folder of weights.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score weights on labelled data. Example: studio eval parsing --data data/ccp --split val --json

    vitruvio takes a DIR of ID/sketch.png, ID/points.npz and perhaps ID/mesh.obj. Without --data, --rendered 200 draws
    the fixed set that its figures are about; `studio data evaluation` writes that set to look at.

    iml-vit takes a DIR of tampered/, masks/ and authentic/, such as `studio data tampered` writes, or a published set.

    diffpoint takes a DIR of CATEGORY/ID/ with view_*.png and points.npz, ShapeNet-R2N2 or Pix3D. Without --data,
    --rendered 200 draws the fixed set that its figures are about.
    """
    from studio import systems

    chosen = settings(device=device, dtype=dtype, home=home)
    meter = Meter(quiet)
    figures = systems.evaluate(
        name, chosen, data=data, split=split, garments=garments, rendered=rendered, weights=weights,
        seed=seed, on_step=meter.step,
    )  # fmt: skip
    meter.close()
    width = max((len(key) for key in figures), default=0)
    text = [f"{key:<{width}}  {value:.4f}" if isinstance(value, float) else f"{key:<{width}}  {value}"
            for key, value in figures.items()]  # fmt: skip
    show(figures, as_json=as_json, text=text)
