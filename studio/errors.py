"""What a failure looks like from outside: one clear error and one exit code.

PipelineError (pipelines/core/errors.py)
+-- InputError        6     the picture, mask or data folder cannot be used
+-- WeightsError      4     missing, damaged, of another architecture, licence not accepted
+-- OutOfMemory       5
+-- UsageError        2     an option, a setting or a recipe makes no sense
|   +-- OutputError   2     the place named for the output cannot take it (unwritable, full, taken)
+-- SomeFailed        3     a batch went through, some of its items did not
+-- GateFailed        7     a check that was asked for said no
Cancelled, KeyboardInterrupt    130
anything else                   1    a bug: the traceback goes to a file whose path is printed
"""

from __future__ import annotations

import json
import os
import time
import traceback
from pathlib import Path
from typing import Any

from pipelines.core.errors import Cancelled, InputError, OutOfMemory, PipelineError, WeightsError

OK, BUG, USAGE, SOME_FAILED, WEIGHTS, MEMORY, INPUT, GATE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 7, 130


class UsageError(PipelineError):
    """What was asked for makes no sense: an option, a setting, a recipe."""


class OutputError(UsageError):
    """The place named for the output cannot take it."""


class SomeFailed(PipelineError):
    """Some items of a batch failed; the others are done."""


class GateFailed(PipelineError):
    """A check that was asked for said no."""


class Interrupted(PipelineError):
    """The user stopped the work; nothing half-done is left."""


EXIT_CODES: tuple[tuple[type[PipelineError], int], ...] = (
    (InputError, INPUT),
    (WeightsError, WEIGHTS),
    (OutOfMemory, MEMORY),
    (SomeFailed, SOME_FAILED),
    (GateFailed, GATE),
    (Interrupted, INTERRUPTED),
    (PipelineError, USAGE),
)


def exit_code(error: PipelineError) -> int:
    """The exit code of ``error``'s class."""
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def translate(error: BaseException) -> PipelineError | None:
    """Turn what Python and torch raise into an error of ours; None for a bug.

    torch is not imported here, so its out-of-memory errors are known by class name and message.
    """
    if isinstance(error, PipelineError):
        return error
    if isinstance(error, (Cancelled, KeyboardInterrupt)):
        return Interrupted("interrupted", "Stopped; nothing half-done was left", remedy="Run the same command again")
    text = str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:
        return OutOfMemory(
            "memory.exhausted",
            "This does not fit into memory",
            seen=text.splitlines()[0][:160] if text else None,
            remedy="Close other programs, use a smaller picture, or --device cpu",
        )
    return None


def bug_report(error: BaseException, folder: Path | None) -> PipelineError:
    """Write the traceback to a file (if a folder can be written) and wrap it as code ``bug``."""
    text = "".join(traceback.format_exception(error))
    where = text.strip().splitlines()[-1]
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
            path.write_text(text, encoding="utf-8")
            where = str(path)
        except OSError:
            where = text  # nowhere to put it: the reader still needs it
    return PipelineError(
        "bug",
        f"Something went wrong that should not: {type(error).__name__}",
        seen=str(error)[:200] or None,
        remedy=f"This is a bug in the studio. Please report it with {where}",
    )


def as_json(error: PipelineError, code: int) -> str:
    """The error as one JSON line."""
    return json.dumps({"ok": False, "error": error.as_dict(), "exit_code": code}, ensure_ascii=False)


def render(error: PipelineError) -> str:
    """The error as lines for a terminal. Control characters from file names and pictures are made visible."""
    fields: list[tuple[str, Any]] = [("seen", error.seen), ("do", error.remedy or None), ("code", error.code)]
    lines = [f"error: {error.what}", *(f"  {name:<5}{value}" for name, value in fields if value is not None)]
    return "\n".join(visible(line, keep="\n") for line in lines)


def visible(text: str, keep: str = "") -> str:
    """A text that came from a file or its name, for a terminal or a page: control characters as Python writes them.

    Args:
        text: Anything.
        keep: Characters that stay as they are.
    """
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)
