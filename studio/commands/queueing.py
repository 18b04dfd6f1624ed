"""``studio queue``: the queue behind the page."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from studio.commands.common import Home, Json, columns, settings, show

app = typer.Typer(
    help="The queue behind the page: list, pause, cancel, retry.", no_args_is_help=True, rich_markup_mode=None
)
Number = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="Number of the job.")]


def _queue(home: object):
    from studio.queue import Queue

    return Queue(settings(home=home).home)


@app.command("ls")
def ls(limit: Annotated[int, typer.Option(min=1, max=100_000)] = 30, home: Home = None, as_json: Json = False) -> None:
    """List jobs, newest first; interrupted ones are marked."""
    import json

    queue = _queue(home)
    lost = {job.id for job in queue.interrupted()}
    jobs = queue.ls(limit=limit)
    data = {
        "paused": queue.paused,
        "workers": queue.workers(),
        "jobs": [{**asdict(job), "recipe": json.loads(job.recipe), "interrupted": job.id in lost} for job in jobs],
    }
    head = ("job", "state", "tries", "progress", "age", "output")
    rows = [
        (job.id, "interrupted" if job.id in lost else job.state, job.attempts, f"{job.fraction:.0%}",
         f"{time.time() - job.created:.0f} s", job.result or (job.error or {}).get("what") or job.target["path"])
        for job in jobs
    ]  # fmt: skip
    note = ["paused: studio queue pause --off goes on"] if data["paused"] else []
    show(data, as_json=as_json, text=[*note, *columns([head, *rows])])


@app.command("pause")
def pause(
    off: Annotated[bool, typer.Option("--off", help="Go on.")] = False, home: Home = None, as_json: Json = False
) -> None:
    """Start no further jobs; --off goes on. Running jobs and previews are not stopped."""
    queue = _queue(home)
    if off:
        queue.resume()
    else:
        queue.pause()
    show({"ok": True, "paused": not off}, as_json=as_json, text=["going on" if off else "paused"])


@app.command("cancel")
def cancel(number: Number, home: Home = None, as_json: Json = False) -> None:
    """Stop a job: at once if it waits, at its next step if it runs."""
    job = _queue(home).cancel(number)
    show({"ok": True, "job": number, "state": job.state}, as_json=as_json, text=[f"{number}: {job.state}"])


@app.command("retry")
def retry(number: Number, home: Home = None, as_json: Json = False) -> None:
    """Queue a failed, cancelled or quarantined job again."""
    job = _queue(home).retry(number)
    show({"ok": True, "job": number, "state": job.state}, as_json=as_json, text=[f"{number}: {job.state}"])
