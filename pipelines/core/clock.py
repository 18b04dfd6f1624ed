"""How long the steps of a pipeline take, reported as they pass."""

from __future__ import annotations

import time

from pipelines.core.types import OnStep, report


class Clock:
    """Seconds by step.

    Attributes:
        seconds: Step -> seconds, in the order in which the steps ended.
    """

    def __init__(self, on_step: OnStep | None, steps: int) -> None:
        self.on_step, self.steps = on_step, steps
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def tick(self, name: str) -> None:
        """End a step and report how many of all are done; what ``on_step`` raises passes through."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 4)
        self._last = now
        report(self.on_step, len(self.seconds), self.steps)
