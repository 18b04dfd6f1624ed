"""SVG drawings: strokes only, where they are, and nothing that could hurt."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.vitruvio.sketch import from_svg, prepare

HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 100"'
    ' width="50mm" height="50mm">'
)
LINE = '<path stroke="black" d="M10 10L90 90"/>'
SQUARE = '<path fill="none" stroke="black" d="M10 10H90V90H10Z"/>'


def svg(body: str, head: str = HEAD) -> bytes:
    return f"{head}{body}</svg>".encode()


def error(data: bytes) -> InputError:
    with pytest.raises(InputError) as raised:
        from_svg(data)
    assert raised.value.remedy and raised.value.seen is not None
    return raised.value


@pytest.mark.parametrize(
    "body",
    [
        '<rect x="10" y="10" width="80" height="80" stroke="red" fill="none"/>',
        '<rect x="10" y="10" width="80" height="80" stroke="red"/>',
        '<polygon points="10,10 90,10 90,90 10,90" style="stroke:#123"/>',
        '<style>.w{stroke:blue}</style><g transform="translate(9 9) scale(8)"><path class="w" d="m0 0h1v1h-1z"/></g>',
        '<defs><rect id="r" width="80" height="80" stroke="black"/></defs><use href="#r" x="10" y="10"/>',
        '<symbol id="s"><path stroke="black" d="M0 0H80V80H0Z"/></symbol><use xlink:href="#s" x="5" y="5"/>',
        '<g transform="rotate(90 50 50)"><g stroke="black"><path d="M10 10L90 10L90 90L10 90L10 10"/></g></g>',
        '<g display="none"><path stroke="black" d="M0 0L300 300"/></g>' + SQUARE,
        f'<image href="file:///etc/hostname"/><script>alert(1)</script><text>hello</text>{SQUARE}',
    ],
)
def test_the_same_square_in_many_ways(body: str) -> None:
    found, expected = from_svg(svg(body)), from_svg(svg(SQUARE))
    assert found.shape == (1024, 1024, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() < 60


def test_a_circle_is_round() -> None:
    rows, columns = np.nonzero(from_svg(svg('<circle cx="7" cy="3" r="20" stroke="black"/>'))[..., 0] < 128)
    radius = np.hypot(rows - 511.5, columns - 511.5)
    assert radius.min() > 455 and radius.max() < 466


def test_what_is_hidden_or_filled_is_no_stroke() -> None:
    hidden = [
        f'<g display="none">{LINE}</g>', f'<g style="display:none">{LINE}</g>', f'<g visibility="hidden">{LINE}</g>',
        f'<g opacity="0"><g opacity=".5">{LINE}</g></g>', f"<defs>{LINE}</defs>", f"<symbol>{LINE}</symbol>",
        f"<clipPath>{LINE}</clipPath>", '<path d="M0 0L30 0L3 3"/>', '<path stroke="none" d="M0 0L3 9"/>',
        '<path stroke="#0000" d="M0 0L3 9"/>', "", '<path stroke="black" d="M5 5L5 5"/>',
    ]  # fmt: skip
    for body in hidden:
        assert error(svg(body)).code == "sketch.svg-empty", body


def test_white_rubs_out_and_alone_is_the_drawing() -> None:
    rubber = '<path stroke="white" stroke-width="20" d="M30 50H70"/>'
    whole, rubbed = (from_svg(svg(f'<path stroke="black" d="M0 50H100M0 0V100"/>{more}')) for more in ("", rubber))
    assert 0.6 < (rubbed < 128).sum() / (whole < 128).sum() < 0.9
    assert (from_svg(svg('<path stroke="white" d="M0 0L30 40"/>')) < 128).any()


def test_nothing_is_expanded_or_fetched() -> None:
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    bomb = "".join(f'<g id="b{i}">' + f'<use href="#b{i - 1}"/>' * 10 + "</g>" for i in range(1, 9))
    for data in (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>{HEAD}&l9;</svg>'.encode(),
        f'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>{HEAD}&f;</svg>'.encode(),
        f"<!DOCTYPE x>{HEAD}{LINE}</svg>".encode("utf-16"),
        svg(f'<defs><path id="b0" d="M0 0L1 1" stroke="black"/>{bomb}</defs><use href="#b8"/>'),
        svg('<g id="a"><use href="#a"/></g>'),
        svg("<g>" * 5000 + "</g>" * 5000),
        svg(f'<path id="a" stroke="black" d="M0 0{"L1 2" * 5000}"/>' + '<use href="#a"/>' * 500),
        svg("<!--" + "x" * (8 << 20) + "-->"),
    ):
        assert error(data).code == "sketch.svg-broken"
    assert error(svg('<use href="other.svg#r"/>')).code == "sketch.svg-empty"


def test_what_cannot_be_read_is_one_clear_error() -> None:
    broken = [b"", b"hello", b"<html/>", b"\x89PNG", svg("<g>"), svg('<path stroke="black" d="M0 0 L 1e999 3"/>'),
              svg(f'<g transform="matrix(1,2)">{LINE}</g>'), svg('<path stroke="black" d="L3 4L5 6"/>'),
              svg('<path stroke="black" d="M-1e308 0L1e308 1"/>')]  # fmt: skip
    for data in broken:
        assert error(data).code == "sketch.svg-broken", data


def test_the_points_of_all_strokes_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = svg('<path stroke="black" d="M0 0C1 2 3 4 5 6"/>' * 4)
    assert from_svg(curves).shape == (1024, 1024, 3)
    monkeypatch.setattr("pipelines.vitruvio.svg._POINTS", 90)
    assert "more than 90 points" in str(error(curves).seen)


def test_an_svg_can_be_prepared() -> None:
    found = prepare(from_svg(svg(SQUARE)))
    assert (found.image[64] < 128).sum() in range(2, 7)
    assert found.findings == ()
