"""Two answers that need no network, by which Vitruvio's figures can be judged: the nearest known sketch, and the mean.

Both know the same training buildings, drawn from the generator that the network learnt from and never of its held-out
family. The drawings go through the same preparation as the sketch that is asked about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.core.errors import InputError
from pipelines.core.types import Image
from pipelines.synthetic.buildings import QUERY, Building, sample_building
from pipelines.synthetic.linework import draw, sample_hand, sample_view

KNOWN = 5_000  # training sketches
CELLS = 32  # of the mean shape along an axis (our choice: 3 % of a building's longest side)
THRESHOLDS = np.arange(0.02, 0.9, 0.02)

Prepare = Callable[[Image], NDArray[np.uint8]]  # a picture -> its prepared (S, S) image
Occupancy = Callable[[NDArray[np.float32]], NDArray[np.bool_]]  # (N, 3) points -> (N,) inside


@dataclass(frozen=True)
class MeanShape:
    """The share of buildings that occupies each place, and the share from which on it counts as inside.

    Attributes:
        share: (CELLS,) * 3 float64 at cell centres of the query box.
        threshold: The one of ``THRESHOLDS`` that fits the buildings it was made of best.
    """

    share: NDArray[np.float64]
    threshold: float

    def occupancy(self, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell for (N, 3) points whether the mean shape holds them, (N,) bool; linear between cell centres."""
        places = (points.T.astype(np.float64) / (2 * QUERY) + 0.5) * CELLS - 0.5
        return ndimage.map_coordinates(self.share, places, order=1, mode="nearest") > self.threshold


def cell_centres() -> NDArray[np.float32]:
    """(CELLS ** 3, 3) float32 points, the last axis running fastest."""
    middle = ((np.arange(CELLS) + 0.5) / CELLS - 0.5) * 2 * QUERY
    return np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)


class Known:
    """Goes once through training buildings: keeps the nearest for every sketch that is asked about, and the mean.

    Args:
        asked: (Q, S, S) uint8 prepared images.
        prepare: Prepares a drawing.
        side: Pixels of the drawings before they are prepared.
    """

    def __init__(self, asked: NDArray[np.uint8], prepare: Prepare, *, side: int = 512) -> None:
        self.asked = asked.reshape(len(asked), -1).astype(np.float32)
        self.prepare, self.side = prepare, side
        self.distance = np.full(len(asked), np.inf)
        self.nearest: list[Building | None] = [None] * len(asked)
        self.occupied: list[NDArray[np.uint8]] = []  # packed bits of every building at the cell centres
        self.centres = cell_centres()

    def add(self, rng: Generator) -> None:
        """Draw one more building; a drawing that cannot be prepared is nobody's nearest but counts in the mean."""
        building = sample_building(rng)
        sketch = draw(building, sample_view(building, rng), sample_hand(rng, 1), rng, size=self.side)
        self.occupied.append(np.packbits(building.occupancy(self.centres)))
        try:
            image = self.prepare(np.repeat(sketch[..., None], 3, 2))
        except InputError:
            return
        apart = self.asked - image.reshape(1, -1).astype(np.float32)
        squared = np.einsum("ij,ij->i", apart, apart)
        for row in np.flatnonzero(squared < self.distance):
            self.distance[row], self.nearest[row] = squared[row], building

    def mean_shape(self) -> MeanShape:
        """The mean of what was drawn so far, at the threshold whose mean IoU with it is highest."""
        cells = CELLS**3
        count = np.zeros(cells)
        for bits in self.occupied:
            count += np.unpackbits(bits, count=cells)
        share = count / max(1, len(self.occupied))
        inside = (share[:, None] > THRESHOLDS).astype(np.float32)
        total = np.zeros(len(THRESHOLDS))
        for bits in self.occupied:
            true = np.unpackbits(bits, count=cells).astype(np.float32)
            both = true @ inside
            total += both / np.maximum(1, true.sum() + inside.sum(0) - both)
        return MeanShape(share.reshape((CELLS,) * 3), float(THRESHOLDS[int(total.argmax())]))
