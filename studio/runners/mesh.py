"""Print passports and repairs of meshes."""

from __future__ import annotations

from typing import Any

from pipelines.core.types import Finding, Mesh
from studio import meshes
from studio.errors import GateFailed
from studio.print_settings import SizedSettings
from studio.registry import Call, Product

SHELLS_TOLD = 20  # of a passport in a receipt; a soup of thousands would not fit into a file's metadata


def passport_of(mesh: Mesh, profile: str, scale_source: str) -> Any:
    """The `pipelines.mesh.printability.Passport` of a mesh for a printer known by name."""
    from pipelines.mesh.printability import PROFILES, passport

    return passport(mesh, PROFILES[profile], printer=profile, scale_source=scale_source)


def told(passport: Any) -> dict[str, Any]:
    """A passport as JSON, with the largest of its shells only."""
    fields = passport.as_dict()
    return {**fields, "shells": fields["shells"][:SHELLS_TOLD]}


def reduced(mesh: Mesh, faces: int | None) -> tuple[Mesh, tuple[Finding, ...], list[dict[str, Any]]]:
    """The mesh with at most so many triangles, whether that could not be reached, and what was done."""
    if faces is None:
        return mesh, (), []
    from pipelines.mesh.reduce import reduce_faces

    done = reduce_faces(mesh, faces)
    missed = tuple(
        Finding(
            "mesh.faces-missed", "warning", f"The number of triangles was not reached: {change.message}", "Ask for more"
        )
        for change in done.changes
        if not change.complete
    )
    return done.mesh, missed, [change.as_dict() for change in done.changes]


def scaled(mesh: Mesh, settings: SizedSettings) -> Mesh:
    """A y-up mesh in millimetres on the bed, as large as was asked for."""
    from pipelines.mesh.scale import to_print

    if settings.scale is None:
        return to_print(mesh, longest=settings.longest_mm, height=settings.height_mm)
    height = float(mesh.vertices[:, 1].max() - mesh.vertices[:, 1].min())
    return to_print(mesh, ratio=settings.scale, metres_per_unit=float(settings.real_height_m or 0) / height)


def gate(passport: Any) -> None:
    """Refuse what is not printable.

    Raises:
        GateFailed: ``mesh.not-printable``, with every error of the passport.
    """
    wrong = [finding for finding in passport.findings if finding.severity == "error"]
    if wrong:
        raise GateFailed(
            "mesh.not-printable",
            "This mesh is not printable, and nothing was written",
            seen="; ".join(finding.message for finding in wrong),
            remedy="; ".join(dict.fromkeys(finding.remedy for finding in wrong if finding.remedy)),
        )


def examine(call: Call) -> Product:
    """The passport of a mesh, in the unit and frame that its file has."""
    from pipelines.mesh.scale import on_the_bed

    found = passport_of(on_the_bed(call.inputs["mesh"]), call.settings.profile, "as the file has it")
    call.on_step(1, 1, None)
    return Product(document=told(found), findings=found.findings)


def repair(call: Call) -> Product:
    """A mesh after named repairs, on the bed.

    Raises:
        GateFailed: ``mesh.not-closed`` if the repairs cannot close it; ``mesh.not-printable`` where that was asked for.
    """
    from pipelines.mesh.repair import repair as run_repairs
    from pipelines.mesh.scale import on_the_bed

    mesh, settings = on_the_bed(call.inputs["mesh"]), call.settings
    before = passport_of(mesh, settings.profile, "as the file has it")
    call.on_step(1, 4, None)
    repaired = run_repairs(mesh, settings.repairs)
    mesh, changes = repaired.mesh, list(repaired.changes)
    call.on_step(2, 4, None)
    mesh, missed, more = reduced(mesh, settings.faces)
    call.on_step(3, 4, None)
    mesh = meshes.rounded(on_the_bed(mesh))
    found = passport_of(mesh, settings.profile, "as the file has it")
    if not found.manifold:
        raise GateFailed(
            "mesh.not-closed",
            "The repairs did not close this mesh, and nothing was written",
            seen="; ".join(change.message for change in changes if not change.complete)
            or f"{found.open_edges} open, {found.crowded_edges} crowded, {found.reversed_edges} reversed edges",
            remedy="Export it again as a closed solid, or rebuild its surface in a modelling program",
        )
    if settings.require_printable:
        gate(found)
    call.on_step(4, 4, None)
    return Product(
        mesh=mesh,
        title="Repaired mesh",
        receipt={
            "passport": told(found),
            "passport_before": told(before),
            "changes": [*(change.as_dict() for change in changes), *more],
        },
        findings=(*missed, *found.findings),
    )
