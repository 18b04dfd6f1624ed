"""A building from a sketch, and what is shown before it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from studio import meshes, viewing
from studio.print_settings import BuildingSettings
from studio.registry import Call, Product
from studio.runners.mesh import gate, passport_of, reduced, scaled, told

PIPELINE = "pipelines.vitruvio.pipeline:VitruvioPipeline"
SAME_VIEW = "same view"  # the layer that shows the building as the sketch does


def run(call: Call) -> Product:
    """Build it, scale it to millimetres, and examine it for the printer.

    Raises:
        InputError: ``sketch.*``, ``mesh.*``.
        GateFailed: ``mesh.not-printable`` where printable was asked for.
    """
    from pipelines.mesh.printability import wall_thickness

    settings: BuildingSettings = call.settings
    steps = 1

    def on_step(done: int, total: int, preview: Any = None) -> None:
        nonlocal steps
        steps = total + 1  # one more than the pipeline's own: millimetres and passport
        call.on_step(done, steps, preview)

    made = call.load(PIPELINE, "vitruvio")(
        call.inputs["sketch"],
        view=settings.view,
        variant=settings.variant,
        straighten=settings.straighten,
        detail=settings.detail,
        threshold=settings.threshold,
        seed=call.seed,
        on_step=on_step,
    )
    mesh, missed, changes = reduced(made.mesh, settings.faces)
    printed = meshes.rounded(scaled(mesh, settings))
    passport = passport_of(printed, settings.profile, settings.source)
    if settings.require_printable:
        gate(passport)
    shown = made.layers.get(SAME_VIEW)
    call.on_step(steps, steps, shown)
    return Product(
        mesh=printed,
        title="Building",
        preview=shown,
        receipt={
            "passport": told(passport),
            "confidence": round(float(made.confidence), 4),
            "camera": {
                name: value if isinstance(value, bool) else round(float(value), 3)
                for name, value in asdict(made.camera).items()
            },
            "variants": int(made.variants),
            "changes": [*(change.as_dict() for change in made.changes), *changes],
        },
        findings=(*made.findings, *missed, *passport.findings),
        layers={**made.layers, viewing.LAYER: viewing.pack(printed, wall_thickness(printed))},
        timings=dict(made.timings),
    )


def plan(call: Call) -> Product:
    """What the network will see of the sketch. The picture is the prepared drawing; layers hold the steps to it.

    Raises:
        InputError: ``sketch.*``.
    """
    prepared = call.load(PIPELINE, "vitruvio").prepare(call.inputs["sketch"])
    call.on_step(1, 1, None)
    box = prepared.box
    return Product(
        pixels=prepared.image,
        receipt={
            "box": [round(float(v), 1) for v in (box.x, box.y, box.w, box.h)],
            "roll": round(float(prepared.roll), 2),
        },
        findings=tuple(prepared.findings),
        layers=dict(prepared.layers),
    )
