"""`studio doctor`: what this machine has, what is missing, and the line that mends it.

Every check is one row: ok, note (fine, but worth knowing), warn (something will be slower or absent), fail (the studio
cannot do its work). Nothing here uses the network or changes a file.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json as jsonlib
import os
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipelines.core.errors import PipelineError
from studio.errors import GATE, OK, WEIGHTS

State = Literal["ok", "note", "warn", "fail"]

DISTRIBUTION = "creative-studio"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
LOW_DISK_GB, LOW_MEMORY_GB = 2.0, 4.0


@dataclass(frozen=True)
class Check:
    """One row of the report.

    Attributes:
        group: Heading it stands under.
        name: What was looked at.
        state: ``ok``, ``note``, ``warn`` or ``fail``.
        value: What was found.
        remedy: What to do, empty when there is nothing to do.
    """

    group: str
    name: str
    state: State
    value: str
    remedy: str = ""


def _machine() -> Iterator[Check]:
    from studio.setup_env import OLDEST_PYTHON, install_line, missing_libraries

    version = platform.python_version()
    new_enough = sys.version_info >= OLDEST_PYTHON
    yield Check("machine", "python", "ok" if new_enough else "fail", f"{version}, {sys.executable}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check(
        "machine", "system", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}, {cores} cores"
    )
    memory = _memory_gb()
    if memory is not None:
        low = memory < LOW_MEMORY_GB
        yield Check(
            "machine", "memory", "warn" if low else "ok", f"{memory:.1f} GB", "Use smaller pictures" if low else ""
        )
    missing = missing_libraries()
    if missing:
        remedy = f"As root: {install_line(list(missing.values()))}"
        yield Check("machine", "system libraries", "warn", f"missing: {', '.join(missing)}", remedy)
    else:
        yield Check("machine", "system libraries", "ok", "all there")


def _memory_gb() -> float | None:
    """Physical memory, or None where the platform does not say without a package."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, OSError, ValueError):
        return None


def _compute() -> Iterator[Check]:
    try:
        import torch

        from pipelines.core import runtime
    except (ImportError, OSError) as error:
        yield Check("compute", "torch", "fail", str(error), "Install again: pip install creative-studio")
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    yield Check("compute", "torch", "ok", f"{torch.__version__} ({build})")
    chosen = runtime.choose()
    kind = chosen.device.type
    name = torch.cuda.get_device_name(chosen.device) if kind == "cuda" else platform.processor() or platform.machine()
    if kind == "cpu" and shutil.which("nvidia-smi"):
        remedy = "Install a CUDA build of torch, see README, 'Installation, other ways'"
        yield Check("compute", "device", "warn", f"cpu, though an NVIDIA driver is here: {name}", remedy)
    else:
        yield Check("compute", "device", "ok", f"{kind}: {name}")
    half = str(chosen.dtype).removeprefix("torch.")
    if kind == "cpu":
        has = runtime.cpu_has_bf16()
        value = "in hardware, used" if has else "not in hardware; float32 is used"
        yield Check("compute", "bf16", "ok" if has else "note", value)
    else:
        yield Check("compute", "bf16", "ok" if half == "bfloat16" else "note", f"{half} is used")
    yield Check("compute", "attention", "ok", runtime.attention_backend(chosen.device))
    yield Check("compute", "threads", "ok", str(torch.get_num_threads()))


def _requirements() -> list[str] | None:
    """Names of the distributions that this one needs on this platform, or None where it isn't installed itself."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    # packaging comes with diffusers' dependencies; without it the markers cannot be judged and every name is looked up.
    from packaging.requirements import Requirement

    parsed = [Requirement(line) for line in lines]
    return [each.name for each in parsed if each.marker is None or each.marker.evaluate({"extra": ""})]


def _packages() -> Iterator[Check]:
    names = _requirements()
    if names is None:
        yield Check("packages", DISTRIBUTION, "warn", "runs from a folder, not installed", "pip install -e .")
        return
    for name in sorted(names):
        try:
            yield Check("packages", name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check("packages", name, "fail", "missing", f"pip install {name}")


def _tools() -> Iterator[Check]:
    try:
        import imageio_ffmpeg

        yield Check(
            "tools", "ffmpeg", "ok", f"{imageio_ffmpeg.get_ffmpeg_version()}, {imageio_ffmpeg.get_ffmpeg_exe()}"
        )
    except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        yield Check(
            "tools", "ffmpeg", "warn", str(error), "pip install --force-reinstall imageio-ffmpeg; video needs it"
        )
    ifc = importlib.util.find_spec("ifcopenshell") is not None
    absent = "absent; only IFC files need it (extra aec)"
    yield Check("tools", "ifcopenshell", "ok" if ifc else "note", "here" if ifc else absent)
    clip = importlib.util.find_spec("transformers") is not None
    absent = "absent; only DiffPoint at its published size needs it (extra clip)"
    yield Check("tools", "transformers", "ok" if clip else "note", "here" if clip else absent)
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    yield Check("tools", "chromium", "ok" if browser else "note", browser or "absent; only the browser tests need it")


def _weights() -> Iterator[Check]:
    from studio import settings, weights

    home = settings.load().home
    for entry in weights.listing(home):
        name, tier = entry["name"], entry["tier"]
        if not entry["here"]:
            # A published checkpoint is the user's to bring; a starter that is absent means a broken installation.
            state: State = "fail" if tier == "starter" else "note"
            yield Check("weights", name, state, f"{tier}, not here", f"studio weights info {name} says how to get it")
            continue
        files = weights.verify(name, home)
        broken = [f"{file['path']} {file['status']}" for file in files if file["status"] in ("missing", "differs")]
        loose = [f"{file['path']} {file['status']}" for file in files if file["status"] in ("no-hash", "unlisted")]
        if broken:
            yield Check("weights", name, "fail", "; ".join(broken), f"Restore the files under {entry['folder']}")
        elif loose:
            yield Check("weights", name, "warn", "; ".join(loose), f"studio weights verify {name} shows their hashes")
        else:
            yield Check(
                "weights", name, "ok", f"{tier}, {entry['bytes'] / 1e6:.1f} MB, sha256 of {len(files)} files ok"
            )


def _settings() -> Iterator[Check]:
    from studio import settings

    loaded, origins = settings.load(), settings.origins()
    for name, value in loaded.model_dump().items():
        yield Check("settings", name, "ok", f"{value}  [{origins[name]}]")
    folder = loaded.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    low = free < LOW_DISK_GB
    yield Check(
        "settings", "disk free at home", "warn" if low else "ok", f"{free:.1f} GB", "Free some space" if low else ""
    )
    if not os.access(folder, os.W_OK):
        yield Check(
            "settings", "home writable", "fail", str(loaded.home), "Set STUDIO_HOME to a folder you may write to"
        )


def _credentials() -> Iterator[Check]:
    from studio import credentials, provenance, settings

    place = credentials.place_of(settings.load())
    found = credentials.peek(place)
    if found is None:
        yield Check("credentials", "seal", "note", "the studio's own certificate is made when it first seals a result")
        return
    provenance.prove(found)
    whose = "this studio's own, not from a public authority" if place.certificate is None else str(place.certificate)
    yield Check("credentials", "seal", "ok", f"{found.name}, until {found.until:%Y-%m-%d}; {whose}")


GROUPS: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
    ("machine", _machine),
    ("compute", _compute),
    ("packages", _packages),
    ("tools", _tools),
    ("weights", _weights),
    ("settings", _settings),
    ("credentials", _credentials),
)


def examine() -> list[Check]:
    """Run every check. An error of ours in one group becomes a failed row and does not hide the others."""
    rows: list[Check] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other packages' deprecations are not the user's concern here
        for group, checks in GROUPS:
            try:
                rows.extend(checks())
            except PipelineError as error:
                rows.append(Check(group, error.code, "fail", str(error), error.remedy))
    return rows


def exit_code(rows: list[Check]) -> int:
    """0 when nothing failed; 4 when weights did, which a user can restore; else 7."""
    failed = {row.group for row in rows if row.state == "fail"}
    return OK if not failed else WEIGHTS if failed == {"weights"} else GATE


def report(rows: list[Check]) -> dict[str, Any]:
    """The rows as JSON-ready data: ``healthy``, ``exit_code`` and the checks by group."""
    from studio import __version__

    code = exit_code(rows)
    grouped: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        fields = asdict(row)
        grouped.setdefault(fields.pop("group"), []).append(fields)
    return {"version": __version__, "healthy": code == OK, "exit_code": code, "checks": grouped}


def _table(rows: list[Check]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(stderr=True)
    colours = {"ok": "green", "note": "cyan", "warn": "yellow", "fail": "red"}
    for group, _ in GROUPS:
        table = Table(
            title=group, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 1)
        )
        for row in (row for row in rows if row.group == group):
            value = escape(row.value + (f"\n-> {row.remedy}" if row.remedy else ""))
            table.add_row(f"[{colours[row.state]}]{row.state:<4}[/]", escape(row.name), value)
        console.print(table)
    failed = sum(row.state == "fail" for row in rows)
    console.print("[green]ready[/]" if not failed else f"[red]{failed} failed[/]")


def run(json: bool) -> int:
    """Examine the machine and write the report.

    Args:
        json: One JSON object on stdout instead of tables on stderr.

    Returns:
        0 when nothing failed, 4 when only weights did, else 7.
    """
    rows = examine()
    if json:
        sys.stdout.write(jsonlib.dumps(report(rows), ensure_ascii=False, indent=1) + "\n")
    else:
        _table(rows)
    return exit_code(rows)
