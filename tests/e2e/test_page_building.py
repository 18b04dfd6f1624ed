"""The building page in a real browser: a sketch drawn there becomes a solid that can be turned, cut and taken along.

The stand-in pipeline makes it quick; scale, passport, viewer and files are the real ones.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from studio import meshes, sidecar

sys.path.insert(0, str(Path(__file__).resolve().parent))

from test_page_tryon import CHROMIUM, FLAGS, WIDTHS, browser, open_page, site, stroke

__all__ = ["browser", "site"]  # fixtures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this computer (apt-get install chromium)"),
]


@pytest.fixture
def visit(request, site, browser):
    for seen in open_page(browser, site, getattr(request, "param", "desk")):
        to_building(seen)
        yield seen


def to_building(seen) -> None:
    """By its address: on a phone the links lie in a drawer."""
    seen.page.goto(f"{seen.url}/building")
    seen.page.get_by_role("heading", name="Build it").wait_for()
    seen.complaints.clear()  # Streamlit looks for its server below the page's address first, and complains to itself


def ink(page) -> int:
    """How many dark pixels the paper shows; the guides are light."""
    page.wait_for_timeout(150)
    return page.locator("canvas").evaluate(
        "canvas => { const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        " let n = 0; for (let i = 0; i < d.length; i += 4) if (d[i] < 90 && d[i + 1] < 90) n++; return n; }"
    )


def covered(page) -> float:
    """Share of the viewer that shows something."""
    page.wait_for_timeout(150)
    return page.locator("canvas").evaluate(
        "canvas => { const gl = canvas.getContext('webgl2'), n = canvas.width * canvas.height;"
        " const d = new Uint8Array(4 * n);"
        " gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, d);"
        " let seen = 0; for (let i = 3; i < d.length; i += 4) if (d[i] > 200) seen++; return seen / n; }"
    )


@pytest.mark.parametrize("visit", list(WIDTHS), indirect=True)
def test_from_drawing_to_download(visit, tmp_path):
    page = visit.page
    tools = page.get_by_role("radiogroup", name="Drawing tool")
    page.locator("canvas").wait_for()
    assert ink(page) == 0
    tools.get_by_role("radio", name="Wall").click()
    stroke(page, (0.5, 0.85), (0.8, 0.35))
    one = ink(page)
    stroke(page, (0.5, 0.85), (0.2, 0.35))
    both = ink(page)
    assert 0 < one < both
    page.get_by_role("button", name="Undo").click()
    assert ink(page) == one
    page.get_by_role("button", name="Redo").click()
    assert ink(page) == both
    tools.get_by_role("radio", name="Erase").click()
    stroke(page, (0.4, 0.3), (0.6, 0.3))
    assert ink(page) < both
    page.locator("canvas").press("Control+z")
    assert ink(page) == both
    page.locator("button:enabled", has_text="Build it").wait_for()
    assert ink(page) == both  # the way to the server and back does not disturb the paper
    visit.check()
    page.get_by_role("button", name="Build it").click()
    page.locator(".stage[data-drawn]").wait_for()
    whole = covered(page)
    assert whole > 0.02
    page.locator(".size", has_text="100 mm").wait_for()
    page.get_by_role("slider", name="Cut at height").fill("30")
    assert 0 < covered(page) < whole
    page.get_by_role("button", name="Wall thickness").click()
    page.get_by_text("below 0.8 mm: too thin").wait_for()
    page.get_by_role("row", name="Closed surface").wait_for()
    visit.check()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download 3MF").click()
    file = tmp_path / "house.3mf"
    waiting.value.save_as(file)
    mesh = meshes.content(file.read_bytes(), "3mf")
    assert mesh.vertices[:, 2].max() - mesh.vertices[:, 2].min() == pytest.approx(100, rel=1e-5)
    assert sidecar.read(file)[0].recipe.kind == "building"
    assert os.path.getsize(file) > 500


def test_without_webgl_a_picture_stands_in(site, browser):
    from playwright.sync_api import TimeoutError as TooLong

    plain = browser.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, "--disable-3d-apis"])
    for seen in open_page(plain, site, "desk"):
        page = seen.page
        to_building(seen)
        page.locator("canvas").wait_for()
        # While the page is being laid out, a click may be lost.
        build = page.locator("button:enabled", has_text="Build it")
        for _ in range(6):
            page.get_by_role("radiogroup", name="Sketches").get_by_role("radio", name="Shed").click()
            with contextlib.suppress(TooLong):
                build.wait_for(timeout=20_000)
                break
        build.wait_for()
        page.get_by_role("button", name="Build it").click()
        page.get_by_text("This browser has no WebGL 2").wait_for()
        page.get_by_alt_text("The model, as the sketch shows it").wait_for()
    plain.close()
