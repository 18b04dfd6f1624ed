"""`studio eval viton-hd`: three tests of image try-on, each beside a naive box paste.

re-dressed   the worn garment is laid flat, then the whole pipeline dresses the person in it again
rendered     rendered people whose flat garment was drawn on its own
silhouette   real garments of the worn sleeve class: does the fitted garment cover what the worn one covered
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core import checkpoint, hub, metrics
from pipelines.core.errors import InputError
from pipelines.core.types import Image, OnStep, report
from pipelines.person import masks
from pipelines.person.garment.fit import fit
from pipelines.person.garment.pipeline import GarmentCut
from pipelines.person.garment.unwarp import framed, unwarp
from pipelines.person.parsing.network import DRESS, UPPER
from pipelines.person.parsing.training import label_table, read_ccp, read_photo
from pipelines.viton_hd.fitting import working_frame
from pipelines.viton_hd.pairs import FLAT, fill_unknown
from pipelines.viton_hd.pipeline import TryOnResult, VitonHDPipeline

SIZE = (256, 192)  # of every comparison
SMALLEST = 0.04  # share of the picture that an upper garment must cover
RENDERED_SIZE = (512, 384)


def box_paste(
    image: NDArray[np.uint8], garment: NDArray[np.uint8], alpha: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The baseline: stretch the flat garment's box onto the mask's box, fill the rest of the mask by Telea (radius 5).

    Args:
        image: (H, W, 3) uint8 person.
        garment: (h, w, 3) uint8 flat garment.
        alpha: (h, w) uint8 its cut-out.
        mask: (H, W) bool edit region, not empty.

    Returns:
        picture (H, W, 3) uint8, and where the garment lies (H, W) bool.
    """
    x, y, w, h = cv2.boundingRect((alpha > 127).astype(np.uint8))
    left, top, wide, tall = cv2.boundingRect(mask.astype(np.uint8))
    flat = cv2.resize(garment[y : y + h, x : x + w], (wide, tall), interpolation=cv2.INTER_AREA)
    shape = cv2.resize(alpha[y : y + h, x : x + w], (wide, tall), interpolation=cv2.INTER_AREA) > 127
    laid, placed = image.copy(), np.zeros(mask.shape, bool)
    placed[top : top + tall, left : left + wide] = shape
    laid[top : top + tall, left : left + wide][shape] = flat[shape]
    placed &= mask
    hole = mask & ~placed
    filled = cv2.inpaint(image, mask.astype(np.uint8) * 255, 5, cv2.INPAINT_TELEA)
    laid[~mask] = image[~mask]
    laid[hole] = filled[hole]
    return laid, placed


def evaluate(
    data: str | Path | None = None,
    split: str = "all",
    *,
    garments: str | Path | None = None,
    rendered: int = 0,
    seed: int = 0,
    weights: str | Path = "viton-hd",
    device: str = "auto",
    dtype: str = "auto",
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score image try-on.

    Args:
        data: Folder in the CCP layout; None runs the rendered test only.
        split: ``all`` or ``val``.
        garments: Folder of flat garment photos; None takes the sample inputs.
        rendered: Number of rendered people.
        seed: Seed of the rendered people.
        weights: Name or folder.
        device: See `runtime.choose`.
        dtype: See `runtime.choose`.
        on_step: Called after each person.

    Returns:
        The figures of each test that ran with their baselines, how many people each was measured on, and how many
        the pipeline refused (refused people are in no average, and are counted by error code).

    Raises:
        InputError: ``data.split``, ``data.layout`` or ``data.empty``.
    """
    if split not in ("all", "val"):
        raise InputError("data.split", "Unknown split", seen=split, remedy="Use all or val")
    folder = hub.resolve(weights)
    pipeline = VitonHDPipeline.from_pretrained(folder, device=device, dtype=dtype)
    tally = _Tally()
    photos = [] if data is None else read_ccp(data, validation=True if split == "val" else None)
    bank = _Bank(pipeline, Path(garments) if garments else hub.assets() / "samples" / "garments") if photos else None
    total = len(photos) + rendered
    for number, (image, label) in enumerate(photos):
        picture, classes = read_photo(image, label, label_table(Path(data or ".")))
        worn = fill_unknown(classes)
        if bank is not None and (classes == UPPER).mean() >= SMALLEST:
            tally.attempt("redressed", lambda p=picture, w=worn, s=image.stem: _redressed(pipeline, p, w, bank.any(s)))
            tally.attempt("silhouette", lambda p=picture, w=worn, s=image.stem: _silhouette(pipeline, p, w, bank, s))
        report(on_step, number + 1, total)
    rng = np.random.default_rng(seed)
    for number in range(rendered):
        tally.attempt("rendered", lambda: _rendered(pipeline, rng))
        report(on_step, len(photos) + number + 1, total)
    return {**tally.figures(), "split": split, "weights": str(weights), "weights_sha256": _hashes(folder)}


class _Tally:
    """Means of figures by test, and refusals by code."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, float]]] = {}
        self.refused: dict[str, dict[str, int]] = {}

    def attempt(self, test: str, run: Callable[[], dict[str, float]]) -> None:
        try:
            self.rows.setdefault(test, []).append(run())
        except InputError as error:
            codes = self.refused.setdefault(test, {})
            codes[error.code] = codes.get(error.code, 0) + 1

    def figures(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for test, rows in self.rows.items():
            out[f"{test}_n"] = len(rows)
            for name in rows[0] if rows else ():
                values = [row[name] for row in rows]
                counted = name == "edited_outside_mask"
                out[name] = out.get(name, 0) + int(sum(values)) if counted else float(np.mean(values))
        out["refused"] = self.refused
        return out


class _Bank:
    """Flat garments of a folder, cut out when first needed and chosen by a photo's name."""

    def __init__(self, pipeline: VitonHDPipeline, folder: Path) -> None:
        kinds = (".jpg", ".jpeg", ".png", ".webp")
        self.paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in kinds)
        self.pipeline, self.cuts = pipeline, dict[int, GarmentCut | None]()
        if not self.paths:
            raise InputError("data.empty", "This folder holds no garment photo", seen=folder)

    def _cut(self, index: int) -> GarmentCut | None:
        if index not in self.cuts:
            picture = cv2.imread(str(self.paths[index]), cv2.IMREAD_COLOR)
            if picture is None:
                raise InputError("input.unreadable", "This garment photo cannot be read", seen=self.paths[index])
            try:
                self.cuts[index] = self.pipeline.garment(np.ascontiguousarray(picture[..., ::-1], np.uint8))
            except InputError:
                self.cuts[index] = None
        return self.cuts[index]

    def any(self, stem: str, sleeve: str | None = None) -> GarmentCut:
        """The garment that ``stem`` points to, or the next usable one of the sleeve class."""
        start = zlib.crc32(stem.encode())
        for step in range(len(self.paths)):
            cut = self._cut((start + step) % len(self.paths))
            if cut is not None and cut.category == "upper" and sleeve in (None, cut.sleeve):
                return cut
        raise InputError("data.empty", "No usable garment of this sleeve class", seen=sleeve)


def _redressed(
    pipeline: VitonHDPipeline, picture: Image, labels: NDArray[np.uint8], outline: GarmentCut
) -> dict[str, float]:
    person = pipeline.person(picture)
    points = framed(outline.landmarks, FLAT)
    flat = unwarp(picture, labels, person.pose, points, FLAT, sleeve=outline.sleeve)
    scored = _score(pipeline, picture, picture, flat.image, flat.mask)
    return {key.removeprefix("redressed_"): value for key, value in scored.items()}


def _rendered(pipeline: VitonHDPipeline, rng: np.random.Generator) -> dict[str, float]:
    from pipelines.synthetic.people import sample_pair

    pair = sample_pair(rng, RENDERED_SIZE)
    scored = _score(pipeline, pair.person.image, pair.person.image, pair.garment.image, pair.garment.alpha)
    return {key if key == "edited_outside_mask" else f"rendered_{key}": value for key, value in scored.items()}


def _score(
    pipeline: VitonHDPipeline, person: Image, truth: Image, garment: Image, alpha: NDArray[np.uint8]
) -> dict[str, float]:
    """SSIM and L1 over the edited region of the window at `SIZE`, for the pipeline and for the box paste."""
    result: TryOnResult = pipeline(person, garment)
    frame = replace(result.frame, size=SIZE)
    region = frame.take(result.mask) > 127
    if not region.any():
        raise InputError("mask.empty", "Nothing was edited", seen="automatic mask")
    small = frame.take(truth)
    pasted, _ = box_paste(frame.take(person), garment, alpha, region)
    ours, base, wanted = (p.astype(np.float32) / 255 for p in (frame.take(result.image), pasted, small))
    return {
        "ssim": metrics.ssim(ours, wanted, region),
        "ssim_baseline": metrics.ssim(base, wanted, region),
        "l1": metrics.l1(ours, wanted, region),
        "l1_baseline": metrics.l1(base, wanted, region),
        "edited_outside_mask": metrics.edited_outside_mask(person, result.image, result.mask),
    }


def _silhouette(
    pipeline: VitonHDPipeline, picture: Image, labels: NDArray[np.uint8], bank: _Bank, stem: str
) -> dict[str, float]:
    """Cover of a real garment of the worn sleeve class, against the label of the worn one, in the window."""
    person = pipeline.person(picture)
    frame = replace(working_frame(person, "upper"), size=(512, 384))
    true = frame.take(labels, nearest=True)
    worn = np.isin(true, (UPPER, DRESS))
    if not worn.any():
        raise InputError("fit.no-garment-worn", "The label shows no upper garment in the window")
    pose = replace(person.pose, xy=frame.points(person.pose.xy))
    first = bank.any(stem)
    sleeve = fit(first.landmarks, first.sleeve, true, pose).worn_sleeve
    prepared = pipeline.prepare(picture, bank.any(stem, sleeve))
    if prepared.cover is None or prepared.garment is None:
        raise InputError("garment.none-found", "The garment could not be fitted")
    laid = frame.take(prepared.cover.astype(np.uint8), nearest=True) > 0
    edit = pipeline.prepare(picture).mask
    cut = prepared.garment
    _, pasted = box_paste(frame.take(picture), cut.image, cut.alpha, frame.take(edit) > 127)
    # Hair, face, hands and bag stand in front of either garment, as they do in a result.
    behind = ~masks.garment_mask(frame.take(person.layout, nearest=True), pose, "upper")[1]
    return {
        "silhouette_iou": metrics.silhouette_iou(laid & behind, worn),
        "silhouette_iou_baseline": metrics.silhouette_iou(pasted & behind, worn),
    }


def _hashes(folder: Path) -> str:
    files = sorted(folder.rglob("model.safetensors"))
    return checkpoint.sha256_of(files)
