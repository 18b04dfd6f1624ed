"""DiffPoint: one or several pictures of an object in, a coloured point cloud with normals out.

The steps, in order: cut the object out of each picture, read the pictures (encoder and fusion), walk from noise to the
cloud, held to the pictures' outlines (silhouettes.py), and ask for second opinions: the same pictures with other noise,
and each picture alone. The paper has no measure of confidence; where such opinions differ, the pictures do not say what
the object is, or show more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.core import checkpoint, hub, runtime
from pipelines.core.clock import Clock
from pipelines.core.errors import InputError, WeightsError
from pipelines.core.shape_metrics import chamfer
from pipelines.core.types import Cloud, Finding, Image, Mask, OnStep, report
from pipelines.diffpoint import diffusion
from pipelines.diffpoint.cameras import likeliest
from pipelines.diffpoint.clip import ClipTokens
from pipelines.diffpoint.inference import sampled
from pipelines.diffpoint.network import DiffPoint, DiffPointConfig
from pipelines.diffpoint.silhouettes import ANSWERS, PRIOR, Held, Outline, seen
from pipelines.diffpoint.views import View, as_input, prepare
from pipelines.mesh.picture import discs, dotted
from pipelines.synthetic.objects import Camera

MOST_VIEWS = 8
POINTS, STEPS = (512, 16_384), (2, 200)  # least and most
SEEN = 1024  # points of each step, and of each second opinion, that are kept
OPINION_STEPS = 10
SHOWN = Camera(35.0, 22.0, 2.4)  # from where previews look
_PREVIEW = 256

Points = NDArray[np.float32]


@dataclass(frozen=True)
class CloudResult:
    """What came of the pictures.

    Attributes:
        cloud: y up, the object's front towards +z, bounding box centred, longest side 1.
        views: The pictures as the network saw them.
        cameras: From where each was taken, as far as it is told; empty of networks without ``cameras``.
        alone: For each view the cloud it gives on its own, (1024, 3) float32; empty if there is one view.
        steps: (steps, 1024, 3) float16, what the network took the cloud for after each step.
        unsure: Mean distance between the cloud and the one that other noise gives, in lengths of the object.
        apart: Largest mean distance between two of ``alone``; None of one view.
        confidence: 0 to 1: 1 if all opinions agree.
        findings: Warnings and notes.
        layers: Pictures worth showing.
        timings: Seconds by step.
    """

    cloud: Cloud
    views: tuple[View, ...]
    cameras: tuple[Camera, ...]
    alone: tuple[Points, ...]
    steps: NDArray[np.float16]
    unsure: float
    apart: float | None
    confidence: float
    findings: tuple[Finding, ...]
    layers: dict[str, Image]
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Doubt:
    """How far opinions may lie apart, in lengths of the object: our choice, until weights bring what was measured.

    Attributes:
        unsure: Distance between two answers to the same pictures that only the worst tenth exceeds.
        apart: Distance between answers to two pictures of one object that only a twentieth exceeds.
    """

    unsure: float = 0.08
    apart: float = 0.12


class DiffPointPipeline:
    """Point clouds from pictures."""

    def __init__(
        self,
        model: DiffPoint,
        where: runtime.Runtime,
        *,
        doubt: Doubt | None = None,
        encoder: ClipTokens | None = None,
    ) -> None:
        self.runtime, self.encoder = where, encoder
        self.doubt = doubt or Doubt()
        self.model = runtime.channels_last(model.to(where.device)).eval()

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "diffpoint", *, device: str = "auto", dtype: str = "auto"
    ) -> DiffPointPipeline:
        """Load config.json and model.safetensors, and of the published size ``image_encoder/`` beside them.

        Args:
            name: Of the manifest, or a folder.
            device: See `runtime.choose`.
            dtype: See `runtime.choose`.

        Raises:
            WeightsError: if the folder or its weights do not fit.
            PipelineError: ``diffpoint.needs-extra`` if the published size is asked for without transformers.
        """
        folder = hub.resolve(name)
        values = checkpoint.read_config(folder)
        try:
            doubt = Doubt(**values.pop("doubt", {}))
            values["patch_widths"] = tuple(values["patch_widths"])
            model = DiffPoint(DiffPointConfig(**values))
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                "weights.mismatch",
                "This folder does not describe a DiffPoint network",
                seen=f"{folder}: {type(error).__name__}: {error}",
                remedy="Name a folder that `studio train diffpoint` wrote",
            ) from error
        checkpoint.load_component(folder, model)
        where = runtime.choose(device, dtype)
        encoder = (
            ClipTokens.from_pretrained(Path(folder) / "image_encoder", where) if values["image"] == "clip" else None
        )
        if encoder is not None:
            encoder.check(model.config, source=str(folder))
        return cls(model, where, doubt=doubt, encoder=encoder)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (float16)."""
        checkpoint.save_component(folder, self.model, {**asdict(self.model.config), "doubt": asdict(self.doubt)})

    def prepare(self, picture: NDArray[np.uint8], mask: Mask | None = None) -> View:
        """Cut an object out, see `views.prepare`."""
        return prepare(picture, self.model.config.image_size, mask=mask)

    def __call__(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        points: int = 4096,
        steps: int = 20,
        sampler: str = "dpm-solver++",
        guidance: float = 1.0,
        seed: int = 0,
        on_step: OnStep | None = None,
    ) -> CloudResult:
        """Make a cloud.

        Args:
            pictures: (H, W, 3) or (H, W, 4) uint8 sRGB of one object, in any order; a fourth channel that is not opaque
                everywhere cuts the object out.
            points: Of the cloud, 512 to 16,384. Fewer than the network's ``coarse`` are the first of that many.
            steps: Of the sampler, 2 to 200.
            sampler: One of ``diffusion.SAMPLERS``.
            guidance: 1 follows the pictures as learnt, more exaggerates them, at twice the time.
            seed: Of the noise.
            on_step: Called after each step with a picture of what the cloud is so far; may raise ``Cancelled``.

        Raises:
            InputError: ``cloud.views``, ``cloud.points``, ``cloud.steps``, ``cloud.guidance``, or what `views.prepare`
                raises.
        """
        _check(len(pictures), points, steps, sampler, guidance)
        clock = Clock(None, 0)
        total = steps + 3
        views = []
        for number, picture in enumerate(pictures, 1):
            try:
                views.append(self.prepare(picture))
            except InputError as error:
                seen = f"picture {number}: {error.seen}" if len(pictures) > 1 else error.seen
                raise InputError(error.code, error.what, seen=seen, remedy=error.remedy) from None
        clock.tick("cut out")
        report(on_step, 1, total)
        condition, single, held = self._read(views)
        clock.tick("read")
        report(on_step, 2, total)
        kept: list[NDArray[np.float16]] = []

        def on_estimate(done: int, estimate: Tensor) -> None:
            now = estimate[0, :SEEN].float().cpu().numpy()
            kept.append(now[:, :3].astype(np.float16))
            if on_step is not None:
                on_step(2 + done, total, dotted(now[:, :3], _bytes(now[:, 3:6]), SHOWN.axes, _PREVIEW))

        drawn = max(points, self.model.config.coarse)
        walk: dict[str, Any] = {"sampler": sampler, "guidance": guidance}
        found = sampled(
            self.model, condition, drawn, self.runtime,
            steps=steps, seed=seed, hold=held, on_estimate=on_estimate, **walk,
        )[0].cpu().numpy()  # fmt: skip
        clock.tick("walk")
        unsure, alone, apart = self._second_opinions(found, condition, single, held, seed, walk)
        found = found[:points]
        clock.tick("compare")
        report(on_step, total, total)
        cloud = _cloud(found)
        confidence, findings = self._judged(views, unsure, apart)
        layers = {f"view-{number}": view.on_grey for number, view in enumerate(views, 1)}
        cameras = tuple(held.cameras[0]) if held else ()
        for number, camera in enumerate(cameras, 1):
            layers[f"from-{number}"] = _from(cloud, camera)
        layers["cloud"] = dotted(cloud.points, cloud.colours, SHOWN.axes, 2 * _PREVIEW)
        return CloudResult(
            cloud,
            tuple(views),
            cameras,
            alone,
            np.stack(kept),
            unsure,
            apart,
            confidence,
            findings,
            layers,
            clock.seconds,
        )

    @torch.inference_mode()
    def _read(self, views: Sequence[View]) -> tuple[Tensor, Tensor, Held | None]:
        """What all pictures say together, (1, condition, embed), and each, (V, condition, embed); what holds clouds."""
        batch = torch.from_numpy(np.stack([as_input(view.picture) for view in views])).to(self.runtime.device)
        with self.runtime.autocast():
            shown = batch[:, None] if self.encoder is None else self.encoder.tokens(batch[:, None])
            single, told = self.model.read(shown)
            together = single if len(views) == 1 else self.model.condition(shown.transpose(0, 1))
        if told is None:
            return together, single, None
        candidates = [[(camera, PRIOR * cost) for camera, cost in likeliest(each, ANSWERS)] for each in told]
        return together, single, Held([[Outline.of(view.picture[..., 3]) for view in views]], [candidates])

    def _second_opinions(
        self,
        found: NDArray[np.float32],
        condition: Tensor,
        single: Tensor,
        held: Held | None,
        seed: int,
        walk: dict[str, Any],
    ) -> tuple[float, tuple[Points, ...], float | None]:
        """How far other noise moves the cloud; what each view gives alone, and how far these are apart."""
        several = len(single) > 1
        asked = torch.cat([condition, single]) if several else condition
        drawn = max(SEEN, self.model.config.coarse)
        others = sampled(
            self.model, asked, drawn, self.runtime,
            clouds=len(asked), steps=OPINION_STEPS, seed=seed + 1, hold=held and held.again(apart=several), **walk,
        )[:, :SEEN, :3].cpu().numpy()  # fmt: skip
        unsure = chamfer(found[:SEEN, :3], others[0])[0]
        alone = tuple(others[1:])
        distances = [chamfer(one, other)[0] for number, one in enumerate(alone) for other in alone[:number]]
        return unsure, alone, max(distances, default=None)

    def _judged(self, views: Sequence[View], unsure: float, apart: float | None) -> tuple[float, tuple[Finding, ...]]:
        findings = []
        for number, view in enumerate(views, 1):
            where = f"Picture {number}: " if len(views) > 1 else ""
            findings += [Finding(f.code, f.severity, where + f.message, f.remedy) for f in view.findings]
        # Half of the confidence is gone where a limit is reached.
        agreed = 0.5 ** (unsure / self.doubt.unsure) ** 2
        if apart is not None:
            agreed = min(agreed, 0.5 ** (apart / self.doubt.apart) ** 2)
        if unsure > self.doubt.unsure:
            findings.append(Finding(
                "cloud.unsure", "warning",
                f"Low confidence: two answers to the same pictures are {unsure:.3f} of the object's length apart",
                "Add pictures from other sides, or try other seeds and take the best",
            ))  # fmt: skip
        if apart is not None and apart > self.doubt.apart:
            findings.append(Finding(
                "cloud.views-disagree", "warning",
                f"Low confidence: these pictures may show different objects; alone they give clouds {apart:.3f} apart",
                "Give pictures of one object only",
            ))  # fmt: skip
        return float(agreed), tuple(findings)


def _check(views: int, points: int, steps: int, sampler: str, guidance: float) -> None:
    if not 1 <= views <= MOST_VIEWS:
        raise InputError("cloud.views", "So many pictures cannot be used", seen=views, remedy=f"1 to {MOST_VIEWS}")
    if not POINTS[0] <= points <= POINTS[1]:
        raise InputError("cloud.points", "A cloud cannot have so many points", seen=points,
                         remedy=f"{POINTS[0]} to {POINTS[1]}")  # fmt: skip
    if not STEPS[0] <= steps <= STEPS[1]:
        raise InputError("cloud.steps", "So many steps cannot be made", seen=steps, remedy=f"{STEPS[0]} to {STEPS[1]}")
    if sampler not in diffusion.SAMPLERS:
        raise InputError("cloud.sampler", "There is no such sampler", seen=sampler,
                         remedy=f"One of {', '.join(diffusion.SAMPLERS)}")  # fmt: skip
    if not 0 <= guidance <= 10:
        raise InputError("cloud.guidance", "Guidance cannot be so strong", seen=guidance, remedy="0 to 10")


def _cloud(found: NDArray[np.float32]) -> Cloud:
    """(N, 9) of the network as a cloud in its frame."""
    places, normals = found[:, :3], found[:, 6:]
    low, high = places.min(0), places.max(0)
    points = (places - (low + high) / 2) / max(float((high - low).max()), 1e-6)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    upward = np.array([0, 1, 0], np.float32)
    normals = np.where(lengths > 1e-6, normals / np.maximum(lengths, 1e-6), upward)
    return Cloud(points.astype(np.float32), _bytes(found[:, 3:6]), normals.astype(np.float32))


def _from(cloud: Cloud, camera: Camera) -> Image:
    """The cloud from where a picture was taken, framed as that picture was cut out."""
    found = seen(cloud.points.astype(np.float64), camera, _PREVIEW)
    return discs(found.places, found.depth, cloud.colours, _PREVIEW)


def _bytes(colours: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
