"""What the page remembers between two runs of the script, in one typed place over ``st.session_state``."""

from __future__ import annotations

from dataclasses import dataclass

from studio.ui.components.mask import Stroke
from studio.ui.session import Session

PROTECTABLE = {"hair": "Hair", "face": "Face", "hands": "Hands"}


@dataclass(frozen=True)
class Picture:
    """An input that the workspace keeps by hash.

    Attributes:
        sha256: Of the file's bytes.
        name: File name, for people.
        sample: Id of the sample it came from, or None for an upload.
    """

    sha256: str
    name: str
    sample: str | None = None


@dataclass(frozen=True)
class TryOnState:
    """Everything the try-on page knows. Replaced as a whole, never edited in place.

    Attributes:
        person: Photo of the person.
        garment: Photo of the garment.
        person_index: Which person of the photo, 0 is the largest.
        seed: Of every random draw.
        protect: What stays in front of the garment.
        plan: Mask preview that was found finished, so that no job was needed.
        plan_job: Job that computes the mask preview.
        plan_key: What the preview was asked for; another key means that another is due.
        strokes: Mask edits, over the automatic mask called ``strokes_base``.
        strokes_base: Hash of that automatic mask.
        epoch: Raised when the page itself changes the strokes.
        own_mask: Mask of an opened recipe, drawn over instead of the automatic one.
        job: The running try-on.
        artefact: The result on show.
    """

    person: Picture | None = None
    garment: Picture | None = None
    person_index: int = 0
    seed: int = 0
    protect: tuple[str, ...] = tuple(PROTECTABLE)
    plan: str | None = None
    plan_job: str | None = None
    plan_key: str | None = None
    strokes: tuple[Stroke, ...] = ()
    strokes_base: str | None = None
    epoch: int = 0
    own_mask: Picture | None = None
    job: str | None = None
    artefact: str | None = None


_SESSION = Session("tryon", TryOnState)
get, update = _SESSION.get, _SESSION.update
