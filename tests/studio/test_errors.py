"""Every failure has one exit code and one clear text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.core.errors import Cancelled, InputError, OutOfMemory, PipelineError, WeightsError
from studio import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (InputError, 6), (WeightsError, 4), (OutOfMemory, 5), (errors.UsageError, 2), (errors.OutputError, 2),
        (errors.SomeFailed, 3), (errors.GateFailed, 7), (errors.Interrupted, 130), (PipelineError, 2),
    ],
)  # fmt: skip
def test_exit_codes(kind: type[PipelineError], code: int) -> None:
    assert errors.exit_code(kind("a.b", "What")) == code


def test_every_error_class_of_ours_has_its_own_code() -> None:
    """A new subclass without an entry would silently become a usage error."""

    def below(kind: type[PipelineError]) -> set[type[PipelineError]]:
        return {kind} | {other for child in kind.__subclasses__() for other in below(child)}

    listed = {kind for kind, _ in errors.EXIT_CODES} | {errors.UsageError, errors.OutputError}
    assert {kind for kind in below(PipelineError) if kind.__module__.startswith(("studio", "pipelines"))} <= listed


def test_translation() -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch names its own."""

    assert isinstance(errors.translate(MemoryError()), OutOfMemory)
    assert isinstance(errors.translate(OutOfMemoryError("CUDA out of memory")), OutOfMemory)
    allocator = "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to ..."
    assert isinstance(errors.translate(RuntimeError(allocator)), OutOfMemory)
    assert isinstance(errors.translate(Cancelled()), errors.Interrupted)
    assert isinstance(errors.translate(KeyboardInterrupt()), errors.Interrupted)
    assert errors.translate(ValueError("a bug")) is None
    error = InputError("a.b", "What")
    assert errors.translate(error) is error


def test_rendering() -> None:
    error = InputError("input.x", "No person", seen="a\x1b[31m\n\u202eb.png", remedy="Use another")
    text = errors.render(error)
    assert text.splitlines()[0] == "error: No person" and "  do   Use another" in text and "  code input.x" in text
    assert "\x1b" not in text and "\u202e" not in text
    data = json.loads(errors.as_json(error, 6))
    assert data["exit_code"] == 6 and data["error"]["code"] == "input.x" and data["ok"] is False


def test_bug_report_names_a_file_with_the_traceback(tmp_path: Path) -> None:
    try:
        raise ZeroDivisionError("oh")
    except ZeroDivisionError as caught:
        told = errors.bug_report(caught, tmp_path / "logs")
    (path,) = (tmp_path / "logs").iterdir()
    assert str(path) in told.remedy and "ZeroDivisionError: oh" in path.read_text()
    (tmp_path / "file").touch()
    assert "ZeroDivisionError: oh" in errors.bug_report(ZeroDivisionError("oh"), tmp_path / "file" / "x").remedy
