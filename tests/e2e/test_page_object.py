"""The object page in a real browser: two uploads become a cloud that can be turned and replayed, then a print.

The stand-in pipeline makes it quick; cut-outs, viewer, surface, passport and files are the real ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.mesh.clouds import decode
from pipelines.synthetic.objects import Camera, picture, sample_object
from studio import meshes, sidecar

sys.path.insert(0, str(Path(__file__).resolve().parent))

from test_page_building import covered
from test_page_tryon import CHROMIUM, WIDTHS, browser, open_page, site

__all__ = ["browser", "site"]  # fixtures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this computer (apt-get install chromium)"),
]


@pytest.fixture
def visit(request, site, browser):
    """By its address: on a phone the links lie in a drawer."""
    for seen in open_page(browser, site, getattr(request, "param", "desk")):
        seen.page.goto(f"{seen.url}/object")
        seen.page.get_by_role("heading", name="Model it").wait_for()
        seen.complaints.clear()  # Streamlit looks for its server below the page's address first
        yield seen


def views(folder: Path) -> list[Path]:
    """Two pictures of a vase, before nothing."""
    shape = sample_object(np.random.default_rng(2), "vase")
    found = []
    for azimuth in (20, 140):
        colours, cover = picture(shape, Camera(azimuth, 20, 2.5), 128)
        found.append(folder / f"vase-{azimuth}.png")
        cv2.imwrite(str(found[-1]), np.dstack([colours[..., ::-1], cover]))
    return found


@pytest.mark.parametrize("visit", list(WIDTHS), indirect=True)
def test_from_pictures_to_a_print(visit, tmp_path):
    page = visit.page
    page.locator("input[type=file]").first.set_input_files(views(tmp_path))
    page.get_by_text("Picture 2", exact=True).wait_for()
    page.locator("button:enabled", has_text="Make the cloud").click()
    stage = page.locator(".stage[data-drawn]")
    stage.wait_for()
    assert stage.get_attribute("data-points") == "4096"
    page.get_by_role("button", name="Turn").click()  # stands still from here on
    assert covered(page) > 0.02
    slider = page.get_by_role("slider", name="Step")
    slider.fill("0")
    page.get_by_text("1 of 20").wait_for()
    page.locator(".stage[data-drawn='64']").wait_for()
    page.get_by_role("button", name="Picture 1 alone").click()
    page.locator("[data-shown='0'][aria-pressed='true']").wait_for()
    assert slider.is_disabled()
    page.get_by_role("button", name="All 2 pictures").click()
    page.get_by_role("button", name="Play").click()
    page.get_by_text("finished").wait_for()
    page.locator(".stage[data-drawn='4096']").wait_for()
    visit.check()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download PLY").click()
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    cloud = decode(file.read_bytes(), "ply")
    assert file.suffix == ".ply" and len(cloud.points) == 4096
    page.get_by_role("button", name="Make a solid").click()
    page.get_by_role("row", name="Closed surface").wait_for()
    page.locator(".size").first.wait_for()
    assert covered(page) > 0.02
    visit.check()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download 3MF").click()
    file = tmp_path / "vase.3mf"
    waiting.value.save_as(file)
    assert meshes.content(file.read_bytes(), "3mf").vertices[:, 2].min() == pytest.approx(0, abs=1e-4)
    assert sidecar.read(file)[0].recipe.kind == "surface"
