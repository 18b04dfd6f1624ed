"""Batch files for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def spec(path: Path, *lines: dict[str, Any] | str) -> Path:
    """A batch file."""
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def soften(photo: Path, output: str, **values: Any) -> dict[str, Any]:
    """A line of it."""
    return {"kind": "soften", "inputs": {"person": str(photo)}, "settings": values, "output": output}
