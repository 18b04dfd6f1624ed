"""``studio run``, ``rerun``, ``explain``, ``schema``: recipes and results as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from studio.commands.common import (
    Device,
    DryRun,
    Dtype,
    Force,
    Home,
    Json,
    Meter,
    Out,
    Quiet,
    fail,
    say,
    settings,
    show,
)

Result = Annotated[Path, typer.Argument(help="A file that the studio made.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to ``app``."""
    for verb in (run, rerun, explain, schema):
        app.command()(verb)


def run(
    spec: Annotated[Path, typer.Argument(help="One JSON object per line: kind, inputs, settings, seed, output, id.")],
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Skip items whose result is already there.")
    ] = True,
    max_failures: Annotated[int | None, typer.Option(min=1, help="Stop after so many failures.")] = None,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    home: Home = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make many results; one line of JSON each. Example: studio run batch.jsonl"""
    from studio import batch
    from studio.engine import Engine
    from studio.errors import SomeFailed

    engine = Engine(settings(device=device, dtype=dtype, home=home))
    items = batch.read(spec)
    done = failed = 0
    meter = Meter(quiet)
    for outcome in batch.run(engine, items, resume=resume, force=force, dry_run=dry_run, on_progress=meter):
        meter.close()
        done, failed = done + 1, failed + (not outcome["ok"])
        seconds = f"{outcome['seconds']:.1f} s"
        text = f"{outcome['id']}  {outcome['status']}  {outcome.get('output') or outcome['error']['what']}  {seconds}"
        show(outcome, as_json=as_json, text=[text])
        if max_failures is not None and failed >= max_failures:
            break
    if failed:
        raise SomeFailed(
            "batch.some-failed",
            "Some items failed",
            seen=f"{failed} of {done} tried, {len(items)} in all",
            remedy="Their lines say why; run the same command again for the rest",
        )
    if not quiet:
        say(f"{done} of {len(items)} items done")


def rerun(
    result: Result,
    out: Out = None,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    home: Home = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a result again from the file alone, and say whether it is the same. Exit 7 if it differs."""
    from studio import replay
    from studio.engine import Engine
    from studio.errors import GateFailed

    engine = Engine(settings(device=device, dtype=dtype, home=home))
    if dry_run:
        engine.runtime()
        told = replay.explain(engine, result)
        show(told, as_json=as_json, text=replay.lines(told))
        return
    meter = Meter(quiet)
    try:
        answer = replay.rerun(engine, result, out, force=force, on_progress=meter)
    finally:
        meter.close()
    if answer["verdict"] != "bit-exact":
        told = GateFailed(
            "rerun.differs",
            "The rerun gives another result",
            seen=f"{answer['comparison']}; " + ("; ".join(answer["differences"]) or "no known cause"),
            remedy="",
        )
        if as_json:
            fail(told, answer)
        raise told
    show(answer, as_json=as_json, text=[f"bit-exact: {answer['comparison']}"])


def explain(result: Result, device: Device = None, home: Home = None, as_json: Json = False) -> None:
    """Show how a result was made, its edit receipt, and what would differ on this machine."""
    from studio import replay
    from studio.engine import Engine

    told = replay.explain(Engine(settings(device=device, home=home)), result)
    show(told, as_json=as_json, text=replay.lines(told))


def schema(
    kind: Annotated[str, typer.Argument(help="For example tryon, check or building; an unknown one lists all.")],
    as_json: Json = False,
) -> None:
    """Print what a recipe of this kind holds, as JSON schema."""
    from studio import registry

    data = registry.schema(kind)
    show(data, as_json=as_json, text=[json.dumps(data, indent=2)])
