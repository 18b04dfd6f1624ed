"""Garment and ground told apart by colour, texture and place, where the ground is not plain.

The picture is coded by its own palette of colour and texture. From several first guesses of where the garment lies, the
palettes of garment and ground are estimated, over all and nearby, and a minimum cut draws the outline along edges; this
repeats until the two agree. The outcomes are rated by ``score`` and by their shape in cutout.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.person.garment.regions import disc, overlap, signed_depth, whole

Float = NDArray[np.float32]
Bits = NDArray[np.uint8]

PALETTE = 40  # clusters of colour and texture
CELL = 4  # pixels per cell of the local palettes
GUESSES = ((0.78, 0.82), (0.94, 0.94), (0.62, 0.66))  # width and height of the first guesses, shares of the picture
ROUNDS = 4
MOST_GAPS = 4  # more fields like the ground than this are the cloth's own pattern
REACH = 3.0  # pixels by which the outline may move on the larger picture
WEIGHT = 1.0  # of the network's log-odds beside those of the colours
CONVICTION = 4.0  # largest log-odds that colours alone may give


@dataclass(frozen=True)
class Coded:
    """A picture coded by its palette.

    Attributes:
        code: (h, w) intp, the palette entry of each pixel.
        alike: (K, K) float32, rows sum to 1: how much an entry stands for the others.
        cells: (h / CELL, w / CELL, K) float32, how often each entry occurs in a cell.
        texture: (h, w) float32, the roughness on the scale of colour distances.
        edges: (h, w, 2) uint8, what the outline's cost is measured on.
    """

    code: NDArray[np.intp]
    alike: Float
    cells: Float
    texture: Float
    edges: NDArray[np.uint8]


def encode(lab: Float, texture: Float) -> Coded:
    """Code a picture, (h, w, 3) Lab and (h, w) texture as from ``texture_of``, by a palette of its own."""
    height, width = lab.shape[:2]
    smooth = np.asarray(cv2.bilateralFilter(lab, 5, 12, 2), np.float32)
    features = np.dstack([0.7 * smooth[..., 0], 1.3 * smooth[..., 1:], texture]).reshape(-1, 4).astype(np.float32)
    few = np.ascontiguousarray(features[:: max(1, len(features) // 3000)])
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 8, 0.5)
    palette = cv2.kmeans(few, min(PALETTE, len(few)), np.zeros((0, 0), np.int32), criteria, 1, cv2.KMEANS_PP_CENTERS)[2]
    code = (features @ (-2 * palette.T) + (palette**2).sum(1)).argmin(1).reshape(height, width)
    distance = ((palette[:, None] - palette) ** 2).sum(2)
    alike = np.exp(-distance / (2 * 6.0**2))
    alike /= alike.sum(1, keepdims=True)
    rows, columns = -(-height // CELL), -(-width // CELL)
    y, x = np.mgrid[:height, :width] // CELL
    cells = np.bincount(((y * columns + x) * len(palette) + code).ravel(), minlength=rows * columns * len(palette))
    return Coded(
        code,
        alike.astype(np.float32),
        cells.reshape(rows, columns, -1).astype(np.float32),
        texture,
        edges_of(smooth),
    )


def edges_of(lab: Float) -> NDArray[np.uint8]:
    """The two channels, (h, w, 2), that the cost of an outline is measured on: lightness and the main chroma."""
    chroma = lab[..., 1:] - lab[..., 1:].mean((0, 1))
    axis = np.linalg.eigh(np.cov(chroma.reshape(-1, 2).T))[1][:, 1].astype(np.float32)
    return np.clip(np.dstack([2.0 * lab[..., 0], 128 + 3.0 * (chroma @ axis)]), 0, 255).astype(np.uint8)


def texture_of(lightness: Float, size: tuple[int, int]) -> Float:
    """How rough a surface is, on the scale of colour distances; edges between surfaces do not count.

    Args:
        lightness: (H, W) in 0..100, at a size that still shows the weave.
        size: (w, h) of the result.
    """
    fine = lightness - cv2.GaussianBlur(lightness, (0, 0), 2.0)
    deviation = np.sqrt(np.maximum(cv2.blur(fine * fine, (7, 7)), 0))  # running sums may round below zero
    surface = cv2.erode(deviation, np.ones((9, 9), np.uint8))  # an outline is a thin line of high deviation
    surface = cv2.morphologyEx(surface, cv2.MORPH_CLOSE, np.ones((11, 11), np.uint8))  # plain fields of a check
    surface = cv2.GaussianBlur(surface, (0, 0), 2.0)
    return np.asarray(cv2.resize(7 * np.log2(1 + surface / 0.8), size, interpolation=cv2.INTER_AREA), np.float32)


def candidates(coded: Coded, drawn: Bits | None = None, likely: Float | None = None) -> Iterator[Bits]:
    """The outcome for each first guess: the garment as (h, w) of 0 and 1, its holes closed.

    Args:
        coded: The picture.
        drawn: A garment that was found in another way, as one more first guess.
        likely: (h, w) in [0, 1], how probable cloth is by the network, as the first guess of all.
    """
    if likely is not None and (expected := whole((likely > 0.5).astype(np.uint8))).any():
        # What the network says holds in every round, unlike a mere guess of the place.
        yield _settled(coded, expected, belief(likely), 2, fading=False)
    height, width = coded.code.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    rim = (np.maximum(abs(x), abs(y)) > 0.96).astype(np.float32)
    for guess in (drawn, _rough_on_smooth(coded.texture, rim > 0)):
        if guess is not None:
            yield _settled(coded, guess, np.clip(0.2 * signed_depth(guess), -1.5, 1.5), 2)
    for wide, tall in GUESSES:
        away = ((x / wide) ** 4 + (y / tall) ** 4) ** 0.25  # 1 on a rounded box
        prior = np.clip(4 * (1 - away), -1.5, 1.0) - 2 * rim
        yield _settled(coded, (away < 1).astype(np.uint8), prior, ROUNDS)


def _rough_on_smooth(texture: Float, rim: NDArray[np.bool_]) -> Bits | None:
    """What is rougher than a smooth rim: cloth before a wall of its own colour."""
    rough = whole((texture > max(2.0, 1.6 * float(np.percentile(texture[rim], 80)))).astype(np.uint8))
    return rough if 0.08 < rough.mean() < 0.8 and rough[rim].mean() < 0.15 else None


def belief(likely: Float) -> Float:
    """A probability as log-odds that weigh about as much as colours do."""
    return np.clip(WEIGHT * np.log((likely + 0.02) / (1.02 - likely)), -CONVICTION, CONVICTION).astype(np.float32)


def _settled(coded: Coded, mask: Bits, prior: Float, rounds: int, fading: bool = True) -> Bits:
    """Estimate the palettes and cut, in turns, until the outline stays."""
    for turn in range(rounds):
        weight = 1 / max(1, turn) if fading else 1.0  # the longer, the more the picture itself decides
        odds = log_odds(coded, mask) + weight * prior
        found = whole(cut(odds.astype(np.float32), coded.edges))
        same = overlap(found, mask) > 0.996
        mask = found
        if same or not mask.any():
            break
    return mask


def opened(coded: Coded, mask: Bits, holes: Bits | None = None) -> Bits:
    """Open the gaps between sleeve and body, or hanger and collar, again; a pale print on the chest stays.

    Args:
        coded: The picture.
        mask: (h, w) of 0 and 1, the garment with all its holes closed.
        holes: (h, w) of 0 and 1, gaps that were found in another way, if any.
    """
    x, top, w, h = cv2.boundingRect(mask)
    doubtful = (log_odds(coded, mask, local=0.0) < -0.5).astype(np.uint8)
    if holes is not None:
        doubtful |= holes
    # Only palettes without the doubtful parts show what is ground in the shade of a sleeve.
    odds = log_odds(coded, mask & ~doubtful, mask & doubtful)
    gaps = np.asarray(cv2.morphologyEx(mask & (odds < -1).astype(np.uint8), cv2.MORPH_OPEN, disc(1)), np.uint8)
    count, parts, stats, centres = cv2.connectedComponentsWithStats(gaps)
    chosen = []
    for part in range(1, count):
        aside = abs(centres[part][0] - (x + w / 2)) > 0.2 * w and stats[part, 3] > 0.45 * stats[part, 2]
        above = centres[part][1] < top + 0.12 * h
        least = 0.0005 if above else 0.003
        if stats[part, 4] > least * mask.sum() and (aside or above) and odds[parts == part].mean() < -1.5:
            chosen.append(part)
    if len(chosen) > MOST_GAPS:
        return mask  # a pattern of the cloth
    return mask & ~np.isin(parts, chosen).astype(np.uint8)


def score(coded: Coded, lab: Float, mask: Bits) -> tuple[float, float, float]:
    """How well an outline parts garment from ground.

    Args:
        coded: The picture.
        lab: (h, w, 3) of it.
        mask: (h, w) of 0 and 1.

    Returns:
        How unlike the palettes of the two sides are, the share of the outline where colour or texture steps, and the
        mean height of that step; all in [0, 1].
    """
    code, count = coded.code, coded.cells.shape[2]
    sides = [np.bincount(code[mask == side], minlength=count).astype(np.float32) @ coded.alike for side in (0, 1)]
    apart = 1 - float(np.sqrt(sides[0] / max(1, sides[0].sum()) * sides[1] / max(1, sides[1].sum())).sum())
    inner = (mask > 0) & (cv2.erode(mask, disc(4)) == 0)
    outer = (cv2.dilate(mask, disc(5)) > 0) & (cv2.dilate(mask, disc(1)) == 0)
    edge = (cv2.dilate(mask, disc(1)) > 0) & (mask == 0)
    if not (inner.any() and outer.any() and edge.any()):
        return 0.0, 0.0, 0.0
    surface = np.dstack([lab, coded.texture])
    means = [
        cv2.blur(surface * m[..., None], (9, 9)) / (cv2.blur(m, (9, 9))[..., None] + 1e-3)
        for m in (inner.astype(np.float32), outer.astype(np.float32))
    ]
    step = np.linalg.norm(means[0] - means[1], axis=2)[edge]
    return apart, float((step > 7).mean()), float(np.minimum(step, 16).mean() / 16)


def log_odds(coded: Coded, mask: Bits, unknown: Bits | None = None, local: float = 0.8) -> Float:
    """Log-odds of garment against ground, from the palettes of both over all and nearby.

    Args:
        coded: The picture.
        mask: (h, w) of 0 and 1, the garment as far as it is known.
        unknown: (h, w) of 0 and 1, what is to be taken for neither.
        local: Weight of the palettes nearby.
    """
    height, width = coded.code.shape
    rows, columns, count = coded.cells.shape
    own = coded.cells * _per_cell(mask, rows, columns)
    other = coded.cells * _per_cell(1 - mask if unknown is None else (1 - mask) & (1 - unknown), rows, columns)
    total = [part.sum((0, 1)) @ coded.alike for part in (own, other)]
    over_all = np.log((total[0] / max(1, total[0].sum()) + 2e-3) / (total[1] / max(1, total[1].sum()) + 2e-3))
    reach = max(3, round(0.16 * max(rows, columns))) | 1
    near = [cv2.blur(cv2.blur(part, (reach, reach)), (reach, reach)) @ coded.alike for part in (own, other)]
    floor = 0.24 * CELL * CELL / count
    odds = 0.8 * over_all + local * np.log((near[0] + floor) / (near[1] + floor))
    y, x = np.mgrid[:height, :width] // CELL
    return np.clip(odds[y, x, coded.code], -CONVICTION, CONVICTION).astype(np.float32)


def _per_cell(mask: Bits, rows: int, columns: int) -> Float:
    padded = np.zeros((rows * CELL, columns * CELL), np.float32)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded.reshape(rows, CELL, columns, CELL).mean((1, 3))[..., None]


def cut(odds: Float, edges: NDArray[np.uint8], gain: float = 2.0) -> Bits:
    """The minimum cut for log-odds per pixel.

    OpenCV's only max-flow is inside GrabCut. With frozen models of one Gaussian each, that differ in the mean of
    channel 0 alone, its data term is linear in that channel, which then carries the log-odds.
    """
    step, lift = 6.0, 64.0
    picture = np.dstack([np.clip(128 + step * odds, 0, 255).astype(np.uint8), edges])
    variance = 2 * lift * step / gain
    models = []
    for mean in (128 - lift, 128 + lift):
        model = np.zeros((1, 65))
        model[0, 0] = 1
        model[0, 5:8] = mean, 128, 128
        model[0, 20:29] = np.diag([variance, 1e4, 1e4]).ravel()
        models.append(model)
    labels = np.where(odds > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    cv2.grabCut(picture, labels, (0, 0, 1, 1), models[0], models[1], 1, cv2.GC_EVAL_FREEZE_MODEL)
    return (labels == cv2.GC_PR_FGD).astype(np.uint8)


def refine(lab: Float, coded: Coded, mask: Bits) -> Bits:
    """Draw the outline again on a larger picture, near where it was found.

    Args:
        lab: (H, W, 3) of the larger picture.
        coded: The smaller one.
        mask: (h, w) of 0 and 1, found on the smaller one.
    """
    height, width = lab.shape[:2]
    depth = signed_depth(mask)
    odds = log_odds(coded, mask) + 0.6 * depth + 9 * np.sign(depth) * (abs(depth) > REACH)
    wide = cv2.resize(odds.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return cut(np.asarray(wide, np.float32), edges_of(lab))
