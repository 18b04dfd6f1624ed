"""Which programs a picture file names as its makers: cameras, editors, generators, and the steps it lists.

All of this is what the file says of itself. Anybody can write it, and saving with most programs drops it; a name is a
hint where to ask, and its absence is nothing at all.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from pipelines.core.types import Finding
from studio.exif import Exif
from studio.picture_files import Parts
from studio.provenance import plain

EDITORS = re.compile(
    r"photoshop|lightroom|gimp|affinity|pixelmator|snapseed|picsart|facetune|faceapp|canva|paint\.net|acorn|capture one"
    r"|luminar|darktable|rawtherapee|imagemagick|vsco|meitu|beautyplus|remini|krita|corel|paintshop|photodirector"
    r"|photoscape|picasa|polarr|fotor|pixlr|photopea|inkscape|digikam|airbrush|lensa|youcam|photoroom|procreate",
    re.IGNORECASE,
)
GENERATORS = re.compile(
    r"stable.?diffusion|midjourney|dall.?e\b|adobe firefly|novelai|comfyui|invokeai|automatic1111|\bflux\.?\d|imagen"
    r"|chatgpt|openai|gpt-4o|gpt-image|ideogram|leonardo\.ai|google ai|gemini|bing image creator|fooocus|dream studio",
    re.IGNORECASE,
)
# Keywords of PNG text chunks: whose they are.
GENERATOR_KEYS = {
    "parameters": "Stable Diffusion web interfaces", "prompt": "ComfyUI", "workflow": "ComfyUI",
    "invokeai_metadata": "InvokeAI", "invokeai_graph": "InvokeAI", "sd-metadata": "InvokeAI", "dream": "InvokeAI",
    "fooocus_scheme": "Fooocus", "generation_data": "an image generator",
}  # fmt: skip
SETTINGS = re.compile(r"\bSteps: \d+, Sampler: |^Job ID: [0-9a-f-]{36}| Job ID: [0-9a-f-]{36}")
# https://cv.iptc.org/newscodes/digitalsourcetype/: what a file declares to be, and whether that concerns a check.
SOURCE_TYPES = {
    "trainedAlgorithmicMedia": ("made by a generative model", "warning"),
    "compositeWithTrainedAlgorithmicMedia": ("partly made by a generative model", "warning"),
    "algorithmicMedia": ("made by an algorithm", "warning"),
    "algorithmicallyEnhanced": ("enhanced by an algorithm", "info"),
    "compositeSynthetic": ("put together with synthetic parts", "warning"),
    "composite": ("put together from several pictures", "warning"),
    "compositeCapture": ("put together from several photographs", "info"),
    "digitalArt": ("digital art", "info"),
    "digitalCreation": ("made by a person with a program", "info"),
    "humanEdits": ("edited by a person", "info"),
    "digitalCapture": ("a photograph by a camera", "info"),
    "computationalCapture": ("a photograph that a camera computed", "info"),
}
MEANING = "The file says so itself, and anybody can write it; that alone says nothing about what was changed"
MOST_STEPS = 50


def xmp_values(packet: str, name: str) -> list[str]:
    """Values of a property in an XMP packet, as attribute or as element, `MOST_STEPS` at most.

    By a pattern instead of an XML parser: entities and references have no meaning here and can do no harm.
    """
    pattern = rf"""\b{name}\s*(?:=\s*["']([^"'<>]{{1,300}})["']|>\s*([^<]{{1,300}}))"""
    found: list[str] = []
    for match in re.finditer(pattern, packet):
        found.append(html.unescape(match[1] or match[2]).strip())
        if len(found) == MOST_STEPS:
            break
    return found


def named(parts: Parts, tags: Exif, packet: str) -> list[str]:
    """Names of programs that the file gives, each once, fit for a terminal."""
    raw = [tags.texts.get("software", ""), tags.texts.get("processing_software", "")]
    raw += xmp_values(packet, "CreatorTool")[:1] + xmp_values(packet, "stEvt:softwareAgent")
    raw += [text for keyword, text in parts.texts if keyword.lower() in ("software", "creator", "creator tool")]
    return list(dict.fromkeys(plain(name, 80) for name in raw if name.strip()))[:8]


def look(parts: Parts, tags: Exif, packet: str) -> Iterator[Finding]:
    """What the file says of programs that worked on it.

    Args:
        parts: Of `picture_files.read`.
        tags: Its EXIF.
        packet: Its XMP.
    """
    names = named(parts, tags, packet)
    for name in names:
        if EDITORS.search(name):
            yield Finding("trace.editor", "info", f"{name} wrote this file", MEANING)
    yield from _generators(parts, tags, names)
    yield from _history(packet)
    yield from _source_type(packet)
    if parts.photoshop:
        text = "The file holds a block of Photoshop's own, which some other programs write too (caption, copyright)"
        yield Finding("trace.photoshop-block", "info", text, MEANING)
    if parts.adobe:
        text = "The file holds Adobe's colour marker, as files have that Adobe's and many other programs saved"
        yield Finding("trace.adobe-marker", "info", text, MEANING)


def _generators(parts: Parts, tags: Exif, names: list[str]) -> Iterator[Finding]:
    signs = [f"the program {name}" for name in names if GENERATORS.search(name)]
    for keyword, text in parts.texts:
        if keyword.lower() in GENERATOR_KEYS:
            owner = GENERATOR_KEYS[keyword.lower()]
            signs.append(f"a text “{plain(keyword, 30)}”, as {owner} write: {plain(text.strip(), 60)}")
        elif SETTINGS.search(text[:4000]) or (keyword.lower() in ("source", "title") and GENERATORS.search(text[:200])):
            signs.append(f"the text {plain(text.strip(), 80)}")
    comments = (tags.texts.get(name, "") for name in ("comment", "description"))
    signs += [f"the text {plain(text, 80)}" for text in comments if SETTINGS.search(text)]
    if signs:
        more = f" and {len(signs) - 1} more" if len(signs) > 1 else ""
        text = f"The file names an image generator: {signs[0]}{more}"
        meaning = "Image generators write this into what they make; anybody else can write it, too"
        yield Finding("trace.generator", "warning", text, meaning)


def _history(packet: str) -> Iterator[Finding]:
    actions = [plain(action, 30) for action in xmp_values(packet, "stEvt:action")]
    if actions:
        counted = f"{len(actions)} steps" if len(actions) < MOST_STEPS else f"{MOST_STEPS} steps or more"
        text = f"The file lists {'1 step' if len(actions) == 1 else counted} of its editing: {', '.join(actions[:6])}"
        yield Finding("trace.edit-history", "info", text + (" ..." if len(actions) > 6 else ""), MEANING)


def _source_type(packet: str) -> Iterator[Finding]:
    declared = xmp_values(packet, r"(?:D|d)igitalSourceType")
    declared += re.findall(r"cv\.iptc\.org/newscodes/digitalsourcetype/(\w{1,60})", packet[: 1 << 20])[:MOST_STEPS]
    for kind in dict.fromkeys(value.rstrip("/").rpartition("/")[2] for value in declared):
        if kind in SOURCE_TYPES:
            words, severity = SOURCE_TYPES[kind]
            meaning = "Its maker says so (IPTC digital source type); only a seal that holds shows who said it"
            yield Finding("trace.source-type", severity, f"The file declares to be {words}", meaning)
