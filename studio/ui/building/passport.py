"""The print passport as a table: what was checked, what was found, and what to do about it; all in millimetres."""

from __future__ import annotations

import html
from typing import Any

MARKS = {"ok": ("✓", "good"), "info": ("i", "note"), "warning": ("!", "warning"), "error": ("✗", "problem")}
_ORDER = ("ok", "info", "warning", "error")
# What is checked, and the codes of the findings that belong to it.
_CHECKS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("closed", "Closed surface", ("open", "crowded", "reversed", "inside-out")),
    ("bodies", "One solid, nothing hidden inside", ("inner-shell", "cavity", "overlap")),
    ("floating", "Nothing floats", ("floating",)),
    ("bed", "Fits the printer", ("too-large", "tiny")),
    ("walls", "Walls thick enough", ("thin-wall",)),
    ("overhang", "Prints without supports", ("overhang",)),
    ("base", "Stands flat on the bed", ("base",)),
    ("faces", "Number of triangles", ("faces",)),
)


def _count(number: Any, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _mm(value: Any, digits: int = 1) -> str:
    return "not measured" if value is None else f"{value:.{digits}f} mm"


def _values(p: dict[str, Any]) -> dict[str, str]:
    profile = p["profile"]
    edges = sum(p[name] for name in ("open_edges", "crowded_edges", "reversed_edges"))
    return {
        "closed": "yes" if p["manifold"] else _count(edges, "faulty edge"),
        "bodies": ", ".join(
            [_count(p["bodies"], "body", "bodies")]
            + [_count(p["cavities"], "cavity", "cavities")] * bool(p["cavities"])
            + [_count(p["inner_shells"], "inner shell")] * bool(p["inner_shells"])
        ),
        "floating": "no loose part" if not p["floating_parts"] else _count(p["floating_parts"], "part"),
        "bed": " × ".join(f"{side:.1f}" for side in p["size_mm"])
        + " of "
        + " × ".join(f"{side:g}" for side in profile["bed"])
        + " mm",
        "walls": f"thinnest {_mm(p['minimum_wall_mm'], 2)}, needed {profile['minimum_wall']:g} mm",
        "overhang": f"{100 * p['overhang_share']:.1f} % hangs over by more than {profile['overhang']:g}°",
        "base": f"{p['base_contact_mm2']:,.0f} mm²",
        "faces": f"{p['faces']:,}",
    }


def rows(passport: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """What the table shows.

    Args:
        passport: ``Passport.as_dict()`` as a receipt holds it.

    Returns:
        (mark, check, value, what to do) each; the mark is ``ok``, ``info``, ``warning`` or ``error``, the worst of the
        findings that belong to the check.
    """
    values = _values(passport)
    found = []
    for name, title, codes in _CHECKS:
        own = [item for item in passport["findings"] if item["code"].removeprefix("mesh.") in codes]
        mark = max((item["severity"] for item in own), key=_ORDER.index, default="ok")
        found.append((mark, title, values[name], " ".join(f"{item['message']}. {item['remedy']}." for item in own)))
    return found


def table(passport: dict[str, Any]) -> str:
    """The table as HTML. Everything in it comes from a file, so all of it is escaped."""
    lines = []
    for mark, title, value, remedy in rows(passport):
        sign, word = MARKS[mark]
        hint = f"<small>{html.escape(remedy)}</small>" if remedy else ""
        lines.append(
            f'<tr class="{mark}"><td class="mark" role="img" aria-label="{word}">{sign}</td>'
            f'<th scope="row">{html.escape(title)}{hint}</th><td class="value">{html.escape(value)}</td></tr>'
        )
    return f'<table class="passport"><caption>Print passport</caption><tbody>{"".join(lines)}</tbody></table>'


def facts(passport: dict[str, Any]) -> list[tuple[str, str]]:
    """Figures without a verdict."""
    wide, deep, high = passport["size_mm"]
    found = [
        ("Size", f"{wide:.1f} × {deep:.1f} × {high:.1f} mm (width, depth, height)"),
        ("Scale from", str(passport["scale_source"])),
    ]
    if passport["volume_cm3"] is not None:
        material = f"{passport['material_g']:.0f} g" if passport["material_g"] else "not estimated"
        filament = f", {passport['filament_m']:.1f} m of filament" if passport["filament_m"] else ""
        found += [("Volume", f"{passport['volume_cm3']:.1f} cm³"), ("Material, about", material + filament)]
    return found
