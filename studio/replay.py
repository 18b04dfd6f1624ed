"""Results again: what a file says about itself, and whether it can be made once more, to the last pixel or corner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.core.errors import InputError, PipelineError, WeightsError
from pipelines.core.types import Cloud, Mesh
from studio import clouds, media, meshes, registry, sealing, sidecar, store, targets
from studio.engine import Engine, OnProgress
from studio.errors import UsageError, visible
from studio.sidecar import Sidecar

_WHAT = {Mesh: "the triangles", Cloud: "the points", dict: "the document"}


def explain(engine: Engine, path: Path) -> dict[str, Any]:
    """What is known about a result, and what would differ here.

    Returns:
        recipe, receipt, environment, output; ``notes`` on the file itself (edited since?); ``missing`` (what a rerun
        would lack) and ``differences`` (what is other here than when it was made).
    """
    seal, notes = sidecar.read(path)
    shown = _content(path, seal)
    if shown is None or sealing.content_hash(shown) != seal.output.pixels_sha256:
        what = _WHAT.get(type(shown), "the pixels")
        notes = [*notes, f"{what} are not those that were written: the file was changed since"]
    missing: list[str] = []
    differences: list[str] = []
    try:
        draft = engine.reopen(seal.recipe, path.resolve().parent)
        differences += draft.differences
    except (InputError, WeightsError, UsageError) as error:
        missing.append(f"{error.what} ({error.seen})")
    differences += _environment_differences(engine, seal)
    return {
        "ok": True,
        "file": str(path),
        "created": seal.created,
        "recipe": seal.recipe.model_dump(mode="json"),
        "recipe_sha256": seal.recipe_sha256,
        "output": seal.output.model_dump(mode="json", exclude_none=True),
        "receipt": seal.receipt,
        "environment": seal.environment,
        "notes": notes,
        "missing": missing,
        "differences": differences,
    }


def _content(path: Path, seal: Sidecar) -> Any:
    """What the file shows, or None if it can no longer be read as what it claims to be."""
    data = media.read_bytes(path)
    if seal.output.format in (*meshes.FORMATS, *clouds.FORMATS):
        return sealing.content(data, seal.output.format)  # refuses what is damaged or too large
    if seal.output.format != "json":
        media.decode(data, path.name, max_megapixels=178.0)  # untrusted: bounds and damage are checked here
    try:
        return sealing.content(data, seal.output.format)
    except (ValueError, AttributeError):
        return None


def _environment_differences(engine: Engine, seal: Sidecar) -> list[str]:
    try:
        here = engine.environment()
    except PipelineError as error:
        return [f"device: {error.what} ({error.seen})"]
    return [
        f"{name}: {here.get(name, 'unknown')} here, {then} then"
        for name, then in seal.environment.items()
        if here.get(name) != then
    ]


def rerun(
    engine: Engine,
    path: Path,
    out: str | Path | None = None,
    *,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Make a result again from the file alone and compare.

    Args:
        engine: Runs it.
        path: The result.
        out: Also write the new result here: a file, or a folder.
        force: Overwrite ``out``.
        on_progress: Called between steps.

    Returns:
        ``verdict`` (``bit-exact`` or ``differs``), ``comparison`` in words, figures, and ``differences``: all that is
        other here than when the file was made.

    Raises:
        InputError: ``input.not-kept`` if an input is nowhere to be found.
        WeightsError: if weights are missing.
        OutputError: as `Store.check` says; ``out`` may be neither the result itself nor an input beside it.
    """
    seal, notes = sidecar.read(path)
    shown = _content(path, seal)
    draft = engine.reopen(seal.recipe, path.resolve().parent)
    row = registry.kind(seal.recipe.kind)
    target = targets.target_for(
        out if out is not None else path, row.formats, path.stem, format=seal.output.format if out is None else None,
        quality=seal.output.quality, force=force,
    )  # fmt: skip
    if out is not None:
        folder = path.resolve().parent
        beside = [place for ref in seal.recipe.inputs.values() for place in store.places_beside(ref, folder)]
        engine.store.check(target, (path, *beside))
    outcome = engine.perform(draft, on_progress=on_progress)
    again = sealing.content(
        sealing.encode(outcome.product, seal.output.format, seal.output.quality), seal.output.format
    )
    figures = _compare(shown, again)
    written = None
    if out is not None:
        made = engine.store.write(outcome.product, draft.recipe, outcome.receipt, outcome.environment, target)
        written = str(made.path)
    return {
        "ok": True,
        "verdict": "bit-exact" if figures["same"] else "differs",
        "comparison": figures.pop("text"),
        **figures,
        "differences": [*notes, *draft.differences, *_environment_differences(engine, seal)],
        "output": written,
    }


def _compare(then: Any, now: Any) -> dict[str, Any]:
    import numpy as np

    if isinstance(then, Mesh) and isinstance(now, Mesh):
        return meshes.compare(then, now)
    if isinstance(then, Cloud) and isinstance(now, Cloud):
        return clouds.compare(then, now)
    if isinstance(then, dict) or isinstance(now, dict) or then is None:
        same = then == now
        return {"same": same, "text": "the same document" if same else "another document"}
    if isinstance(then, (Mesh, Cloud)) or isinstance(now, (Mesh, Cloud)):
        return {"same": False, "text": "another kind of file"}
    if then.shape != now.shape:
        return {
            "same": False,
            "text": f"size {now.shape[1]} x {now.shape[0]} instead of {then.shape[1]} x {then.shape[0]}",
        }
    distance = np.abs(then.astype(np.int16) - now.astype(np.int16))
    changed = int((distance.max(axis=2) if distance.ndim == 3 else distance).astype(bool).sum())
    total = then.shape[0] * then.shape[1]
    if not changed:
        return {"same": True, "changed_pixels": 0, "text": f"all {total} pixels are the same"}
    return {
        "same": False,
        "changed_pixels": changed,
        "max_difference": int(distance.max()),
        "mean_difference": round(float(distance.mean()), 5),
        "text": f"{changed} of {total} pixels differ, by up to {int(distance.max())} of 255",
    }


def lines(told: dict[str, Any]) -> list[str]:
    """`explain`'s answer for people. Everything in it came out of a file, so control characters are made visible."""
    recipe, receipt = told["recipe"], told["receipt"]
    rows = [
        ("file", told["file"]),
        ("made", f"{told['created']} as {recipe['kind']}, seed {recipe['seed']}"),
        *((f"input {slot}", f"{ref['name']} ({ref['sha256'][:12]})") for slot, ref in recipe["inputs"].items()),
        *((f"setting {name}", value) for name, value in recipe["settings"].items()),
    ]
    for part in _dicts(receipt.get("weights")):
        use = f"{part.get('tier')}, licence {part.get('licence')}, commercial use: {part.get('commercial')}"
        rows.append((f"weights {part.get('name')}", f"{use} ({str(part.get('sha256'))[:12]})"))
    edit = receipt.get("edit")
    if isinstance(edit, dict):
        outside = edit.get("changed_outside_mask")
        count = "not measured (JPEG)" if outside is None else outside
        rows.append(("edited", f"{edit.get('mask_pixels')} pixels in the mask; outside it changed: {count}"))
    loop = receipt.get("closed_loop")
    if isinstance(loop, dict):
        inside, found = loop.get("detected_inside_declared"), loop.get("declared_found")
        rows.append(("detector", f"share of what it marks that was declared: {inside}; of the declared found: {found}"))
    passport = receipt.get("passport")
    if isinstance(passport, dict):
        size, verdict = passport.get("size_mm"), "printable" if passport.get("printable") else "not printable"
        rows.append(("print", f"{size} mm, {passport.get('scale_source')}, {verdict} by {passport.get('printer')}"))
    rows += [(str(c.get("name")), c.get("message")) for c in _dicts(receipt.get("changes"))]
    rows += [(str(f.get("severity")), f.get("message")) for f in _dicts(receipt.get("findings"))]
    timings = receipt.get("timings")
    if isinstance(timings, dict):
        rows.append(("took", f"{timings.get('total')} s, {receipt.get('peak_rss_mb')} MB at most"))
    rows += [("note", note) for note in told["notes"]]
    rows += [("missing", text) for text in told["missing"]]
    rows += [("differs", text) for text in told["differences"]]
    if not told["missing"] and not told["differences"]:
        rows.append(("rerun", "everything is as it was: studio rerun should give the same result"))
    plain = ((name, str(value)[:300]) for name, value in rows)
    return [visible(f"{name:<20}{text}") for name, text in plain]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
