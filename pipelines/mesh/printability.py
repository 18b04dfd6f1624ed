"""The print passport: what a slicer and a printer will make of a mesh. Millimetres, z up, base on z = 0.

Rules of thumb behind the limits: a wall of a fused filament print holds from 0.8 mm (decorative; two lines of a 0.4 mm
nozzle), resin from 0.8 mm; overhangs up to 45° need no support. Bed sizes are the ones commonly given for
these printers; a profile of your own overrides them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Finding, Mesh
from pipelines.mesh import findings, topology, walls
from pipelines.mesh.walls import wall_thickness

__all__ = ["PROFILES", "Passport", "PrinterProfile", "ShellReport", "passport", "wall_thickness"]


@dataclass(frozen=True)
class PrinterProfile:
    """What a printer can do.

    Attributes:
        bed: Largest print (x, y, z) in millimetres.
        nozzle: Width of a line in millimetres (a resin printer's pixel).
        minimum_wall: Thinnest wall in millimetres that holds.
        layer: Height of a layer in millimetres.
        overhang: Largest angle from the vertical, in degrees, that needs no support.
        density: Of the material, g/cm³ (PLA 1.24; resin 1.1).
        perimeters: Solid lines along each surface.
        infill: Share of solid in the rest, in [0, 1].
        filament: Diameter of the filament in millimetres; 0 without one.
    """

    bed: tuple[float, float, float]
    nozzle: float = 0.4
    minimum_wall: float = 0.8
    layer: float = 0.2
    overhang: float = 45.0
    density: float = 1.24
    perimeters: int = 2
    infill: float = 0.15
    filament: float = 1.75


PROFILES: dict[str, PrinterProfile] = {
    "generic": PrinterProfile((200.0, 200.0, 200.0)),
    "prusa-mk4": PrinterProfile((250.0, 210.0, 220.0)),
    "bambu-a1": PrinterProfile((256.0, 256.0, 256.0)),
    "bambu-a1-mini": PrinterProfile((180.0, 180.0, 180.0)),
    "ender-3": PrinterProfile((220.0, 220.0, 250.0)),
    "dremel-3d45": PrinterProfile((254.0, 152.0, 170.0)),
    "resin-small": PrinterProfile((143.0, 89.0, 165.0), 0.05, 0.8, 0.05, 45.0, 1.1, 1, 1.0, 0.0),
}


@dataclass(frozen=True)
class ShellReport:
    """One connected surface: its role (see ``topology.Shell.role``), signed volume in mm³ and number of triangles."""

    role: str
    volume_mm3: float
    faces: int


@dataclass(frozen=True)
class Passport:
    """The report, in millimetres.

    Attributes:
        printer: The profile it was made for.
        scale_source: Where the millimetres come from, in the caller's words.
        size_mm: (x, y, z) of the bounding box.
        faces, vertices: Counts.
        open_edges, crowded_edges, reversed_edges: Edges with one triangle, with more than two, with two that disagree.
        manifold: Whether all three are zero.
        shells: Largest first; a body, its cavities and inner shells by signed volume.
        overlapping: Bodies that run into or touch another body.
        floating_parts: Groups of touching bodies that start higher than one layer above the bed.
        minimum_wall_mm, median_wall_mm: See ``walls.Walls``; None when the mesh is not closed.
        thin_share: Share in [0, 1] of the surface that is a wall below the profile's minimum; None as above.
        overhang_share: Share in [0, 1] of the surface that faces down more steeply than the profile allows and does not
            lie on the bed.
        base_contact_mm2: Area that lies flat on the bed.
        fits_bed: Whether it fits as it stands, or turned by a quarter about z.
        volume_cm3: Enclosed volume; None when the mesh is not closed.
        material_g, filament_m: Estimate: solid lines along the surface, infill inside, no supports; None as above.
        findings: What is wrong or doubtful, with remedies.
    """

    printer: str
    profile: PrinterProfile
    scale_source: str
    size_mm: tuple[float, float, float]
    faces: int
    vertices: int
    open_edges: int
    crowded_edges: int
    reversed_edges: int
    shells: tuple[ShellReport, ...]
    overlapping: int
    floating_parts: int
    minimum_wall_mm: float | None
    median_wall_mm: float | None
    thin_share: float | None
    overhang_share: float
    base_contact_mm2: float
    fits_bed: bool
    volume_cm3: float | None
    material_g: float | None
    filament_m: float | None
    findings: tuple[Finding, ...]

    @property
    def manifold(self) -> bool:
        """Whether the surface is closed and agrees about its outside."""
        return not (self.open_edges or self.crowded_edges or self.reversed_edges)

    @property
    def printable(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def count(self, role: str) -> int:
        """Number of shells with this role."""
        return sum(shell.role == role for shell in self.shells)

    def as_dict(self) -> dict[str, Any]:
        """Return the passport as JSON-ready fields, figures rounded to what they are worth."""
        plain = {
            name: value
            for name, value in vars(self).items()
            if name not in ("profile", "shells", "findings", "size_mm")
        }
        return {
            "unit": "millimetre",
            "printable": self.printable,
            "manifold": self.manifold,
            "size_mm": [round(side, 3) for side in self.size_mm],
            **{name: round(value, 4) if isinstance(value, float) else value for name, value in plain.items()},
            "bodies": self.count("body"),
            "cavities": self.count("cavity"),
            "inner_shells": self.count("inner shell"),
            "shells": [
                {"role": shell.role, "volume_mm3": round(shell.volume_mm3, 3), "faces": shell.faces}
                for shell in self.shells
            ],
            "profile": {
                name: list(value) if isinstance(value, tuple) else value for name, value in vars(self.profile).items()
            },
            "findings": [finding.as_dict() for finding in self.findings],
        }


def passport(mesh: Mesh, profile: PrinterProfile, *, printer: str = "", scale_source: str = "as given") -> Passport:
    """Examine a mesh in the print frame against a printer.

    Args:
        mesh: Millimetres, z up; the lowest point is taken as the bed.
        profile: The printer.
        printer: Its name for the report; found in ``PROFILES`` when left out.
        scale_source: Where the millimetres come from, e.g. ``height 80 mm``.

    Raises:
        InputError: What ``topology.checked`` raises (empty, not finite, flat, damaged).
    """
    mesh = topology.checked(mesh)
    mesh = topology.submesh(mesh, np.ones(len(mesh.faces), dtype=bool))
    edges = topology.edge_report(mesh)
    parts = topology.shells(mesh)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    size = high - low
    bodies = [part.mesh for part in parts if part.role == "body" or (part.role != "inner shell" and part.parent < 0)]
    overlapping, groups = _touching(bodies, profile.layer / 4)
    lowest = [float(min(bodies[index].vertices[:, 2].min() for index in group)) for group in groups]
    floating = sum(height - float(low[2]) > profile.layer for height in lowest)
    areas, normals = topology.face_areas(mesh), topology.face_normals(mesh)
    flat_down = (mesh.vertices[mesh.faces][:, :, 2].max(1) - low[2] <= profile.layer / 4) & (normals[:, 2] < -0.5)
    # The angle of a surface from the vertical: 0 for a wall, 90 for a ceiling.
    steep = normals[:, 2] < -np.sin(np.radians(profile.overhang)) - 1e-6
    thickness = walls.measure(mesh, profile.minimum_wall) if edges.closed else None
    solid = topology.volume(mesh) if edges.closed else None
    solid = solid if solid is not None and solid > 0 else None
    grams = _material(solid, float(areas.sum()), profile) if solid else None
    found = Passport(
        printer=printer or next((name for name, known in PROFILES.items() if known == profile), "custom"),
        profile=profile,
        scale_source=scale_source,
        size_mm=(float(size[0]), float(size[1]), float(size[2])),
        faces=len(mesh.faces),
        vertices=len(mesh.vertices),
        open_edges=edges.open,
        crowded_edges=edges.crowded,
        reversed_edges=edges.reversed,
        shells=tuple(ShellReport(part.role, part.volume, len(part.mesh.faces)) for part in parts),
        overlapping=overlapping,
        floating_parts=floating,
        minimum_wall_mm=thickness.minimum if thickness else None,
        median_wall_mm=thickness.median if thickness else None,
        thin_share=thickness.thin_share if thickness else None,
        overhang_share=float(areas[steep & ~flat_down].sum() / areas.sum()),
        base_contact_mm2=float((areas * -normals[:, 2])[flat_down].sum()),
        fits_bed=_fits(size, profile.bed),
        volume_cm3=solid / 1000 if solid else None,
        material_g=grams,
        filament_m=_filament(grams, profile) if grams else None,
        findings=(),
    )
    return findings.judge(found)


def _fits(size: NDArray[np.float64], bed: tuple[float, float, float]) -> bool:
    slack = 1e-6
    upright = size[2] <= bed[2] + slack
    straight = size[0] <= bed[0] + slack and size[1] <= bed[1] + slack
    turned = size[1] <= bed[0] + slack and size[0] <= bed[1] + slack
    return bool(upright and (straight or turned))


def _touching(bodies: list[Mesh], near: float) -> tuple[int, list[list[int]]]:
    """How many bodies run into or touch another, and the groups of bodies that touch to within ``near`` (mm)."""
    group, overlapping = list(range(len(bodies))), set()
    boxes = [(body.vertices.min(0), body.vertices.max(0)) for body in bodies]
    for one in range(len(bodies)):
        for two in range(one):
            (low, high), (other_low, other_high) = boxes[one], boxes[two]
            if (low > other_high + near).any() or (other_low > high + near).any():
                continue
            crossing = topology.crosses(bodies[one], bodies[two])
            if crossing:
                overlapping |= {one, two}
            closest = min(
                float(topology.scene(to).compute_distance(
                    topology.tensor(of.vertices.astype(np.float32))).numpy().min())
                for of, to in ((bodies[one], bodies[two]), (bodies[two], bodies[one]))
            )  # fmt: skip
            if crossing or closest <= near:
                old, new = group[one], group[two]
                group = [new if name == old else name for name in group]
    return len(overlapping), [[i for i, name in enumerate(group) if name == wanted] for wanted in sorted(set(group))]


def _material(volume: float, area: float, profile: PrinterProfile) -> float:
    """Grams: solid lines along the whole surface, infill in what is left."""
    skin = min(volume, area * profile.perimeters * profile.nozzle)
    return (skin + (volume - skin) * profile.infill) / 1000 * profile.density


def _filament(grams: float, profile: PrinterProfile) -> float | None:
    """Metres of filament of that weight."""
    if not profile.filament:
        return None
    return grams / profile.density / (np.pi * (profile.filament / 20) ** 2) / 100
