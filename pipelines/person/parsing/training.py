"""Training the parser on the CCP layout (`images/*.jpg`, `labels/*.png`, `label_names.json`).

Loss: weighted cross-entropy plus soft Dice, so that small classes (bags, hats) count. Ours, because 800 street photos
have to serve for studio pictures too: crops of the whole person, of the upper body and of anything between, backgrounds
swapped for plain and graded ones, and strong colour changes.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core import checkpoint, training
from pipelines.core.augment import is_validation, recolour
from pipelines.core.errors import InputError
from pipelines.core.runtime import Runtime
from pipelines.person.parsing.network import (
    CONFIGS,
    DRESS,
    LOWER,
    PARSING_CLASSES,
    UPPER,
    ParsingNet,
)

IGNORE = 255
WORKING_HEIGHT = 560
CLASS_WEIGHTS = (0.5, 1.2, 1.2, 1.0, 1.0, 1.2, 1.5, 1.5, 2.0)
# Which CCP names make up which class; a name that stands nowhere is ignored in training and scoring.
GROUPS = {
    "background": "null",
    "hair": "hair",
    "skin": "skin",
    "upper": "blazer blouse bodysuit bra cape cardigan coat hoodie intimate jacket jumper shirt suit sweater "
    "sweatshirt swimwear t-shirt top vest scarf",
    "lower": "jeans leggings panties pants shorts skirt stockings tights socks",
    "dress": "dress romper",
    "shoes": "boots clogs flats heels loafers pumps sandals shoes sneakers wedges",
    "bag": "bag purse wallet",
    "headwear": "hat glasses sunglasses",
}

Photo = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # (H, W, 3) RGB, (H, W) class ids or IGNORE


def label_table(folder: Path) -> NDArray[np.uint8]:
    """CCP id -> class id or IGNORE, from `label_names.json` beside or above ``folder``.

    Raises:
        InputError: ``data.layout`` if the file is in neither place.
    """
    for place in (folder, folder.parent):
        if (place / "label_names.json").is_file():
            names = json.loads((place / "label_names.json").read_text(encoding="utf-8"))
            break
    else:
        raise InputError("data.layout", "There is no label_names.json in or above this folder", seen=folder)
    ids = {name: number for number, group in enumerate(PARSING_CLASSES) for name in GROUPS[group].split()}
    return np.array([ids.get(name, IGNORE) for name in names], np.uint8)


def read_photo(image: Path, label: Path, table: NDArray[np.uint8]) -> Photo:
    """Read one photo and its classes at their own size.

    Raises:
        InputError: ``input.unreadable`` or ``data.layout`` (label of another size).
    """
    picture, ids = cv2.imread(str(image), cv2.IMREAD_COLOR), cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
    if picture is None or ids is None:
        raise InputError("input.unreadable", "This photo or its label cannot be read", seen=image)
    ids = ids[..., 0] if ids.ndim == 3 else ids
    if ids.shape != picture.shape[:2]:
        raise InputError("data.layout", "Photo and label differ in size", seen=f"{image.name}: {ids.shape}")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8), table[np.asarray(ids, np.intp)]


def read_ccp(folder: str | Path, *, validation: bool | None) -> list[tuple[Path, Path]]:
    """List (image, label) paths of a split; None takes all.

    Raises:
        InputError: ``data.layout`` if `images` and `labels` hold no pair.
    """
    folder = Path(folder)
    pairs = [
        (image, folder / "labels" / f"{image.stem}.png")
        for image in sorted((folder / "images").glob("*.jpg"))
        if (folder / "labels" / f"{image.stem}.png").is_file()
    ]
    if not pairs:
        raise InputError(
            "data.layout", "This folder is not in the CCP layout", seen=folder, remedy="It needs images/ and labels/"
        )
    return [pair for pair in pairs if validation is None or is_validation(pair[0].stem) == validation]


def person_box(labels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """left, top, right, bottom of everything that is not background; the whole picture if there is nothing."""
    person = (labels > 0) & (labels != IGNORE)
    rows, columns = np.flatnonzero(person.sum(1) > 2), np.flatnonzero(person.sum(0) > 2)
    if not len(rows) or not len(columns):
        return 0, 0, labels.shape[1], labels.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def random_crop(photo: Photo, size: tuple[int, int], rng: np.random.Generator) -> Photo:
    """A turned, scaled, mirrored window of ``size``: the whole person, the upper body, or anything between."""
    picture, labels = photo
    left, top, right, bottom = person_box(labels)
    tall, middle = bottom - top, (left + right) / 2
    kind = rng.random()
    if kind < 0.45:
        height = tall * rng.uniform(0.95, 1.5)
        centre = np.array([middle + rng.normal(0, 0.08) * height, (top + bottom) / 2 + rng.normal(0, 0.05) * height])
    elif kind < 0.75:
        height = 0.62 * tall * rng.uniform(0.75, 1.35)
        garment = np.flatnonzero(np.isin(labels, (UPPER, DRESS)).sum(0) > 2)
        middle = (garment[0] + garment[-1]) / 2 if len(garment) else middle
        centre = np.array([middle + rng.normal(0, 0.08) * height, top - 0.03 * tall + height * rng.uniform(0.42, 0.54)])
    else:
        height = tall * rng.uniform(0.42, 0.85)
        centre = np.array([rng.uniform(left, right), rng.uniform(top + 0.2 * height, bottom - 0.2 * height)])
    scale, radians = size[0] / max(height, 32), math.radians(rng.normal(0, 7))
    c, s = math.cos(radians) * scale, math.sin(radians) * scale
    affine = np.array([[c, -s, 0.0], [s, c, 0.0]])
    affine[:, :2] *= [[rng.uniform(0.93, 1.07)], [1.0]]
    if rng.random() < 0.5:
        affine[0] *= -1
    affine[:, 2] = np.array([size[1] / 2, size[0] / 2]) - affine[:, :2] @ centre
    wide = (size[1], size[0])
    border = cv2.BORDER_REFLECT_101 if rng.random() < 0.7 else cv2.BORDER_REPLICATE
    seen = cv2.warpAffine(picture, affine, wide, flags=cv2.INTER_LINEAR, borderMode=border)
    classes = cv2.warpAffine(labels, affine, wide, flags=cv2.INTER_NEAREST, borderValue=IGNORE)
    return np.asarray(seen, np.uint8), np.asarray(classes, np.uint8)


def swap_background(
    image: NDArray[np.float32], labels: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Put the person before white, a colour or a gradient: what product photographers use and street photos lack."""
    alpha = cv2.GaussianBlur((labels != 0).astype(np.float32), (0, 0), 0.8)[..., None]
    white = rng.random() < 0.5
    first = rng.uniform(0.88, 1.0) * np.ones(3) if white else rng.uniform(0.1, 1.0, 3) * 0.4 + rng.uniform(0.2, 0.6)
    second = first * rng.uniform(0.75, 1.0)
    ramp = np.linspace(0, 1, image.shape[0], dtype=np.float32)[:, None, None]
    backdrop = (first * (1 - ramp) + second * ramp).astype(np.float32)
    return image * alpha + backdrop * (1 - alpha)


def sample(photo: Photo, size: tuple[int, int], rng: np.random.Generator) -> dict[str, Any]:
    """One training sample: image (3, H, W) float32 in [-1, 1] and labels (H, W) int64."""
    picture, labels = random_crop(photo, size, rng)
    image = picture.astype(np.float32) / np.float32(255)
    if rng.random() < 0.25:
        labels = np.where(labels == IGNORE, 0, labels) if rng.random() < 0.5 else labels
        image = swap_background(image, labels, rng)
    image = recolour(image, rng)
    return {
        "image": np.ascontiguousarray(image.transpose(2, 0, 1) * 2 - 1, dtype=np.float32),
        "labels": labels.astype(np.int64),
    }


def parsing_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Weighted cross-entropy plus 0.6 x soft Dice over the classes, ignored pixels left out."""
    logits = model(batch["image"].contiguous(memory_format=torch.channels_last)).float()
    labels = batch["labels"]
    weight = torch.tensor(CLASS_WEIGHTS, device=logits.device)
    entropy = F.cross_entropy(logits, labels, weight=weight, ignore_index=IGNORE)
    known = (labels != IGNORE).float()[:, None]
    truth = F.one_hot(labels.clamp(max=logits.shape[1] - 1), logits.shape[1]).permute(0, 3, 1, 2).float() * known
    share = logits.softmax(1) * known
    overlap, total = (share * truth).sum((0, 2, 3)), (share + truth).sum((0, 2, 3))
    dice = 1 - ((2 * overlap + 20) / (total + 20)).mean()
    return entropy + 0.6 * dice, {"entropy": float(entropy.detach()), "dice": float(dice.detach())}


def _prepare(photo: Photo) -> Photo:
    """Shrink to the working height, and drop suits without trousers: there one label covers jacket and trousers."""
    picture, labels = photo
    scale = WORKING_HEIGHT / picture.shape[0]
    if scale < 1:
        size = (round(picture.shape[1] * scale), WORKING_HEIGHT)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return picture, labels


def train(
    data: Sequence[str | Path],
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    network: str = "starter",
    start: str | Path | None = None,
    rendered: Callable[[np.random.Generator], Photo] | None = None,
    rendered_share: float = 0.15,
    unlabelled: str | Path | None = None,
    unlabelled_share: float = 0.3,
    sure: float = 0.75,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train the parser and write it to ``folder``/weights.

    Args:
        data: Folders in the CCP layout.
        folder: Run folder; resumes if it holds a run.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        network: A name of `CONFIGS`.
        start: A component folder whose weights the run starts from, to train further; its shape must be `network`'s.
        rendered: Draws a rendered person with exact labels; None trains on photographs only.
        rendered_share: Share of rendered samples.
        unlabelled: Folder of photographs (*.jpg) that the weights of ``start`` label first: self-training.
        unlabelled_share: Share of their samples.
        sure: Probability below which such a label is ignored.
        log: Receives progress lines.

    Returns:
        The folder of the component.

    Raises:
        InputError: ``train.start`` if there are unlabelled photographs but no weights to label them with.
    """
    shape = CONFIGS[network]
    photos, held = [], []
    for part in data:
        table = label_table(Path(part))
        suitless, suit = table.copy(), _suit_id(Path(part))
        if suit >= 0:
            suitless[suit] = IGNORE
        for image, label in read_ccp(part, validation=False):
            photo = read_photo(image, label, table)
            if not (photo[1] == LOWER).any():
                photo = read_photo(image, label, suitless)
            photos.append(_prepare(photo))
        held += [(image, label, table) for image, label in read_ccp(part, validation=True)]
    log(f"{len(photos)} photographs to train on, {len(held)} held out")

    torch.manual_seed(config.seed)
    model = ParsingNet(shape)
    if start is not None:
        checkpoint.load_strict(model, checkpoint.read_state_dict(Path(start) / "model.safetensors"), source=str(start))
    elif unlabelled is not None:
        raise InputError("train.start", "Unlabelled photographs need a start", seen=unlabelled, remedy="Give start=DIR")
    guessed = _label(model, Path(unlabelled), sure, runtime) if unlabelled is not None else []
    log(f"{len(guessed)} photographs labelled by the weights it starts from")
    drawn = training.Reservoir(rendered) if rendered else None

    def draw(rng: np.random.Generator) -> dict[str, Any]:
        if drawn is not None and rng.random() < rendered_share:
            return sample(drawn(rng), shape.image_size, rng)
        if guessed and rng.random() < unlabelled_share:
            return sample(guessed[rng.integers(len(guessed))], shape.image_size, rng)
        return sample(photos[rng.integers(len(photos))], shape.image_size, rng)

    def evaluate(model: nn.Module) -> dict[str, float]:
        from pipelines.core.metrics import mean_iou
        from pipelines.person.parsing.pipeline import ParsingPipeline

        pipeline = ParsingPipeline(model, runtime)
        pairs = []
        for image, label, table in held[::4]:  # a glance; `studio eval parsing` measures all
            picture, labels = read_photo(image, label, table)
            pairs.append((pipeline(picture).labels, labels))
        return {k: round(v, 4) for k, v in mean_iou(pairs, PARSING_CLASSES).items()}

    model = training.fit(model, parsing_loss, draw, folder, config, runtime, evaluate=evaluate, log=log)
    checkpoint.save_component(Path(folder) / "weights", model, asdict(shape))
    return Path(folder) / "weights"


def _label(model: ParsingNet, folder: Path, sure: float, runtime: Runtime) -> list[Photo]:
    """Label the photographs of a folder with ``model``; pixels that it is not sure of are ignored."""
    from pipelines.person.parsing.pipeline import ParsingPipeline

    pipeline, photos = ParsingPipeline(copy.deepcopy(model), runtime), []
    for path in sorted(folder.glob("*.jpg")):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None or is_validation(path.stem):
            continue
        rgb = np.ascontiguousarray(picture[..., ::-1], np.uint8)
        seen = pipeline(rgb)
        photos.append(_prepare((rgb, np.where(seen.confidence < sure, IGNORE, seen.labels).astype(np.uint8))))
    return photos


def _suit_id(folder: Path) -> int:
    for place in (folder, folder.parent):
        if (place / "label_names.json").is_file():
            names = json.loads((place / "label_names.json").read_text(encoding="utf-8"))
            return names.index("suit") if "suit" in names else -1
    return -1
