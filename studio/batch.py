"""Many results from one file: a recipe-like JSON object per line, one engine, one line of result each.

    {"id": "a", "kind": "tryon", "inputs": {"person": "p.jpg", "garment": "g.jpg"}, "settings": {}, "seed": 0,
     "output": "out/a.png"}

Paths are relative to the file. An item whose output is already there, made by the same recipe, is skipped; two items
with one output would be made again for ever, or the second in the place of the first, and are refused.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import InputError, PipelineError
from studio import errors, media, recipe, registry, sidecar, store, targets
from studio.engine import Engine, OnProgress


class Line(BaseModel):
    """One line of a batch file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | int | None = None
    kind: str = "tryon"
    inputs: dict[str, str]
    settings: dict[str, Any] = {}
    seed: int = Field(default=0, ge=0, le=recipe.MAX_SEED)
    output: str | None = None


@dataclass(frozen=True)
class Item:
    """A line, or why it cannot be read."""

    number: int
    folder: Path
    line: Line | None
    error: PipelineError | None = None

    @property
    def id(self) -> str:
        """The caller's id, or the line's number."""
        return str(self.line.id) if self.line is not None and self.line.id is not None else str(self.number)


def read(path: Path) -> list[Item]:
    """Read a batch file. A bad line becomes an item that fails, the others go on.

    Raises:
        InputError: ``input.*`` if the file cannot be read, ``batch.empty`` if it has no line.
    """
    try:
        text = media.read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("batch.unreadable", "This batch file is no text", seen=path) from error
    folder = path.resolve().parent
    items = []
    for number, raw in enumerate(text.splitlines(), 1):
        if not raw.strip() or raw.lstrip().startswith("//"):
            continue
        try:
            items.append(Item(number, folder, Line.model_validate(recipe.read_json(raw))))
        except ValidationError as error:
            first = error.errors()[0]
            told = recipe.bad(f"line {number}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
            items.append(Item(number, folder, None, told))
        except errors.UsageError as error:
            items.append(Item(number, folder, None, recipe.bad(f"line {number}: {error.seen}")))
    if not items:
        raise InputError("batch.empty", "This batch file is empty", seen=path, remedy="Write one JSON object per line")
    return items


def run(
    engine: Engine,
    items: list[Item],
    *,
    resume: bool = True,
    force: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> Iterator[dict[str, Any]]:
    """Run the items in order.

    Yields:
        id, ok, status (``done``, ``skipped``, ``checked``, ``failed``), seconds, and output with its hash or error.

    Raises:
        UsageError: ``batch.same-output``, before any item is run.
    """
    _check_outputs(engine, items)
    for item in items:
        started = time.monotonic()
        try:
            answer = _one(engine, item, resume=resume, force=force, dry_run=dry_run, on_progress=on_progress)
        except Exception as error:  # an item's failure, of whatever kind, must not end the batch
            told = errors.translate(error) or errors.bug_report(error, engine.settings.home / "logs")
            if isinstance(told, errors.Interrupted):
                raise
            answer = {"ok": False, "status": "failed", "error": told.as_dict()}
        yield {"id": item.id, **answer, "seconds": round(time.monotonic() - started, 3)}


def _one(
    engine: Engine, item: Item, *, resume: bool, force: bool, dry_run: bool, on_progress: OnProgress | None
) -> dict[str, Any]:
    if item.line is None:
        raise item.error or recipe.bad(f"line {item.number}")
    line = item.line
    target = _target(engine, item, line, force=force)
    files = {slot: item.folder / path for slot, path in line.inputs.items()}
    draft = engine.draft(line.kind, files, line.settings, seed=line.seed, keep=not dry_run)
    if resume and not force and not dry_run:
        done = next((path for path in store.written_under(target.path) if _is_done(path, draft.recipe)), None)
        if done is not None:
            return {"ok": True, "status": "skipped", "output": str(done)}
    engine.store.check(target, files.values())
    if dry_run:
        return {"ok": True, "status": "checked", "output": str(target.path)}
    artefact = engine.execute(draft, target, on_progress=on_progress)
    seal = artefact.sidecar
    return {
        "ok": True,
        "status": "done",
        "output": str(artefact.path),
        "sha256": seal.output.sha256,
        "receipt": seal.receipt,
    }


def _target(engine: Engine, item: Item, line: Line, *, force: bool) -> targets.Target:
    row = registry.kind(line.kind)
    # Joined as text: a Path would forget a slash at the end, which says that a folder is meant.
    output = os.path.join(item.folder, line.output or f"{item.id}{targets.SUFFIX_OF[row.formats[0]]}")
    return targets.target_for(
        output, row.formats, item.id, preferred=engine.settings.format, quality=engine.settings.quality, force=force
    )


def _check_outputs(engine: Engine, items: list[Item]) -> None:
    """Refuse a batch of which two lines name one output."""
    lines: dict[str, int] = {}
    for item in items:
        if item.line is None:
            continue
        try:
            target = _target(engine, item, item.line, force=False)
        except PipelineError:
            continue  # no usable output: the line fails when its turn comes, and the others go on
        first = lines.setdefault(os.path.normcase(os.path.realpath(target.path)), item.number)
        if first != item.number:
            raise errors.UsageError(
                "batch.same-output",
                "Two lines of this batch have the same output",
                seen=f"lines {first} and {item.number}: {target.path}",
                remedy="Give each line an output of its own",
            )


def _is_done(path: Path, wanted: recipe.Recipe) -> bool:
    """Whether ``path`` is a whole result of this very recipe (same inputs, settings, seed and weights)."""
    if not path.is_file() or not sidecar.path_beside(path).is_file():
        return False
    try:
        seal, notes = sidecar.read(path)
    except PipelineError:
        return False
    return not notes and seal.recipe_sha256 == wanted.sha256()
