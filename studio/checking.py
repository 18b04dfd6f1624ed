"""Is this picture what it says: forensic evidence, the seal, the recipe and the file's own traces, side by side.

These are independent answers, and never one number: pixels that look edited are weak evidence, a seal that holds is
strong evidence of who signed, and neither says anything about what the picture shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.errors import InputError, PipelineError
from studio import credentials, media, sidecar, traces, verdicts
from studio.engine import Draft, Engine, OnProgress, Outcome
from studio.errors import UsageError
from studio.verdicts import Verdict


@dataclass(frozen=True)
class Checked:
    """What is known of one picture.

    Attributes:
        path: The file.
        draft: The recipe that looked at it, with the decoded picture.
        outcome: The heat map, and the forensic evidence in its receipt.
        verdict: Of its seal.
        recipe: How the studio made it, if it carries a recipe of ours; else None.
        traces: What the file says of its own history.
    """

    path: Path
    draft: Draft
    outcome: Outcome
    verdict: Verdict
    recipe: dict[str, Any] | None
    traces: dict[str, Any]

    @property
    def forensics(self) -> dict[str, Any]:
        """Score, meaning, regions."""
        return self.outcome.product.receipt["forensics"]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        height, width = self.draft.inputs["picture"].shape[:2]
        parts = [found.receipt() for found in self.draft.weights.values()]
        return {
            "ok": True,
            "file": str(self.path),
            "sha256": self.draft.recipe.inputs["picture"].sha256,
            "width": width,
            "height": height,
            "forensics": {**self.forensics, "weights": parts},
            "seal": self.verdict.as_dict(),
            "recipe": self.recipe,
            "traces": self.traces,
            "findings": [finding.as_dict() for finding in self.draft.findings],
        }


def check(engine: Engine, path: Path, *, on_progress: OnProgress | None = None) -> Checked:
    """Look at one picture from all sides.

    Raises:
        InputError: ``input.*`` if it is no picture that can be read.
        WeightsError, PipelineError: as `Engine.draft` and `Engine.perform`.
    """
    data = media.read_bytes(path)
    draft = engine.draft("check", {"picture": path}, keep=False)
    outcome = engine.perform(draft, on_progress=on_progress)
    trust = credentials.trust(credentials.place_of(engine.settings))
    return Checked(
        path=path,
        draft=draft,
        outcome=outcome,
        verdict=verdicts.of_file(path, trust),
        recipe=_recipe(path),
        traces=traces.examine(data, path.name, draft.inputs["picture"]).as_dict(),
    )


def _recipe(path: Path) -> dict[str, Any] | None:
    """How the studio made a file, as its sidecar says; None if it carries none that can be read."""
    try:
        seal, notes = sidecar.read(path)
    except (InputError, UsageError):
        return None
    return {
        "kind": seal.recipe.kind,
        "created": seal.created,
        "inputs": {slot: ref.name for slot, ref in seal.recipe.inputs.items()},
        "tier": seal.receipt.get("tier"),
        "edit": seal.receipt.get("edit"),
        "notes": notes,
    }


def pictures(paths: Iterable[Path]) -> list[Path]:
    """The files that are meant: those named, and of a folder every picture at any depth.

    Raises:
        InputError: ``input.missing`` or ``data.empty``.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError("input.missing", "There is no such file", seen=path, remedy="Check the path")
        inside = sorted(each for each in path.rglob("*") if each.suffix.lower().lstrip(".") in media.SUFFIXES)
        found += inside if path.is_dir() else [path]
    if not found:
        raise InputError(
            "data.empty", "There is no picture in this folder", seen=", ".join(map(str, paths)),
            remedy=f"It is searched for {', '.join(media.SUFFIXES)}",
        )  # fmt: skip
    return list(dict.fromkeys(found))


def sweep(
    engine: Engine, paths: list[Path], *, on_file: Callable[[int, int, Path], OnProgress | None]
) -> Iterator[tuple[Path, Checked | PipelineError]]:
    """Check many pictures; one that cannot be read is told as its error, and the others go on.

    Args:
        engine: Runs the network, which stays loaded.
        paths: Of `pictures`.
        on_file: Called with number, count and path before each; returns what is told its progress.
    """
    for number, path in enumerate(paths):
        try:
            yield path, check(engine, path, on_progress=on_file(number, len(paths), path))
        except InputError as error:
            yield path, error
