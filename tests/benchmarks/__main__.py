"""`python -m tests.benchmarks`: the networks at their published size, on this machine; tables and one JSON object."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from tests.benchmarks import diffpoint, iml_vit, viton_hd, vitruvio

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Parse the command line, measure, write the tables and the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "bench.json")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    result = {}
    modules = {"viton-hd": viton_hd, "vitruvio": vitruvio, "iml-vit": iml_vit, "diffpoint": diffpoint}
    for name, module in modules.items():
        result[name] = module.measure(options.repeats)
        Console(stderr=True).print(module.table(result[name]))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{options.out}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
