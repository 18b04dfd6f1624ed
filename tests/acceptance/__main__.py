"""`python -m tests.acceptance`: measure, print a table, write JSON. Exit code 7 when a measured line is not met."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.acceptance.lines import BY_HAND, LINES, ROOT, Broken, Context, Skip

GATE = 7
COLOURS = {"met": "green", "not met": "red", "broken": "red", "skipped": "yellow", "by hand": "cyan"}


def measure(name: str, context: Context) -> dict[str, Any]:
    """Measure one line; whatever happens becomes a row."""
    started = time.perf_counter()
    figures, reason = [], ""
    try:
        figures = LINES[name](context)
        state = "met" if all(figure.met for figure in figures) else "not met"
    except Skip as skip:
        state, reason = "skipped", str(skip)
    except (Broken, KeyError, OSError, ValueError) as error:
        state, reason = "broken", f"{type(error).__name__}: {error}"
    return {
        "line": name,
        "state": state,
        "reason": reason,
        "seconds": round(time.perf_counter() - started, 2),
        "figures": [{**asdict(figure), "met": figure.met} for figure in figures],
    }


def commit() -> str:
    """The commit that is measured, with a mark when the tree differs from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False).stdout.strip()
    return (head or "unknown") + ("+changes" if dirty else "")


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows as a table, one line per figure that has a bound."""
    grid = Table(title="acceptance", title_justify="left")
    for heading in ("line", "state", "figure", "measured", "bound"):
        grid.add_column(heading, overflow="fold")
    for row in rows:
        state = f"[{COLOURS[row['state']]}]{row['state']}[/]"
        bounded = [figure for figure in row["figures"] if figure["bound"] is not None]
        if not bounded:
            grid.add_row(row["line"], state, escape(row["reason"]) or "see JSON", "", "")
        for index, figure in enumerate(bounded):
            bound = f"{figure['sign']} {figure['bound']:.4g}"
            value = f"[{'default' if figure['met'] else 'red'}]{figure['value']:.4g}[/]"
            grid.add_row("" if index else row["line"], "" if index else state, figure["name"], value, bound)
    return grid


def main() -> int:
    """Parse the command line, measure, write the table and the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with ccp/, lspet/ and garments/")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "accept.json")
    parser.add_argument("--only", action="append", choices=list(LINES), help="measure this line only; repeatable")
    parser.add_argument("--samples", type=int, default=200, help="rendered people for viton-hd")
    parser.add_argument("--fresh", action="store_true", default=os.environ.get("FRESH") == "1")
    options = parser.parse_args()

    console = Console(stderr=True)
    data = options.data.resolve() if options.data else None
    rows = []
    with tempfile.TemporaryDirectory(prefix="accept-") as scratch:
        context = Context(Path(scratch), data, options.fresh, options.samples)
        for name in options.only or LINES:
            rows.append(measure(name, context))
            console.print(f"{rows[-1]['line']}: {rows[-1]['state']} after {rows[-1]['seconds']:.0f} s", highlight=False)
    if not options.only:
        rows += [
            {"line": line, "state": "by hand", "reason": reason, "seconds": 0, "figures": []}
            for line, reason in BY_HAND.items()
        ]
    report = {
        "commit": commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "lines": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    console.print(table(rows))
    sys.stdout.write(f"{options.out}\n")
    return GATE if any(row["state"] in ("not met", "broken") for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
