"""Image try-on and the mask that comes before it."""

from __future__ import annotations

from studio.registry import Call, Edit, Product

PIPELINE = "pipelines.viton_hd.pipeline:VitonHDPipeline"


def run(call: Call) -> Product:
    """Dress the person."""
    result = call.load(PIPELINE, "viton-hd")(
        call.inputs["person"],
        call.inputs["garment"],
        category=call.settings.category,
        mask=call.inputs.get("mask"),
        person_index=call.settings.person_index,
        seed=call.seed,
        protect=call.settings.protect,
        on_step=call.on_step,
    )
    return Product(
        pixels=result.image,
        edit=Edit(call.inputs["person"], result.mask),
        findings=tuple(result.findings),
        layers={**result.layers, "mask": result.mask},
        timings=dict(result.timings),
    )


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
