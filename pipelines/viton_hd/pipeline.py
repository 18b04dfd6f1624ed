"""Image try-on: a photo of a person and a photo of a garment in, the dressed person out, same size, rest untouched.

The steps, in order: find the person, parse, find joints, cut the garment out, fit it to the body, plan where it lies
and what may change (cover.py), predict the dressed person's parse (SegGenerator), fill what comes to light, lay the
garment's own pixels over it in the light of the photograph and of ALIASGenerator, paste back. The last step copies
every pixel outside the declared mask from the input.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.core import checkpoint, hub, runtime
from pipelines.core.clock import Clock
from pipelines.core.errors import InputError, WeightsError
from pipelines.core.types import Finding, Image, Mask, OnStep, Pose, report
from pipelines.person import masks
from pipelines.person.garment.pipeline import GarmentCut, GarmentPipeline
from pipelines.person.pipeline import Person, PersonPipeline
from pipelines.viton_hd import conditioning, flow, surface
from pipelines.viton_hd.conditioning import TO_PARSE13, UPPER13, Conditions, first_fill
from pipelines.viton_hd.fitting import Fitted, fit_window, working_frame
from pipelines.viton_hd.frame import Frame, pasted
from pipelines.viton_hd.inference import accelerate
from pipelines.viton_hd.network import (
    AliasConfig,
    ALIASGenerator,
    SegConfig,
    SegGenerator,
    seeded_noise,
)
from pipelines.viton_hd.planes import widened
from pipelines.viton_hd.published import published_sample
from pipelines.viton_hd.warping import GMM, GmmConfig
from pipelines.vitpose.drawing import overlay, pose_map

CATEGORIES = ("upper",)
PROTECT = ("hair", "face", "hands")
STEPS = ("find the person", "read the garment", "fit the garment", "arrange", "mark the mask", "paint", "paste back")
SHADE = 0.5  # share of the generator's shading: at full strength it smudges plain cloth
SKIN_SHADOW = np.array([0.85, 1.1, 1.2], np.float32)  # skin in shadow is redder
FEATHER = 1 / 1100  # of the window's height; a photograph's own edges are about as soft


@dataclass(frozen=True)
class Preparation:
    """What is known before anything is painted, for the user to check.

    Attributes:
        person: Parsing, layout and pose at the picture's size.
        frame: The window that is worked on.
        mask: (H, W) uint8 declared edit mask at the picture's size, feather included.
        garment: The cut-out garment, or None when none was given.
        warped: (H, W, 3) uint8 the person with the fitted garment laid on, unpainted; None without garment.
        cover: (H, W) bool, where the fitted garment lies; None without garment.
        findings: What a shopper should know before waiting.
    """

    person: Person
    frame: Frame
    mask: Mask
    garment: GarmentCut | None
    warped: Image | None
    cover: NDArray[np.bool_] | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class TryOnResult:
    """A finished try-on.

    Attributes:
        image: (H, W, 3) uint8, same size as the person's photo; equal to it wherever `mask` is 0.
        mask: (H, W) uint8, the declared edit mask, feather included.
        frame: The window that was worked on.
        layers: Named pictures of the steps between, (H, W, 3) uint8.
        findings: Warnings and notes.
        garment: The cut-out garment.
        pose: The person's keypoints.
        timings: Seconds by step.
    """

    image: Image
    mask: Mask
    frame: Frame
    layers: dict[str, Image]
    findings: tuple[Finding, ...]
    garment: GarmentCut
    pose: Pose
    timings: dict[str, float] = field(default_factory=dict)


class VitonHDPipeline:
    """VITON-HD with its person and garment understanding."""

    def __init__(
        self,
        person: PersonPipeline,
        garment: GarmentPipeline,
        seg: SegGenerator,
        alias: ALIASGenerator,
        where: runtime.Runtime,
        gmm: GMM | None = None,
        tier: str = "starter",
    ) -> None:
        self.person, self.garment, self.runtime, self.tier = person, garment, where, tier
        self.networks = {"seg": seg.eval(), "alias": alias.eval()} | ({"gmm": gmm.eval()} if gmm is not None else {})
        self.seg, self.alias = (accelerate(net.to(where.device), where.dtype) for net in (seg, alias))
        self.gmm = accelerate(gmm.to(where.device), where.dtype) if gmm is not None else None
        self.size = (alias.config.load_height, alias.config.load_width)

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "viton-hd", *, device: str = "auto", dtype: str = "auto"
    ) -> VitonHDPipeline:
        """Load a folder with `model_index.json` and one folder per component.

        Raises:
            WeightsError: if a component is missing or does not fit.
        """
        folder = hub.resolve(name)
        index_file = folder / "model_index.json"
        if not index_file.is_file():
            raise WeightsError("weights.missing", "This folder holds no model_index.json", seen=folder)
        index = json.loads(index_file.read_text(encoding="utf-8"))
        where = runtime.choose(device, dtype)
        seg = SegGenerator(SegConfig(**checkpoint.read_config(folder / "seg")))
        alias = ALIASGenerator(AliasConfig(**checkpoint.read_config(folder / "alias")))
        checkpoint.load_component(folder / "seg", seg)
        checkpoint.load_component(folder / "alias", alias)
        gmm = None
        if "gmm" in index:
            gmm = GMM(GmmConfig(**checkpoint.read_config(folder / "gmm")))
            checkpoint.load_component(folder / "gmm", gmm)
        person = PersonPipeline.from_pretrained(index["parsing"], index["pose"], device=device, dtype=dtype)
        garment = GarmentPipeline.from_pretrained(hub.resolve(index["garment"]), device=device, dtype=dtype)
        return cls(person, garment, seg, alias, where, gmm, index.get("tier", "official"))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model_index.json and the VITON-HD components; pose, parsing and garment are named, not copied."""
        folder = Path(folder)
        index: dict[str, Any] = {"_class_name": type(self).__name__, "tier": self.tier}
        index |= {name: name for name in ("parsing", "pose", "garment")}
        for name, network in self.networks.items():
            checkpoint.save_component(folder / name, network, asdict(network.config))
            index[name] = [type(network).__module__, type(network).__name__]
        (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")

    def prepare(
        self,
        person: Image,
        garment: Image | GarmentCut | None = None,
        *,
        category: str = "upper",
        mask: Mask | None = None,
        person_index: int = 0,
        protect: tuple[str, ...] = PROTECT,
        on_step: OnStep | None = None,
    ) -> Preparation:
        """Everything that can be shown before painting: person, mask, fitted garment, warnings.

        Args:
            person: (H, W, 3) uint8 RGB.
            garment: (h, w, 3) uint8 RGB, or a garment cut out already, or None to see the mask for any garment.
            category: ``upper``.
            mask: (H, W) uint8 edit mask drawn by the user, instead of the automatic one.
            person_index: Which person, 0 is the largest.
            protect: What stays in front of the garment: ``hair``, ``face``, ``hands``.
            on_step: Progress.

        Raises:
            InputError: no person, no garment, mask of another size, unknown category, or ``fit.implausible`` if the
                cut-out covers too little of what is worn.
        """
        _check(person, mask, category, protect)
        seen = self.person(person, person_index)
        report(on_step, 1, 3)
        frame = self._frame(seen, category)
        cut = self.garment(garment) if isinstance(garment, np.ndarray) else garment
        report(on_step, 2, 3)
        fitted = fit_window(
            person, seen, frame, cut, self.size, category=category, mask=mask, protect=protect,
            published=self.gmm is not None,
        )  # fmt: skip
        declared, _ = self._declare(fitted, frame, person.shape[:2], mask)
        warped = cover = None
        if fitted.plan is not None:
            alpha = (_soft(fitted.plan.cloth) * (1 - fitted.kept))[..., None]
            laid = np.asarray(fitted.work * (1 - alpha) + 255 * fitted.cloth_work * alpha, np.float32)
            warped, soft = pasted(person, laid, frame, 255 * alpha[..., 0])
            cover = soft > 127
        notes = [*seen.findings, *(cut.findings if cut else ()), *fitted.findings]
        findings = [*notes, *masks.lint(declared, seen.layout, category)]
        report(on_step, 3, 3)
        return Preparation(seen, frame, declared, cut, warped, cover, tuple(findings))

    def __call__(
        self,
        person: Image,
        garment: Image,
        *,
        category: str = "upper",
        mask: Mask | None = None,
        person_index: int = 0,
        seed: int = 0,
        protect: tuple[str, ...] = PROTECT,
        on_step: OnStep | None = None,
    ) -> TryOnResult:
        """Dress the person.

        Args:
            person: (H, W, 3) uint8 RGB.
            garment: (h, w, 3) uint8 RGB product photo.
            category: ``upper``.
            mask: (H, W) uint8 edit mask, instead of the automatic one.
            person_index: Which person, 0 is the largest.
            seed: Seed of the noise maps.
            protect: What stays in front of the garment.
            on_step: Called after each of `STEPS`; may raise ``Cancelled``.

        Raises:
            InputError: no person, no garment, mask of another size, unknown category, or ``fit.implausible`` if the
                cut-out covers too little of what is worn.
        """
        _check(person, mask, category, protect)
        clock = Clock(on_step, len(STEPS))
        seen = self.person(person, person_index)
        clock.tick("person")
        frame = self._frame(seen, category)
        cut = self.garment(garment)
        clock.tick("garment")
        fitted = fit_window(
            person, seen, frame, cut, self.size, category=category, mask=mask, protect=protect,
            published=self.gmm is not None,
        )  # fmt: skip
        clock.tick("fit")
        wanted = self.arrange(fitted, seed)
        clock.tick("arrange")
        declared, soft = self._declare(fitted, frame, person.shape[:2], mask)
        findings = [*seen.findings, *cut.findings, *fitted.findings, *masks.lint(declared, seen.layout, category)]
        clock.tick("mask")
        painted = self.paint(fitted, wanted, seed) if self.gmm is None else self.published(fitted, cut, seed)
        clock.tick("paint")
        image, _ = pasted(person, painted, frame, soft)
        image = np.where(declared[..., None] > 0, image, person)
        clock.tick("paste")
        laid = fitted.alpha_work[..., None] * fitted.cloth_work + (1 - fitted.alpha_work[..., None])
        layers = {
            "pose": overlay(person, seen.pose),
            "fitted garment": (255 * laid).astype(np.uint8),
            "mask": np.where(declared[..., None] > 0, (0.5 * person + [127, 0, 60]).astype(np.uint8), person),
        }
        return TryOnResult(image, declared, frame, layers, tuple(findings), cut, seen.pose, clock.seconds)

    def _frame(self, seen: Person, category: str) -> Frame:
        """The window; the published networks know one size only."""
        frame = working_frame(seen, category)
        return frame if self.gmm is None else replace(frame, size=self.size)

    def _declare(
        self, fitted: Fitted, frame: Frame, shape: tuple[int, int], mask: Mask | None
    ) -> tuple[Mask, NDArray[np.float32]]:
        """The declared mask at the picture's size, and the same at working size as float32 in [0, 255]."""
        if mask is not None:
            soft = frame.take(mask).astype(np.float32) * (1 - fitted.kept)
        elif fitted.plan is None or self.gmm is not None:
            soft = 255 * _soft(fitted.edit_work) * (1 - fitted.kept)
        else:  # the painting is blended already; only what it leaves alone is not declared
            soft = 255 * np.clip(8 * np.maximum(_soft(fitted.plan.cloth), _soft(fitted.plan.fill)), 0, 1)
            soft *= np.clip(8 * (1 - fitted.kept), 0, 1)
        soft = np.asarray(soft, np.float32)
        soft[soft < 2] = 0
        declared = pasted(np.zeros((*shape, 3), np.uint8), soft[..., None].repeat(3, 2), frame, soft)[1]
        if mask is not None:
            declared = np.minimum(declared, mask)
        return declared, soft

    def _conditions(self, fitted: Fitted, wanted: NDArray[np.int64] | None = None) -> Conditions:
        """Network inputs; ``wanted`` is what the first fill goes by."""
        device = self.runtime.device

        def planes(picture: NDArray[Any]) -> torch.Tensor:
            flat = np.asarray(picture, np.float32)
            flat = flat[..., None] if flat.ndim == 2 else flat
            return torch.from_numpy(np.ascontiguousarray(flat.transpose(2, 0, 1)))[None].to(device)

        image = fitted.small_image.astype(np.float32) / np.float32(255)
        known = TO_PARSE13[fitted.small_layout].astype(np.int64)
        base = image if wanted is None else first_fill(image, fitted.edit, wanted, sigma=2.5)
        return Conditions(
            image=planes(image),
            edit=planes(fitted.edit),
            parse=torch.from_numpy(known)[None].to(device),
            pose=planes(pose_map(fitted.small_pose, self.size) / 255),
            cloth=planes(fitted.cloth * fitted.cloth_mask[..., None]),
            cloth_mask=planes(fitted.cloth_mask),
            base=planes(base),
        )

    @torch.inference_mode()
    def arrange(self, fitted: Fitted, seed: int) -> NDArray[np.int64]:
        """Predict which part stands where on the dressed person: (h, w) int64, 13 classes."""
        known = TO_PARSE13[fitted.small_layout].astype(np.int64)
        if self.gmm is not None:
            return known  # the published flow predicts its own
        c = self._conditions(fitted)
        generator = torch.Generator().manual_seed(seed)
        noise = (torch.rand(c.edit.shape, generator=generator) < 0.159).float().to(c.edit.device)
        planes = self.seg(conditioning.seg_input(c, noise))[0].float().cpu().numpy()
        planes = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.0) for plane in planes])
        # What was bare or background stays so unless cloth comes to lie on it; only the old garment's place is open.
        uncovered = fitted.edit & (known == UPPER13)
        wanted = np.where(uncovered, planes.argmax(0), known)
        if fitted.plan is not None:  # an old sleeve that the new one does not reach hides an arm
            arms = cv2.resize(fitted.plan.skin, self.size[::-1], interpolation=cv2.INTER_NEAREST)
            wanted[uncovered & (arms > 0)] = arms[uncovered & (arms > 0)]
        wanted[uncovered & (wanted == UPPER13)] = 0  # where no cloth lies there is no garment
        wanted[fitted.cloth_mask] = UPPER13
        return wanted

    @torch.inference_mode()
    def paint(self, fitted: Fitted, wanted: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
        """Paint the window: (h, w, 3) float32 in [0, 255] at working size."""
        c = self._conditions(fitted, wanted)
        target = torch.from_numpy(wanted)[None].to(self.runtime.device)
        x, labels, divided, misalign = conditioning.alias_inputs(c, target)
        out = self.alias(x, labels, divided, misalign, seeded_noise(seed))[0].float().permute(1, 2, 0).cpu().numpy()
        shading = conditioning.SHADING * np.tanh(out[..., 4])
        height, width = fitted.work.shape[:2]

        def up(plane: NDArray[Any]) -> NDArray[np.float32]:
            flat = np.ascontiguousarray(plane, np.float32)
            return np.asarray(cv2.resize(flat, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)

        painted = np.clip(self._fill(fitted, wanted), 0, 1)
        photo, free = fitted.work.astype(np.float32) / np.float32(255), 1 - fitted.kept
        if fitted.plan is None:
            return np.asarray(255 * painted, np.float32)
        shaded = np.clip(fitted.cloth_work * np.exp(SHADE * up(shading) + fitted.folds)[..., None], 0, 1)
        fill, cloth = ((_soft(plane) * free)[..., None] for plane in (fitted.plan.fill, fitted.plan.cloth))
        behind = fill * painted + (1 - fill) * photo
        return np.asarray(255 * (cloth * shaded + (1 - cloth) * behind), np.float32)

    def _fill(self, fitted: Fitted, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        """What comes to light where the old garment goes, at working size."""
        height, width = fitted.work.shape[:2]
        region = fitted.edit_work if fitted.plan is None else widened(fitted.plan.fill, height / 150)
        known = TO_PARSE13[fitted.layout]
        worn = np.isin(fitted.layout, masks.WORN["upper"])
        sources: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        shares: dict[tuple[int, ...], NDArray[np.float32]] = {}
        for kind in conditioning.FILLS:
            share = cv2.GaussianBlur(np.isin(wanted, kind).astype(np.float32), (0, 0), 1.0)
            large = np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
            shares[kind] = np.clip(large, 0, 1)
            sources[kind] = np.isin(known, kind) & ~region & ~worn
        if fitted.plan is not None:  # arms are known more finely than the network's parse
            skin = (fitted.plan.skin > 0).astype(np.float32)
            arm = np.asarray(cv2.GaussianBlur(skin, (0, 0), max(1.0, height / 300)), np.float32)
            shares = {kind: arm if kind == conditioning.SKIN else share * (1 - arm) for kind, share in shares.items()}
            others = sum(share for kind, share in shares.items() if kind != conditioning.FILLS[0])
            shares[conditioning.FILLS[0]] = np.clip(1 - others, 0, 1)  # what is nothing else is background
        picture = surface.filled(
            fitted.work.astype(np.float32) / np.float32(255), region, sources, shares, 2.0 * height / self.size[0]
        )
        if fitted.plan is None:
            return picture
        return np.asarray(picture * fitted.plan.roundness[..., None] ** SKIN_SHADOW, np.float32)

    @torch.inference_mode()
    def published(self, fitted: Fitted, cut: GarmentCut, seed: int) -> NDArray[np.float32]:
        """The published flow on the window: parse, thin-plate warp, synthesis; (h, w, 3) float32 in [0, 255]."""
        if self.gmm is None:
            raise WeightsError("weights.no-gmm", "These weights hold no GMM", remedy="Use the official weights")
        inputs = flow.to_inputs([published_sample(fitted, cut, self.size)], self.runtime.device)
        steps = flow.run(inputs, self.seg, self.gmm, self.alias, seed=seed)
        return flow.to_pictures(steps.output)[0].astype(np.float32)


def _soft(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A mask with a soft outline, (h, w) float32 in [0, 1]."""
    radius = max(0.7, FEATHER * mask.shape[0])
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), radius), np.float32)


def _check(person: Image, mask: Mask | None, category: str, protect: tuple[str, ...]) -> None:
    if category not in CATEGORIES:
        raise InputError(
            "tryon.category",
            "These weights cannot dress this category",
            seen=category,
            remedy=f"Choose one of: {', '.join(CATEGORIES)}",
        )
    if unknown := set(protect) - set(PROTECT):
        raise InputError(
            "tryon.protect", "Unknown part to protect", seen=", ".join(sorted(unknown)), remedy=f"Use {PROTECT}"
        )
    if mask is not None and mask.shape != person.shape[:2]:
        raise InputError(
            "mask.size",
            "The mask must be as large as the person's photo",
            seen=f"mask {mask.shape[1]}x{mask.shape[0]}, photo {person.shape[1]}x{person.shape[0]}",
            remedy="Save the mask at the photo's size",
        )
    if mask is not None and not mask.any():
        raise InputError("mask.empty", "The mask marks no pixel", remedy="Draw where the garment may change the photo")
