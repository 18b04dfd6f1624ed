"""``studio check``: is this picture what it says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.core.errors import PipelineError
from studio.commands.common import Device, Dtype, Force, Home, Json, Meter, Quiet, columns, fail, say, settings, show
from studio.errors import visible

if TYPE_CHECKING:
    from studio.checking import Checked
    from studio.engine import Engine, OnProgress
    from studio.targets import Target


def register(app: typer.Typer) -> None:
    """Add the verb to ``app``."""
    app.command()(check)


def check(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders that are searched for them.")],
    report: Annotated[Path | None, typer.Option("--report", help="Write FILE.html, a page with the heat maps.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Also write each heat map into this folder.")
    ] = None,
    fail_above: Annotated[
        float | None, typer.Option("--fail-above", min=0.0, max=1.0, help="Exit with 7 if a score is above this.")
    ] = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="Your own folder of weights.")] = None,
    device: Device = None,
    dtype: Dtype = None,
    force: Force = False,
    home: Home = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Look for manipulated pixels, a seal, a recipe and traces in the file. Example: studio check photo.jpg

    Forensic evidence is weak, whatever the score: the network errs both ways. The seal is another matter, and is told
    apart. A file that is no picture is told and the others go on (exit code 3); --fail-above makes it a gate (7).
    """
    from studio import checking
    from studio.engine import Engine

    chosen = settings(device=device, dtype=dtype, home=home)
    engine = Engine(chosen, own_weights={"iml-vit": weights} if weights else {})
    paths = checking.pictures(pictures, besides=out)
    targets = _targets(engine, paths, report, out, force)
    meter = Meter(quiet)
    sweep = _Sweep()

    def on_file(number: int, path: Path) -> OnProgress | None:
        return meter if len(paths) == 1 else _counted(meter, number, len(paths), path)

    try:
        for path, result in checking.sweep(engine, paths, keep=out is not None, on_file=on_file):
            meter.close()
            if len(paths) == 1 and not isinstance(result, checking.Checked):
                raise result
            sweep.add(path, _with_heat(engine, result, targets.get(path)), report is not None, fail_above is not None)
            if not as_json:
                show(None, as_json=False, text=sweep.text)
    finally:  # what is done is not lost with what is not
        if report is not None and sweep.sections:
            _write_report(report, sweep)
    _end(sweep, fail_above, report, as_json=as_json)


@dataclass
class _Sweep:
    """What is kept of the pictures: words and small pictures, never a decoded one.

    Attributes:
        told: What ``--json`` says of each.
        sections: Of the report.
        text: Lines about the last one.
        failed: Those that could not be checked.
        suspicious: How many have weak evidence.
    """

    told: list[dict[str, Any]] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    failed: list[tuple[Path, PipelineError]] = field(default_factory=list)
    suspicious: int = 0

    def add(self, path: Path, result: Checked | PipelineError | _Heated, report: bool, gate: bool) -> None:
        """Take in one picture.

        Raises:
            UsageError: ``check.no-score`` if a score is asked for and the weights give none.
        """
        from studio import errors, html_report
        from studio.errors import UsageError

        checked, heat = (result.checked, str(result.path)) if isinstance(result, _Heated) else (result, None)
        if report:
            self.sections.append(html_report.section(str(path), checked))
        name = visible(str(path))
        if isinstance(checked, PipelineError):
            self.failed.append((path, checked))
            self.told.append({"ok": False, "file": str(path), "error": checked.as_dict()})
            self.text = [name, *(f"  {line}" for line in errors.render(checked).splitlines())]
            return
        if gate and checked.forensics["score"] is None:
            raise UsageError(
                "check.no-score", "These weights give no score that could be held against a limit",
                seen=f"{path}, --fail-above", remedy="Use the starter weights, or leave --fail-above out",
            )  # fmt: skip
        self.suspicious += bool(checked.forensics["suspicious"])
        self.told.append({**checked.as_dict(), "heat": heat})
        rows = [(term, visible(text)) for term, text in html_report.lines(checked)]
        rows += [("heat map", visible(heat))] if heat else []
        self.text = [name, *(f"  {line}" for line in columns(rows)), f"  {checked.forensics['caution']}."]


@dataclass(frozen=True)
class _Heated:
    """A checked picture and where its heat map was written."""

    checked: Checked
    path: Path


def _counted(meter: Meter, number: int, count: int, path: Path) -> OnProgress:
    """Progress of one picture as progress of all."""
    started = time.monotonic()

    def tell(progress: Any) -> None:
        meter.begun = meter.begun or started
        done = (number + progress.fraction) / count
        eta = (time.monotonic() - meter.begun) * (1 - done) / done if done > 0 else None
        meter(replace(progress, fraction=done, message=f"{number + 1} of {count}: {visible(path.name)}", eta=eta))

    return tell


def _targets(
    engine: Engine, paths: Mapping[Path, str], report: Path | None, out: Path | None, force: bool
) -> dict[Path, Target]:
    """Where each heat map goes. Whether results can be written is found out before the work."""
    from studio import disk, targets
    from studio.errors import OutputError

    if report is not None:
        if report.suffix.lower() not in (".html", ".htm") or report.is_dir():
            raise OutputError("output.format", "A report is a page", seen=report, remedy="Name it FILE.html")
        if report.exists() and not force:
            raise OutputError("output.exists", "This file is there already", seen=report, remedy="Add --force")
        with disk.told(report):
            disk.check_name(report)
            disk.check_folder(report.parent)
    if out is None:
        return {}
    found = {
        path: targets.target_for(f"{out}/", ("png",), disk.shorten(f"{name}-heat", 120), force=force)
        for path, name in paths.items()
    }
    for target in found.values():
        engine.store.check(target, paths)
    return found


def _with_heat(
    engine: Engine, result: Checked | PipelineError, target: Target | None
) -> Checked | PipelineError | _Heated:
    """Write the heat map, if one is asked for; a picture whose map cannot be written failed."""
    if target is None or isinstance(result, PipelineError):
        return result
    outcome = result.outcome
    try:
        made = engine.store.write(outcome.product, result.draft.recipe, outcome.receipt, outcome.environment, target)
    except PipelineError as error:
        return error
    return _Heated(result, made.path)


def _write_report(report: Path, sweep: _Sweep) -> None:
    import os

    from studio import disk, html_report

    page = html_report.page(sweep.sections, sweep.suspicious, time.strftime("%Y-%m-%d %H:%M"))
    with disk.told(report):
        report.parent.mkdir(parents=True, exist_ok=True)
        with disk.temporary(report) as part:
            disk.write(part, page.encode())
            os.replace(part, report)


def _end(sweep: _Sweep, fail_above: float | None, report: Path | None, *, as_json: bool) -> None:
    """Tell all at once where JSON was asked for, and end with the exit code that the results have."""
    from studio.errors import GateFailed, SomeFailed

    data: dict[str, Any] = {"ok": True, "files": sweep.told, "report": None if report is None else str(report)}
    above = [
        f"{Path(each['file']).name} {each['forensics']['score']:.2f}"
        for each in sweep.told
        if each["ok"] and fail_above is not None and each["forensics"]["score"] > fail_above
    ]
    error: PipelineError | None = None
    if above:
        error = GateFailed("check.above", "A picture scores above the limit",
                           seen=f"{', '.join(above[:5])}; limit {fail_above}",
                           remedy="Look at its heat map; a score is weak evidence")  # fmt: skip
    elif sweep.failed:
        path, first = sweep.failed[0]
        error = SomeFailed("check.some-failed", "Some files could not be checked",
                           seen=f"{len(sweep.failed)} of {len(sweep.told)}; {path.name}: {first.what}",
                           remedy="The others are checked; their lines say why")  # fmt: skip
    if error is not None and as_json:
        fail(error, data)
    if as_json:
        show(data, as_json=True, text=[])
    if error is not None:
        raise error
    if report is not None and not as_json:
        say(f"report: {report}")
