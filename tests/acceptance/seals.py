"""In a process of its own: seal many small files of every format, change one byte of each, and ask who noticed.

A byte anywhere: in the picture, in the manifest, in its padding, and for formats with a manifest beside them in that
file too. Then what other programs leave of a seal, who is taken for whom, and what sealing costs.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import trimesh
from PIL import Image

from pipelines.core.types import Mesh
from studio import certificates, credentials, pictures, provenance, sealing, sidecar, verdicts
from studio.credentials import Place, Trust
from studio.recipe import Recipe
from studio.registry import Product
from studio.sidecar import Output, Sidecar
from studio.store import Store
from studio.targets import SUFFIX_OF, Target

KINDS = {"png": "tryon", "jpeg": "tryon", "webp": "tryon", "json": "pose"}
FORMATS = ("png", "jpeg", "webp", "mp4", "3mf", "stl", "glb", "ply", "obj", "json")
WORDS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}


def product(format: str, seed: int) -> Product:
    """A small picture, document or solid that no other seed gives."""
    rng = np.random.default_rng(seed)
    if format == "json":
        return Product(document={"numbers": rng.integers(0, 1000, 200).tolist()})
    if format in KINDS:
        return Product(pixels=rng.integers(0, 256, (96, 80, 3)).astype(np.uint8))
    ball = trimesh.creation.icosphere(2, radius=10 + seed)
    return Product(mesh=Mesh(np.asarray(ball.vertices, np.float32).astype(np.float64), np.asarray(ball.faces)))


def ffmpeg(*arguments: str) -> None:
    """Run the bundled ffmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-threads", "1", *arguments]
    subprocess.run(command, check=True, timeout=120)


def bare_video(path: Path, seed: int) -> bytes:
    """A second of film."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc=size={64 + 2 * seed}x64:rate=5:duration=1", "-pix_fmt", "yuv420p", str(path))
    data = path.read_bytes()
    path.unlink()
    return data


def video(store: Store, path: Path, seed: int) -> Path:
    """A film, sealed as the store seals pictures; the studio itself makes none yet."""
    output = Output(format="mp4", pixels_sha256="0" * 64)
    wanted = Recipe(kind="tryon", inputs={})
    seal = Sidecar(recipe=wanted, recipe_sha256=wanted.sha256(), output=output)
    sealed = store.seal(bare_video(path, seed), seal, path.name)
    path.write_bytes(sealed.data)
    sidecar.path_beside(path).write_text(sealing.beside(seal, sealed).text(indent=2) + "\n", encoding="utf-8")
    return path


def written(store: Store, folder: Path, format: str, seed: int) -> Path:
    """A sealed file with what belongs beside it."""
    if format == "mp4":
        return video(store, folder / f"{seed}.mp4", seed)
    target = Target(folder / f"{seed}{SUFFIX_OF[format]}", format)
    wanted = Recipe(kind=KINDS.get(format, "building"), inputs={}, seed=seed)
    return store.write(product(format, seed), wanted, {"note": "x" * seed}, {}, target).path


def changed_byte(path: Path, rng: random.Random) -> int:
    """Change one byte somewhere in a file."""
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data))
    data[place] ^= rng.randrange(1, 256)
    path.write_bytes(data)
    return place


def flips(store: Store, trust: Trust, folder: Path, format: str, count: int) -> dict[str, Any]:
    """Change one byte in each of ``count`` files; in as many manifests too, where these lie beside."""
    rng, found, sound = random.Random(f"{format} {count}"), Counter(), 0
    for seed in range(count):
        path = written(store, folder, format, seed)
        sound += verdicts.of_file(path, trust).status == "studio"
        whole, manifest = path.read_bytes(), provenance.manifest_beside(path)
        changed_byte(path, rng)
        found.update(_outcome(verdicts.of_file(path, trust), "file"))
        path.write_bytes(whole)
        if manifest.is_file():
            changed_byte(manifest, rng)
            found.update(_outcome(verdicts.of_file(path, trust), "manifest file"))
    return {"files": count, "sound": sound, **found}


def _outcome(verdict: verdicts.Verdict, where: str) -> list[str]:
    if verdict.ok:
        return [f"{where}: missed"]
    return [f"{where}: detected", f"{where}: by {' and '.join(verdict.caught_by)}"]


def saved_again(store: Store, trust: Trust, folder: Path) -> dict[str, str]:
    """What is said of a sealed file after Pillow or ffmpeg saved it, with and without the old sidecar beside it."""
    told = {}
    for format in (*WORDS, "mp4"):
        path = written(store, folder, format, 300)
        copy = folder / f"copy-{path.name}"
        if format == "mp4":
            ffmpeg("-i", str(path), "-c:v", "libx264", str(copy))
        else:
            Image.open(path).save(copy, WORDS[format])
        told[format] = verdicts.of_file(copy, trust).status
        path.write_bytes(copy.read_bytes())
        told[f"{format}, old sidecar"] = verdicts.of_file(path, trust).status
    return told


def costs(store: Store, folder: Path) -> dict[str, dict[str, float]]:
    """Bytes and milliseconds that sealing adds, with a person's and a garment's photo; pictures of 768 x 1024."""
    rng = np.random.default_rng(1)
    smooth = np.kron(rng.integers(0, 240, (64, 48, 3)), np.ones((16, 16, 1))) + rng.integers(0, 16, (1024, 768, 3))
    photo = pictures.encode(smooth.astype(np.uint8), "jpeg")
    inputs = {slot: store.keep_input(photo + bytes([number]), f"{slot}.jpg")
              for number, slot in enumerate(("person", "garment"))}  # fmt: skip
    told = {}
    for format in FORMATS:
        made = Product(pixels=smooth.astype(np.uint8)) if format in WORDS else product(format, 3)
        if format == "mp4":
            body = bare_video(folder / "bare.mp4", 300)
        else:
            body = sealing.encode(made, format, 95)
        wanted = Recipe(kind="tryon", inputs=inputs)
        seal = Sidecar(recipe=wanted, recipe_sha256=wanted.sha256(),
                       output=Output(format=format, pixels_sha256="0" * 64))  # fmt: skip
        seconds = []
        for _ in range(7):
            started = time.perf_counter()
            sealed = store.seal(body, seal, "a")
            seconds.append(time.perf_counter() - started)
        added = len(sealed.manifest) if sealed.beside else len(sealed.data) - len(body)
        told[format] = {"bytes": added, "ms": round(1000 * statistics.median(seconds), 1), "file_bytes": len(body)}
    return told


def foreign(store: Store, trust: Trust, folder: Path) -> dict[str, str]:
    """What is said of another studio's file, here, by one who knows that studio, and by one who trusts it publicly."""
    path = written(store, folder, "png", 902)
    other = Trust(own=certificates.make_root()[0])
    return {
        "here": verdicts.of_file(path, trust).status,
        "elsewhere": verdicts.of_file(path, other).status,
        "elsewhere, no credentials yet": verdicts.of_file(path, Trust()).status,
        "elsewhere, as a public authority": verdicts.of_file(path, Trust(other.own, public=trust.own)).status,
    }


def opened_3mf(store: Store, folder: Path) -> dict[str, Any]:
    """What lib3mf's strict mode and PrusaSlicer say of a sealed 3MF."""
    from tests.acceptance.solids import strict_warnings
    from tests.mesh import slicer

    path = written(store, folder, "3mf", 903)
    told: dict[str, Any] = {"lib3mf_warnings": strict_warnings(path.read_bytes())}
    if slicer.SLICER:
        told["slicer_manifold"] = slicer.info(path).get("manifold")
    return told


def main() -> None:
    """Measure and write one JSON object."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory(prefix="seals-") as scratch:
        folder = Path(scratch)
        place = Place(folder / "home")
        store = Store(place.home, place)
        provenance.prove(credentials.load(place))
        trust = credentials.trust(place)
        result: dict[str, Any] = {"flips": {}}
        for format in FORMATS:
            (folder / format).mkdir()
            result["flips"][format] = flips(store, trust, folder / format, format, count)
        result["saved_again"] = saved_again(store, trust, folder)
        result["foreign"] = foreign(store, trust, folder)
        result["costs"] = costs(store, folder)
        result["3mf"] = opened_3mf(store, folder)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
