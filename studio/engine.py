"""The only caller of pipelines: a recipe goes in, a sealed artefact comes out.

draft    files + settings -> recipe, inputs decoded, weights found      (everything that can be wrong is found here)
reopen   recipe -> the same, inputs found by their hash
perform  draft -> product, in memory
execute  draft -> product -> store: one artefact on the disk
"""

from __future__ import annotations

import hashlib
import math
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import Cancelled, WeightsError
from pipelines.core.types import Finding
from studio import __version__, clouds, credentials, media, meshes, recipe, registry, weights
from studio.errors import UsageError
from studio.recipe import InputRef, Recipe
from studio.settings import Settings
from studio.store import Artefact, Store, reference
from studio.targets import Target
from studio.weights import Resolved

if TYPE_CHECKING:
    from pipelines.core.runtime import Runtime


@dataclass(frozen=True)
class Progress:
    """How far the work is.

    Attributes:
        fraction: In [0, 1].
        message: What is being done.
        eta: Seconds left, or None while that is unknown.
        preview: (H, W, 3) uint8 array, or None.
    """

    fraction: float
    message: str
    eta: float | None = None
    preview: Any = None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Draft:
    """A recipe with everything it needs at hand.

    Attributes:
        recipe: The recipe.
        inputs: Slot -> decoded array, mesh or cloud.
        weights: Name -> what was found.
        findings: Of reading the inputs.
        differences: What is not as the recipe says (only after `Engine.reopen`).
    """

    recipe: Recipe
    inputs: Mapping[str, Any]
    weights: Mapping[str, Resolved]
    findings: tuple[Finding, ...] = ()
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A product and what is known about how it was made."""

    product: registry.Product
    receipt: dict[str, Any]
    environment: dict[str, str]


@dataclass
class Engine:
    """Runs recipes. Keep one: loaded pipelines stay warm in it.

    Attributes:
        settings: Device, dtype, limits, workspace.
        own_weights: Name -> a user's folder in place of the known one.
    """

    settings: Settings
    own_weights: Mapping[str, Path] = field(default_factory=dict)
    _warm: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    @property
    def store(self) -> Store:
        """The workspace."""
        return Store(self.settings.home, credentials.place_of(self.settings))

    # -- drafting

    def draft(
        self,
        kind: str,
        files: Mapping[str, str | Path],
        settings: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        keep: bool = True,
    ) -> Draft:
        """Turn files and settings into a recipe. Media come before weights, so that a bad path fails at once.

        Args:
            kind: A row of the registry.
            files: Slot -> path.
            settings: The kind's settings; defaults fill the rest.
            seed: Of every random draw.
            keep: Keep the inputs in the workspace, so that a rerun finds them.

        Raises:
            UsageError, InputError, WeightsError: as the classes say.
            PipelineError: as `runtime` says.
        """
        row = registry.kind(kind)
        registry.check_slots(row, files)
        typed = registry.typed(row, settings or {})
        data = {slot: media.read_bytes(Path(path)) for slot, path in files.items()}
        refs = {slot: reference(blob, Path(files[slot]).name) for slot, blob in data.items()}
        inputs, findings = self._decode(row, data, refs)
        found = self._find_weights(row)
        self.runtime()
        wanted = recipe.parse({
            "kind": kind, "inputs": refs, "settings": typed.model_dump(mode="json"), "seed": seed,
            "weights": {name: part.sha256 for name, part in found.items() if name in row.weights},
        })  # fmt: skip
        if keep:
            for slot, blob in data.items():
                self.store.keep_input(blob, refs[slot].name)
        return Draft(wanted, inputs, found, findings)

    def reopen(self, wanted: Recipe, beside: Path | None = None) -> Draft:
        """Find everything an existing recipe needs.

        Args:
            wanted: From a file or the queue.
            beside: Also look for inputs in this folder.

        Raises:
            UsageError, InputError, WeightsError: as the classes say.
        """
        registry.settings_of(wanted)
        row = registry.kind(wanted.kind)
        data = {slot: self.store.read_input(ref, beside) for slot, ref in wanted.inputs.items()}
        inputs, findings = self._decode(row, data, wanted.inputs)
        found = self._find_weights(row)
        differences = tuple(
            f"weights {name}: {found[name].sha256[:12] if name in found else 'not used here'} instead of {sha256[:12]}"
            for name, sha256 in wanted.weights.items()
            if name not in found or found[name].sha256 != sha256
        )
        return Draft(wanted, inputs, found, findings, differences)

    def _decode(
        self, row: registry.Kind, data: Mapping[str, bytes], refs: Mapping[str, InputRef]
    ) -> tuple[dict[str, Any], tuple[Finding, ...]]:
        inputs: dict[str, Any] = {}
        findings: list[Finding] = []
        limit = self.settings.max_megapixels
        for slot in sorted(row.slots, key=lambda slot: slot.role == "mask"):  # a mask needs its photo's size
            if slot.name not in data:
                continue
            name = refs[slot.name].name
            if slot.role == "mask":
                size = inputs["person"].shape[:2]
                inputs[slot.name] = media.decode_mask(data[slot.name], name, size, max_megapixels=limit)
            elif slot.role == "mesh":
                inputs[slot.name] = meshes.decode(data[slot.name], name)
            elif slot.role == "cloud":
                inputs[slot.name] = clouds.decode(data[slot.name], name)
            elif slot.role == "sketch" and media.is_svg(data[slot.name], name):
                from pipelines.vitruvio.sketch import from_svg

                inputs[slot.name] = from_svg(data[slot.name])
            else:
                view = slot.role == "view"
                inputs[slot.name], info = media.decode(data[slot.name], name, max_megapixels=limit, keep_alpha=view)
                findings += info.findings
        return inputs, tuple(findings)

    def _find_weights(self, row: registry.Kind) -> dict[str, Resolved]:
        weights.use_workspace(self.settings.home)
        unknown = set(self.own_weights) - set(row.own)
        if unknown:
            raise UsageError(
                "weights.not-used",
                f"These weights cannot be replaced in {row.name}",
                seen=", ".join(sorted(unknown)),
                remedy=f"These can: {', '.join(row.own) or 'none'}",
            )
        return {name: weights.resolve(name, self.own_weights.get(name)) for name in (*row.weights, *row.judges)}

    # -- running

    def perform(
        self, draft: Draft, *, on_progress: OnProgress | None = None, cancelled: Callable[[], bool] = lambda: False
    ) -> Outcome:
        """Run a draft in memory.

        Args:
            draft: From `draft` or `reopen`.
            on_progress: Called between steps.
            cancelled: Asked between steps; True stops the work.

        Raises:
            Cancelled: When ``cancelled`` said so.
            PipelineError: Whatever the pipeline raises, and as `runtime` says.
        """
        self.runtime()
        row = registry.kind(draft.recipe.kind)
        started = time.monotonic()
        tell = on_progress or (lambda progress: None)
        tell(Progress(0.0, "loading"))
        loading = [0.0]

        def load(path: str, name: str) -> Any:
            before = time.monotonic()
            pipeline = self._load(path, draft.weights[name])
            loading[0] += time.monotonic() - before
            return pipeline

        def on_step(done: int, total: int, preview: Any = None) -> None:
            if cancelled():
                raise Cancelled
            fraction = min(1.0, done / max(1, total))
            spent = time.monotonic() - started - loading[0]
            eta = spent * (1 - fraction) / fraction if fraction > 0 else None
            tell(Progress(fraction, f"step {done} of {total}", eta, preview))

        if cancelled():
            raise Cancelled
        call = registry.Call(draft.inputs, registry.settings_of(draft.recipe), draft.recipe.seed, load, on_step)
        product = row.run(call)
        if cancelled():
            raise Cancelled
        total = time.monotonic() - started
        tell(Progress(1.0, "writing", 0.0))
        return Outcome(product, self._receipt(draft, product, total, loading[0]), self.environment())

    def execute(
        self,
        draft: Draft,
        target: Target,
        *,
        on_progress: OnProgress | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Artefact:
        """Run a draft and write the result; the target is tried before any work is done."""
        return self.execute_all(draft, (target,), on_progress=on_progress, cancelled=cancelled)[0]

    def execute_all(
        self,
        draft: Draft,
        targets: Sequence[Target],
        *,
        on_progress: OnProgress | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[Artefact]:
        """Run a draft once and write the result to each target, one format after the other."""
        for target in targets:
            self.store.check(target)
        outcome = self.perform(draft, on_progress=on_progress, cancelled=cancelled)
        made = (outcome.product, draft.recipe, outcome.receipt, outcome.environment)
        return [self.store.write(*made, target) for target in targets]

    def _load(self, path: str, found: Resolved) -> Any:
        key = (path, str(found.folder))
        if key not in self._warm:
            module, name = path.split(":")
            kind = getattr(import_module(module), name)
            try:
                self._warm[key] = kind.from_pretrained(
                    found.folder, device=self.settings.device, dtype=self.settings.dtype
                )
            except (TypeError, KeyError, ValueError, AttributeError) as error:
                if found.weights.tier != "own":
                    raise  # what we ship ourselves has to fit: this is a bug
                raise WeightsError(
                    "weights.mismatch",
                    "The configuration of these weights does not fit this pipeline",
                    seen=f"{found.folder}: {error!r}"[:200],
                    remedy="Name a folder that `studio train` or save_pretrained wrote for this system",
                ) from error
        return self._warm[key]

    def runtime(self) -> Runtime:
        """Device and dtype of the settings.

        Raises:
            PipelineError: ``runtime.device`` or ``runtime.dtype`` if this computer has no such thing.
        """
        from pipelines.core import runtime

        return runtime.choose(self.settings.device, self.settings.dtype)

    def environment(self) -> dict[str, str]:
        """What must be equal for two runs to be bit-identical."""
        from importlib.metadata import version

        from pipelines.core import runtime

        return {
            **runtime.describe(self.runtime()),
            "studio": __version__,
            "code": _code_sha256()[:16],
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            **{name: version(name) for name in ("numpy", "pillow")},
            "opencv": import_module("cv2").__version__,
        }

    def _receipt(self, draft: Draft, product: registry.Product, total: float, loading: float) -> dict[str, Any]:
        parts = [found.receipt() for found in draft.weights.values()]
        findings = [finding.as_dict() for finding in (*draft.findings, *product.findings)]
        timings = {name: round(seconds, 4) for name, seconds in product.timings.items() if math.isfinite(seconds)}
        return {
            "seed": draft.recipe.seed,
            "tier": _first(("own", "starter", "official"), [part["tier"] for part in parts]),
            "commercial": _first(("no", "unclear", "yes"), [part["commercial"] for part in parts]),
            "weights": parts,
            "findings": findings[:30],
            "timings": {**timings, "loading": round(loading, 4), "total": round(total, 4)},
            "peak_rss_mb": _peak_rss_mb(),
        }


@cache
def _code_sha256() -> str:
    """Hash of the pipelines' source as this process found it: a version number does not know of local changes."""
    import pipelines

    digest = hashlib.sha256()
    root = Path(pipelines.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _first(order: tuple[str, ...], values: list[str]) -> str | None:
    """The value that limits the whole: the first of ``order`` that occurs; None where there are no weights."""
    return next((name for name in order if name in values), None)


def _peak_rss_mb() -> int | None:
    """Most memory this process ever held, in MB; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20) if sys.platform == "darwin" else peak / 1024)
