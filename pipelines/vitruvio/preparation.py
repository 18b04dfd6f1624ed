"""`studio data prepare`: a folder of building meshes becomes a data set to train on, in the published layout.

Every mesh is closed by named repairs or left out with the reason; then comes what the layout asks for: points with
occupancy, points on the surface, and line drawings from many sides. One model is finished or not there, and what is
finished is not done again.

The published pipeline renders depth images and fuses them into a volume to get a closed surface; that smooths edges and
fills recesses. Here what cannot be closed as it is stays out (our choice).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.shape_metrics import sample_surface
from pipelines.core.types import Mesh, OnStep, report
from pipelines.mesh import cityjson, export, topology
from pipelines.mesh.floors import close_floor
from pipelines.mesh.repair import USUAL, Change, repair
from pipelines.synthetic.buildings import QUERY
from pipelines.synthetic.linework import draw_placed, in_frame, sample_camera, sample_hand
from pipelines.vitruvio import dataset
from pipelines.vitruvio.alignment import align
from pipelines.vitruvio.evaluation_set import name_seed

CATEGORY = "buildings"
SETTINGS = "preparation.json"  # beside metadata.yaml: how this data set was made
RECORD = "source.json"  # in a model: where it is from and what was done to it; the layout's readers pass it by
TRACKER = "rotation_tracker.txt"  # published name: `model:angle` a line
SUFFIXES = {".obj": "obj", ".stl": "stl", ".ply": "ply", ".glb": "glb", ".3mf": "3mf", ".json": "cityjson"}
POINTS = 100_000  # published, in the volume and on the surface
SIDE = 224  # pixels of a view, the published network's
CLOSING = (*USUAL, "drop-specks", "fill-cavities")  # a building is one body without closed rooms


@dataclass(frozen=True)
class Settings:
    """How a data set is made.

    Attributes:
        views: Drawings a model.
        seed: Of points, cameras and hands; each model's chance depends on its name besides.
        pose: ``quarter``: as the mesh stands, seen from between +x and +z, for networks that answer in that frame;
            ``canonical``: turned along its long side and seen from all around, the published "aligned" training;
            ``free``: as it stands, seen from all around, the published "native" one.
        up: Upward axis of OBJ, STL and PLY files, ``z`` or ``y``; other formats say themselves.
        points: In the volume, and on the surface.
        side: Pixels of a view.
    """

    views: int = 24
    seed: int = 0
    pose: str = "quarter"
    up: str = "z"
    points: int = POINTS
    side: int = SIDE


@dataclass(frozen=True)
class Outcome:
    """What became of one mesh.

    Attributes:
        name: Of the model.
        source: File, and object in it.
        status: ``made``, ``kept`` (finished by an earlier run) or ``left out``.
        changes: What repairs did to it, in words.
        reason: Why it was left out.
    """

    name: str
    source: str
    status: str
    changes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Prepared:
    """What became of all of them.

    Attributes:
        folder: The data set.
        outcomes: In order of the meshes.
        split: How many models each list holds.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]
    split: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        counted = dict(Counter(outcome.status for outcome in self.outcomes))
        return {"folder": str(self.folder), "meshes": len(self.outcomes), **counted, "split": self.split,
                "outcomes": [asdict(outcome) for outcome in self.outcomes]}  # fmt: skip


def prepare(
    meshes: str | Path,
    out: str | Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    on_step: OnStep | None = None,
) -> Prepared:
    """Make a data set of every mesh in a folder.

    Args:
        meshes: Folder, searched to the bottom, or one file: OBJ, STL, PLY, GLB, 3MF, and CityJSON with one building a
            city object.
        out: Becomes ROOT of the layout in dataset.py, with one category, ``buildings``. Finished models in it stay.
        settings: None takes the published numbers.
        limit: Look at so many meshes only, the first by name.
        on_step: Called after each mesh; may raise ``Cancelled``, which leaves finished models.

    Returns:
        What became of each. The three lists, metadata.yaml and, for ``canonical``, rotation_tracker.txt are written
        when all are through.

    Raises:
        InputError: ``data.no-meshes``; ``data.settings`` for settings out of range or other ones than the folder was
            begun with; ``data.none-usable`` if not one mesh could be used.
        OSError: What the disk says.
    """
    settings, out, category = settings or Settings(), Path(out), Path(out) / CATEGORY
    _check(settings)
    sources = _sources(Path(meshes))[:limit]
    if not sources:
        raise InputError(
            "data.no-meshes", "There is no mesh here", seen=meshes, remedy=f"Give a folder with {', '.join(SUFFIXES)}"
        )
    category.mkdir(parents=True, exist_ok=True)
    _same_settings(out / SETTINGS, settings)
    outcomes, taken = list[Outcome](), set[str]()
    for name, path, item in sources:
        source = f"{path.name}#{item}" if item else path.name
        if name in taken:
            outcomes.append(Outcome(name, source, "left out", reason="another mesh of this name came before it"))
        elif (category / name / RECORD).is_file():
            record = json.loads((category / name / RECORD).read_text(encoding="utf-8"))
            outcomes.append(Outcome(name, record["source"], "kept", tuple(record["changes"])))
        else:
            outcomes.append(_attempt(category, name, source, path, item, settings))
        taken.add(name)
        report(on_step, len(outcomes), len(sources))
    finished = sorted(record.parent.name for record in category.glob(f"*/{RECORD}"))
    if not finished:
        first = outcomes[0]
        raise InputError(
            "data.none-usable",
            "Not one of these meshes could be closed",
            seen=f"{len(outcomes)} meshes; {first.source}: {first.reason}",
            remedy="Repair them first, or give meshes of whole buildings",
        )
    split = dataset.write_lists(category, finished)
    dataset.write_metadata(out, {CATEGORY: "buildings, drawn by lines"})
    if settings.pose == "canonical":
        _write_tracker(category, finished)
    return Prepared(out, tuple(outcomes), {key: len(names) for key, names in split.items()})


def closed(mesh: Mesh) -> tuple[Mesh, tuple[str, ...]]:
    """Make one closed, outward solid of a mesh (y up), its floor added where it has none.

    Returns:
        The solid, and what was done, in words.

    Raises:
        InputError: ``mesh.not-closed`` with what is still wrong, or what `topology.checked` raises.
    """
    begun = repair(mesh, ("weld", "drop-degenerate", "orient"))
    floored = close_floor(begun.mesh)
    done = repair(floored.mesh, CLOSING)
    changes = [*begun.changes, *floored.changes, *done.changes]
    edges, bodies = topology.edge_report(done.mesh), topology.shells(done.mesh)
    wrong = []
    if not edges.closed:
        wrong.append(str(edges))
    if len(bodies) > 1:
        wrong.append(f"{len(bodies)} separate bodies")
    if not wrong and bodies[0].volume <= 0:
        wrong.append("it encloses no volume")
    if wrong:
        said = [change.message for change in changes if not change.complete]
        raise InputError(
            "mesh.not-closed", "The mesh cannot be made one closed solid", seen="; ".join([*wrong, *said])[:300],
            remedy="Repair it by hand; nothing is guessed here",
        )  # fmt: skip
    return done.mesh, tuple(_words(change) for change in changes if change.changed)


def _words(change: Change) -> str:
    return f"{change.name}: {change.message}"


def _check(settings: Settings) -> None:
    poses = ("quarter", "canonical", "free")
    for name, value, fine in (
        ("views", settings.views, settings.views >= 1),
        ("pose", settings.pose, settings.pose in poses),
        ("up", settings.up, settings.up in ("y", "z")),
        ("points", settings.points, settings.points >= 8),
        ("side", settings.side, settings.side >= 16),
    ):
        if not fine:
            raise InputError("data.settings", f"This value of {name} makes no sense", seen=value)


def _same_settings(path: Path, settings: Settings) -> None:
    """Note the settings of a new data set; refuse to go on with other ones in an old one."""
    ours = asdict(settings)
    if not path.is_file():
        path.write_text(json.dumps(ours, indent=2) + "\n", encoding="utf-8")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        before = None
    if before != ours:
        raise InputError(
            "data.settings", "This folder was begun with other settings", seen=f"{before}, now {ours}",
            remedy="Use the same settings, or another folder",
        )  # fmt: skip


def _sources(meshes: Path) -> list[tuple[str, Path, str]]:
    """(model's name, file, object in it) of every mesh, in order of names."""
    paths = [meshes] if meshes.is_file() else sorted(p for p in meshes.rglob("*") if p.suffix.lower() in SUFFIXES)
    found = []
    for path in (path for path in paths if path.suffix.lower() in SUFFIXES):
        inner = path.name if meshes.is_file() else path.relative_to(meshes).as_posix()
        stem = inner[: -len(path.suffix)]
        if SUFFIXES[path.suffix.lower()] != "cityjson":
            found.append((_plain(stem), path, ""))
            continue
        try:
            items = _city(path).buildings()
        except InputError:
            items = [""]  # told again, and in its place, when it is that file's turn
        found += [(_plain(f"{stem}-{item}" if item else stem), path, item) for item in items]
    return found


def _plain(name: str) -> str:
    """A name that is one on every disk and in a list of one name a line."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".")[-120:] or "_"


@lru_cache(maxsize=1)
def _city(path: Path) -> cityjson.CityModel:
    return cityjson.read(path)


def _candidates(path: Path, item: str, up: str) -> list[tuple[str, Mesh]]:
    """Meshes of one building in y up, the most detailed first, each with a word for its level of detail."""
    kind = SUFFIXES[path.suffix.lower()]
    if kind == "cityjson":
        found = [(f"level of detail {level}", mesh) for level, mesh in _city(path).meshes(item)] if item else []
        if not found:
            _city(path)  # raises where the file is what is wrong
            raise InputError("mesh.empty", "The city object has no surface", seen=item or path.name)
    else:
        found = [("", export.decode(path.read_bytes(), kind))]
        if kind in ("obj", "stl", "ply") and up == "y":
            return found
    return [(level, Mesh(mesh.vertices[:, [0, 2, 1]] * (1, 1, -1), mesh.faces)) for level, mesh in found]


def _attempt(category: Path, name: str, source: str, path: Path, item: str, settings: Settings) -> Outcome:
    """Make one model, or say why it cannot be made."""
    refused = []
    try:
        for level, mesh in _candidates(path, item, settings.up):
            try:
                solid, changes = closed(mesh)
            except InputError as error:
                refused.append(f"{level}: {error.what}: {error.seen}" if level else f"{error.what}: {error.seen}")
                continue
            changes = (*((f"taken at {level}",) if level else ()), *changes)
            _write(category / name, solid, source, changes, settings)
            return Outcome(name, source, "made", changes)
    except InputError as error:
        refused.append(f"{error.what}: {error.seen}")
    return Outcome(name, source, "left out", reason="; ".join(refused))


def _write(place: Path, solid: Mesh, source: str, changes: tuple[str, ...], settings: Settings) -> None:
    """Write a model under a name that no reader looks at, then give it its own."""
    angle = 0.0
    middle, longest = _box(solid)
    if settings.pose == "canonical":
        solid, angle = align(Mesh((solid.vertices - middle) / longest, solid.faces))
    framed = in_frame(solid)
    rng = np.random.default_rng((settings.seed, name_seed(place.name)))
    # float16 moves a point by up to a quarter of a thousandth: its truth is asked for where it then lies.
    points = rng.uniform(-QUERY, QUERY, (settings.points, 3)).astype(np.float16)
    occupied = topology.contains(framed, points.astype(np.float64))
    surface = sample_surface(framed.vertices, framed.faces, settings.points, rng)
    policy = "quadrant" if settings.pose == "quarter" else "around"
    drawn = [
        draw_placed(framed, sample_camera(rng, policy=policy), sample_hand(rng, 1), rng, settings.side)
        for _ in range(settings.views)
    ]
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    part.mkdir()
    try:
        dataset.write_model(
            part,
            points=points,
            occupied=occupied,
            surface=surface,
            loc=middle,
            scale=longest,
            views=[view for view, _ in drawn],
            projections=[projection for _, projection in drawn],
        )
        record = {"source": source, "changes": changes, "angle": angle}
        (part / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)  # a folder without a record is nobody's work
        os.replace(part, place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _box(mesh: Mesh) -> tuple[NDArray[np.float64], float]:
    """Centre (3,) and longest side of the bounding box."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    return (low + high) / 2, float((high - low).max())


def _write_tracker(category: Path, names: list[str]) -> None:
    angles = {name: json.loads((category / name / RECORD).read_text(encoding="utf-8"))["angle"] for name in names}
    lines = "".join(f"{name}:{angle}\n" for name, angle in angles.items())
    (category.parent / TRACKER).write_text(lines, encoding="utf-8")


def pose_of(root: str | Path) -> str | None:
    """How the buildings of a data set stand, if it was made here."""
    path = Path(root) / SETTINGS
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["pose"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            "data.settings", "The note of how this data set was made cannot be read", seen=path, remedy="Delete it"
        ) from None
