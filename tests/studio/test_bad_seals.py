"""Nothing hostile in or around a file gets further than a verdict: no crash, no fetch, no memory without bounds."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import signers
from PIL import Image
from sealed import PIXELS, codes, verdict, written

from pipelines.core.errors import InputError
from studio import provenance, verdicts
from studio.credentials import Trust
from studio.provenance import FACTS
from studio.store import Store


@pytest.fixture
def at(workspace: Path) -> Store:
    return Store(workspace)


def polyglots(folder: Path, sealed: bytes) -> dict[str, bytes]:
    """Files that are two things at once, or pretend to be."""
    stream = folder / "z.zip"
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("META-INF/content_credential.c2pa", b"x" * 100)
    archived = stream.read_bytes()
    return {
        "png and zip": sealed + archived,
        "zip and png": archived + sealed,
        "pdf and png": b"%PDF-1.4\n" + sealed,
        "two pngs": sealed + sealed,
        "html": b"<html><script>alert(1)</script>" + sealed,
    }


def test_bad_input_polyglots_are_never_valid(at: Store, tmp_path: Path) -> None:
    path = written(at, tmp_path, "png")
    for name, data in polyglots(tmp_path, path.read_bytes()).items():
        path.write_bytes(data)
        assert not verdict(at, path).ok, name


@pytest.mark.parametrize("head", [
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x18ftypisom", b"II*\0", b"GIF89a",
])  # fmt: skip
def test_bad_input_garbage_behind_a_good_head(at: Store, tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "a.png"
    rng = random.Random(1)
    for size in (0, 1, 7, 30, 500, 20_000):
        path.write_bytes(head + rng.randbytes(size))
        assert verdict(at, path).status == "none"


def test_bad_input_manifests_that_were_mangled(at: Store, tmp_path: Path) -> None:
    """Lengths, types and counts changed at random, several at once: a verdict each time, and this process lives."""
    path = written(at, tmp_path, "stl")
    manifest, rng = provenance.manifest_beside(path), random.Random(7)
    data = manifest.read_bytes()
    for turn in range(400):
        mangled = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(mangled))
            kind = turn % 4
            if kind == 0:
                mangled[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            elif kind == 1:
                mangled[place : place + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
            elif kind == 2:
                del mangled[place : place + rng.randint(1, 50)]
            else:
                mangled[place:place] = data[place // 2 : place // 2 + rng.randint(1, 200)]
        manifest.write_bytes(mangled)
        assert mangled == data or not verdict(at, path).ok, turn


@pytest.mark.parametrize("data", [b"", b"\0", b"{}", b"\x00\x00\x00\x08jumb" * 20_000, os.urandom(3000)])
def test_bad_input_what_is_no_manifest(at: Store, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.stl"
    path.write_bytes(b"solid")
    provenance.manifest_beside(path).write_bytes(data)
    assert (verdict(at, path).status, codes(verdict(at, path))) == ("altered", ["manifest.unreadable"])


def test_bad_input_a_huge_manifest_is_not_read(at: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.stl"
    path.write_bytes(b"solid")
    with open(provenance.manifest_beside(path), "wb") as stream:
        stream.truncate(1 << 40)
    assert codes(verdict(at, path)) == ["manifest.too-large"]


@pytest.mark.parametrize("facts", [
    {FACTS: 1}, {"deep": None}, {"sidecar_sha256": ["x"]}, {"sidecar_sha256": "\x1b[31m"}, {"big": "x" * 1_000_000},
])  # fmt: skip
def test_bad_input_hostile_json_in_a_manifest(tmp_path: Path, facts: dict[str, object]) -> None:
    """By a signer who means harm: whatever is in it, the words are plain and the verdict is his, not ours."""
    if "deep" in facts:
        nested: object = 1
        for _ in range(60):
            nested = [nested]
        facts = {"deep": nested}
    evil = "\x1b]0;evil\x07\u202e" + "a" * 5000
    ingredient = provenance.Ingredient("a", evil, evil, "inputTo")
    sealed = provenance.seal(b"-", "stl", title=evil, source_type="algorithmicMedia", ingredients=[ingredient],
                             facts=facts, signing=signers.other_studio())  # fmt: skip
    path = tmp_path / "a.stl"
    path.write_bytes(b"-")
    provenance.manifest_beside(path).write_bytes(sealed.manifest)
    found = verdicts.of_file(path, Trust())
    text = json.dumps(found.as_dict(), ensure_ascii=False)
    assert found.status == "foreign" and text.isprintable() and len(text) < 10_000


MEMORY = """
import json, resource, sys
from pathlib import Path
from studio import verdicts
from studio.credentials import Trust
import c2pa
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(verdicts.of_file(Path(sys.argv[1]), Trust()).status)
except verdicts.InputError as error:
    print(error.code)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(("size", "answer"), [(300 << 20, "none"), (1 << 40, "input.too-large")])
def test_bad_input_memory_is_bounded(tmp_path: Path, size: int, answer: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    with open(path, "r+b") as stream:
        stream.truncate(size)  # a file with a hole: no room is taken
    command = [sys.executable, "-c", MEMORY, str(path)]
    root = Path(verdicts.__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, timeout=120)
    status, megabytes = done.stdout.split()
    assert status == answer and int(megabytes) < 700


@pytest.mark.parametrize(("name", "code"), [("none", "missing"), ("folder", "unreadable"), ("empty", "empty")])
def test_bad_input_files_that_are_none(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        verdicts.of_file(tmp_path / name, Trust())
    assert caught.value.code == f"input.{code}"
    with pytest.raises(InputError):
        verdicts.of_file(Path("a\0b"), Trust())
