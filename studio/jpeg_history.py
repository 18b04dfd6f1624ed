"""How often, and on which grid, a picture was compressed as JPEG: read from its coefficients, without any network.

JPEG rounds each of the 64 frequencies of an 8 x 8 block to multiples of a step. The rounding survives decoding: on the
old grid, and there only, the coefficients still lie close to those multiples, which shows as a line in the spectrum of
their histogram (Bianchi and Piva, "Image Forgery Localization via Block-Grained Analysis of JPEG Artifacts", IEEE TIFS
2012, from whom the comparison of all 64 places of the grid is). Saving twice is what messengers and web pages do with
every picture: none of this says that anything was changed.

Measured on street photographs shrunk by 2 (about 235 x 350 pixels, some 1,000 blocks), so that their own compression is
gone; found at `CLEAR`, of 33 to 150 pictures each, first > second quality of libjpeg:

    same grid      60>75, 75>85, 75>90, 85>90, 75>95, 90>95, 93>95, 90>98: 99 to 100 %; 70>75: 98 %
                   the first one weaker: 90>75 36 %, 95>85 13 %, 85>75 8 %, 95>90 none
    another grid   75>85, 75>90, 75>95, 90>95, 90>98: 97 to 100 %; 60>75: 97 %; 85>90: 79 %; 70>75: 12 %;
                   93>95: 3 %; the first one weaker: none
    lossless file  60, 75, 85, 90, 95: 100 %; 98: none
    false alarms   same grid: none of 1,800 compressed once (40 to 100), whose highest value is 3.4 of the 4.5 needed;
                   all three: none of 1,200 compressed once (50 to 95) and of 300 stored without loss, shrunk to 0.5
                   and 0.7, nor of 30 pictures that the studio drew

Shrinking, or turning by other than quarters, erases the traces. Drawn pictures are less certain, though `DRAWN` leaves
most of them out: saved once as JPEG (60, 75, 85, 95), screens are said to have been compressed twice in 8 % of cases,
screens laid out in steps of 8 pixels in 17 %, pixel art of 4 pixels in 25 %, regular checks in half, pictures enlarged
twofold by their nearest pixel in 8 %; none is said to have been cropped, and of drawings stored without loss none is
said to have been JPEG, of photographs enlarged twofold 1 of 12.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

from pipelines.core.types import Image

MOST_BLOCKS = 3000  # that are looked at, spread over the picture
FEWEST_BLOCKS = 150  # fewer decide nothing
WINDOW = 15  # pixels: an 8 x 8 block at each of its 64 places
FINEST, COARSEST = 1, 40  # quantisation steps that are searched
BIN = 0.25  # width of a histogram's bins, in units of a coefficient
LARGEST = 120.0  # coefficients beyond are too few to count
MOST_LEVELS = 250  # multiples of the file's own step that are counted
CLEAR = 4.5  # standard deviations, mean of the four clearest frequencies, from which on a trace is one
ALONE = 2.5  # times the next clearest, or that one below `FAINT`: a grid stands out, drawn patterns come in several
FAINT = 4.0
DRAWN = 0.66  # share of the steepest tenth of all steps between neighbours in their sum, above which it is no photo
FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2), (0, 0))  # vertical, horizontal

# The example tables of ISO/IEC 10918-1 annex K, which libjpeg scales by its quality, in reading order.
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
# mozjpeg's default, which it has from ImageMagick (N. Robidoux).
MOZJPEG = (
    16, 16, 16, 18, 25, 37, 56, 85, 16, 17, 20, 27, 34, 40, 53, 75, 16, 20, 24, 31, 43, 62, 91, 135, 18, 27, 31, 40, 53,
    74, 106, 156, 25, 34, 43, 53, 69, 94, 131, 189, 37, 40, 62, 74, 94, 124, 169, 238, 56, 53, 91, 106, 131, 169, 226,
    311, 85, 75, 135, 156, 189, 238, 311, 418,
)  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """Traces of an earlier compression.

    Attributes:
        x: Columns by which its grid is moved to the right, 0..7.
        y: Rows by which it is moved down, 0..7.
        clarity: Standard deviations above chance, mean of the four clearest frequencies.
    """

    x: int
    y: int
    clarity: float


def scaled(table: tuple[int, ...], quality: int) -> tuple[int, ...]:
    """A quantisation table at libjpeg's quality 1..100."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(255, max(1, (value * percent + 50) // 100)) for value in table)


def style(luminance: tuple[int, ...]) -> tuple[str, int]:
    """Whose quantisation table this is, and about which of libjpeg's qualities it is worth.

    Args:
        luminance: 64 steps in reading order.

    Returns:
        ``libjpeg``, ``mozjpeg``, ``photoshop`` or ``own``; and the quality, 1..100, exact for the first two.
    """
    from PIL import JpegPresets

    for title, table in (("libjpeg", LUMINANCE), ("mozjpeg", MOZJPEG)):
        for quality in range(100, 0, -1):
            if scaled(table, quality) == luminance:
                return title, quality
    total = sum(luminance)
    nearest = min(range(1, 101), key=lambda quality: abs(sum(scaled(LUMINANCE, quality)) - total))
    presets = (preset["quantization"][0] for preset in JpegPresets.presets.values())
    known = any(sorted(table) == sorted(luminance) for table in presets)  # sorted: their order differs by version
    return "photoshop" if known else "own", nearest


def luminance_of(data: bytes) -> Any:
    """(H, W) uint8: the luminance of a JPEG as it is stored, not turned upright; None where it has none of its own.

    No conversion to RGB comes between, whose rounding would blur what is looked for. Raises whatever Pillow raises on
    hostile bytes.
    """
    import numpy as np
    from PIL import Image as Pillow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of crumbs in the metadata, which is not used
        picture = Pillow.open(io.BytesIO(data), formats=("JPEG",))
        if picture.mode not in ("RGB", "L") or picture.info.get("adobe_transform") == 0:
            return None
        picture.draft("L", None)
        return np.asarray(picture) if picture.mode == "L" else None


def earlier_in_jpeg(luminance: Any, table: tuple[int, ...]) -> tuple[Grid | None, Grid | None]:
    """Traces of a compression before the one that a JPEG file has now.

    Args:
        luminance: (H, W) uint8 of `luminance_of`.
        table: The file's own 64 luminance steps in reading order.

    Returns:
        On the file's own grid; and on another one, as a picture has that was cropped or pasted in between.
    """
    import numpy as np

    windows = _windows(luminance)
    if windows is None:
        return None, None
    coefficients = _coefficients(windows)
    own = _requantised(coefficients, np.asarray(table, dtype=np.float32).reshape(8, 8))
    moved = _clarities(coefficients)
    moved[0, 0] = 0.0  # its own grid, of course
    return (Grid(0, 0, own) if own >= CLEAR else None), _standing_out(moved, own_grid=True)


def earlier_in_lossless(picture: Image) -> Grid | None:
    """Traces of JPEG in the pixels of a file that is not one.

    Args:
        picture: (H, W, 3) uint8.
    """
    windows = _windows(picture)
    return None if windows is None else _standing_out(_clarities(_coefficients(windows)))


def _windows(picture: Any) -> Any:
    """(N, 15, 15) float32 luminance at multiples of 8 pixels, spread evenly; None if too few say anything.

    Flat places hold no coefficients, and at clipped ones (0 or 255) the rounding is not what it was.
    """
    import numpy as np

    height, width = picture.shape[:2]
    rows, columns = (height - WINDOW) // 8 + 1, (width - WINDOW) // 8 + 1
    if rows < 1 or columns < 1:
        return None
    places = np.arange(0, rows * columns, max(1, rows * columns // (3 * MOST_BLOCKS)))
    views = np.lib.stride_tricks.sliding_window_view(picture, (WINDOW, WINDOW), axis=(0, 1))
    windows = views[places // columns * 8, places % columns * 8]
    low, high = windows.min(axis=(-2, -1)), windows.max(axis=(-2, -1))
    if windows.ndim == 4:  # colours
        low, high = low.min(axis=1), high.max(axis=1)
    windows = windows[(high.astype(int) - low > 12) & (low > 0) & (high < 255)]
    if len(windows) < FEWEST_BLOCKS:
        return None
    windows = windows[np.linspace(0, len(windows) - 1, min(len(windows), MOST_BLOCKS)).astype(int)].astype(np.float32)
    if windows.ndim == 4:
        windows = np.einsum("ncyx,c->nyx", windows, np.array([0.299, 0.587, 0.114], dtype=np.float32))
    return None if _drawn(windows) else windows - 128


def _drawn(windows: Any) -> bool:
    """Whether a few steep edges between flat places are most of what there is: screens and drawings follow grids of
    their own, which look like JPEG's."""
    import numpy as np

    steps = np.sort(np.abs(np.diff(windows, axis=2)), axis=None)
    return float(steps[-len(steps) // 10 :].sum()) > DRAWN * float(steps.sum())


def _coefficients(windows: Any) -> Any:
    """(N, 8, 3, 8, 3) float32: block, row of the grid, vertical frequency, column of the grid, horizontal frequency."""
    import numpy as np

    places = np.arange(8)
    basis = np.zeros((24, WINDOW), dtype=np.float32)
    for place in range(8):
        for frequency in range(3):
            wave = np.cos((2 * places + 1) * frequency * np.pi / 16) * np.sqrt((2 if frequency else 1) / 8)
            basis[3 * place + frequency, place : place + 8] = wave
    across = windows @ basis.T
    both = np.einsum("fy,nyc->nfc", basis, across, optimize=True)
    return both.reshape(-1, 8, 3, 8, 3)


def _waves(centres: Any) -> tuple[Any, Any]:
    """(B, Q) float64: the spectrum's waves over a histogram's bins, and which bins count for which step.

    Coefficients nearer to zero than half a step lie where they lie for any step, and say nothing of it.
    """
    import numpy as np

    steps = np.arange(FINEST, COARSEST + 1)
    counted = centres[:, None] > steps / 2
    return np.cos(2 * np.pi * centres[:, None] / steps) * counted, counted.astype(np.float64)


def _clarities(coefficients: Any) -> Any:
    """(8, 8) float64: how clearly the coefficients of each place of the grid, row and column, lie on multiples."""
    import numpy as np

    bins = int(LARGEST / BIN)
    waves, counted = _waves(np.arange(bins) * BIN)
    clearest = np.zeros((len(FREQUENCIES), 64))
    for number, (down, right) in enumerate(FREQUENCIES):
        values = np.abs(coefficients[:, :, down, :, right].reshape(-1, 64))
        indices = np.minimum(np.rint(values / BIN).astype(np.int64), bins)
        indices += np.arange(64) * (bins + 1)
        counts = np.bincount(indices.ravel(), minlength=64 * (bins + 1)).reshape(64, bins + 1)[:, :bins]
        seen = counts @ counted
        mean = np.where(seen >= 60, counts @ waves / np.maximum(seen, 1), 0.0)
        # Whatever all places share is the picture's own: what counts is how one stands out among the 64.
        clearest[number] = ((mean - np.median(mean, axis=0)) * np.sqrt(2 * seen) * (seen >= 60)).max(axis=1)
    return np.sort(clearest, axis=0)[-4:].mean(axis=0).reshape(8, 8)


def _requantised(coefficients: Any, table: Any) -> float:
    """How clearly values that were rounded to the file's own steps had been rounded to coarser ones before.

    The same picture four pixels on, rounded alike, is what its histogram looks like without a history (J. Fridrich's
    calibration). Where blocks hold little, the two differ in how fast they fall; that is taken out over one period of
    the step that is searched, so that only the comb within it counts.
    """
    import numpy as np

    levels, steps = np.arange(1, MOST_LEVELS + 1), np.arange(FINEST, COARSEST + 1)
    clearest = np.zeros((len(FREQUENCIES), len(steps)))
    for number, (down, right) in enumerate(FREQUENCIES):
        own_step = float(table[down, right])
        rounded = np.abs(np.rint(coefficients[:, :, down, :, right] / own_step)).astype(np.int64)
        rounded = np.minimum(rounded, MOST_LEVELS + 1)
        own = np.bincount(rounded[:, 0, 0], minlength=MOST_LEVELS + 2)[1:-1]
        other = np.bincount(rounded[:, 3:6, 3:6].ravel(), minlength=MOST_LEVELS + 2)[1:-1]
        if own.sum() < 60 or other.sum() < 60:
            continue
        for place, step in enumerate(steps):
            period = np.ones(2 * int(np.ceil(step / own_step)) + 1)
            fall = np.convolve(own, period, "same") / np.maximum(np.convolve(other, period, "same"), 1)
            expected = other * fall / max(1.0, float((other * fall).sum()))
            wave = np.cos(2 * np.pi * own_step * levels / step)
            mean = float(expected @ wave)
            spread = float(expected @ wave**2) - mean**2
            clearest[number, place] = (float(own @ wave) / own.sum() - mean) / np.sqrt((spread + 0.05) / own.sum())
    return float(np.sort(clearest.max(axis=1))[-4:].mean())


def _standing_out(clarities: Any, *, own_grid: bool = False) -> Grid | None:
    """The clearest place of the grid, if it is clear and alone.

    Checks and stripes lift many places together. So does a file's own grid, if it has one, those that share its rows or
    its columns: strongly compressed blocks hold one frequency or none, and moved along one axis they still do.
    """
    import numpy as np

    y, x = np.unravel_index(int(np.argmax(clarities)), clarities.shape)
    clarity, second = float(clarities[y, x]), float(np.sort(clarities, axis=None)[-2])
    in_line = own_grid and (y == 0 or x == 0)
    alone = second <= (clarity / ALONE if in_line else max(FAINT, clarity / ALONE))
    return Grid(int(x), int(y), clarity) if clarity >= CLEAR and alone else None
