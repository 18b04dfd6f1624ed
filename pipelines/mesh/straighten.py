"""Make the surface of a learned occupancy field look like a building, where the field supports it. Unit-free, y up.

Source: none; our choice. A field of a drawing is blurred: walls bulge, edges are round. ``straighten`` reads it as
upright blocks with flat, sloped or round roofs (see ``massing``) and takes them only if they tell the same building.
Fields that no such blocks describe stay as they are: to rebuild those costs whole wings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import PipelineError
from pipelines.core.types import Mesh
from pipelines.mesh import massing, topology
from pipelines.mesh.levelling import FLOAT32, finished, largest, levelled
from pipelines.mesh.massing import Samples
from pipelines.mesh.repair import Change

BUDGET = 140_000  # points asked of the field
MARGIN = 2  # cells around the building
# Straight walls are taken if they agree with the field in this share (intersection over union), if they cost no more
# than this of the expected intersection over union, and if the volume stays within this share (our choice).
AGREEMENT, LOSS, VOLUME = 0.8, 0.02, 0.05
REACH = 0.05  # nor may any side of its bounding box move by more than this: a spire is little volume, and seen by all

Probability = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Straightened:
    """A building that stands flat.

    Attributes:
        mesh: One closed body, faces counter-clockwise from outside, its lowest corners at exactly one height.
        changes: What was done, in order.
        applied: Whether walls and roofs were straightened; always False of ``level``.
        agreement: Intersection over union of the straightened form, applied or not, with the field at one half; 0 of
            ``level`` and where no form was found.
        queries: Points asked of the field.
    """

    mesh: Mesh
    changes: tuple[Change, ...]
    applied: bool = False
    agreement: float = 0.0
    queries: int = 0


def level(mesh: Mesh) -> Straightened:
    """Keep one body without cavities and stand it on a flat base; see ``levelling.levelled``, also for errors."""
    return Straightened(*levelled(mesh))


def straighten(
    mesh: Mesh,
    probability: Probability,
    *,
    agreement: float = AGREEMENT,
    loss: float = LOSS,
    volume: float = VOLUME,
) -> Straightened:
    """Straighten walls and roofs where the field supports it; else return ``level(mesh)``.

    Args:
        mesh: Surface of the field; closed or nearly so, any number of bodies.
        probability: Called once with (N, 3) float32 points, N at most ``BUDGET``; returns (N,) float32 in [0, 1].
        agreement: Least intersection over union with the field at one half.
        loss: Most that the expected intersection over union with the field may fall below that of the levelled mesh.
        volume: Most that the volume may change, as a share of what ``mesh`` bounds: the flat base has a part in it.

    Returns:
        The mesh, the changes of ``level`` and one named ``straighten``.

    Raises:
        PipelineError: ``mesh.field`` if the field gives another shape or values that are no probabilities.
        InputError: As ``level``.
    """
    stood = level(mesh)
    enclosed = topology.volume(mesh)
    samples = sampled(stood.mesh, probability)
    before = expected_iou(_inside(stood.mesh, samples), samples.values)
    tried = _Tried(None, "left as it was: no block of the field is likely and thick enough", {})
    # As few planes as the field allows: a ledge that a blurred wall left is seen by all, and meant by nobody.
    for care in massing.CARES:
        found = massing.blocks(samples, care)
        if not found:
            continue
        tried = _built(found, samples, stood.mesh, enclosed, before, agreement, loss, volume)
        if tried.mesh is not None:
            break
    agreed = tried.figures.get("agreement", 0.0)
    applied = tried.mesh is not None
    change = Change("straighten", applied, tried.said, figures=tried.figures)
    made = stood.mesh if tried.mesh is None else tried.mesh
    return Straightened(made, (*stood.changes, change), applied, agreed, samples.values.size)


@dataclass(frozen=True)
class _Tried:
    """What became of some blocks: a mesh, or None and why not."""

    mesh: Mesh | None
    said: str
    figures: dict[str, float]


def _built(
    found: list[massing.Block],
    samples: Samples,
    stood: Mesh,
    enclosed: float,
    before: float,
    agreement: float,
    loss: float,
    volume: float,
) -> _Tried:
    """Unite blocks, and take them if the field and the levelled mesh say the same building; see ``straighten``."""
    made = finished(largest(massing.solid(found, samples)), FLOAT32)
    if made is None:
        return _Tried(None, "left as it was: its blocks make no one body on a flat base", {})
    formed = _inside(made, samples)
    likely = samples.values >= 0.5
    agreed = float((formed & likely).sum() / max(1, (formed | likely).sum()))
    after = expected_iou(formed, samples.values)
    grown = topology.volume(made) / enclosed - 1
    ends = [made.vertices.min(0) - stood.vertices.min(0), made.vertices.max(0) - stood.vertices.max(0)]
    reach = float(np.abs(np.concatenate(ends)).max())
    figures: dict[str, float] = {
        "blocks": len(found), "agreement": agreed, "expected_iou_before": before, "expected_iou_after": after,
        "volume_change": grown, "faces_before": len(stood.faces), "faces_after": len(made.faces), "reach": reach,
    }  # fmt: skip
    why = ""
    if agreed < agreement:
        why = f"agree with the field in {agreed:.1%}, less than {agreement:.0%}"
    elif before - after > loss:
        why = f"fit the field worse, {before:.3f} -> {after:.3f}"
    elif abs(grown) > volume:
        why = f"change the volume by {grown:+.1%}"
    elif reach > REACH:
        why = f"end {reach:.3f} from where it does"
    if why:
        return _Tried(None, f"left as it was: {len(found)} blocks {why}", figures)
    roofs = ", ".join(dict.fromkeys(block.roof for block in found))
    said = f"{len(found)} blocks ({roofs}) that agree with the field in {agreed:.1%}, volume {grown:+.1%}"
    return _Tried(made, f"{said}, {len(stood.faces)} -> {len(made.faces)} triangles", figures)


def expected_iou(inside: NDArray[np.bool_], probability: NDArray[np.float32]) -> float:
    """Expected intersection over expected union of a form with a building of which each cell is one so likely."""
    held = float(probability[inside].sum(dtype=np.float64))
    union = float(inside.sum()) + float(probability.sum(dtype=np.float64)) - held
    return held / union if union else 0.0


def sampled(mesh: Mesh, probability: Probability) -> Samples:
    """Ask the field at the centres of at most BUDGET cubic cells around a levelled mesh, from its base up."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    size = high - low
    step = float((np.prod(size) / BUDGET) ** (1 / 3))
    while (counts := _counts(size, step)).prod() > BUDGET:
        step *= 1.01
    corner = (low + high) / 2 - counts * step / 2
    corner[1] = low[1]
    axes = [corner[axis] + (np.arange(counts[axis]) + 0.5) * step for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    values = np.asarray(probability(points), np.float32)
    if values.shape != (len(points),) or not ((values >= 0) & (values <= 1)).all():
        seen = f"shape {values.shape} for {len(points)} points"
        if values.size:
            seen += f", from {np.min(values):.3g} to {np.max(values):.3g}"
        raise PipelineError("mesh.field", "The field gave no probabilities", seen=seen,
                            remedy="Pass the sigmoid of the network's logits")  # fmt: skip
    return Samples(values.reshape(counts), corner, step)


def _counts(size: NDArray[np.float64], step: float) -> NDArray[np.int64]:
    return (np.ceil(size / step) + np.array([2 * MARGIN, MARGIN, 2 * MARGIN])).astype(np.int64)


def _inside(mesh: Mesh, samples: Samples) -> NDArray[np.bool_]:
    """(nx, ny, nz) whether the centre of a cell is inside a closed mesh: crossings counted along columns."""
    axes = [samples.corner[axis] + (np.arange(count) + 0.5) * samples.step
            for axis, count in enumerate(samples.values.shape)]  # fmt: skip
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return topology.contains(mesh, points).reshape(samples.values.shape)
