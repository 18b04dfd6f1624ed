"""Errors a user can act on.

    PipelineError            every error below; carries a stable code, what, seen, remedy
    +-- InputError           the picture, mask or mesh cannot be used        (exit code 6)
    +-- WeightsError         a checkpoint is missing, wrong or unlicensed    (exit code 4)
    +-- OutOfMemory          no rung of the memory ladder fits               (exit code 5)
    Cancelled                the user stopped the work                       (exit code 130)

The exit codes themselves are the product's business (studio/errors.py); the codes below are stable and documented.
"""

from __future__ import annotations


class PipelineError(Exception):
    """One clear error: what went wrong, the value seen, what to do.

    Args:
        code: Stable, lower-case, dotted identifier, e.g. ``input.no-person``.
        what: One sentence without a full stop.
        seen: The offending value, short enough for a terminal.
        remedy: What the user can do now.
    """

    def __init__(self, code: str, what: str, *, seen: object = None, remedy: str = "") -> None:
        self.code, self.what, self.seen, self.remedy = code, what, seen, remedy
        parts = [what if seen is None else f"{what} (seen: {seen})"]
        if remedy:
            parts.append(remedy)
        super().__init__(". ".join(part.rstrip(".") for part in parts) + ".")

    def as_dict(self) -> dict[str, str | None]:
        """Return the error as JSON-ready fields: code, what, seen, remedy."""
        return {
            "code": self.code,
            "what": self.what,
            "seen": None if self.seen is None else str(self.seen),
            "remedy": self.remedy,
        }


class InputError(PipelineError):
    """The input is unreadable or unsuitable."""


class WeightsError(PipelineError):
    """Weights are missing, damaged, of another architecture, or not licensed for this use."""


class OutOfMemory(PipelineError):
    """The work does not fit into memory, even on the lowest rung."""


class Cancelled(Exception):
    """Raised from an ``on_step`` callback to stop a pipeline between two steps."""
