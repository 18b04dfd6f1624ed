"""Settings of everything that ends in a mesh: how large, for which printer, and what must hold."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from studio.errors import UsageError

# Longest side of a print in millimetres, as pipelines/mesh/scale.py has it.
SMALLEST_MM, LARGEST_MM = 0.5, 10_000.0
USUAL_MM = 100.0  # longest side where nobody says (our choice): fits every printer that is known
Printer = Literal["generic", "prusa-mk4", "bambu-a1", "bambu-a1-mini", "ender-3", "dremel-3d45", "resin-small"]
RepairName = Literal[
    "weld", "drop-degenerate", "orient", "close-holes", "part-pinched", "drop-specks", "remove-inner-shells",
    "fill-cavities", "unite-bodies",
]  # fmt: skip
USUAL_REPAIRS: tuple[RepairName, ...] = (
    "weld", "drop-degenerate", "orient", "close-holes", "part-pinched", "remove-inner-shells", "unite-bodies"
)  # fmt: skip
Azimuth = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Elevation = Annotated[float, Field(ge=0, le=80, allow_inf_nan=False)]
Faces = Annotated[int | None, Field(ge=4, le=5_000_000, description="Reduce to at most so many triangles; None: keep")]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PassportSettings(_Settings):
    """Settings of ``passport``."""

    profile: Printer = Field(default="generic", description="Printer that the mesh is judged for")


class RepairSettings(_Settings):
    """Settings of ``repair``."""

    repairs: tuple[RepairName, ...] = Field(
        default=USUAL_REPAIRS, min_length=1, max_length=9, description="Which repairs; their order is fixed"
    )
    faces: Faces = None
    profile: Printer = Field(default="generic", description="Printer that the mesh is judged for")
    require_printable: bool = Field(default=False, description="Fail unless the passport says printable")


class SizedSettings(_Settings):
    """Size and printer. At most one of longest_mm, height_mm and scale; without any, longest_mm is 100."""

    longest_mm: float | None = Field(default=None, description="Longest side of the print in mm")
    height_mm: float | None = Field(default=None, description="Height of the print in mm")
    scale: float | None = Field(default=None, description="N of the scale 1:N; needs real_height_m")
    real_height_m: float | None = Field(default=None, description="Height of the real thing in m; only with scale")
    profile: Printer = Field(default="generic", description="Printer that the print is judged for")
    require_printable: bool = Field(default=False, description="Fail unless the passport says printable")
    faces: Faces = None

    @model_validator(mode="before")
    @classmethod
    def _usual_size(cls, values: Any) -> Any:
        sizes = ("longest_mm", "height_mm", "scale", "real_height_m")
        if isinstance(values, dict) and all(values.get(name) is None for name in sizes):
            return {**values, "longest_mm": USUAL_MM}
        return values

    @model_validator(mode="after")
    def _one_size(self) -> SizedSettings:
        given = {name: getattr(self, name) for name in ("longest_mm", "height_mm", "scale", "real_height_m")}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given.keys() - {"real_height_m"}) != 1 or ("scale" in given) != ("real_height_m" in given):
            raise UsageError(
                "size.choice",
                "One size is needed: longest side, height, or a scale with the real height",
                seen=", ".join(f"{name} {value:g}" for name, value in given.items()),
                remedy="Give one of them; a scale 1:N and the real height go together",
            )
        printed = self.printed_mm
        if not all(math.isfinite(v) and v > 0 for v in given.values()) or not SMALLEST_MM <= printed <= LARGEST_MM:
            raise UsageError(
                "size.range",
                "Nobody can print a thing of this size",
                seen=", ".join(f"{name} {value:g}" for name, value in given.items()),
                remedy=f"The print has to be {SMALLEST_MM:g} mm to {LARGEST_MM / 1000:g} m large",
            )
        return self

    @property
    def printed_mm(self) -> float:
        """Longest side or height of the print in mm, whichever was asked for; NaN if it makes no sense."""
        if self.scale is None:
            return float(self.longest_mm or self.height_mm or math.nan)
        return 1000 * (self.real_height_m or math.nan) / self.scale if self.scale else math.nan

    @property
    def source(self) -> str:
        """Where the millimetres come from, in words."""
        if self.longest_mm is not None:
            return f"longest side {self.longest_mm:g} mm"
        if self.height_mm is not None:
            return f"height {self.height_mm:g} mm"
        return f"scale 1:{self.scale:g} of {self.real_height_m:g} m of height"


class BuildingSettings(SizedSettings):
    """Settings of ``building``."""

    view: tuple[Azimuth, Elevation] | None = Field(
        default=None, description="Camera: azimuth and elevation in degrees; None: found from the drawing"
    )
    variant: int = Field(default=0, ge=0, le=99, description="Which of the readings of the sketch, 0 is the likeliest")
    straighten: bool = Field(default=True, description="Snap walls upright and surfaces flat where the drawing allows")
    detail: int = Field(default=2, ge=1, le=3, description="Resolution of the surface, 1 coarse to 3 fine")
    threshold: float | None = Field(
        default=None,
        ge=0.01,
        le=0.99,
        allow_inf_nan=False,
        description="Probability that counts as inside; None: that of the weights",
    )


class SurfaceSettings(SizedSettings):
    """Settings of ``surface``."""

    method: Literal["auto", "poisson", "wrap"] = Field(
        default="auto", description="Through the points, around them, or the first where it gives one solid"
    )
