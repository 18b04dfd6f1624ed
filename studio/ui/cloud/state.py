"""What the cloud page remembers between two runs of the script, in one typed place over ``st.session_state``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from studio.ui.session import Session
from studio.ui.state import Picture

SIZES = {"longest": "Longest side", "height": "Height"}


@dataclass(frozen=True)
class CloudState:
    """Everything the cloud page knows. Replaced as a whole, never edited in place.

    Attributes:
        pictures: Pictures of the object, in the order in which they were chosen.
        taken: sha256 of every upload that was used, so that the uploader does not bring back what was left out.
        points: Of the cloud.
        steps: From noise to the cloud.
        sampler: How they are taken; only a recipe that was opened brings another one.
        guidance: 1 follows the pictures as learnt.
        seed: Of every random draw.
        size: Which side of the print is given.
        millimetres: That side.
        printer: Name of the printer's profile.
        plan_jobs: sha256 of a picture -> job that cuts the object out, as pairs.
        plans: sha256 -> what was cut out, as pairs.
        refused: sha256 -> why nothing could be, as pairs.
        job: Job that makes the cloud.
        solid_job: Job that makes a solid of it.
        artefact: The cloud on show.
        solid: The solid that was made of it.
    """

    pictures: tuple[Picture, ...] = ()
    taken: tuple[str, ...] = ()
    points: int = 4096
    steps: int = 20
    sampler: str = "dpm-solver++"
    guidance: float = 1.0
    seed: int = 0
    size: Literal["longest", "height"] = "longest"
    millimetres: float = 80.0
    printer: str = "generic"
    plan_jobs: tuple[tuple[str, str], ...] = ()
    plans: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[str, dict[str, Any]], ...] = ()
    job: str | None = None
    solid_job: str | None = None
    artefact: str | None = None
    solid: str | None = None


_SESSION = Session("cloud", CloudState)
get, update = _SESSION.get, _SESSION.update
