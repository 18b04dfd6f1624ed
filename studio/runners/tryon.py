"""Image try-on and the mask that comes before it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from studio.registry import Call, Edit, Product
from studio.runners import forensics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PIPELINE = "pipelines.viton_hd.pipeline:VitonHDPipeline"


def run(call: Call) -> Product:
    """Dress the person, and let the studio's own detector look at the result."""
    steps = 1

    def on_step(done: int, total: int, preview: Any = None) -> None:
        nonlocal steps
        steps = total + 1  # one more than the pipeline's own: the detector
        call.on_step(done, steps, preview)

    result = call.load(PIPELINE, "viton-hd")(
        call.inputs["person"],
        call.inputs["garment"],
        category=call.settings.category,
        mask=call.inputs.get("mask"),
        person_index=call.settings.person_index,
        seed=call.seed,
        protect=call.settings.protect,
        on_step=on_step,
    )
    detector = call.load(forensics.PIPELINE, "iml-vit")
    started = time.perf_counter()
    found = detector(result.image, on_step=lambda done, total, preview=None: call.on_step(steps - 1, steps, None))
    call.on_step(steps, steps, None)
    return Product(
        pixels=result.image,
        edit=Edit(call.inputs["person"], result.mask),
        receipt={"closed_loop": closed_loop(found.mask, result.mask > 0, found.score)},
        findings=tuple(result.findings),
        layers={**result.layers, "mask": result.mask},
        timings={**result.timings, "detect": time.perf_counter() - started},
    )


def closed_loop(detected: NDArray[np.bool_], declared: NDArray[np.bool_], score: float | None) -> dict[str, Any]:
    """How far what the detector finds agrees with what the receipt declares: honesty for us, a test for the detector.

    Args:
        detected: (H, W) bool, what the detector marks in the result.
        declared: (H, W) bool, what was allowed to change.
        score: Of the whole picture.
    """
    both, marked, allowed = (int(area.sum()) for area in (detected & declared, detected, declared))
    return {
        "detected_share": round(marked / detected.size, 5),
        "declared_share": round(allowed / declared.size, 5),
        "detected_inside_declared": round(both / marked, 4) if marked else None,
        "declared_found": round(both / allowed, 4) if allowed else None,
        "iou": round(both / max(1, marked + allowed - both), 4),
        "score": None if score is None else round(score, 4),
    }


def plan(call: Call) -> Product:
    """Everything that can be shown before generation. The picture is the mask; layers hold the rest."""
    from pipelines.person.masks import garment_mask

    image = call.inputs["person"]
    prepared = call.load(PIPELINE, "viton-hd").prepare(
        image,
        call.inputs.get("garment"),
        category=call.settings.category,
        person_index=call.settings.person_index,
        protect=call.settings.protect,
        on_step=call.on_step,
    )
    seen = prepared.person
    _, protected = garment_mask(seen.layout, seen.pose, call.settings.category)
    layers = {"protected": protected, **({} if prepared.warped is None else {"warped": prepared.warped})}
    return Product(
        pixels=prepared.mask,
        receipt={"people": [[round(float(v), 1) for v in (box.x, box.y, box.w, box.h)] for box in seen.boxes]},
        findings=tuple(prepared.findings),
        layers=layers,
    )
