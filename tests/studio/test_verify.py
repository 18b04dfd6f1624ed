"""Who notices that a byte was changed, who is taken for whom, and that nothing hostile gets further than a verdict."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest
import signers
from PIL import Image
from sealed import BESIDE, EMBEDDED, PIXELS, codes, verdict, written

from studio import certificates, credentials, provenance, sidecar, verdicts
from studio.cli import run
from studio.credentials import Place, Trust
from studio.recipe import Recipe
from studio.registry import Product
from studio.store import Store
from studio.targets import Target


@pytest.fixture
def at(workspace: Path) -> Store:
    return Store(workspace)


# -- changed bytes


@pytest.mark.parametrize("format", [*EMBEDDED, *BESIDE])
def test_one_changed_byte_is_noticed(at: Store, tmp_path: Path, format: str) -> None:
    """The acceptance run changes 50 of each; here 25 places of one file, and of its manifest where that lies beside."""
    path = written(at, tmp_path, format)
    sound = verdict(at, path)
    assert (sound.status, sound.whole_file, sound.reasons, sound.caught_by) == ("studio", True, (), ())
    assert sound.words == "signed by this studio, not by a public authority"
    rng = random.Random(format)
    files = [path] if format in EMBEDDED else [path, provenance.manifest_beside(path)]
    for file in files:
        data = file.read_bytes()
        for place in rng.sample(range(len(data)), 25):
            file.write_bytes(data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :])
            found = verdict(at, path)
            assert not found.ok and found.caught_by and found.reasons, place
            assert "sidecar" in found.caught_by or file != path
        file.write_bytes(data)
    assert verdict(at, path) == sound


@pytest.mark.parametrize("format", [*EMBEDDED, "stl"])
def test_a_manifest_leaves_its_padding_out_and_the_sidecar_does_not(at: Store, tmp_path: Path, format: str) -> None:
    path = written(at, tmp_path, format)
    file = path if format in EMBEDDED else provenance.manifest_beside(path)
    data = file.read_bytes()
    place = data.index(b"\0" * 200) + 100  # the room that is kept for a larger signature
    file.write_bytes(data[:place] + b"\1" + data[place + 1 :])
    found = verdict(at, path)
    assert (found.status, found.caught_by) == ("altered", ("sidecar",))
    sidecar.path_beside(path).unlink()
    alone = verdict(at, path)
    assert (alone.status, codes(alone), alone.whole_file) == ("studio", ["sidecar.missing"], None)


@pytest.mark.parametrize("format", [*EMBEDDED, *BESIDE])
def test_cut_off_and_longer_files(at: Store, tmp_path: Path, format: str) -> None:
    path = written(at, tmp_path, format)
    data = path.read_bytes()
    sidecar.path_beside(path).unlink()  # the manifest alone has to notice
    for changed in (data[:-1], data[: len(data) // 2], data + b"\0", data + data, b"x" + data, data[:20]):
        path.write_bytes(changed)
        assert not verdict(at, path).ok, len(changed)


@pytest.mark.parametrize("format", ["png", "stl"])
def test_a_sidecar_that_says_something_else(at: Store, tmp_path: Path, format: str) -> None:
    path = written(at, tmp_path, format)
    beside = sidecar.path_beside(path)
    text = beside.read_text()
    for change, code in (
        (text.replace('"starter"', '"offical"'), "sidecar.content.mismatch"),
        (text.replace('"cpu"', '"gpu"'), "sidecar.content.mismatch"),
        (text.replace('"schema": "studio', '"schema": "x'), "sidecar.unreadable"),
        (text[:-20], "sidecar.unreadable"),
        ("", "sidecar.unreadable"),
        ("[" * 100_000, "sidecar.unreadable"),
        ('{"output": 1}', "sidecar.unreadable"),
        ("x" * 500_000, "sidecar.unreadable"),
    ):
        beside.write_text(change)
        found = verdict(at, path)
        assert (found.status, codes(found)) == ("altered", [code])


def test_manifests_and_files_that_were_swapped(at: Store, tmp_path: Path) -> None:
    first = written(at, tmp_path, "stl")
    other = at.write(
        Product(document={"a": 2}), Recipe(kind="pose", inputs={}), {}, {}, Target(tmp_path / "b.json", "json")
    ).path
    provenance.manifest_beside(first).write_bytes(provenance.manifest_beside(other).read_bytes())
    found = verdict(at, first)
    assert found.status == "altered" and "assertion.dataHash.mismatch" in codes(found)
    provenance.manifest_beside(first).unlink()
    lost = verdict(at, first)
    assert (lost.status, codes(lost)) == ("none", ["manifest.missing", "sidecar.was-sealed"])


# -- other programs


@pytest.mark.parametrize("format", EMBEDDED)
@pytest.mark.parametrize("beside", [True, False])
def test_a_file_that_was_saved_again_has_no_seal(at: Store, tmp_path: Path, format: str, beside: bool) -> None:
    path = written(at, tmp_path, format)
    copy = tmp_path / f"copy{path.suffix}"
    if format == "mp4":
        ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
        subprocess.run([ffmpeg, "-loglevel", "error", "-i", str(path), str(copy)], check=True, timeout=60)
    else:
        Image.open(path).save(copy)
    os.replace(copy, path)
    if not beside:
        sidecar.path_beside(path).unlink()
    found = verdict(at, path)
    assert (found.status, found.words) == ("none", "no seal")
    wanted = ["sidecar.sha256.mismatch", "sidecar.was-sealed"] if beside else []
    assert codes(found) == ["manifest.missing", *wanted]


@pytest.mark.parametrize("name", ["photo.jpg", "mesh.stl", "text.txt", "noise"])
def test_what_was_never_sealed(at: Store, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "photo.jpg":
        Image.fromarray(PIXELS).save(path)
    else:
        path.write_bytes(b"solid x" if name == "mesh.stl" else os.urandom(500))
    sidecar.path_beside(path).write_text('{"title": "photo.jpg", "photoTakenTime": {}}')  # as an export names it
    assert (verdict(at, path).status, codes(verdict(at, path))) == ("none", ["manifest.missing"])


# -- other signers


def test_another_studio(at: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    (tmp_path / "files").mkdir()
    path = written(other, tmp_path / "files", "png")
    for trust in (Trust(), credentials.trust(at.place)):
        found = verdicts.of_file(path, trust)
        name = credentials.load(other.place).name
        assert found.status == "foreign" and found.signer == name and not found.ok
        assert found.words == f"signed by someone else: {name}; not by this studio, not a public authority"
    known = Trust(public=credentials.trust(other.place).own)
    assert verdicts.of_file(path, known).words == f"trusted: signed by {name}, for whom a public authority vouches"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    assert verdicts.of_file(path, Trust()).status == "altered"


def test_another_customer_of_the_same_authority(at: Store, tmp_path: Path) -> None:
    chain, key = signers.bought("Jane")
    signing = certificates.read_signing(chain, key, "test")
    path = tmp_path / "a.stl"
    path.write_bytes(b"solid")
    sealed = provenance.seal(b"solid", "stl", title="a", source_type="algorithmicMedia", ingredients=(), facts={},
                             signing=signing)  # fmt: skip
    provenance.manifest_beside(path).write_bytes(sealed.manifest)
    own = Trust(issuer=signing.issuer, serial=signing.serial)
    assert verdicts.of_file(path, own).status == "studio"
    assert verdicts.of_file(path, Trust(issuer=signing.issuer, serial=signing.serial + 1)).status == "foreign"


def test_a_certificate_that_has_expired_since(at: Store, tmp_path: Path) -> None:
    import time

    second = 1 / 86_400
    chain, key = signers.bought("Old", end=2 * second)
    signing = certificates.read_signing(chain, key, "test")
    sealed = provenance.seal(b"-", "stl", title="a", source_type="algorithmicMedia", ingredients=(), facts={},
                             signing=signing)  # fmt: skip
    path = tmp_path / "a.stl"
    path.write_bytes(b"-")
    provenance.manifest_beside(path).write_bytes(sealed.manifest)
    time.sleep(3)
    found = verdicts.of_file(path, Trust(own=signing.issuer))
    assert (found.status, codes(found)) == ("foreign", ["signingCredential.expired"])
    path.write_bytes(b"+")
    assert verdicts.of_file(path, Trust(own=signing.issuer)).status == "altered"


# -- the command


def test_the_command(at: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(at, tmp_path, "png")
    assert run(["verify", str(path)]) == 0
    out = capsys.readouterr().out
    assert "signed by this studio, not by a public authority" in out and out.count("\n") == 1
    plain = tmp_path / "plain.png"
    Image.fromarray(PIXELS).save(plain)
    broken = tmp_path / "broken.png"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    broken.write_bytes(data)
    assert run(["verify", str(path), str(plain), str(broken)]) == 7
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "no seal" in lines[1] and "assertion.dataHash.mismatch" in lines[2]
    assert run(["verify", str(tmp_path / "none.png"), str(plain)]) == 6
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_command_as_json(at: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(at, tmp_path, "stl")
    assert run(["verify", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (row,) = told["files"]
    assert told["ok"] and row["status"] == "studio" and row["whole_file"] is True
    assert run(["verify", str(path), str(tmp_path / "none"), "--json"]) == 6
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"] and [row["status"] for row in told["files"]] == ["studio", "unreadable"]
    provenance.manifest_beside(path).unlink()
    assert run(["verify", str(path), "--json"]) == 7
    told = json.loads(capsys.readouterr().out)
    assert told["error"]["code"] == "verify.not-sealed" and told["exit_code"] == 7


def test_the_command_makes_no_credentials(workspace: Path, photo: Path) -> None:
    assert run(["verify", str(photo)]) == 7
    assert not Place(workspace).folder.exists()


def test_the_trash_takes_the_manifest_along(at: Store, tmp_path: Path) -> None:
    path = written(at, tmp_path, "stl")
    place = at.trash(path)
    assert sorted(item.name for item in place.iterdir()) == ["a.stl", "a.stl.c2pa", "a.stl.json"]
    assert verdict(at, place / "a.stl").status == "studio"


def test_a_manifest_takes_its_name_and_force_replaces_it(at: Store, tmp_path: Path) -> None:
    (tmp_path / "a.stl.c2pa").write_bytes(b"somebody's own")
    assert written(at, tmp_path, "stl").name == "a-2.stl"
    target = Target(tmp_path / "a.stl", "json", force=True)
    made = at.write(Product(document={"b": 1}), Recipe(kind="pose", inputs={}), {}, {}, target)
    assert verdict(at, made.path).status == "studio" and made.manifest == tmp_path / "a.stl.c2pa"
