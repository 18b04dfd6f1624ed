"""What the figures of a print passport mean, in words, with remedies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.core.types import Finding

if TYPE_CHECKING:
    from pipelines.mesh.printability import Passport

# More overhang than this is worth a word, and a flat base smaller than this share of the footprint is (our choice).
MUCH_OVERHANG = 0.02
SMALL_BASE = 0.1
MANY_FACES = 1_000_000
# A figure without a unit comes out far smaller than a millimetre print (our choice).
TINY = 5.0


def judge(passport: Passport) -> Passport:
    """The same passport with its findings."""
    found: list[Finding] = []

    def say(code: str, severity: str, message: str, remedy: str) -> None:
        found.append(Finding(f"mesh.{code}", severity, message, remedy))

    p, profile = passport, passport.profile
    if p.open_edges:
        say("open", "error", f"{p.open_edges} open edges: the surface has holes", "Repair with close-holes")
    if p.crowded_edges:
        say("crowded", "error", f"{p.crowded_edges} edges have more than two triangles",
            "Repair with drop-degenerate and part-pinched")  # fmt: skip
    if p.reversed_edges:
        say("reversed", "error", f"Triangles disagree about the outside at {p.reversed_edges} edges",
            "Repair with orient")  # fmt: skip
    if count := p.count("inside out"):
        say("inside-out", "error", f"{count} shells are inside out", "Repair with orient")
    if count := p.count("inner shell"):
        say("inner-shell", "warning", f"{count} inner shells lie inside solid material and keep the infill out",
            "Repair with remove-inner-shells")  # fmt: skip
    if count := p.count("cavity"):
        room = -sum(shell.volume_mm3 for shell in p.shells if shell.role == "cavity") / 1000
        say("cavity", "warning", f"{count} closed cavities, {room:.2f} cm³ in all, cannot be drained",
            "Repair with fill-cavities, or add two drain holes of 2 mm")  # fmt: skip
    if p.overlapping:
        say("overlap", "warning", f"{p.overlapping} bodies run into each other or touch", "Repair with unite-bodies")
    if p.floating_parts:
        say("floating", "error", f"{p.floating_parts} parts float above the bed and touch nothing",
            "Connect them, or repair with drop-specks if they are tiny")  # fmt: skip
    if not p.fits_bed:
        size, bed = (" x ".join(f"{side:.1f}" for side in sides) for sides in (p.size_mm, profile.bed))
        say("too-large", "error", f"{size} mm does not fit the bed of {bed} mm", "Choose a smaller scale")
    if max(p.size_mm) < TINY:
        say("tiny", "warning", f"The longest side is {max(p.size_mm):.2f} mm", "Check the unit: is it metres?")
    if p.thin_share:
        say("thin-wall", "warning",
            f"{p.thin_share:.1%} of the surface is a wall thinner than {profile.minimum_wall:g} mm"
            f" (thinnest {p.minimum_wall_mm:.2f} mm)", "Choose a larger scale, or thicken the walls")  # fmt: skip
    if p.overhang_share > MUCH_OVERHANG:
        say("overhang", "warning", f"{p.overhang_share:.1%} of the surface hangs over by more than"
            f" {profile.overhang:g}°", "Let the slicer add supports, or turn the model")  # fmt: skip
    footprint = p.size_mm[0] * p.size_mm[1]
    if p.base_contact_mm2 < SMALL_BASE * footprint:
        say("base", "warning", f"Only {p.base_contact_mm2:.1f} mm² of {footprint:.0f} mm² lie flat on the bed",
            "Flatten the base, or print with a brim or raft")  # fmt: skip
    if p.faces > MANY_FACES:
        say("faces", "warning", f"{p.faces} triangles; print services stop at a million", "Reduce the face count")
    return replace(passport, findings=tuple(found))
