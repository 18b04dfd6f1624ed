"""Small sealed files of every format, and what a studio says of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from pipelines.core.types import Mesh
from studio import credentials, sealing, sidecar, verdicts
from studio.recipe import Recipe
from studio.registry import Product
from studio.sidecar import Output, Sidecar
from studio.store import Store
from studio.targets import SUFFIX_OF, Target
from studio.verdicts import Verdict

EMBEDDED, BESIDE = ("png", "jpeg", "webp", "mp4"), ("3mf", "stl", "obj", "ply", "glb", "json")
PIXELS = np.random.default_rng(0).integers(0, 256, (96, 80, 3)).astype(np.uint8)


def film(path: Path) -> bytes:
    """Half a second of film by the bundled ffmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "lavfi", "-i",
               "testsrc=size=64x64:rate=4:duration=0.5", "-pix_fmt", "yuv420p", str(path)]  # fmt: skip
    subprocess.run(command, check=True, timeout=60)
    return path.read_bytes()


def written(at: Store, folder: Path, format: str) -> Path:
    """A sealed file with what belongs beside it."""
    corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]], float)
    solid = Mesh(corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    if format == "mp4":
        return sealed_film(at, folder)
    kind, made = "building", Product(mesh=solid)
    if format in SUFFIX_OF and format in EMBEDDED:
        kind, made = "tryon", Product(pixels=PIXELS)
    if format == "json":
        kind, made = "pose", Product(document={"joints": [1.5, 2]})
    target = Target(folder / f"a{SUFFIX_OF[format]}", format)
    return at.write(made, Recipe(kind=kind, inputs={}), {"tier": "starter"}, {"device": "cpu"}, target).path


def sealed_film(at: Store, folder: Path) -> Path:
    """A film sealed as the store seals pictures; the studio makes none yet."""
    path, wanted = folder / "a.mp4", Recipe(kind="tryon", inputs={})
    seal = Sidecar(recipe=wanted, recipe_sha256=wanted.sha256(), output=Output(format="mp4", pixels_sha256="0" * 64))
    sealed = at.seal(film(path), seal, path.name)
    path.write_bytes(sealed.data)
    sidecar.path_beside(path).write_text(sealing.beside(seal, sealed).text())
    return path


def verdict(at: Store, path: Path) -> Verdict:
    """What this studio says of a file."""
    return verdicts.of_file(path, credentials.trust(at.place))


def codes(found: Verdict) -> list[str]:
    return [reason.code for reason in found.reasons]
