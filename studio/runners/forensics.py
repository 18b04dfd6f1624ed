"""Which pixels of a picture may have been manipulated, in words that claim no more than the network can know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studio.registry import Call, Product

if TYPE_CHECKING:
    from pipelines.iml_vit.pipeline import Evidence

PIPELINE = "pipelines.iml_vit.pipeline:ImlVitPipeline"
CAUTION = (
    "The network has seen some kinds of edits and not others, and it errs both ways: this is weak evidence, "
    "and nobody should be accused on it alone"
)


def run(call: Call) -> Product:
    """The heat map as a grey picture; its colours over the photograph as the preview."""
    import numpy as np

    from pipelines.iml_vit.drawing import overlaid

    picture = call.inputs["picture"]
    found = call.load(PIPELINE, "iml-vit")(picture, on_step=call.on_step)
    # Below the threshold the marks are what noise leaves, and a box around them would say more than the score does.
    shown = overlaid(picture, found.heat, () if found.suspicious is False else found.regions)
    return Product(
        pixels=np.rint(found.heat * 255).astype(np.uint8),
        preview=shown,
        receipt={"forensics": told(found)},
        layers={"overlay": shown, "mask": found.mask},
    )


def told(found: Evidence) -> dict[str, Any]:
    """JSON-ready: score, its meaning in words, regions, thresholds."""
    regions = [
        {"box": [int(value) for value in (region.box.x, region.box.y, region.box.w, region.box.h)],
         "share": round(region.share, 5), "mean": round(region.mean, 4)}
        for region in found.regions
    ]  # fmt: skip
    return {
        "score": _rounded(found.score),
        "suspicious": found.suspicious,
        "as_high_among_untouched": _rounded(found.as_high),
        "meaning": meaning(found.suspicious, found.as_high),
        "caution": CAUTION,
        "marked_share": round(float(found.mask.mean()), 5),
        "regions": regions,
        "pixel_threshold": round(found.pixel_threshold, 4),
        "image_threshold": _rounded(found.image_threshold),
    }


def meaning(suspicious: bool | None, as_high: float | None) -> str:
    """What a score says, as a sentence without a verdict in it."""
    if suspicious is None or as_high is None:
        return "These weights have no calibrated score: only the map can be looked at"
    often = f"{100 * as_high:.0f} %" if as_high >= 0.01 else "fewer than 1 %"
    if suspicious:
        return f"Weak evidence of manipulation: {often} of untouched pictures score as high"
    return (
        f"No evidence of manipulation was found: {often} of untouched pictures score as high. "
        "That is no proof that nothing was changed"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
