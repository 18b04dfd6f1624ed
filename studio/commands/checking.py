"""``studio check``: is this picture what it says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.commands.common import Device, Dtype, Force, Home, Json, Meter, Quiet, columns, fail, say, settings, show

if TYPE_CHECKING:
    from studio.checking import Checked
    from studio.engine import Engine, OnProgress
    from studio.errors import PipelineError


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
    paths = checking.pictures(pictures)
    _try_outputs(engine, report, out)
    meter = Meter(quiet)

    def on_file(number: int, count: int, path: Path) -> OnProgress | None:
        return meter if count == 1 else _counted(meter, number, count, path)

    results: list[tuple[Path, Checked | PipelineError]] = []
    for path, result in checking.sweep(engine, paths, on_file=on_file):
        meter.close()
        if len(paths) == 1 and not isinstance(result, checking.Checked):
            raise result
        results.append((path, result))
        if isinstance(result, checking.Checked) and out is not None:
            _write_heat(engine, result, out, force)
        if not as_json:
            show(None, as_json=False, text=_lines(path, result))
    if report is not None:
        _write_report(report, results)
    _end(results, fail_above, report, as_json=as_json)


def _counted(meter: Meter, number: int, count: int, path: Path) -> OnProgress:
    """Progress of one picture as progress of all."""
    from dataclasses import replace

    started = time.monotonic()

    def tell(progress: Any) -> None:
        meter.begun = meter.begun or started
        done = (number + progress.fraction) / count
        eta = (time.monotonic() - meter.begun) * (1 - done) / done if done > 0 else None
        meter(replace(progress, fraction=done, message=f"{number + 1} of {count}: {path.name}", eta=eta))

    return tell


def _try_outputs(engine: Engine, report: Path | None, out: Path | None) -> None:
    """Find out before the work whether the results can be written."""
    from studio import disk
    from studio.errors import OutputError

    if report is not None:
        if report.suffix.lower() not in (".html", ".htm"):
            raise OutputError("output.format", "A report is a page", seen=report, remedy="Name it FILE.html")
        with disk.told(report):
            disk.check_name(report)
            disk.check_folder(report.parent)
    if out is not None:
        with disk.told(out):
            disk.check_folder(out)


def _write_heat(engine: Engine, result: Checked, out: Path, force: bool) -> None:
    from studio import targets

    target = targets.target_for(f"{out}/", ("png",), f"{result.path.stem}-heat", force=force)
    outcome = result.outcome
    engine.store.write(outcome.product, result.draft.recipe, outcome.receipt, outcome.environment, target)


def _write_report(report: Path, results: list[tuple[Path, Checked | PipelineError]]) -> None:
    import os

    from studio import disk, html_report

    page = html_report.render([(str(path), result) for path, result in results], time.strftime("%Y-%m-%d %H:%M"))
    with disk.told(report), disk.temporary(report) as part:
        disk.write(part, page.encode())
        os.replace(part, report)


def _lines(path: Path, result: Checked | PipelineError) -> list[str]:
    from studio import errors, html_report
    from studio.checking import Checked

    if not isinstance(result, Checked):
        return [str(path), *(f"  {line}" for line in errors.render(result).splitlines())]
    plain = [(term, "".join(c if c.isprintable() else repr(c)[1:-1] for c in text))
             for term, text in html_report.lines(result)]  # fmt: skip
    return [str(path), *(f"  {line}" for line in columns(plain)), f"  {result.forensics['caution']}."]


def _end(
    results: list[tuple[Path, Checked | PipelineError]], fail_above: float | None, report: Path | None, *, as_json: bool
) -> None:
    """Tell all at once where JSON was asked for, and end with the exit code that the results have."""
    from studio.checking import Checked
    from studio.errors import GateFailed, SomeFailed

    checked = [result for _, result in results if isinstance(result, Checked)]
    failed = [(path, result) for path, result in results if not isinstance(result, Checked)]
    files = [
        result.as_dict() if isinstance(result, Checked) else {"ok": False, "file": str(path), "error": result.as_dict()}
        for path, result in results
    ]
    data: dict[str, Any] = {"ok": True, "files": files, "report": None if report is None else str(report)}
    above = [
        f"{each.path.name} {each.forensics['score']:.2f}"
        for each in checked
        if fail_above is not None and each.forensics["score"] is not None and each.forensics["score"] > fail_above
    ]
    error: PipelineError | None = None
    if above:
        error = GateFailed("check.above", "A picture scores above the limit",
                           seen=f"{', '.join(above[:5])}; limit {fail_above}",
                           remedy="Look at its heat map; a score is weak evidence")  # fmt: skip
    elif failed:
        error = SomeFailed("check.some-failed", "Some files could not be checked",
                           seen=f"{len(failed)} of {len(results)}; {failed[0][0].name}: {failed[0][1].what}",
                           remedy="The others are checked; their lines say why")  # fmt: skip
    if error is not None and as_json:
        fail(error, data)
    if as_json:
        show(data, as_json=True, text=[])
    if error is not None:
        raise error
    if report is not None and not as_json:
        say(f"report: {report}")
