"""Vitruvio: one sketch of a building in, one closed solid with a flat base out.

The steps, in order: prepare the sketch, read it (the encoder), find the surface of the field (the decoder at the places
that multiresolution extraction asks for), clean it up, and compare what came out with the drawing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from pipelines.core import checkpoint, hub, runtime
from pipelines.core.clock import Clock
from pipelines.core.errors import InputError, WeightsError
from pipelines.core.types import Finding, Image, Mesh, OnStep
from pipelines.mesh import picture
from pipelines.mesh.repair import Change
from pipelines.mesh.straighten import level
from pipelines.mesh.straighten import straighten as straightened
from pipelines.synthetic.buildings import POSES
from pipelines.synthetic.hidden_lines import Camera
from pipelines.vitruvio.extraction import Field, extract
from pipelines.vitruvio.inference import field_of
from pipelines.vitruvio.local import mirrored
from pipelines.vitruvio.network import OccupancyConfig, OccupancyNetwork
from pipelines.vitruvio.sketch import PreparedSketch, prepare
from pipelines.vitruvio.view import fitted_camera, nearest_camera, outline, seen_alike

STEPS = ("prepare the sketch", "read it", "find the surface", "clean up", "compare")
APART = 0.02  # logits; moves a surface by less than a thousandth of the box
VARIANTS_LATENT = 8  # draws of the latent variable that are offered
DETAILS = {1: (16, 2), 2: (24, 2), 3: (32, 2)}  # cells of the first round and doublings: 64, 96 or 128 along a side
DOUBTFUL = 0.5  # confidence below which a result is called doubtful; see the card for how often that is right


@dataclass(frozen=True)
class BuildingResult:
    """A building.

    Attributes:
        mesh: One closed solid with a flat base; y up, longest side 1, its middle where the network has it, close to
            the origin, turned so that the camera of the drawing stands between +x and +z, or where ``view`` said.
        raw: The surface before the clean-up, in the network's own frame.
        side: Longest side of the cleaned mesh in that frame; `mesh` is larger by its inverse.
        prepared: The sketch as the network saw it.
        camera: From where the drawing was made, as far as the network or outlines tell (view.py).
        confidence: 0 to 1, what intersection over union with the building meant is to be expected.
        variants: How many readings of this sketch there are; ``variant`` counts from 0.
        changes: What the clean-up did, and what it left.
        findings: Warnings and notes.
        layers: ``prepared``, ``same view`` and ``from behind``, (h, w, 3) uint8.
        timings: Seconds by step.
    """

    mesh: Mesh
    raw: Mesh
    side: float
    prepared: PreparedSketch
    camera: Camera
    confidence: float
    variants: int
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    layers: dict[str, Image]
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What the network makes of a prepared sketch.

    Attributes:
        logits: Of occupancy, for any points of the network's frame.
        projection: (3, 4) float64, `Local.projection`; None from a network without local features.
    """

    logits: Field
    projection: NDArray[np.float64] | None = None


class VitruvioPipeline:
    """An occupancy network with its sketch preparation and its clean-up."""

    def __init__(
        self,
        model: OccupancyNetwork,
        where: runtime.Runtime,
        *,
        pose: str = "canonical",
        threshold: float = 0.2,
        calibration: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.model, self.runtime = model.to(where.device).eval(), where
        self.pose, self.threshold, self.calibration = pose, threshold, calibration

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "vitruvio", *, device: str = "auto", dtype: str = "auto"
    ) -> VitruvioPipeline:
        """Load config.json and model.safetensors.

        Besides the network's own values config.json may hold ``pose`` (how the training's buildings stood) and
        ``threshold``, without which the published ones hold, canonical and 0.2; and ``calibration``, offset and slope
        of the line from the outline's agreement times `expected_iou` to the intersection over union as measured.

        Raises:
            WeightsError: if the folder or its weights do not fit, or one of these values makes no sense.
        """
        folder = hub.resolve(name)
        values = checkpoint.read_config(folder)
        pose, threshold = values.pop("pose", "canonical"), values.pop("threshold", 0.2)
        try:
            offset, slope = map(float, values.pop("calibration", (0.0, 1.0)))
            if pose not in POSES or not 0 < threshold < 1:
                raise ValueError(f"pose {pose}, threshold {threshold}")
            model = OccupancyNetwork(OccupancyConfig(**values))
        except (TypeError, ValueError) as error:
            raise WeightsError(
                "weights.mismatch", "This folder does not describe an occupancy network", seen=f"{folder}: {error}"
            ) from error
        checkpoint.load_component(folder, model)
        return cls(model, runtime.choose(device, dtype), pose=pose, threshold=threshold, calibration=(offset, slope))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (float16 but for what that cannot hold)."""
        more = {"pose": self.pose, "threshold": self.threshold, "calibration": list(self.calibration)}
        checkpoint.save_component(folder, self.model, asdict(self.model.config) | more)

    @property
    def variants(self) -> int:
        """How many readings of one sketch there are: draws of a latent variable, or both ways round, or one."""
        if self.model.config.z_dim:
            return VARIANTS_LATENT
        return 3 if self._mirrors else 1

    @property
    def _mirrors(self) -> bool:
        # A picture's mirror image shows the building mirrored at x = z only if the camera stood between those axes.
        # What a latent variable adds has no mirror image, and both together would be another choice of variants.
        return self.pose == "quarter" and not self.model.config.z_dim

    def prepare(self, sketch: Image) -> PreparedSketch:
        """What the network will see, for the user to check; raises as `sketch.prepare`."""
        return prepare(sketch, size=self.model.config.picture_size)

    def __call__(
        self,
        sketch: Image,
        *,
        view: tuple[float, float] | None = None,
        variant: int = 0,
        straighten: bool = True,
        detail: int = 2,
        threshold: float | None = None,
        seed: int = 0,
        on_step: OnStep | None = None,
    ) -> BuildingResult:
        """Make a building.

        Args:
            sketch: (H, W, 3) uint8 RGB.
            view: Azimuth and elevation in degrees from which it is drawn, if known. The building is then turned so that
                what the drawing shows is what that camera sees: azimuth 0 looks at its +z side, 90 at its +x side.
            variant: Which reading, from 0. Without a latent variable 0 is the mean of the drawing's reading and that of
                its mirror image, 1 and 2 are each alone. With one 0 is the prior's mean, the others are draws.
            straighten: Walls vertical, planes snapped; the largest body on a flat base is all that is done otherwise.
            detail: 1, 2 or 3: 64, 96 or 128 cells along a side; 3 is what is published.
            threshold: Occupancy probability of the surface; None takes that of the weights.
            seed: Of the latent variable.
            on_step: Called after each of `STEPS`; may raise ``Cancelled``.

        Raises:
            InputError: as `sketch.prepare`; ``building.variant``, ``building.detail``, ``building.threshold`` or
                ``building.view`` for a value out of range; ``building.nothing`` if the network sees no building.
        """
        threshold = self.threshold if threshold is None else threshold
        self._check(view, variant, detail, threshold)
        clock = Clock(on_step, len(STEPS))
        prepared = self.prepare(sketch)
        clock.tick("prepare")
        reading = self.read(prepared.image, variant, seed)
        clock.tick("read")
        resolution, doublings = DETAILS[detail]
        found = extract(reading.logits, threshold=threshold, resolution=resolution, upsampling=doublings, apart=APART)
        raw = Mesh(found.vertices, found.faces)
        if not len(raw.faces):
            raise InputError(
                "building.nothing",
                "No building was recognised in this sketch",
                seen=f"no point with a probability of {threshold} or more",
                remedy="Draw the outline and the visible edges of one building, or lower --threshold",
            )
        clock.tick("surface")
        clean = straightened(raw, probability(found.grid, threshold)) if straighten else level(raw)
        side = float(np.ptp(clean.mesh.vertices, axis=0).max())
        mesh = _framed(clean.mesh, side)
        clock.tick("clean")
        camera, same = self._seen(mesh, prepared, reading, view)
        offset, slope = self.calibration
        confidence = float(np.clip(offset + slope * same * expected_iou(found.grid, threshold), 0, 1))
        layers = {
            "prepared": np.repeat(prepared.image[..., None], 3, 2),
            "same view": picture.shaded(mesh, camera.eye, camera.axes),
            "from behind": _behind(mesh, camera),
        }
        clock.tick("compare")
        findings = (*prepared.findings, *_doubts(confidence, same))
        mesh, camera = _turned(mesh, camera, view, freely=self.pose == "free")
        return BuildingResult(
            mesh=mesh,
            raw=raw,
            side=side,
            prepared=prepared,
            camera=camera,
            confidence=confidence,
            variants=self.variants,
            changes=clean.changes,
            findings=findings,
            layers=layers,
            timings=clock.seconds,
        )

    def _check(self, view: tuple[float, float] | None, variant: int, detail: int, threshold: float) -> None:
        if not 0 <= variant < self.variants:
            raise InputError(
                "building.variant", "There is no such variant", seen=variant, remedy=f"0 to {self.variants - 1}"
            )
        if detail not in DETAILS:
            raise InputError("building.detail", "There is no such detail", seen=detail, remedy="1, 2 or 3")
        if not 0 < threshold < 1:
            raise InputError("building.threshold", "A threshold lies between 0 and 1", seen=threshold, remedy="Try 0.5")
        if view is not None and not (np.isfinite(view).all() and -360 <= view[0] <= 360 and 0 <= view[1] <= 80):
            raise InputError(
                "building.view",
                "This is no view of a building",
                seen=f"azimuth {view[0]}, elevation {view[1]}",
                remedy="Azimuth -360 to 360 and elevation 0 to 80 degrees, for example 45,20",
            )

    def _seen(
        self, mesh: Mesh, prepared: PreparedSketch, reading: Reading, view: tuple[float, float] | None
    ) -> tuple[Camera, float]:
        """From where the drawing was made, and how far the outlines agree there."""
        drawn = outline(prepared.image)
        around = self.pose != "quarter"  # only quarter turns put the camera of the training between +x and +z
        # a building that was learnt at any angle stands at any angle to a known view
        near = None if view is None or self.pose == "free" else (view[0] % 90, view[1])
        if near is None and reading.projection is not None:
            camera = nearest_camera(reading.projection, around=around)
            return camera, seen_alike(mesh, camera, drawn)
        return fitted_camera(mesh, drawn, near=near, around=around)

    def field(self, image: NDArray[np.uint8], variant: int = 0, seed: int = 0) -> Field:
        """The occupancy logits of a prepared sketch: those of `read`."""
        return self.read(image, variant, seed).logits

    @torch.inference_mode()
    def read(self, image: NDArray[np.uint8], variant: int = 0, seed: int = 0) -> Reading:
        """Read a prepared sketch.

        Args:
            image: (S, S) uint8, black ink on white.
            variant: As in `__call__`.
            seed: Of the latent variable.
        """
        both = self._mirrors and variant != 1
        pictures = np.stack([image, image[:, ::-1]] if both else [image])
        x = torch.from_numpy(pictures).to(self.runtime.device).float().div(255).unsqueeze(1)
        x = x.expand(-1, self.model.config.channels, -1, -1)
        with self.runtime.autocast():
            c, local = self.model.read(x)
        latent = self._latent(variant, seed)
        fields = [
            field_of(self.model, c[i : i + 1].float(), latent, None if local is None else local.of(i))
            for i in range(len(pictures))
        ]
        views = [None, None] if local is None else list(local.projection.double().cpu().numpy())
        if not both:
            return Reading(fields[0], views[0])
        plain, other = fields[0], _mirrored(fields[1])
        view, other_view = views[0], None if views[1] is None else mirrored(views[1])
        if variant == 2:
            return Reading(other, other_view)
        return Reading(
            lambda points: np.asarray((plain(points) + other(points)) / 2, np.float32),
            None if view is None or other_view is None else (view + other_view) / 2,
        )

    def _latent(self, variant: int, seed: int) -> Tensor | None:
        if not self.model.config.z_dim or variant == 0:
            return None
        generator = torch.Generator().manual_seed(seed * VARIANTS_LATENT + variant)
        return torch.randn(1, self.model.config.z_dim, generator=generator).to(self.runtime.device)


def expected_iou(grid: NDArray[np.float32], threshold: float) -> float:
    """The intersection over union to expect if the probabilities of a grid of logits are right."""
    chance = _sigmoid(grid[::4, ::4, ::4])
    inside = chance >= threshold
    return float(chance[inside].sum() / max(1e-6, inside.sum() + chance[~inside].sum()))


def probability(
    grid: NDArray[np.float32], threshold: float = 0.5
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The field between the points of an extraction's grid, at no further cost: (N, 3) points -> (N,) probabilities.

    Their odds are divided by those of ``threshold``: who draws the surface there says that a half is there, and the
    clean-up, which builds where a half is, builds the same surface.
    """
    chance = _sigmoid(grid - np.float32(np.log(threshold / (1 - threshold))))

    def at(points: NDArray[np.float32]) -> NDArray[np.float32]:
        places = (np.asarray(points, np.float32) / np.float32(1.1) + np.float32(0.5)) * (len(grid) - 1)
        return np.asarray(ndimage.map_coordinates(chance, places.T, order=1, mode="nearest"), np.float32)

    return at


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)


def _mirrored(logits: Field) -> Field:
    """The field mirrored at the plane x = z."""
    return lambda points: logits(np.ascontiguousarray(points[:, ::-1]))


def _framed(mesh: Mesh, side: float) -> Mesh:
    """Longest side 1 instead of ``side``, about the origin.

    It is not moved. The network knows where the middle of a building is better than a bounding box does, which ends
    where the last bulge of a blurred field ends: centring cost .02 of intersection over union.
    """
    return replace(mesh, vertices=mesh.vertices / side)


def _turned(mesh: Mesh, camera: Camera, view: tuple[float, float] | None, *, freely: bool) -> tuple[Mesh, Camera]:
    """Turn by the quarters that lie between the camera's quadrant and the view's, or the one between +x and +z.

    ``freely`` turns to a view exactly: walls are along no axis before, either.
    """
    if freely and view is not None:
        angle = np.radians(view[0] - camera.azimuth)
    else:
        angle = ((0 if view is None else view[0] // 90) - camera.azimuth // 90) % 4 * np.pi / 2
    if not angle:
        return mesh, camera
    cos, sin = (float(np.round(value, 15)) for value in (np.cos(angle), np.sin(angle)))
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return replace(mesh, vertices=mesh.vertices @ turn.T), replace(
        camera, azimuth=float(camera.azimuth + np.degrees(angle)) % 360
    )


def _behind(mesh: Mesh, camera: Camera) -> Image:
    """The mesh from the opposite side, a little above."""
    other = replace(camera, azimuth=camera.azimuth + 180, elevation=max(20.0, camera.elevation))
    return picture.shaded(mesh, other.eye, other.axes)


def _doubts(confidence: float, same: float) -> tuple[Finding, ...]:
    if confidence >= DOUBTFUL:
        return ()
    return (
        Finding(
            "building.low-confidence",
            "warning",
            f"The building is a guess: confidence {confidence:.2f}, outline like the drawing's by {same:.0%}",
            "Draw one building, closed outline, visible edges only, no ground line; or try another variant",
        ),
    )
