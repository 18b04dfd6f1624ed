"""From a map to one number that means something, and the thresholds that ship with a set of weights.

Source: ours. The published network marks pixels and says nothing about the whole picture; "any pixel above one half"
has poor precision. Three figures of the map, or one of them beside the verdict of a network with a judge, go through a
logistic regression that is fitted on pictures of which half are tampered with, none of them trained on. The scores of
those left alone stay with the weights, so that a score can be told as what it is: so many in a hundred untouched
pictures score as high. They are those that the regression was fitted on; three or four numbers fitted on some 240
pictures flatter themselves little, and the figures of the card are of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from pipelines.core.metrics import pixel_f1
from pipelines.iml_vit.inference import Logits, Seen, enlarged

FIGURES, FIGURES_WITH_JUDGE = 3, 2
TOP = 0.005  # share of a picture that its most suspicious pixels are
EDGES = (0.01, 0.99)  # no threshold outside is looked at
ALARMS = 0.03  # share of untouched calibration pictures above the image threshold: 5 % are allowed, and 240 are few
RIDGE = 1e-2
STEPS = 21  # points of the untouched pictures' distribution that are kept


@dataclass(frozen=True)
class Calibration:
    """What belongs to one set of weights.

    Attributes:
        pixel: Probability from which a pixel counts as manipulated.
        image: Score from which a picture counts as suspicious.
        offset: Of the regression.
        slopes: One for each figure of `figures`.
        untouched: Scores of untouched pictures in ascending order, evenly picked from lowest to highest.
    """

    pixel: float
    image: float
    offset: float
    slopes: tuple[float, ...]
    untouched: tuple[float, ...]

    @classmethod
    def read(cls, values: dict[str, Any], *, judge: bool = False) -> Calibration:
        """Of a config's JSON.

        Args:
            values: What `as_dict` gives.
            judge: Whether the network that it belongs to has one.

        Raises:
            TypeError, KeyError, ValueError: if it is none.
        """
        pixel, image, offset = (float(values[name]) for name in ("pixel", "image", "offset"))
        slopes, untouched = (tuple(float(value) for value in values[name]) for name in ("slopes", "untouched"))
        finite = np.isfinite([pixel, image, offset, *slopes, *untouched]).all()
        if not (finite and 0 < pixel < 1 and 0 <= image <= 1):
            raise ValueError("a calibration holds finite numbers, and thresholds between 0 and 1")
        needed = FIGURES_WITH_JUDGE if judge else FIGURES
        if len(slopes) != needed or not untouched or list(untouched) != sorted(untouched):
            raise ValueError(f"the calibration of this network has {needed} slopes, and scores in ascending order")
        return cls(pixel, image, offset, slopes, untouched)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; what `read` reads."""
        return asdict(self)

    def score(self, seen: Seen) -> float:
        """Chance in [0, 1] that a picture of which this was seen was tampered with, where half of all pictures are."""
        drawn = self.offset + float(np.dot(self.slopes, figures(seen)))
        return float(1 / (1 + np.exp(-np.clip(drawn, -30, 30))))

    def as_high(self, score: float) -> float:
        """Share of untouched pictures that score as high or higher."""
        return float(np.interp(score, self.untouched, np.linspace(1, 0, len(self.untouched)), left=1.0, right=0.0))


def figures(seen: Seen) -> NDArray[np.float64]:
    """(2,): mean of the most suspicious logits, and the judge's logit: all further figures add nothing to these.

    Without a judge (3,): the first, the mean of all logits, and how far the former stand out of the spread.
    """
    ranked = np.sort(seen.logits.ravel().astype(np.float64))
    top = ranked[-max(1, round(TOP * ranked.size)) :].mean()
    if seen.judged is not None:
        return np.array([top, seen.judged])
    middle, high = np.quantile(ranked, (0.5, 0.9))
    return np.array([top, ranked.mean(), (top - middle) / (high - middle + 1.0)])


def fit(tampered: Sequence[Seen], masks: Sequence[NDArray[np.bool_]], untouched: Sequence[Seen]) -> Calibration:
    """Fit all of it.

    Args:
        tampered: What was seen of tampered pictures.
        masks: (H, W) bool, their truth.
        untouched: What was seen of pictures that were left alone.
    """
    rows = np.stack([figures(seen) for seen in (*tampered, *untouched)])
    truth = np.arange(len(rows)) < len(tampered)
    middle, spread = rows.mean(0), rows.std(0) + 1e-9
    ways = np.column_stack([np.ones(len(rows)), (rows - middle) / spread])

    def cost(values: NDArray[np.float64]) -> float:
        drawn = ways @ values
        return float(np.logaddexp(0, np.where(truth, -drawn, drawn)).mean() + RIDGE * (values[1:] ** 2).sum())

    found = optimize.minimize(cost, np.zeros(ways.shape[1])).x
    slopes = found[1:] / spread
    offset = float(found[0] - slopes @ middle)
    plain = np.sort(1 / (1 + np.exp(-(offset + rows[~truth] @ slopes))))
    return Calibration(
        pixel=best_threshold([seen.logits for seen in tampered], masks),
        image=float(np.quantile(plain, 1 - ALARMS)),
        offset=offset,
        slopes=tuple(float(slope) for slope in slopes),
        untouched=tuple(float(value) for value in np.quantile(plain, np.linspace(0, 1, STEPS))),
    )


def best_threshold(maps: Sequence[Logits], masks: Sequence[NDArray[np.bool_]]) -> float:
    """The probability at which the mean pixel F1 is highest, to two digits."""
    chances = [enlarged(logits, mask.shape) for logits, mask in zip(maps, masks, strict=True)]
    tried = np.linspace(*EDGES, 99).round(2)
    means = [
        np.mean([pixel_f1(chance >= level, mask) for chance, mask in zip(chances, masks, strict=True)])
        for level in tried
    ]
    return float(tried[int(np.argmax(means))])
