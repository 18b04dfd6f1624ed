"""Training pairs out of single photographs: the worn garment is laid flat, then fitted back with errors.

The flat outline comes from photos of garments, those of the samples if none are named; joints and outline are disturbed
before the fit, so that the fitted cloth misses the worn garment the way it does in use. Rendered people add pairs whose
flat picture was never near the worn one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipelines.core import hub
from pipelines.core.augment import is_validation
from pipelines.core.errors import InputError
from pipelines.core.types import Box, Labels, Pose
from pipelines.person import layout as layouts
from pipelines.person import masks
from pipelines.person.garment.cutout import nearest_fill
from pipelines.person.garment.fit import fit
from pipelines.person.garment.pipeline import GarmentPipeline
from pipelines.person.garment.unwarp import FlatOutline, garment_bank, unwarp
from pipelines.person.garment.warp import warp
from pipelines.person.parsing.network import DRESS, UPPER
from pipelines.person.parsing.training import IGNORE, label_table, read_ccp, read_photo
from pipelines.viton_hd.conditioning import TO_PARSE13, UPPER13, Conditions, disc, first_fill
from pipelines.viton_hd.frame import Frame, garment_frame
from pipelines.vitpose.decoding import COCO_FLIP, COCO_NAMES
from pipelines.vitpose.drawing import pose_map

SIZE = (256, 192)  # of a sample
KEPT = (288, 216)  # of a stored window, so that a sample can be shifted and zoomed
FITS = 2  # fitted garments kept for each person
SLEEVE_CLASS = {"none": "none", "short": "short", "elbow": "short", "long": "long"}  # rendered -> fitted
LEFT_RIGHT = {14: 15, 15: 14, 16: 17, 17: 16, 18: 19, 19: 18}


@dataclass(frozen=True)
class PairStore:
    """Prepared people. All arrays share their first axis, N people, and window size (h, w) = `KEPT`.

    Attributes:
        image: (N, h, w, 3) uint8.
        layout: (N, h, w) uint8 LIP ids.
        edit: (N, h, w) bool.
        protected: (N, h, w) bool.
        xy: (N, 17, 2) float32.
        score: (N, 17) float32.
        cloth: (N, FITS, h, w, 3) uint8, the garment fitted back.
        cloth_mask: (N, FITS, h, w) bool.
        flat: (N, h, w, 3) uint8, the garment laid flat on white.
        flat_mask: (N, h, w) bool.
    """

    image: NDArray[np.uint8]
    layout: NDArray[np.uint8]
    edit: NDArray[np.bool_]
    protected: NDArray[np.bool_]
    xy: NDArray[np.float32]
    score: NDArray[np.float32]
    cloth: NDArray[np.uint8]
    cloth_mask: NDArray[np.bool_]
    flat: NDArray[np.uint8]
    flat_mask: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image)

    @property
    def fits(self) -> int:
        """Number of fitted garments in all."""
        return self.cloth.shape[0] * self.cloth.shape[1]

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """One person for SegGenerator and ALIASGenerator, moved, mirrored, recoloured, with a disturbed cloth."""
        i, k = int(rng.integers(len(self))), int(rng.integers(self.cloth.shape[1]))
        affine, flip = _jitter(rng)
        image, layout, pose = self._window(i, affine, flip)
        edit = _warp(self.edit[i].astype(np.uint8), affine, nearest=True) > 0
        protected = _warp(self.protected[i].astype(np.uint8), affine, nearest=True) > 0
        old = np.isin(layout, (5, 6, 7))
        if rng.random() < 0.75:
            cloth = _warp(self.cloth[i, k], affine).astype(np.float32) / np.float32(255)
            mask = _warp(self.cloth_mask[i, k].astype(np.uint8), affine, nearest=True) > 0
        else:  # the worn garment itself, bent
            cloth, mask = _bent(nearest_fill(image, old), old, rng)
        edit |= cv2.dilate(mask.astype(np.uint8), disc(1)) > 0
        if rng.random() < 0.4:  # another person's garment also has to be redrawn: its place shows skin or background
            other = _warp(self.edit[rng.integers(len(self))].astype(np.uint8), affine, nearest=True) > 0
            edit |= other
        if rng.random() < 0.5:
            edit = cv2.dilate(edit.astype(np.uint8), disc(int(rng.integers(1, 7)))) > 0
        edit &= ~protected
        return _sample(image, layout, pose, edit, cloth, mask & edit, rng)

    def gmm_sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """One (person, flat garment) pair for GMM at the starter's load size."""
        i = int(rng.integers(len(self)))
        affine, flip = _jitter(rng)
        image, layout, pose = self._window(i, affine, flip)
        edit = _warp(self.edit[i].astype(np.uint8), affine, nearest=True) > 0
        old = np.isin(layout, (5, 6, 7))
        flat = cv2.resize(self.flat[i], (SIZE[1], SIZE[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        mask = cv2.resize(self.flat_mask[i].astype(np.uint8), (SIZE[1], SIZE[0]), interpolation=cv2.INTER_NEAREST)
        if flip:
            flat, mask = flat[:, ::-1], mask[:, ::-1]
        agnostic = np.where(edit[..., None], 0, image * 2 - 1)
        person = np.concatenate([old[..., None], pose_map(pose, SIZE) / 127.5 - 1, agnostic], 2)
        return {
            "person": _square(person, 64),
            "cloth_small": _square(flat * 2 - 1, 64),
            "cloth": _square(flat * 2 - 1, 256),
            "cloth_mask": _square(mask[..., None], 256),
            "worn": _square((image * 2 - 1) * old[..., None], 256),
            "worn_mask": _square(old[..., None], 256),
        }

    def _window(
        self, i: int, affine: NDArray[np.float64], flip: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], Pose]:
        image = _warp(self.image[i], affine).astype(np.float32) / np.float32(255)
        layout = _warp(self.layout[i], affine, nearest=True)
        xy = (self.xy[i] @ affine[:, :2].T + affine[:, 2]).astype(np.float32)
        score = self.score[i]
        if flip:
            layout = mirror_ids(layout)
            xy, score = xy[list(COCO_FLIP)], score[list(COCO_FLIP)]
        return image, layout, Pose(xy, score, COCO_NAMES, Box(0, 0, SIZE[1], SIZE[0]))


def mirror_ids(layout: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Swap left and right limbs in LIP ids, for a mirrored picture."""
    table = np.arange(256, dtype=np.uint8)
    for a, b in LEFT_RIGHT.items():
        table[a] = b
    return table[layout]


def _jitter(rng: np.random.Generator) -> tuple[NDArray[np.float64], bool]:
    """Affine from a stored window to a sample: zoom by 0.85..1.15, shift, small turn, mirror."""
    zoom = SIZE[0] / KEPT[0] * 1.07 * rng.uniform(0.85, 1.15)
    angle = np.deg2rad(rng.normal(0, 3))
    c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
    affine = np.array([[c, -s, 0], [s, c, 0]])
    flip = bool(rng.random() < 0.5)
    if flip:
        affine[0] *= -1
    centre = np.array([KEPT[1] / 2, KEPT[0] / 2]) + rng.normal(0, 0.02, 2) * KEPT[0]
    affine[:, 2] = np.array([SIZE[1] / 2, SIZE[0] / 2]) - affine[:, :2] @ centre
    return affine, flip


def _warp(picture: NDArray[np.uint8], affine: NDArray[np.float64], *, nearest: bool = False) -> NDArray[np.uint8]:
    flags, border = (cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) if nearest else (cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    warped = cv2.warpAffine(picture, affine, (SIZE[1], SIZE[0]), flags=flags, borderMode=border)
    return np.asarray(warped, picture.dtype)


def _bent(
    picture: NDArray[np.float32], mask: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Move a garment by a smooth random field and nibble at its outline."""
    h, w = mask.shape
    field = cv2.resize(
        rng.normal(0, rng.uniform(0, 4), (5, 4, 2)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC
    )
    columns, rows = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    x, y = columns + field[..., 0], rows + field[..., 1]
    moved = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    bent = cv2.remap(mask.astype(np.uint8), x, y, cv2.INTER_NEAREST)
    step = int(rng.integers(-4, 5))
    if step:
        bent = (cv2.erode if step < 0 else cv2.dilate)(bent, disc(abs(step)))
    return np.asarray(moved, picture.dtype), bent > 0


def flatten(
    picture: NDArray[np.float32], mask: NDArray[np.bool_], sigma: float, strength: float
) -> NDArray[np.float32]:
    """Take the light out of worn cloth: divide by its smoothed luminance, as a flat product photo has none."""
    weight = mask.astype(np.float32)
    light = picture @ np.array([0.3, 0.59, 0.11], np.float32)
    local = cv2.GaussianBlur(light * weight, (0, 0), sigma) / (cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-3)
    mean = (light * weight).sum() / (weight.sum() + 1)
    return np.clip(picture * (((mean + 0.03) / (local + 0.03)) ** strength)[..., None], 0, 1)


def _sample(
    image: NDArray[np.float32],
    layout: NDArray[np.uint8],
    pose: Pose,
    edit: NDArray[np.bool_],
    cloth: NDArray[np.float32],
    mask: NDArray[np.bool_],
    rng: np.random.Generator,
) -> dict[str, Any]:
    parse = TO_PARSE13[layout]
    if rng.random() < 0.7 and mask.any():
        cloth = flatten(cloth, mask, rng.uniform(3, 10), rng.uniform(0.2, 1))
    # Light and tint change together in photo and cloth, and a little apart, as two cameras do.
    gain = rng.uniform(0.85, 1.15, (1, 1, 3)).astype(np.float32) * np.float32(rng.uniform(0.85, 1.15))
    image = np.asarray(np.clip(image * gain, 0, 1), np.float32)
    cloth = np.asarray(np.clip(cloth * gain * np.float32(rng.uniform(0.9, 1.12)), 0, 1), np.float32)
    covered = (parse == UPPER13) & edit & (cv2.dilate(mask.astype(np.uint8), disc(10)) > 0)
    covered |= mask
    noisy = parse
    if rng.random() < 0.7:  # what SegGenerator will predict is never exact
        field = cv2.resize(
            rng.normal(0, 1.3, (8, 6, 2)).astype(np.float32), (SIZE[1], SIZE[0]), interpolation=cv2.INTER_CUBIC
        )
        columns, rows = np.meshgrid(np.arange(SIZE[1], dtype=np.float32), np.arange(SIZE[0], dtype=np.float32))
        moved = cv2.remap(
            parse, columns + field[..., 0], rows + field[..., 1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
        )
        noisy = np.where(edit, moved, parse)
    extended = nearest_fill(cloth, cv2.erode(mask.astype(np.uint8), disc(1)) > 0) * covered[..., None]
    return {
        "base": _planes(first_fill(image, edit, noisy, sigma=2.5)),
        "image": _planes(image),
        "edit": _planes(edit[..., None]),
        "parse": parse.astype(np.int64),
        "noisy_parse": noisy.astype(np.int64),
        "pose": _planes(pose_map(pose, SIZE).astype(np.float32) / 255),
        "cloth": _planes(cloth * mask[..., None]),
        "cloth_mask": _planes(mask[..., None]),
        "covered": _planes(covered[..., None]),
        "extended": _planes(extended),
    }


def conditions(batch: dict[str, Tensor]) -> Conditions:
    """The conditions of a batch of samples."""
    return Conditions(
        **{name: batch[name] for name in ("image", "edit", "parse", "pose", "cloth", "cloth_mask", "base")}
    )


def _planes(picture: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.asarray(picture, np.float32).transpose(2, 0, 1))


def _square(picture: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Resample to side x side: GMM's published layers need both sides to be multiples of 256 at load size."""
    small = cv2.resize(np.asarray(picture, np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return _planes(small.reshape(side, side, -1))


# ------------------------------------------------------------------------------------------------------ preparation


def prepare(
    data: Sequence[str | Path],
    file: Path,
    *,
    garments: Sequence[str | Path] = (),
    rendered: int = 0,
    pose: str | Path = "pose",
    garment: str | Path = "garment",
    seed: int = 0,
    log: Callable[[str], None] = lambda line: None,
) -> PairStore:
    """Build the pairs once and keep them in ``file``; later calls read it.

    Args:
        data: Folders in the CCP layout; held-out photos are not touched.
        file: Where the arrays are kept (.npz).
        garments: Folders of photos of upper garments, which lend their outlines; none takes the sample garments.
        rendered: Rendered people to add.
        pose: Pose weights.
        garment: Garment weights.
        seed: Of outlines and errors.
        log: Receives progress lines.

    Raises:
        InputError: ``data.layout`` if no photo gives a pair.
    """
    if file.is_file():
        with np.load(file) as arrays:
            return PairStore(**{f.name: arrays[f.name] for f in fields(PairStore)})
    from pipelines.vitpose.pipeline import VitPosePipeline

    rng = np.random.default_rng(seed)
    finder = VitPosePipeline.from_pretrained(hub.resolve(pose))
    cutter = GarmentPipeline.from_pretrained(hub.resolve(garment))
    outlines = [
        outline
        for folder in garments or (hub.assets() / "samples" / "garments",)
        for outline in garment_bank(folder, cutter, FLAT, best=120)
        if not is_validation(outline.name)
    ]
    log(f"{len(outlines)} outlines of real garments")
    people: list[dict[str, NDArray[Any]]] = []
    for part in data:
        table = label_table(Path(part))
        for image, label in read_ccp(part, validation=False):
            picture, labels = read_photo(image, label, table)
            labels = fill_unknown(labels)
            if (labels == UPPER).mean() < 0.02 or (labels == DRESS).sum() > 0.5 * (labels == UPPER).sum():
                continue
            rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
            box = Box(columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
            found = finder(picture, [box])[0]
            person = _from_photo(picture, labels, found, outlines, rng)
            if person is not None:
                people.append(person)
            if len(people) % 50 == 0:
                log(f"{len(people)} people prepared")
    people += [p for p in (_from_rendering(rng) for _ in range(rendered)) if p is not None]
    if not people:
        raise InputError("data.layout", "No photo in these folders gives a training pair", seen=[str(d) for d in data])
    store = PairStore(**{f.name: np.stack([p[f.name] for p in people]) for f in fields(PairStore)})
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **{f.name: getattr(store, f.name) for f in fields(PairStore)})
    return store


FLAT = (512, 384)  # of the flat picture between un-warping and fitting


def fill_unknown(labels: NDArray[np.uint8]) -> Labels:
    """Give unlabelled pixels (jewellery, belts) the class of their nearest neighbour."""
    known = labels != IGNORE
    return nearest_fill(np.repeat(labels[..., None], 3, 2), known)[..., 0]


def _from_photo(
    picture: NDArray[np.uint8], labels: Labels, found: Pose, outlines: Sequence[FlatOutline], rng: np.random.Generator
) -> dict[str, NDArray[Any]] | None:
    """Window, conditions and fitted garments of one photographed person; None where the garment is hidden."""
    layout = layouts.compose(labels, found)
    frame = _wider(garment_frame(layout, found, "upper", (2 * KEPT[0], 2 * KEPT[1])))
    window, classes = frame.take(picture), frame.take(labels, nearest=True)
    pose = Pose(frame.points(found.xy), found.score, found.names, Box(0, 0, 2 * KEPT[1], 2 * KEPT[0]))
    flats, fitted = [], []
    for _ in range(4 * FITS):
        if len(fitted) == FITS:
            break
        outline = outlines[int(rng.integers(len(outlines)))]
        try:
            flat = unwarp(window, classes, pose, outline.points, FLAT, sleeve=outline.sleeve)
            fitted.append(refit(flat.image, flat.mask, flat.points, flat.sleeve, classes, pose, rng))
        except InputError:
            continue
        flats.append(flat)
    if len(fitted) < FITS:
        return None
    half = replace(frame, size=KEPT)
    return _person(
        half.take(picture),
        half.take(layout, nearest=True),
        half.points(found.xy),
        found,
        flats[0].image,
        flats[0].mask,
        fitted,
    )


def refit(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    points: NDArray[np.float32],
    sleeve: str,
    labels: Labels,
    pose: Pose,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Fit a flat garment to a person with the errors that landmarks and joints have in use.

    Returns:
        cloth (h, w, 3) uint8 and mask (h, w) bool at `KEPT` size; ``labels`` and ``pose`` are at twice that.
    """
    reach = float(np.ptp(points, axis=0).max())
    wrong = points + rng.normal(0, 0.010 * reach, points.shape).astype(np.float32)
    shoulders = np.linalg.norm(pose.point("left_shoulder") - pose.point("right_shoulder"))
    xy = pose.xy + rng.normal(0, 0.05 * max(shoulders, 20), pose.xy.shape).astype(np.float32)
    place = fit(wrong, sleeve, labels, replace(pose, xy=xy))
    target = ((place.target + 0.5) / 2 - 0.5).astype(np.float32)
    warped = warp(image, mask, wrong, target, KEPT, sleeves=place.sleeves, behind=place.behind)
    return np.round(warped.rgb * 255).astype(np.uint8), warped.alpha > 0.5


def _person(
    image: NDArray[np.uint8],
    layout: Labels,
    xy: NDArray[np.float32],
    found: Pose,
    flat: NDArray[np.uint8],
    flat_mask: NDArray[np.uint8],
    fitted: Sequence[tuple[NDArray[np.uint8], NDArray[np.bool_]]],
) -> dict[str, NDArray[Any]]:
    pose = Pose(xy, found.score, found.names, Box(0, 0, KEPT[1], KEPT[0]))
    edit, protected = masks.garment_mask(layout, pose, "upper")
    size = (KEPT[1], KEPT[0])
    return {
        "image": image,
        "layout": layout,
        "edit": edit,
        "protected": protected,
        "xy": xy,
        "score": found.score,
        "cloth": np.stack([f[0] for f in fitted]),
        "cloth_mask": np.stack([f[1] for f in fitted]),
        "flat": cv2.resize(flat, size, interpolation=cv2.INTER_AREA),
        "flat_mask": cv2.resize(flat_mask, size, interpolation=cv2.INTER_AREA) > 127,
    }


def _from_rendering(rng: np.random.Generator) -> dict[str, NDArray[Any]] | None:
    """Window, conditions and fitted garments of one rendered person, whose flat garment was drawn on its own."""
    from pipelines.synthetic.people import sample_pair

    pair = sample_pair(rng, (384, 288))
    drawn, flat = pair.person, pair.garment
    found = Pose(drawn.keypoints, (drawn.visible > 0).astype(np.float32), COCO_NAMES, drawn.box)
    frame = garment_frame(drawn.layout, found, "upper", (2 * KEPT[0], 2 * KEPT[1]))
    frame = _wider(frame)
    labels = frame.take(drawn.labels, nearest=True)
    pose = Pose(frame.points(found.xy), found.score, found.names, Box(0, 0, 2 * KEPT[1], 2 * KEPT[0]))
    alpha = flat.alpha
    fitted = []
    try:
        for _ in range(FITS):
            fitted.append(
                refit(flat.image, alpha, flat.landmarks, SLEEVE_CLASS[flat.garment.sleeve], labels, pose, rng)
            )
    except InputError:
        return None
    half = replace(frame, size=KEPT)
    layout = half.take(drawn.layout, nearest=True)
    return _person(half.take(drawn.image), layout, half.points(found.xy), found, flat.image, alpha, fitted)


def _wider(frame: Frame) -> Frame:
    """The window that is stored, larger than a sample by `KEPT` over `SIZE`."""
    grow, box = KEPT[0] / SIZE[0], frame.box
    wide = Box(box.x - box.w * (grow - 1) / 2, box.y - box.h * (grow - 1) / 2, box.w * grow, box.h * grow)
    return replace(frame, box=wide)
