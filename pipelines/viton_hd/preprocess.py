"""VITON-HD's data set: its layout on disk, and the two agnostic forms of a person that the networks start from.

Source: sizes, radii and orders as in shadow2496/VITON-HD 02afa4b (facts only, no code). Shapes are drawn with Pillow,
whose rasteriser decides single pixels, so that the published weights see what they were trained on.

    root/test_pairs.txt                            lines "person.jpg cloth.jpg"; train_pairs.txt and train/ likewise
    root/test/image/NAME.jpg                       the person
    root/test/image-parse/NAME.png                 palette picture of the 20 LIP ids
    root/test/openpose-img/NAME_rendered.png       the skeleton, drawn on black
    root/test/openpose-json/NAME_keypoints.json    BODY_25
    root/test/cloth/CLOTH.jpg, cloth-mask/CLOTH.jpg
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw

from pipelines.core.errors import InputError
from pipelines.core.types import Image, Labels

LOAD_SIZE = (1024, 768)

# LIP ids by class. 13: background, hair, face, upper, bottom, left arm, right arm, left leg, right leg, left shoe,
# right shoe, socks, noise. 7: background, paste, upper, hair, left arm, right arm, noise.
LIP_BY_PARSE13 = ((0, 10), (1, 2), (4, 13), (5, 6, 7), (9, 12), (14,), (15,), (16,), (17,), (18,), (19,), (8,), (3, 11))
PARSE13_BY_PARSE7 = ((0,), (2, 4, 7, 8, 9, 10, 11), (3,), (1,), (5,), (6,), (12,))

UPPER, NECK, HEAD, LOWER = (5, 6, 7), 10, (4, 13), (9, 12, 16, 17, 18, 19)
R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST, R_HIP, L_HIP = 2, 3, 4, 5, 6, 7, 9, 12
THROAT = 1
# LIP id of an arm -> the chain of joints that covers it, from the other shoulder outwards.
ARMS = {14: (R_SHOULDER, L_SHOULDER, L_ELBOW, L_WRIST), 15: (L_SHOULDER, R_SHOULDER, R_ELBOW, R_WRIST)}


def _lookup(groups: tuple[tuple[int, ...], ...]) -> NDArray[np.uint8]:
    table = np.zeros(1 + max(max(group) for group in groups), np.uint8)
    for target, sources in enumerate(groups):
        table[list(sources)] = target
    return table


TO_PARSE13 = _lookup(LIP_BY_PARSE13)  # LIP id -> class of 13
TO_PARSE7 = _lookup(PARSE13_BY_PARSE7)  # class of 13 -> class of 7


@dataclass(frozen=True)
class Sample:
    """One person and one garment at load size.

    Attributes:
        person_name: File name of the person.
        cloth_name: File name of the garment.
        image: (H, W, 3) uint8 RGB.
        agnostic: (H, W, 3) uint8 RGB, upper body painted grey.
        parse_agnostic: (H, W) uint8 LIP ids, upper body and covered arms set to 0.
        pose: (H, W, 3) uint8 RGB skeleton.
        cloth: (H, W, 3) uint8 RGB.
        cloth_mask: (H, W) uint8, 0 or 1.
    """

    person_name: str
    cloth_name: str
    image: Image
    agnostic: Image
    parse_agnostic: Labels
    pose: Image
    cloth: Image
    cloth_mask: Labels


def read_pairs(root: str | Path, pairs: str = "test_pairs.txt") -> list[tuple[str, str]]:
    """Person and cloth file names, in the order of the list.

    Raises:
        InputError: ``data.layout`` if the list is absent or a line does not hold two names.
    """
    path = Path(root) / pairs
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _layout("There is no list of pairs here", path) from error
    found = []
    for number, line in enumerate(lines, 1):
        names = line.split()
        if len(names) == 2:
            found.append((names[0], names[1]))
        elif names:
            raise _layout("A line of the list is not 'person.jpg cloth.jpg'", f"{path.name}:{number}: {line[:80]}")
    return found


def read_sample(
    root: str | Path, person: str, cloth: str, *, mode: str = "test", size: tuple[int, int] = LOAD_SIZE
) -> Sample:
    """Read and prepare one pair.

    Args:
        root: Folder of the data set.
        person: File name in `image`.
        cloth: File name in `cloth` and `cloth-mask`.
        mode: ``test`` or ``train``.
        size: (height, width) to load at; the shorter side is resized to the width.

    Raises:
        InputError: ``data.layout`` if a file is missing, unreadable or of another aspect ratio.
    """
    folder, stem = Path(root) / mode, Path(person).stem
    smooth, exact = PilImage.Resampling.BILINEAR, PilImage.Resampling.NEAREST
    image = _open(folder / "image" / person, "RGB", size, smooth)
    parse = read_parse(root, person, mode=mode, size=size)
    joints = read_keypoints(folder / "openpose-json" / f"{stem}_keypoints.json")
    mask = np.asarray(_open(folder / "cloth-mask" / cloth, "L", size, exact))
    return Sample(
        person,
        cloth,
        np.asarray(image),
        agnostic_image(image, parse, joints),
        agnostic_parse(parse, joints),
        np.asarray(_open(folder / "openpose-img" / f"{stem}_rendered.png", "RGB", size, smooth)),
        np.asarray(_open(folder / "cloth" / cloth, "RGB", size, smooth)),
        (mask >= 128).astype(np.uint8),
    )


def read_parse(root: str | Path, person: str, *, mode: str = "test", size: tuple[int, int] = LOAD_SIZE) -> Labels:
    """The whole parse of a person, with the garment they wear: (H, W) uint8 LIP ids.

    Raises:
        InputError: ``data.layout``.
    """
    name = f"{Path(person).stem}.png"
    path = Path(root) / mode / "image-parse" / name
    parse = np.asarray(_open(path, None, size, PilImage.Resampling.NEAREST))
    if parse.ndim != 2 or parse.max() > 19:
        raise _layout("A parse must hold one of the 20 LIP ids per pixel", f"{name}: {parse.shape}, {parse.max()}")
    return parse


def read_keypoints(path: str | Path) -> NDArray[np.float64]:
    """(25, 2) pixel coordinates of the first person of an OpenPose file; (0, 0) where a joint was not found.

    Raises:
        InputError: ``data.layout``.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))["people"][0]["pose_keypoints_2d"]
        joints = np.asarray(values, np.float64).reshape(-1, 3)[:, :2]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise _layout("This file does not hold the BODY_25 keypoints of a person", path) from error
    if len(joints) != 25:
        raise _layout("This file does not hold 25 keypoints", f"{path}: {len(joints)}")
    return joints


def _open(path: Path, mode: str | None, size: tuple[int, int], how: PilImage.Resampling) -> PilImage.Image:
    try:
        with PilImage.open(path) as opened:
            picture = opened.copy() if mode is None else opened.convert(mode)
    except OSError as error:
        raise _layout("A picture of the data set is missing or cannot be read", path) from error
    width, height = picture.size
    target = size[1]
    if min(width, height) != target:
        longer = int(target * max(width, height) / min(width, height))
        picture = picture.resize((target, longer) if width <= height else (longer, target), how)
    if (picture.height, picture.width) != size:
        raise _layout(
            f"A picture does not have the aspect ratio of {size[1]}x{size[0]}", f"{path.name}: {width}x{height}"
        )
    return picture


def _layout(what: str, seen: object) -> InputError:
    return InputError("data.layout", what, seen=seen, remedy="See the layout in pipelines/viton_hd/preprocess.py")


def _found(joints: NDArray[np.float64], index: int) -> bool:
    return bool(joints[index].any())


def _disc(draw: ImageDraw.ImageDraw, joint: NDArray[np.float64], rx: float, ry: float, colour: str) -> None:
    x, y = joint
    draw.ellipse((x - rx, y - ry, x + rx, y + ry), colour, colour)


def agnostic_parse(parse: Labels, joints: NDArray[np.float64]) -> Labels:
    """Remove the upper garment, the neck and the covered arms from a parse.

    Args:
        parse: (H, W) uint8 LIP ids.
        joints: (25, 2) BODY_25 pixels.

    Returns:
        (H, W) uint8; hands stay, as far as they reach beyond the wrist's disc.
    """
    agnostic = parse.copy()
    for arm, chain in ARMS.items():
        canvas = PilImage.new("L", (parse.shape[1], parse.shape[0]))
        draw, previous = ImageDraw.Draw(canvas), chain[0]
        for joint in chain[1:]:
            if not (_found(joints, previous) and _found(joints, joint)):
                continue
            draw.line([tuple(joints[previous]), tuple(joints[joint])], "white", width=100)
            radius = 40 if joint == chain[-1] else 150
            _disc(draw, joints[joint], radius, radius, "white")
            previous = joint
        agnostic[(np.asarray(canvas) > 0) & (parse == arm)] = 0
    agnostic[np.isin(parse, (*UPPER, NECK))] = 0
    return agnostic


def agnostic_image(image: PilImage.Image, parse: Labels, joints: NDArray[np.float64]) -> Image:
    """Paint the upper body grey, wide enough that no trace of the old garment's shape is left.

    Args:
        image: RGB picture of load size.
        parse: (H, W) uint8 LIP ids; head and lower body are laid back over the grey.
        joints: (25, 2) BODY_25 pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    joints = joints.copy()
    hips = joints[[R_HIP, L_HIP]]
    between = np.linalg.norm(hips[1] - hips[0])
    if between > 0:  # both hips unfound stand on one spot, and have no direction to be widened in
        middle = hips.mean(0)
        shoulders = np.linalg.norm(joints[L_SHOULDER] - joints[R_SHOULDER])
        joints[[R_HIP, L_HIP]] = middle + (hips - middle) / between * shoulders
    canvas = image.copy()
    draw = ImageDraw.Draw(canvas)

    def line(a: int, b: int, width: int) -> None:
        draw.line([tuple(joints[a]), tuple(joints[b])], "gray", width=width)

    line(R_SHOULDER, L_SHOULDER, 200)
    for joint in (R_SHOULDER, L_SHOULDER):
        _disc(draw, joints[joint], 100, 100, "gray")
    for joint in (R_ELBOW, R_WRIST, L_ELBOW, L_WRIST):
        if _found(joints, joint - 1) and _found(joints, joint):
            line(joint - 1, joint, 200)
            _disc(draw, joints[joint], 100, 100, "gray")
    for joint in (R_HIP, L_HIP):
        _disc(draw, joints[joint], 60, 120, "gray")
    line(R_SHOULDER, R_HIP, 120)
    line(L_SHOULDER, L_HIP, 120)
    line(R_HIP, L_HIP, 240)
    draw.polygon([tuple(joints[j]) for j in (R_SHOULDER, L_SHOULDER, L_HIP, R_HIP)], "gray", "gray")
    x, y = joints[THROAT]
    draw.rectangle((x - 140, y - 140, x + 140, y + 140), "gray", "gray")
    kept = np.isin(parse, (*HEAD, *LOWER))[..., None]
    return np.where(kept, np.asarray(image), np.asarray(canvas))
