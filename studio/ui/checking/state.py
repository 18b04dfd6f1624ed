"""What the checking page remembers between two runs of the script."""

from __future__ import annotations

from dataclasses import dataclass

from studio.ui.session import Session
from studio.ui.state import Picture


@dataclass(frozen=True)
class CheckState:
    """Everything the page knows. Replaced as a whole, never edited in place.

    Attributes:
        pictures: What was dropped, in order.
        chosen: sha256 of the one on show.
        jobs: sha256 -> job that looks at it, as pairs.
        made: sha256 -> its heat map, as pairs.
        left: Those that were stopped or failed, until somebody asks again.
    """

    pictures: tuple[Picture, ...] = ()
    chosen: str | None = None
    jobs: tuple[tuple[str, str], ...] = ()
    made: tuple[tuple[str, str], ...] = ()
    left: tuple[str, ...] = ()


_SESSION = Session("checking", CheckState)
get, update = _SESSION.get, _SESSION.update
