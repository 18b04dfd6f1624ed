"""IFC4 by ifcopenshell (extra ``aec``): one proxy element with a triangulated surface, in millimetres."""

from __future__ import annotations

import re
from importlib.util import find_spec

import numpy as np

from pipelines.core.errors import InputError, PipelineError
from pipelines.core.types import Mesh


def check() -> None:
    """Find out before the work whether IFC can be written.

    Raises:
        PipelineError: ``mesh.needs-extra`` when ifcopenshell is not installed.
    """
    if find_spec("ifcopenshell") is None:
        raise PipelineError("mesh.needs-extra", "IFC files need ifcopenshell", seen="not installed",
                            remedy="pip install 'creative-studio[aec]'")  # fmt: skip


def write(mesh: Mesh, *, name: str) -> bytes:
    """Write a mesh in millimetres, z up, as an IfcBuildingElementProxy on the ground floor of a building.

    Raises:
        PipelineError: ``mesh.needs-extra`` when ifcopenshell is not installed.
    """
    check()
    import ifcopenshell  # pyright: ignore[reportMissingImports]
    import ifcopenshell.guid  # pyright: ignore[reportMissingImports]

    file = ifcopenshell.file(schema="IFC4")

    def rooted(kind: str, title: str, **more: object):  # an ifcopenshell entity
        return file.create_entity(kind, GlobalId=ifcopenshell.guid.new(), Name=title, **more)

    origin = file.create_entity("IfcCartesianPoint", Coordinates=(0.0, 0.0, 0.0))
    axes = file.create_entity("IfcAxis2Placement3D", Location=origin)
    context = file.create_entity(
        "IfcGeometricRepresentationContext", ContextIdentifier="Body", ContextType="Model",
        CoordinateSpaceDimension=3, Precision=1e-5, WorldCoordinateSystem=axes,
    )  # fmt: skip
    units = [
        file.create_entity("IfcSIUnit", UnitType="LENGTHUNIT", Prefix="MILLI", Name="METRE"),
        file.create_entity("IfcSIUnit", UnitType="AREAUNIT", Name="SQUARE_METRE"),
        file.create_entity("IfcSIUnit", UnitType="VOLUMEUNIT", Name="CUBIC_METRE"),
        file.create_entity("IfcSIUnit", UnitType="PLANEANGLEUNIT", Name="RADIAN"),
    ]
    project = rooted("IfcProject", name, RepresentationContexts=[context],
                     UnitsInContext=file.create_entity("IfcUnitAssignment", Units=units))  # fmt: skip
    parent, placement = project, None
    for kind, title in (("IfcSite", "Site"), ("IfcBuilding", name), ("IfcBuildingStorey", "Ground floor")):
        placement = file.create_entity("IfcLocalPlacement", PlacementRelTo=placement, RelativePlacement=axes)
        child = rooted(kind, title, ObjectPlacement=placement, CompositionType="ELEMENT")
        rooted("IfcRelAggregates", "", RelatingObject=parent, RelatedObjects=[child])
        parent = child
    points = file.create_entity("IfcCartesianPointList3D", CoordList=mesh.vertices.tolist())
    # Numbers of points start at 1.
    surface = file.create_entity("IfcTriangulatedFaceSet", Coordinates=points, Closed=True,
                                 CoordIndex=(mesh.faces + 1).tolist())  # fmt: skip
    shape = file.create_entity("IfcShapeRepresentation", ContextOfItems=context, RepresentationIdentifier="Body",
                               RepresentationType="Tessellation", Items=[surface])  # fmt: skip
    element = rooted(
        "IfcBuildingElementProxy", name,
        ObjectPlacement=file.create_entity("IfcLocalPlacement", PlacementRelTo=placement, RelativePlacement=axes),
        Representation=file.create_entity("IfcProductDefinitionShape", Representations=[shape]),
    )  # fmt: skip
    rooted("IfcRelContainedInSpatialStructure", "", RelatingStructure=parent, RelatedElements=[element])
    return file.to_string().encode("utf-8")


def read_own(data: bytes) -> Mesh:
    """The mesh in a file that ``write`` made, and in no other: the first list of points and the first set of triangles.

    Raises:
        InputError: ``mesh.unreadable``.
    """
    text = data.decode("utf-8", "replace")
    points = re.search(r"=\s*IFCCARTESIANPOINTLIST3D\(\((.*?)\)\)", text, re.DOTALL)
    faces = re.search(r"=\s*IFCTRIANGULATEDFACESET\([^()]*\((.*?)\)\)", text, re.DOTALL)
    try:
        if points is None or faces is None:
            raise ValueError("no list of points or no set of triangles")
        vertices, corners = (re.split(r"[(),\s]+", found[1].strip("() \n")) for found in (points, faces))
        return Mesh(
            np.array(vertices, dtype=np.float64).reshape(-1, 3), np.array(corners, dtype=np.int64).reshape(-1, 3) - 1
        )
    except ValueError as error:
        raise InputError("mesh.unreadable", "This IFC file is not one that the studio wrote", seen=str(error)[:160],
                         remedy="Export it as 3MF, STL, OBJ, PLY or GLB") from None  # fmt: skip
