"""The try-on page in a real browser, at desk and at phone width, from the sample person to the downloaded result.

The stand-in pipeline makes it quick; the last test runs the real one as soon as its weights are there.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.core import hub
from pipelines.core.errors import WeightsError
from studio import pictures, registry, sidecar
from studio.page import page_file
from studio.queue import Queue

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import boxhouse  # noqa: E402
import boxpaste  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
PATIENCE = 120_000  # milliseconds; the machine may be busy with a training

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this computer (apt-get install chromium)"),
]


@dataclass
class Site:
    """A running page and its workspace."""

    url: str
    home: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(home: Path, worker: list[str] | None, page: list[str], port: int) -> Iterator[Site]:
    home.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "STUDIO_HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(home / "page.log", "wb") as log:
        children = [
            subprocess.Popen([sys.executable, *command], cwd=ROOT, env=env, stdout=log, stderr=log)
            for command in (worker, page)
            if command
        ]
        try:
            url, deadline = f"http://localhost:{port}", time.monotonic() + 240
            while True:
                try:
                    urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, (home / "page.log").read_text()[-2000:]
                    time.sleep(0.3)
            yield Site(url, home)
        finally:
            for child in children:
                child.terminate()
                child.wait(timeout=20)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    samples = boxhouse.write_samples(boxpaste.write_samples(folder / "samples"))
    port = free_port()
    script = str(HERE / "boxpaste.py")
    worker = [script, "worker", "--home", str(folder / "home")]
    yield from serve(folder / "home", worker, [script, "page", str(port), str(samples)], port)


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@dataclass
class Visit:
    """A page in the browser, and what it did behind our back."""

    page: object
    asked: list[str]
    complaints: list[str]
    url: str

    def check(self) -> None:
        """Nothing left this computer, nothing broke, and nothing sticks out at the side."""
        outside = [url for url in self.asked if not url.startswith((self.url, self.url.replace("http", "ws", 1)))]
        assert [url for url in outside if not url.startswith(("data:", "blob:"))] == []
        assert self.complaints == []
        wide, seen = self.page.evaluate(
            "(() => { const main = document.querySelector('[data-testid=stMain]');"
            " return [Math.max(main.scrollWidth, document.documentElement.scrollWidth), main.clientWidth]; })()"
        )
        assert wide <= seen


@pytest.fixture
def visit(request, site, browser) -> Iterator[Visit]:
    yield from open_page(browser, site, getattr(request, "param", "desk"))


def open_page(browser, site: Site, device: str) -> Iterator[Visit]:
    width, height = WIDTHS[device]
    phone = device == "phone"
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda channel: asked.append(channel.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(site.url)
    page.get_by_role("heading", name="Try it on").wait_for()
    yield Visit(page, asked, complaints, site.url)
    context.close()


def pick(page, group: str, name: str) -> None:
    page.get_by_role("radiogroup", name=group).get_by_role("radio", name=name).click()


def to_mask(page, person: str = "Anna", garment: str = "Red shirt") -> None:
    pick(page, "Sample people", person)
    page.locator("canvas").wait_for()
    pick(page, "Sample garments", garment)
    page.locator("button:enabled", has_text="Try it on").wait_for()


def to_result(page) -> None:
    page.get_by_role("button", name="Try it on").click()
    page.get_by_role("slider", name="Before and after").wait_for()


def covered(page) -> int:
    """How many pixels of the brush's canvas carry the mask's colour."""
    return page.locator("canvas").evaluate(
        "canvas => { const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        " let n = 0; for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 60 && d[i] > d[i + 2]) n++; return n; }"
    )


def stroke(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    canvas = page.locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=6)
    page.mouse.up()


@pytest.mark.parametrize("visit", list(WIDTHS), indirect=True)
def test_from_sample_to_download(visit, tmp_path):
    page = visit.page
    to_mask(page)
    visit.check()
    to_result(page)
    visit.check()
    page.get_by_text("0 pixels changed").wait_for()  # the receipt is drawn after the picture, once its seal was read
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download PNG").click()
    file = tmp_path / "result.png"
    waiting.value.save_as(file)
    seal, _ = sidecar.read(file)
    assert seal.recipe.kind == "tryon" and seal.receipt["edit"]["changed_outside_mask"] == 0
    assert sidecar.hash_pixels(pictures.pixels_of(file.read_bytes())) == seal.output.pixels_sha256
    check_slider(page)
    visit.check()


def check_slider(page) -> None:
    """Keyboard, mouse or finger, and the other views of the result."""
    handle = page.get_by_role("slider", name="Before and after")
    now = lambda: int(handle.get_attribute("aria-valuenow"))  # noqa: E731
    handle.focus()
    assert now() == 50
    for key, value in (("ArrowRight", 52), ("Shift+ArrowRight", 62), ("ArrowLeft", 60), ("Home", 0), ("End", 100)):
        page.keyboard.press(key)
        assert now() == value, key
    box = page.locator(".stage").last.bounding_box()
    y = box["y"] + box["height"] / 2
    if page.evaluate("navigator.maxTouchPoints") > 0:
        page.touchscreen.tap(box["x"] + 0.25 * box["width"], y)
    else:
        page.mouse.move(box["x"] + 0.9 * box["width"], y)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.25 * box["width"], y, steps=5)
        page.mouse.up()
    assert now() == pytest.approx(25, abs=2)
    for view, picture in (("Difference", "difference"), ("Mask", "overlay"), ("Blink", "after"), ("Slider", "before")):
        page.get_by_role("radiogroup", name="View").get_by_role("radio", name=view).click()
        assert page.locator(f"img.{picture}").is_visible()


def test_mask_is_painted_erased_undone_and_used(visit, site):
    page = visit.page
    to_mask(page, "Ben", "Blue top")
    tools = page.get_by_role("radiogroup", name="Mask tool")
    page.wait_for_timeout(500)
    auto = covered(page)
    assert auto > 0
    tools.get_by_role("radio", name="Erase").click()
    stroke(page, (0.45, 0.35), (0.55, 0.35))
    erased = covered(page)
    assert erased < auto
    tools.get_by_role("radio", name="Add").click()
    stroke(page, (0.1, 0.9), (0.2, 0.9))
    assert covered(page) > erased
    page.get_by_role("button", name="Undo").click()
    assert covered(page) == erased
    page.locator("canvas").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert covered(page) >= erased
    page.keyboard.press("Control+z")
    assert covered(page) == erased
    page.wait_for_timeout(1500)  # the last stroke's way to the server and back must not disturb what is on the canvas
    assert covered(page) == erased
    visit.check()
    to_result(page)
    made = max((site.home / "outputs").rglob("ben-blue-top*.png"), key=lambda path: path.stat().st_mtime_ns)
    while made.parent.name.endswith(".layers"):
        made = made.parent.with_name(made.parent.name.removesuffix(".layers"))
    layers = made.with_name(made.name + ".layers")
    mask = pictures.pixels_of((layers / "mask.png").read_bytes())
    height, width = mask.shape
    assert mask[int(0.35 * height), width // 2] == 0 and mask.any()
    assert "mask" in sidecar.read(made)[0].recipe.inputs
    visit.check()


def test_cancel_and_the_other_page(visit):
    page = visit.page
    to_mask(page)
    page.get_by_role("button", name="Try it on").click()
    page.get_by_role("button", name="Cancel").click()
    page.locator("button:enabled", has_text="Try it on").wait_for()
    assert page.get_by_role("alert").filter(has_text="gone").count() == 0
    visit.check()
    page.get_by_role("link", name="Responsible use").first.click()
    page.get_by_role("heading", name="Responsible use").wait_for()
    visit.check()


def missing() -> str:
    """Why the real pipeline cannot run here; empty when it can."""
    for name in registry.KINDS["tryon"].weights:
        try:
            hub.resolve(name)
        except WeightsError as error:
            return str(error)
    folder = ROOT / "assets" / "samples" / "people"
    return "" if folder.is_dir() and any(folder.iterdir()) else "no sample people in assets/"


@pytest.mark.skipif(bool(missing()), reason=f"the real pipeline is not complete: {missing()[:120]}")
def test_the_real_pipeline_from_samples(browser, tmp_path):
    port, home = free_port(), tmp_path / "home"
    command = ["-m", "streamlit", "run", str(page_file()), "--server.port", str(port)]
    try:
        for site in serve(home, None, command, port):
            for visit in open_page(browser, site, "desk"):
                page = visit.page
                page.set_default_timeout(4 * PATIENCE)  # loads weights, beside whatever else this machine does
                for group in ("Sample people", "Sample garments"):
                    page.get_by_role("radiogroup", name=group).get_by_role("radio").first.click()
                    page.locator("canvas").wait_for()
                page.locator("button:enabled", has_text="Try it on").wait_for()
                to_result(page)
                visit.check()
        made = next((home / "outputs").glob("*/*.png"))
        seal, notes = sidecar.read(made)
        assert notes == [] and seal.receipt["edit"]["changed_outside_mask"] == 0
        assert {part["tier"] for part in seal.receipt["weights"]} == {"starter"}
        assert seal.receipt["edit"]["changed_pixels"] > 0
    finally:
        # The worker that the page started belongs to this test and must not outlive it.
        for row in Queue(home).workers():
            os.kill(row["pid"], signal.SIGTERM)
