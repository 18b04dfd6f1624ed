"""The checked pictures as one page that needs nothing but itself: no link, no font, no script from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Sequence
from typing import Any

from pipelines.core.errors import PipelineError
from studio.checking import Checked
from studio.errors import visible

SIDE = 1100  # pixels of the longest side of a shown picture
SCRIPT = (
    "document.querySelectorAll('input[type=range]').forEach(slider => slider.addEventListener('input', () => {"
    "slider.closest('section').querySelector('.heat').style.opacity = slider.value / 100; }));"
)
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2421; background: #fbfaf7; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem }
h1, h2 { font-family: serif; overflow-wrap: anywhere }
section { border-top: 1px solid #d9d5cb; padding: 1rem 0 2rem }
.picture { position: relative; display: inline-block; line-height: 0 }
.picture img { max-width: 100%; max-height: 85vh }
.heat { position: absolute; inset: 0; width: 100%; height: 100% }
.suspicious { color: #8a3b12 }
.caution { color: #5c625e }
label { display: block }
input { width: min(100%, 24rem); accent-color: #23594a }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem }
dt { font-weight: 600 }
dd { margin: 0; overflow-wrap: anywhere }
"""


def page(sections: Sequence[str], suspicious: int, when: str) -> str:
    """The page.

    Args:
        sections: Of `section`.
        suspicious: How many of them have weak evidence.
        when: Time of the check, for the heading.
    """
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    body = "\n".join(sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>Checked pictures</title><style>{STYLE}</style></head><body>
<h1>Checked pictures</h1>
<p>{_text(when)}. {len(sections)} looked at, {suspicious} with weak evidence of manipulation. Forensic evidence and the
seal are two answers that have nothing to do with each other.</p>
{body}
<script>{SCRIPT}</script></body></html>
"""


def section(name: str, result: Checked | PipelineError) -> str:
    """One picture, or why it was not looked at. Pictures go in small: of many, nothing large is kept."""
    if isinstance(result, PipelineError):
        seen = f" (seen: {result.seen})" if result.seen else ""
        why = f"Not checked: {result.what}{seen}. {result.remedy}"
        return f"<section><h2>{_text(name)}</h2><p>{_text(why)}</p></section>"
    forensics = result.forensics
    picture, heat = result.draft.inputs["picture"], result.outcome.product.preview
    style = ' class="suspicious"' if forensics["suspicious"] else ""
    rows = "".join(f"<dt>{_text(term)}</dt><dd>{_text(value)}</dd>" for term, value in lines(result))
    return f"""<section><h2>{_text(name)}</h2>
<p{style}><strong>{_text(forensics["meaning"])}.</strong></p><p class="caution">{_text(forensics["caution"])}.</p>
<div class="picture"><img alt="The picture" src="{_data_uri(picture)}">
<img class="heat" alt="Heat map: bright where the network sees manipulation" style="opacity:.7"
src="{_data_uri(heat)}"></div>
<label>Heat map <input type="range" min="0" max="100" value="70" aria-label="Opacity of the heat map"></label>
<dl>{rows}</dl></section>"""


def lines(result: Checked) -> list[tuple[str, str]]:
    """Terms and what is known, for people; the page of the report and the terminal show the same."""
    forensics, told = result.forensics, result.as_dict()
    score = forensics["score"]
    rows = [("forensics", forensics["meaning"])]
    if score is not None:
        rows.append(("score", f"{score:.2f}; from {forensics['image_threshold']:.2f} on it counts as evidence"))
    for region in forensics["regions"][:5] if forensics["suspicious"] else ():  # below, marks are what noise leaves
        left, top, width, height = region["box"]
        rows.append(("region", f"{width} x {height} pixels at {left}, {top}; mean {region['mean']:.2f}"))
    seal = told["seal"]
    rows.append(("seal", seal["words"]))
    rows += [("", reason["meaning"]) for reason in seal["reasons"]]
    rows += [("made from", _made_from(item)) for item in seal["ingredients"]]
    if told["recipe"]:
        made = told["recipe"]
        rows.append(("recipe", f"{made['kind']}, {made['created']}, of {', '.join(made['inputs'].values())}"))
        rows += [("", note) for note in made["notes"]]
    rows += [("trace", anomaly["message"]) for anomaly in told["traces"]["anomalies"]]
    return rows


def _made_from(item: dict[str, Any]) -> str:
    signer = f", itself signed by {item['signer']}" if item.get("signer") else ""
    return f"{item['title']}{signer}"


def _text(value: object) -> str:
    """Whatever a file said, as text and never as markup; control characters are made visible."""
    return html.escape(visible(str(value)))


def _data_uri(picture: Any) -> str:
    from PIL import Image

    small = Image.fromarray(picture)
    small.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
