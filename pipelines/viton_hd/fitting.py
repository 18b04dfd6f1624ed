"""The window of a person with a garment fitted to it: what every picture of a try-on is painted from.

Nothing is generated here: joints, parsing and the cut-out decide where cloth lies (cover.py) and what stays in front.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Box, Finding, Image, Mask, Pose
from pipelines.person import layout as layouts
from pipelines.person import masks
from pipelines.person.garment.cutout import bleed
from pipelines.person.garment.fit import Fit, fit
from pipelines.person.garment.landmarks import RIGHT, H
from pipelines.person.garment.pipeline import GarmentCut
from pipelines.person.garment.warp import scaled, warp
from pipelines.person.pipeline import Person
from pipelines.viton_hd import cover as covering
from pipelines.viton_hd import photo as photos
from pipelines.viton_hd import surface
from pipelines.viton_hd.frame import Frame, garment_frame
from pipelines.viton_hd.planes import Plane, widened

LARGEST_WORK = 1536  # height of the working copy; larger windows are painted at this height and enlarged
LEAST_LAID = 0.35  # share of the worn garment above the new hem that has to be covered
EDGES = (0.045, 1e-3)  # how far (in shoulder widths) parsed outlines follow the photograph's, and its least variance
SLEEVE_KEPT = Finding(
    "fit.sleeve-kept",
    "info",
    "The arm inside a worn sleeve cannot be seen, so the sleeve stays below the shorter one",
    "A photo with bare arms, or with both arms hanging and both hands visible, fits better",
)


@dataclass(frozen=True)
class Fitted:
    """A person's window at working and at network size, with the garment fitted to it."""

    work: Image  # (h, w, 3)
    layout: NDArray[np.uint8]  # (h, w) LIP ids at working size
    work_pose: Pose  # in working pixels
    small_image: Image
    small_layout: NDArray[np.uint8]
    small_pose: Pose
    edit: NDArray[np.bool_]  # network size
    edit_work: NDArray[np.bool_]  # working size
    cloth: NDArray[np.float32]  # network size, RGB in [0, 1]
    cloth_mask: NDArray[np.bool_]
    cloth_work: NDArray[np.float32]  # working size
    alpha_work: NDArray[np.float32]
    kept: NDArray[np.float32]  # working size: share of each pixel that stays in front
    plan: covering.Cover | None  # working size; None without a garment
    folds: NDArray[np.float32]  # working size, log-shading
    findings: tuple[Finding, ...]


def working_frame(seen: Person, category: str) -> Frame:
    """The window of a person for a category, at the size it is painted: the picture's own, within bounds."""
    frame = garment_frame(seen.layout, seen.pose, category)
    height = int(np.clip(frame.box.h, 256, LARGEST_WORK)) // 4 * 4
    return replace(frame, size=(height, height * 3 // 4))


def fit_window(
    image: Image,
    seen: Person,
    frame: Frame,
    cut: GarmentCut | None,
    size: tuple[int, int],
    *,
    category: str,
    mask: Mask | None,
    protect: tuple[str, ...],
    published: bool = False,
) -> Fitted:
    """Cut the window out and fit the garment to it, at network and at working size.

    Args:
        image: (H, W, 3) uint8 RGB, the person's photo.
        seen: The person in it.
        frame: The window, at working size.
        cut: The garment; None leaves the window undressed.
        size: (height, width) of the networks.
        category: What the garment replaces.
        mask: (H, W) uint8 edit mask of the user, or None for the planned one.
        protect: What stays in front of the garment.
        published: Whether the published flow paints, which bends the garment itself and edits all that was worn.

    Raises:
        InputError: ``fit.implausible`` if the cut-out covers too little of what is worn.
    """
    small = replace(frame, size=size)
    work, layout = frame.take(image), frame.take(seen.layout, nearest=True)
    small_layout = small.take(seen.layout, nearest=True)
    labels = small.take(seen.labels, nearest=True)
    pose = Pose(small.points(seen.pose.xy), seen.pose.score, seen.pose.names, Box(0, 0, small.size[1], small.size[0]))
    work_pose = replace(pose, xy=frame.points(seen.pose.xy), box=Box(0, 0, frame.size[1], frame.size[0]))
    room, in_front = masks.garment_mask(layout, work_pose, category)
    in_front = photos.without_islands(_protected(layout, work_pose, in_front, protect), layout)
    photo = work.astype(np.float32) / np.float32(255)
    cloth = np.zeros((*size, 3), np.float32)
    cloth_work, alpha_work = np.zeros((*frame.size, 3), np.float32), np.zeros(frame.size, np.float32)
    folds, findings, plan = np.zeros(frame.size, np.float32), (), None
    edit = (frame.take(mask) > 127 if mask is not None else room) & ~in_front
    if cut is not None:
        place = fit(cut.landmarks, cut.sleeve, labels, pose)
        findings = tuple(place.findings)
        place = _enlarged(place, np.array([frame.size[1] / size[1], frame.size[0] / size[0]]))
        flat = bleed(cut.image, cut.alpha)  # no colour of the ground at the garment's rim
        cloth_work, alpha_work, parts = warp(
            flat, cut.alpha, cut.landmarks, place.target, frame.size, sleeves=place.sleeves, behind=place.behind
        )
        reach, least = EDGES[0] * place.unit, EDGES[1]
        worn = np.isin(layout, masks.WORN[category]) & ~in_front
        worn = photos.guided(photo, worn.astype(np.float32), reach, least) > 0.5
        arms = covering.beyond_cuffs(place, frame.size)
        known_skin = np.isin(layout, (layouts.FACE, layouts.NECK, *layouts.ARMS))
        for _, name in covering.ARMS:
            worn &= ~photos.skin_coloured(photo, known_skin, worn & (arms == name))
        bare = np.isin(layout, layouts.ARMS)
        light = photos.light_from(photo, layout == layouts.FACE)
        gaps = photos.gaps_in(layout > 0, place.unit)
        figure = photos.guided(photo, (layout > 0).astype(np.float32), reach, least) > 0.5
        plan = covering.cover(alpha_work, place, arms, worn & ~in_front, bare, in_front, light, gaps, figure)
        if not published:
            _check_plausible(plan, place, worn)
        if mask is None and plan.stays.any():
            findings += (SLEEVE_KEPT,)
        if mask is not None:
            plan = replace(plan, cloth=plan.cloth & edit, fill=edit & ~plan.cloth)
        elif not published:
            edit = plan.cloth | plan.fill
        cloth_work = surface.extended(cloth_work, plan.trust, widened(plan.cloth, frame.size[0] / 100))
        folds = surface.folds(photo, worn & ~in_front, place.unit) + surface.relief(parts, plan.cloth, place.unit)
    kept = photos.guided(photo, in_front.astype(np.float32), max(2, 0.012 * frame.size[0]), EDGES[1])
    small_cloth = np.zeros(size, bool) if plan is None else _small(plan.cloth, size)
    if plan is not None:
        cloth = np.asarray(cv2.resize(cloth_work, size[::-1], interpolation=cv2.INTER_AREA), np.float32)
    return Fitted(
        work=work,
        layout=layout,
        work_pose=work_pose,
        small_image=small.take(image),
        small_layout=small_layout,
        small_pose=pose,
        edit=_small(edit, size),
        edit_work=edit,
        cloth=cloth,
        cloth_mask=small_cloth & _small(edit, size),
        cloth_work=cloth_work,
        alpha_work=alpha_work,
        kept=kept,
        plan=plan,
        folds=folds,
        findings=findings,
    )


def _small(plane: Plane, size: tuple[int, int]) -> Plane:
    """A plane of the window at network size."""
    return cv2.resize(plane.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0.5


def _enlarged(place: Fit, factor: NDArray[np.float64]) -> Fit:
    """A fit in pixels of a window ``factor`` times as wide and as high."""
    points = {name: scaled(getattr(place, name), factor) for name in ("target", "shoulders", "elbows", "wrists")}
    return replace(place, **points, unit=place.unit * float(factor.mean()))


def _check_plausible(plan: covering.Cover, place: Fit, worn: NDArray[np.bool_]) -> None:
    """Refuse a garment that covers little of the old one above its own hem: what it would leave is a hole."""
    hem = max(1, int(place.target[[H, RIGHT + H], 1].max()))
    replaced = worn[:hem] & ~plan.stays[:hem]
    share = float(plan.cloth[:hem][replaced].mean()) if replaced.any() else 1.0
    if share < LEAST_LAID:
        raise InputError(
            "fit.implausible",
            "The garment that was cut out covers too little of the worn one to replace it",
            seen=f"{share:.0%} of it, at least {LEAST_LAID:.0%} are needed",
            remedy="Use a photo of the whole garment on a ground of another colour, or a frontal photo of the person",
        )


def _protected(
    layout: NDArray[np.uint8], pose: Pose, protected: NDArray[np.bool_], protect: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Drop from ``protected`` what the user gave up."""
    freed = np.zeros(layout.shape, bool)
    if "hair" not in protect:
        freed |= layout == 2
    if "face" not in protect:
        freed |= np.isin(layout, (4, 13))
    if "hands" not in protect:
        freed |= layouts.hands(layout, pose)
    return protected & ~freed
