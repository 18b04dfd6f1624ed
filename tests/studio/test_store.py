"""The store: at whatever moment it stops, a name holds a whole artefact or nothing."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from pipelines.core.errors import InputError
from studio import credentials, disk, pictures, registry, sealing, sidecar, store, targets
from studio.errors import OutputError, UsageError
from studio.recipe import Recipe
from studio.registry import Edit, Product
from studio.store import Store
from studio.targets import Target

HERE = Path(__file__).parent
WANTED = Recipe(kind="tryon", inputs={}, seed=1)
ENVIRONMENT = {"device": "cpu"}


def product(seed: int = 0, size: tuple[int, int] = (96, 80), leak: bool = False) -> Product:
    """A picture that differs from its original in the upper half only."""
    rng = np.random.default_rng(seed)
    original = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    mask = np.zeros(size, np.uint8)
    mask[: size[0] // 2] = 200
    pixels = np.where(mask[..., None] > 0, 255 - original, original)
    if leak:
        pixels[-1, -3:] ^= 1
    return Product(
        pixels=pixels, edit=Edit(original, mask), layers={"mask": mask, "on": mask > 0, "skip": rng.random(3)}
    )


def whole(path: Path) -> bool:
    """Whether picture and sidecars agree with each other and with the pixels."""
    seal, notes = sidecar.read(path)
    shown = sealing.content(path.read_bytes(), seal.output.format)
    return not notes and sealing.content_hash(shown) == seal.output.pixels_sha256


def visible(folder: Path) -> list[str]:
    """Names in a folder."""
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_written_whole(tmp_path: Path, workspace: Path, format: str) -> None:
    target = Target(tmp_path / f"a{targets.SUFFIX_OF[format]}", format)
    made = Store(workspace).write(product(), WANTED, {"tier": "starter"}, ENVIRONMENT, target)
    assert made.path == target.path and whole(made.path)
    assert visible(tmp_path) == [target.path.name, target.path.name + ".json"]
    inside = sidecar.parse(pictures.embedded_sidecar(made.path.read_bytes()) or "")
    assert inside.recipe == WANTED and inside.receipt == made.sidecar.receipt and inside.environment == ENVIRONMENT
    assert inside.output.sha256 is None and made.sidecar.output.bytes == made.path.stat().st_size
    assert Store(workspace).gallery()[0]["file_sha256"] == made.sidecar.output.sha256


@pytest.mark.parametrize("format", ["png", "webp"])
def test_receipt_counts_the_file(tmp_path: Path, workspace: Path, format: str) -> None:
    target = Target(tmp_path / f"a.{format}", format)
    clean = Store(workspace).write(product(), WANTED, {}, {}, target).sidecar.receipt["edit"]
    assert clean["mask_pixels"] == 48 * 80 and clean["mask_share"] == 0.5
    assert clean["changed_outside_mask"] == 0 and 3800 < clean["changed_pixels"] <= 3840
    leaky = Store(workspace).write(product(leak=True), WANTED, {}, {}, target).sidecar.receipt["edit"]
    assert leaky["changed_outside_mask"] == 3


def test_jpeg_claims_nothing_about_the_outside(tmp_path: Path, workspace: Path) -> None:
    made = Store(workspace).write(product(), WANTED, {}, {}, Target(tmp_path / "a.jpg", "jpeg"))
    assert made.sidecar.receipt["edit"]["changed_outside_mask"] is None


def test_document(tmp_path: Path, workspace: Path) -> None:
    wanted = Product(document={"b": [1, 2.5], "a": "ü"})
    made = Store(workspace).write(wanted, WANTED, {}, {}, Target(tmp_path / "a.json", "json"))
    data = json.loads(made.path.read_text(encoding="utf-8"))
    assert data.pop(pictures.SIDECAR_KEY)["recipe"]["kind"] == "tryon" and data == {"b": [1, 2.5], "a": "ü"}
    assert whole(made.path)


def test_layers(tmp_path: Path, workspace: Path) -> None:
    made = Store(workspace).write(product(), WANTED, {}, {}, Target(tmp_path / "a.png", "png", layers=True))
    assert made.layers is not None and visible(made.layers) == ["mask.png", "on.png"]
    assert np.array_equal(pictures.pixels_of((made.layers / "on.png").read_bytes()) > 0, product().layers["on"])


def test_never_overwrites(tmp_path: Path, workspace: Path) -> None:
    target = Target(tmp_path / "a.png", "png")
    names = [Store(workspace).write(product(i), WANTED, {}, {}, target).path.name for i in range(3)]
    assert names == ["a.png", "a-2.png", "a-3.png"]
    assert all(whole(tmp_path / name) for name in names)
    (tmp_path / "b.png.json").write_text("somebody's own")
    assert Store(workspace).write(product(), WANTED, {}, {}, Target(tmp_path / "b.png", "png")).path.name == "b-2.png"


def test_force_overwrites(tmp_path: Path, workspace: Path) -> None:
    first = Store(workspace).write(product(0), WANTED, {}, {}, Target(tmp_path / "a.png", "png", layers=True))
    second = Store(workspace).write(product(1), WANTED, {}, {}, Target(tmp_path / "a.png", "png", force=True))
    assert second.path == first.path and whole(second.path)
    assert np.array_equal(pictures.pixels_of(second.path.read_bytes()), product(1).pixels)
    assert visible(tmp_path) == ["a.png", "a.png.json"]  # layers of the old result are gone with it


def test_many_writers_of_one_name(tmp_path: Path, workspace: Path) -> None:
    target = Target(tmp_path / "a.png", "png")
    made: list[Path] = []

    def write(seed: int) -> None:
        made.append(Store(workspace).write(product(seed), WANTED, {}, {}, target).path)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8 and all(whole(path) for path in made)
    contents = {pictures.pixels_of(path.read_bytes()).tobytes() for path in made}
    assert len(contents) == 8


# -- places that cannot take it


@pytest.mark.parametrize("place", ["{file}/x.png", "{file}/deep/x.png", "/proc/x.png", "/proc/1/x/y.png", "{folder}"])
def test_unwritable(tmp_path: Path, workspace: Path, place: str) -> None:
    """As root every folder can be written, so the places are such that no one can: below a file, in /proc."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.png").mkdir()
    path = Path(place.format(file=tmp_path / "file", folder=tmp_path / "folder.png"))
    before = visible(tmp_path)
    for act in (
        lambda: Store(workspace).check(Target(path, "png")),
        lambda: Store(workspace).write(product(), WANTED, {}, {}, Target(path, "png", force=True)),
    ):
        with pytest.raises(OutputError) as caught:
            act()
        assert caught.value.code == "output.unwritable"
        assert visible(tmp_path) == before and visible(tmp_path / "folder.png") == []


def limited(code: str, *arguments: str, size: int) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that may write no file larger than ``size``: to it, the disk is full."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [sys.executable, "-B", "-c", code, str(HERE), *arguments]
    return subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False, cwd=HERE.parents[1])


WRITE = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_store as t
target = t.Target(Path(sys.argv[2]), "png", layers=True)
try:
    t.Store(Path(sys.argv[3])).write(t.product(size=(400, 400)), t.WANTED, {}, {}, target)
except t.OutputError as error:
    print(error.code); sys.exit(2)
"""


@pytest.mark.parametrize("size", [4_000, 60_000, 481_000])
def test_full_disk(tmp_path: Path, workspace: Path, size: int) -> None:
    done = limited(WRITE, str(tmp_path / "a.png"), str(workspace), size=size)
    assert (done.returncode, done.stdout.strip()) == (2, "output.disk-full"), done.stderr
    assert visible(tmp_path) == []


def test_full_disk_is_known_before_the_work(tmp_path: Path, workspace: Path) -> None:
    code = WRITE.replace(".write(t.product(size=(400, 400)), t.WANTED, {}, {}, ", ".check(")
    done = limited(code, str(tmp_path / "a.png"), str(workspace), size=100)
    assert (done.returncode, done.stdout.strip()) == (2, "output.disk-full"), done.stderr
    assert visible(tmp_path) == []


# -- sudden ends

ENDLESS = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_store as t
at = t.Store(Path(sys.argv[3]))
print("ready", flush=True)
for number in range(10_000):
    force = number % 3 == 0
    format = "webp" if number % 2 else "png"
    name = f"a.{format}" if force else f"b{number}.{format}"
    target = t.Target(Path(sys.argv[2]) / name, format, force=force, layers=number % 5 == 0)
    at.write(t.product(number), t.WANTED, {}, {}, target)
    print("wrote", flush=True)
"""


@pytest.mark.slow
def test_kill_at_random_moments(tmp_path: Path, workspace: Path) -> None:
    """Twenty processes that only store are killed at any step; every file that has a name is whole each time."""
    rng, seen = random.Random(5), 0
    for _ in range(20):
        command = [sys.executable, "-B", "-c", ENDLESS, str(HERE), str(tmp_path), str(workspace)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE.parents[1]) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            for _ in range(rng.randint(1, 4)):  # so many are whole however slow this machine is
                assert process.stdout.readline() == b"wrote\n"
            time.sleep(rng.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
        for path in [p for p in tmp_path.iterdir() if p.suffix in (".png", ".webp") and not p.name.startswith(".")]:
            with Image.open(path) as picture:
                picture.load()
            seal = sidecar.parse(pictures.embedded_sidecar(path.read_bytes()) or "")
            assert sealing.content_hash(pictures.pixels_of(path.read_bytes())) == seal.output.pixels_sha256, path.name
            if sidecar.path_beside(path).exists():
                assert whole(path), path.name
            seen += 1
        for path in tmp_path.glob("[!.]*.json"):
            assert sidecar.parse(path.read_bytes()).output.sha256
    assert seen > 40
    Store(workspace).write(product(), WANTED, {}, {}, Target(tmp_path / "last.png", "png"))
    assert [name for name in visible(tmp_path) if name.startswith(".")] == []  # what the killed left is cleared away


def test_names_are_counted_in_bytes(tmp_path: Path, workspace: Path) -> None:
    """A disk takes 255 bytes, and these letters take three each."""
    name = registry.default_name(registry.kind("tryon"), {"person": "写" * 80 + ".jpg", "garment": "衣" * 80 + ".jpg"})
    assert name == "写" * 40
    made = Store(workspace).write(product(), WANTED, {}, {}, Target(tmp_path / ("衣" * 78 + ".png"), "png"))
    assert made.path.is_file() and made.sidecar_path.is_file() and len(list(tmp_path.iterdir())) == 2
    assert disk.shorten("a" * 5, 9) == "aaaaa" and disk.shorten("ä" * 5, 3) == "ä"


def test_sweep_leaves_the_living_alone(tmp_path: Path, workspace: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as living:
        alive = tmp_path / f".x.png.{disk._host()}-{living.pid}-1.part"
        elsewhere = tmp_path / ".x.png.00000000-1-1.part"
        for path in (alive, elsewhere):
            path.write_text("")
        Store(workspace).write(product(), WANTED, {}, {}, Target(tmp_path / "a.png", "png"))
        assert alive.exists() and elsewhere.exists()
        living.kill()
    Store(workspace).write(product(), WANTED, {}, {}, Target(tmp_path / "b.png", "png"))
    assert not alive.exists() and elsewhere.exists()


@pytest.mark.parametrize(("module", "moment"), [(store, "_check_written"), (store, "_settle"), (disk, "sync_folder")])
def test_interrupt_leaves_all_or_nothing(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, moment: str
) -> None:
    """Ctrl-C before the names are given leaves nothing; after, it waits until the sidecar has its name too."""
    real = getattr(module, moment)

    def pressed(*arguments: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    at = Store(workspace)
    credentials.load(at.place)  # its folder is synced too, on first use
    monkeypatch.setattr(module, moment, pressed)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts with "&"
    try:
        with pytest.raises(KeyboardInterrupt):
            at.write(product(), WANTED, {}, {}, Target(tmp_path / "a.png", "png"))
    finally:
        signal.signal(signal.SIGINT, before)
    if moment == "_check_written":
        assert visible(tmp_path) == []
    else:
        assert visible(tmp_path) == ["a.png", "a.png.json"] and whole(tmp_path / "a.png")


# -- inputs


def test_inputs_by_content(workspace: Path, tmp_path: Path) -> None:
    at = Store(workspace)
    ref = at.keep_input(b"photo", "../etc/me\n.jpg")
    assert "/" not in ref.name and ref.name.isprintable()
    assert at.read_input(ref) == b"photo"
    assert at.keep_input(b"photo", "other.jpg").sha256 == ref.sha256
    assert len(list((workspace / "inputs").rglob("*/*"))) == 1


def test_damaged_input_is_not_used(workspace: Path, tmp_path: Path) -> None:
    at = Store(workspace)
    ref = at.keep_input(b"photo", "me.jpg")
    at.input_path(ref.sha256).write_bytes(b"other")
    with pytest.raises(InputError) as caught:
        at.read_input(ref, tmp_path)
    assert caught.value.code == "input.not-kept" and ref.sha256 in str(caught.value.seen)
    (tmp_path / "me.jpg").write_bytes(b"photo")
    assert at.read_input(ref, tmp_path) == b"photo"


def test_trash(tmp_path: Path, workspace: Path) -> None:
    at = Store(workspace)
    made = at.write(product(), WANTED, {}, {}, Target(tmp_path / "a.png", "png", layers=True))
    place = at.trash(made.path)
    assert visible(tmp_path) == [] and visible(place) == ["a.png", "a.png.json", "a.png.layers"]
    assert at.gallery() == [] and whole(place / "a.png")
    with pytest.raises(InputError):
        at.trash(made.path)


# -- names


@pytest.mark.parametrize(
    ("output", "format", "name", "chosen"),
    [
        ("out/x.png", None, "out/x.png", "png"),
        ("x.JPG", None, "x.JPG", "jpeg"),
        ("x.jpeg", "jpg", "x.jpeg", "jpeg"),
        ("x", None, "x.png", "png"),
        ("x", "webp", "x.webp", "webp"),
        ("v1.2", "webp", "v1.2.webp", "webp"),
        ("out/", None, "out/me-shirt.png", "png"),
        (None, "jpeg", "me-shirt.jpg", "jpeg"),
    ],
)
def test_target(output: str | None, format: str | None, name: str, chosen: str) -> None:
    target = targets.target_for(output, ("png", "jpeg", "webp"), "me-shirt", format=format)
    assert (os.path.relpath(target.path), target.format) == (name, chosen)


@pytest.mark.parametrize(
    ("output", "format"), [("x.png", "jpeg"), ("x.json", None), ("x.bmp", None), ("x", "tiff"), ("x.json", "json")]
)
def test_target_refused(output: str, format: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        targets.target_for(output, ("png", "jpeg", "webp"), "x", format=format)
    assert caught.value.code == "output.format"
