"""A point cloud from pictures, what is cut out of them before, and a solid of a cloud."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Cloud, Mesh
from studio import meshes, viewing
from studio.errors import GateFailed
from studio.print_settings import SurfaceSettings
from studio.registry import Call, CloudSettings, Product
from studio.runners.mesh import gate, passport_of, reduced, scaled, told

PIPELINE = "pipelines.diffpoint.pipeline:DiffPointPipeline"


def run(call: Call) -> Product:
    """The cloud; its steps and what each picture alone gives are kept for the viewer.

    Raises:
        InputError: ``object.*``.
    """
    settings: CloudSettings = call.settings
    made = call.load(PIPELINE, "diffpoint")(
        list(call.inputs.values()),
        points=settings.points,
        steps=settings.steps,
        sampler=settings.sampler,
        guidance=settings.guidance,
        seed=call.seed,
        on_step=call.on_step,
    )
    cloud = _on_the_ground(made.cloud)
    # Of a small cloud more points were drawn than it has; the viewer colours steps like the cloud, point by point.
    few = min(len(cloud.points), made.steps.shape[1])
    view = viewing.pack_cloud(made.cloud, made.steps[:, :few], tuple(each[:few] for each in made.alone))
    return Product(
        cloud=cloud,
        preview=made.layers["cloud"],
        receipt={
            "cloud": {
                "points": len(cloud.points),
                "pictures": len(made.views),
                "confidence": round(made.confidence, 4),
                "unsure": round(made.unsure, 5),
                "apart": None if made.apart is None else round(made.apart, 5),
                "cameras": [
                    {"azimuth": round(each.azimuth, 1), "elevation": round(each.elevation, 1)} for each in made.cameras
                ],
            }
        },
        findings=made.findings,
        layers={**made.layers, viewing.LAYER: view},
        timings=dict(made.timings),
    )


def _on_the_ground(cloud: Cloud) -> Cloud:
    """From the network's frame (y up, middle at the origin) to that of files: z up, base on z = 0."""
    points, normals = _turned(cloud.points), None if cloud.normals is None else _turned(cloud.normals)
    points[:, 2] -= points[:, 2].min()
    return replace(cloud, points=points, normals=normals)


def _turned(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    from pipelines.mesh.topology import z_up

    return z_up(vectors.astype(np.float64)).astype(np.float32)


def plan(call: Call) -> Product:
    """What is cut out of a picture, on grey, as the network will see it.

    Raises:
        InputError: ``object.*``.
    """
    view = call.load(PIPELINE, "diffpoint").prepare(call.inputs["view"])
    call.on_step(1, 1, None)
    box = view.box
    return Product(
        pixels=view.on_grey,
        receipt={"box": [round(float(value), 1) for value in (box.x, box.y, box.w, box.h)]},
        findings=view.findings,
        layers={"mask": view.mask},
    )


def surface(call: Call) -> Product:
    """A closed solid of a cloud, in millimetres and examined for the printer.

    Raises:
        InputError: ``surface.*``.
        GateFailed: ``mesh.not-printable`` where printable was asked for; ``mesh.not-closed`` if rounding to the digits
            of the file opened it.
    """
    from pipelines.mesh import surface as surfaces
    from pipelines.mesh.printability import wall_thickness
    from pipelines.mesh.topology import y_up

    settings: SurfaceSettings = call.settings
    call.on_step(0, 3, None)
    made = surfaces.surface(call.inputs["cloud"], method=settings.method)
    call.on_step(1, 3, None)
    mesh, missed, changes = reduced(made.mesh, settings.faces)
    printed = meshes.rounded(scaled(Mesh(y_up(mesh.vertices), mesh.faces), settings))
    call.on_step(2, 3, None)
    passport = passport_of(printed, settings.profile, settings.source)
    if not passport.manifold:
        raise GateFailed(
            "mesh.not-closed", "The solid does not stay closed with the digits of a file, and nothing was written",
            seen=f"{passport.open_edges} open, {passport.crowded_edges} crowded and {passport.reversed_edges} reversed "
            "edges",
            remedy="Try the other method, or another number of points",
        )  # fmt: skip
    if settings.require_printable:
        gate(passport)
    call.on_step(3, 3, None)
    return Product(
        mesh=printed,
        title="Surface",
        preview=meshes.look(printed, 512),
        receipt={
            "passport": told(passport),
            "surface": {"method": made.method, "strays": made.strays, "mean_distance": round(made.off, 5)},
            "changes": [*(change.as_dict() for change in made.changes), *changes],
        },
        findings=(*made.findings, *missed, *passport.findings),
        layers={viewing.LAYER: viewing.pack(printed, wall_thickness(printed))},
    )
