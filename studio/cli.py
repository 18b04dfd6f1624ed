"""The command ``studio``: wires the verbs together and turns every failure into one clear error and an exit code.

Data goes to standard output, talk to standard error. Nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from studio import errors
from studio.commands import (
    building,
    checking,
    cloud,
    data,
    files,
    learning,
    machine,
    making,
    proving,
    queueing,
    weighing,
)

app = typer.Typer(
    name="studio",
    help="Try-on pictures, printable buildings and point clouds on your own computer. Every result carries its recipe.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich costs a tenth of a second on every --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (making, building, cloud, files, checking, proving, learning, machine):
    group.register(app)
app.add_typer(data.app, name="data")
app.add_typer(weighing.app, name="weights")
app.add_typer(queueing.app, name="queue")


class _CtrlC:
    """Counts Ctrl-C: a library that swallows the exception, or turns it into another, must not hide it.

    The second press is ignored, so that an impatient one cannot break the tidying up; the third always gets through.
    """

    def __init__(self) -> None:
        self.pressed = 0

    def __enter__(self) -> _CtrlC:
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self.before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.pressed += 1
        if self.pressed != 2:
            raise KeyboardInterrupt


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code (studio/errors.py lists them).
    """
    command = typer.main.get_command(app)
    with _CtrlC() as ctrl_c:
        try:
            result = command.main(list(arguments), prog_name="studio", standalone_mode=False)
            if ctrl_c.pressed:  # typer turned it into a plain exit code, without a word
                raise KeyboardInterrupt
            return result if isinstance(result, int) else errors.OK
        except BrokenPipeError:
            return _reader_gone()
        except (Exception, KeyboardInterrupt) as error:
            return _explain(error, ctrl_c.pressed > 0, as_json="--json" in arguments)


def _explain(error: BaseException, interrupted: bool, *, as_json: bool) -> int:
    if interrupted or isinstance(error, typer.Abort):
        error = KeyboardInterrupt()
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{error}\n")
        return errors.USAGE
    shown = errors.translate(error) or _usage(error)
    if shown is None:
        shown, code = errors.bug_report(error, _log_folder()), errors.BUG
    else:
        code = errors.exit_code(shown)
    if as_json:
        sys.stdout.write(errors.as_json(shown, code) + "\n")
    sys.stderr.write(errors.render(shown) + "\n")
    return code


def _usage(error: Any) -> errors.UsageError | None:
    """typer's own complaints about options, which carry ``format_message``."""
    if not isinstance(error, typer.TyperException) or not hasattr(error, "format_message"):
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "studio"
    return errors.UsageError("usage", str(error.format_message()).rstrip("."), remedy=f"See: {path} --help")


def _log_folder() -> Path | None:
    from studio import settings

    try:
        return settings.load().home / "logs"
    except errors.UsageError:
        return None


def _reader_gone() -> int:
    """Whoever read our output stopped reading (``studio ... | head``); Python must not complain again at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return errors.OK
