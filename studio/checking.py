"""Is this picture what it says: forensic evidence, the seal, the recipe and the file's own traces, side by side.

These are independent answers, and never one number: pixels that look edited are weak evidence, a seal that holds is
strong evidence of who signed, and neither says anything about what the picture shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.errors import Cancelled, InputError, PipelineError
from studio import credentials, errors, media, sidecar, traces, verdicts
from studio.engine import Draft, Engine, OnProgress, Outcome
from studio.errors import UsageError
from studio.verdicts import Verdict


@dataclass(frozen=True)
class Checked:
    """What is known of one picture. It holds the decoded picture: of many, keep `as_dict` instead.

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


def check(engine: Engine, path: Path, *, keep: bool = False, on_progress: OnProgress | None = None) -> Checked:
    """Look at one picture from all sides.

    Args:
        engine: Runs the network, which stays loaded.
        path: The picture.
        keep: Keep it in the workspace, so that its heat map can be made again from the heat map's file alone.
        on_progress: Called between steps.

    Raises:
        InputError: ``input.*`` if it is no picture that can be read.
        WeightsError, PipelineError: as `Engine.draft` and `Engine.perform`.
    """
    data = media.read_bytes(path)
    draft = engine.draft("check", {"picture": path}, keep=keep)
    outcome = engine.perform(draft, on_progress=on_progress)
    return Checked(
        path=path,
        draft=draft,
        outcome=outcome,
        verdict=verdicts.of_file(path, credentials.trust(credentials.place_of(engine.settings))),
        recipe=recipe_of(path),
        traces=traces.examine(data, path.name, draft.inputs["picture"]).as_dict(),
    )


def recipe_of(path: Path) -> dict[str, Any] | None:
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


def pictures(paths: Iterable[Path], *, besides: Path | None = None) -> dict[Path, str]:
    """The files that are meant, each with a name that no other has: those named, and of a folder all at any depth.

    Args:
        paths: Files and folders.
        besides: A folder below one of them that is left out: where heat maps go.

    Returns:
        Path -> stem of its file, or where several are the same, the way to it below the folder that was named.

    Raises:
        InputError: ``input.missing``, ``input.unreadable`` or ``data.empty``.
    """
    paths = list(paths)
    found: dict[Path, str] = {}
    for path in paths:
        try:
            if not path.exists():
                raise InputError("input.missing", "There is no such file", seen=path, remedy="Check the path")
            apart = besides if besides is None or besides.resolve() != path.resolve() else None
            inside = sorted(each for each in path.rglob("*") if _is_picture(each, apart)) if path.is_dir() else [path]
        except OSError as error:
            raise InputError("input.unreadable", "This path cannot be read", seen=f"{path}: {error}") from error
        for each in inside:
            way = each.relative_to(path).parts if path.is_dir() else each.parts[-2:]
            found.setdefault(each, "-".join(way).replace(".", "-").strip("/\\-"))
    if not found:
        raise InputError(
            "data.empty", "There is no picture in this folder", seen=", ".join(map(str, paths)),
            remedy=f"It is searched for {', '.join(media.SUFFIXES)}",
        )  # fmt: skip
    stems = Counter(path.stem.casefold() for path in found)
    return {path: path.stem if stems[path.stem.casefold()] == 1 else way for path, way in found.items()}


def _is_picture(path: Path, besides: Path | None) -> bool:
    if path.name.startswith(".") or path.suffix.lower().lstrip(".") not in media.SUFFIXES or not path.is_file():
        return False
    return besides is None or besides.resolve() not in path.resolve().parents


def sweep(
    engine: Engine,
    paths: Iterable[Path],
    *,
    keep: bool = False,
    on_file: Callable[[int, Path], OnProgress | None] = lambda number, path: None,
) -> Iterator[tuple[Path, Checked | PipelineError]]:
    """Check many pictures; one that fails, for whatever reason, is told as its error, and the others go on.

    Args:
        engine: Runs the network, which stays loaded.
        paths: Of `pictures`.
        keep: As in `check`.
        on_file: Called with number and path before each; returns what is told its progress.
    """
    for number, path in enumerate(paths):
        try:
            yield path, check(engine, path, keep=keep, on_progress=on_file(number, path))
        except Cancelled:
            raise
        except Exception as error:  # as in a batch: an item's failure must not end the others
            yield path, errors.translate(error) or errors.bug_report(error, engine.settings.home / "logs")
