"""What the building page remembers between two runs of the script, in one typed place over ``st.session_state``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from studio.ui.components.sketch import Drawing
from studio.ui.session import Session
from studio.ui.state import Picture

SIZES = {"height": "Height", "longest": "Longest side", "scale": "Scale 1:N"}
Size = Literal["height", "longest", "scale"]


@dataclass(frozen=True)
class BuildingState:
    """Everything the building page knows. Replaced as a whole, never edited in place.

    Attributes:
        drawing: What is drawn on the page itself.
        epoch: Raised when the page itself changes the drawing.
        sketch: An uploaded or sample sketch, used instead of the drawing; None for the drawing.
        size: Which side of the print is given.
        millimetres: Height or longest side of the print.
        ratio: N of 1:N.
        real_height: Height of the real building in metres, for 1:N.
        printer: Name of the printer's profile.
        straighten: Whether walls are made upright and surfaces flat.
        detail: 1 coarse to 3 fine.
        variant: Which reading of the sketch, 0 is the likeliest.
        seed: Of every random draw.
        extra: Settings of an opened recipe that the page has no control for.
        plan: Prepared sketch that was found finished, so that no job was needed.
        plan_job: Job that prepares the sketch.
        plan_key: What it was asked for; another key means that another is due.
        jobs: (variant, job) of what is being built, the running one first.
        asked: How many were asked for together.
        made: (variant, artefact) of what was built from ``made_key``.
        made_key: Sketch and settings without the variant.
        artefact: The result on show.
    """

    drawing: Drawing = field(default_factory=Drawing)
    epoch: int = 0
    sketch: Picture | None = None
    size: Size = "height"
    millimetres: float = 100.0
    ratio: float = 200.0
    real_height: float = 12.0
    printer: str = "generic"
    straighten: bool = True
    detail: int = 2
    variant: int = 0
    seed: int = 0
    extra: tuple[tuple[str, Any], ...] = ()
    plan: str | None = None
    plan_job: str | None = None
    plan_key: str | None = None
    jobs: tuple[tuple[int, str], ...] = ()
    asked: int = 0
    made: tuple[tuple[int, str], ...] = ()
    made_key: str | None = None
    artefact: str | None = None


_SESSION = Session("building", BuildingState)
get, update = _SESSION.get, _SESSION.update
