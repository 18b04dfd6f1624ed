"""What a seal says: how a file came about and from what, whatever the inputs are, without a network."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import socket
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
import signers
from PIL import Image

from pipelines.core.types import Mesh
from studio import credentials, provenance, registry, sealing, sidecar, verdicts
from studio.credentials import Trust
from studio.engine import Engine
from studio.errors import UsageError
from studio.provenance import SOURCE_TYPES, Ingredient
from studio.recipe import Recipe
from studio.registry import Product
from studio.settings import load
from studio.store import Store
from studio.targets import Target

PIXELS = np.random.default_rng(0).integers(0, 256, (96, 80, 3)).astype(np.uint8)
BOX = Mesh(
    np.array([[x, y, z] for x in (0, 9) for y in (0, 9) for z in (0, 9)], float),
    np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
              [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]),
)  # fmt: skip


def picture(format: str = "PNG") -> bytes:
    """A small photo."""
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, format)
    return stream.getvalue()


def made(at: Store, folder: Path, kind: str, format: str, **inputs: bytes) -> tuple[verdicts.Verdict, Path]:
    """A result of a kind in a format, with these inputs kept, and what verifying says of it."""
    refs = {slot: at.keep_input(data, f"{slot}.file") for slot, data in inputs.items()}
    kinds = {"json": {"document": {"a": 1}}, "png": {"pixels": PIXELS}, "stl": {"mesh": BOX}, "3mf": {"mesh": BOX}}
    wanted = Recipe(kind=kind, inputs=refs)
    target = Target(folder / f"{kind}.{format}", format)
    path = at.write(Product(**kinds[format]), wanted, {}, {}, target).path
    return verdicts.of_file(path, credentials.trust(at.place)), path


@pytest.mark.parametrize(
    ("kind", "format", "inputs", "source", "actions", "relationships"),
    [
        ("tryon", "png", ("garment", "mask", "person"), "compositeWithTrainedAlgorithmicMedia",
         ("opened", "placed", "edited"), ("componentOf", "inputTo", "parentOf")),
        ("mask", "png", ("person",), "trainedAlgorithmicData", ("created",), ("inputTo",)),
        ("pose", "json", ("person",), "trainedAlgorithmicData", ("created",), ("inputTo",)),
        ("parse", "png", ("person",), "trainedAlgorithmicData", ("created",), ("inputTo",)),
        ("building", "3mf", ("sketch",), "trainedAlgorithmicMedia", ("created",), ("inputTo",)),
        ("building", "stl", ("sketch",), "trainedAlgorithmicMedia", ("created",), ("inputTo",)),
        ("building-plan", "png", ("sketch",), "algorithmicallyEnhanced", ("opened", "edited"), ("parentOf",)),
        ("passport", "json", ("mesh",), "algorithmicMedia", ("created",), ("inputTo",)),
        ("repair", "stl", ("mesh",), "algorithmicallyEnhanced", ("opened", "edited"), ("parentOf",)),
    ],
)  # fmt: skip
def test_every_kind_says_how_it_came_about(
    workspace: Path, tmp_path: Path, kind: str, format: str, inputs: tuple[str, ...], source: str,
    actions: tuple[str, ...], relationships: tuple[str, ...],
) -> None:  # fmt: skip
    data = {slot: picture() if slot != "mesh" else b"solid" for slot in inputs}
    verdict, path = made(Store(workspace), tmp_path, kind, format, **data)
    assert (verdict.status, verdict.whole_file, verdict.reasons) == ("studio", True, ())
    assert verdict.source_type == source and verdict.actions == tuple(f"c2pa.{word}" for word in actions)
    assert {item["title"]: (item["relationship"], item["sha256"]) for item in verdict.ingredients} == {
        f"{slot}.file": (relationship, hashlib.sha256(data[slot]).hexdigest())
        for slot, relationship in zip(inputs, relationships, strict=True)
    }
    beside = provenance.manifest_beside(path).is_file()
    assert beside is (format not in provenance.EMBEDDED)


def test_every_row_has_an_origin_that_fits_it() -> None:
    for row in registry.KINDS.values():
        assert row.origin.source in SOURCE_TYPES
        assert all(row.slot(name) for name in (row.origin.parent, *row.origin.parts) if name)
        assert bool(row.weights) is row.origin.source.startswith(("trained", "composite")) or (
            row.name in ("building-plan", "cutout", "filter")  # prepared without the network; of the tests
        )


def test_the_source_types_are_those_of_the_vocabularies() -> None:
    assert set(SOURCE_TYPES) <= {word.title().replace("_", "").replace("T", "t", 1) for word in SOURCE_TYPES} | {
        "".join([first.lower(), *(part.title() for part in rest)])
        for first, *rest in (name.split("_") for name in c2pa.C2paDigitalSourceType.__members__)
    }
    assert all(uri.startswith("http://") and uri.endswith(name) for name, uri in SOURCE_TYPES.items())


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF"])
def test_an_input_of_any_format_is_named(workspace: Path, tmp_path: Path, format: str) -> None:
    try:
        data = picture(format)
    except (OSError, KeyError):
        pytest.skip(f"this Pillow writes no {format}")
    verdict, _ = made(Store(workspace), tmp_path, "tryon", "png", person=data, garment=b"<svg/>")
    assert verdict.status == "studio" and len(verdict.ingredients) == 2


HOSTILE = {
    "png head": b"\x89PNG\r\n\x1a\n" + b"x" * 100,
    "jpeg head": b"\xff\xd8\xff\xe1\xff\xff",
    "webp head": b"RIFF\xff\xff\xff\xffWEBPC2PA\xff\xff\xff\xff",
    "mp4 of one box": b"\x00\x00\x00\x08ftyp",
    "endless box": b"\x00\x00\x00\x01ftypisom\xff\xff\xff\xff\xff\xff\xff\xff" + b"x" * 64,
    "tiff that points to itself": b"II*\0\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0",
    "gif head": b"GIF89a",
    "one byte": b"x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_broken_input_is_named_by_its_hash(workspace: Path, tmp_path: Path, name: str) -> None:
    verdict, _ = made(Store(workspace), tmp_path, "tryon", "png", person=HOSTILE[name], garment=picture())
    assert verdict.status == "studio" and len(verdict.ingredients) == 2


def test_an_input_that_names_a_manifest_on_the_network(workspace: Path, tmp_path: Path) -> None:
    """Nothing is fetched: a listener on this computer hears nothing."""
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" '
        'dcterms:provenance="http://127.0.0.1:{port}/m.c2pa"/></rdf:RDF></x:xmpmeta>'
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        body = xmp.replace("{port}", str(server.getsockname()[1])).encode()
        segment = b"http://ns.adobe.com/xap/1.0/\0" + body
        plain = picture("JPEG")
        data = plain[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + plain[2:]
        verdict, _ = made(Store(workspace), tmp_path, "tryon", "png", person=data, garment=plain)
        assert verdict.status == "studio"
        lone = tmp_path / "lone.jpg"
        lone.write_bytes(data)
        told = verdicts.of_file(lone, Trust())
        assert (told.status, [reason.code for reason in told.reasons]) == ("none", ["manifest.remote"])
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_chain_is_kept(workspace: Path, tmp_path: Path) -> None:
    at = Store(workspace)
    first, path = made(at, tmp_path, "tryon", "png", person=picture(), garment=picture("JPEG"))
    sealed = path.read_bytes()
    (tmp_path / "second").mkdir()
    second, _ = made(at, tmp_path / "second", "tryon", "png", person=sealed, garment=picture("JPEG"))
    parent = next(item for item in second.ingredients if item["relationship"] == "parentOf")
    assert parent["signer"] == first.signer and parent["failures"] == []
    broken = bytearray(sealed)
    broken[-200] ^= 1  # in the compressed pixels
    (tmp_path / "third").mkdir()
    third, _ = made(at, tmp_path / "third", "tryon", "png", person=bytes(broken), garment=picture("JPEG"))
    parent = next(item for item in third.ingredients if item["relationship"] == "parentOf")
    assert third.status == "studio" and parent["failures"] == ["assertion.dataHash.mismatch"]


def test_inputs_that_are_not_kept_are_still_named(workspace: Path, tmp_path: Path) -> None:
    at = Store(workspace)
    ref = at.keep_input(picture(), "person.png")
    at.input_path(ref.sha256).unlink()
    wanted = Recipe(kind="tryon", inputs={"person": ref})
    path = at.write(Product(pixels=PIXELS), wanted, {}, {}, Target(tmp_path / "a.png", "png")).path
    (item,) = verdicts.of_file(path, credentials.trust(at.place)).ingredients
    assert (item["title"], item["sha256"]) == (ref.name, ref.sha256)


def test_no_thumbnail_and_no_picture_of_anyone_is_stored(workspace: Path, tmp_path: Path) -> None:
    at = Store(workspace)
    _, path = made(at, tmp_path, "tryon", "png", person=picture("JPEG"), garment=picture())
    with c2pa.Reader("image/png", io.BytesIO(path.read_bytes()), context=provenance.offline()) as reader:
        assert "thumbnail" not in reader.json()
    assert b"JFIF" not in path.read_bytes()


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_pixels_and_recipe_are_read_as_before(workspace: Path, tmp_path: Path, format: str) -> None:
    at = Store(workspace)
    artefact = at.write(Product(pixels=PIXELS), Recipe(kind="tryon", inputs={}), {}, {}, Target(tmp_path / "a", format))
    data = artefact.path.read_bytes()
    assert sealing.content_hash(sealing.content(data, format)) == artefact.sidecar.output.pixels_sha256
    inside = sidecar.embedded(data)
    assert inside is not None and sidecar.digest(inside) == sidecar.digest(artefact.sidecar_path.read_bytes())
    assert artefact.sidecar.output.sha256 == hashlib.sha256(data).hexdigest()
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        assert format == "jpeg" or np.array_equal(np.asarray(opened), PIXELS)


def test_a_seal_is_small(workspace: Path) -> None:
    at = Store(workspace)
    provenance.prove(credentials.load(at.place))
    large = np.random.default_rng(1).integers(0, 256, (1024, 768, 3)).astype(np.uint8)
    body = sealing.encode(Product(pixels=large), "png", 95)
    refs = {slot: at.keep_input(body + slot.encode(), slot) for slot in ("person", "garment")}
    wanted = Recipe(kind="tryon", inputs=refs)
    seal = sealing.seal_of(Product(pixels=large), body, wanted, {}, {}, "png", 95)
    assert len(at.seal(body, seal, "a.png").data) - len(body) < 8000


def test_facts_are_signed(workspace: Path, tmp_path: Path) -> None:
    at = Store(workspace)
    _, path = made(at, tmp_path, "repair", "stl", mesh=b"solid")
    seal = sidecar.read(path)[0]
    manifest = provenance.manifest_beside(path).read_bytes()
    with c2pa.Reader(provenance.ANY, io.BytesIO(path.read_bytes()), manifest, provenance.offline()) as reader:
        report: dict[str, Any] = json.loads(reader.json())
    assertions = report["manifests"][report["active_manifest"]]["assertions"]
    facts = next(item["data"] for item in assertions if item["label"] == provenance.FACTS)
    assert facts["kind"] == "repair" and facts["recipe_sha256"] == seal.recipe_sha256
    assert facts["content_sha256"] == seal.output.pixels_sha256


def test_a_certificate_that_c2pa_refuses_is_told() -> None:
    signing = signers.other_studio()
    broken = type(signing)(**{**vars(signing), "chain": b"-----BEGIN CERTIFICATE-----\nAAAA\n"})
    mismatched = type(signing)(**{**vars(signing), "key": signers.other_studio().key})
    for each in (broken, mismatched):
        with pytest.raises(UsageError) as caught:
            provenance.prove(each)
        assert caught.value.code == "credentials.unusable"


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "mp4"])
def test_a_file_that_is_not_of_its_format_cannot_be_sealed(format: str) -> None:
    with pytest.raises(UsageError):
        provenance.seal(b"hello world", format, title="a", source_type="algorithmicMedia", ingredients=(), facts={},
                        signing=signers.other_studio())  # fmt: skip


def test_labels_and_titles_may_be_anything() -> None:
    titles = ["", "a\0b", "Ω" * 255, '"}],"x":[{"', "<script>", "../../etc/passwd"]
    ingredients = [Ingredient(f"slot{i}", title, "0" * 64, "inputTo") for i, title in enumerate(titles)]
    signing = signers.other_studio()
    sealed = provenance.seal(
        b"-", "stl", title='"\\\n', source_type="algorithmicMedia", ingredients=ingredients, facts={}, signing=signing
    )
    with c2pa.Reader(provenance.ANY, io.BytesIO(b"-"), sealed.manifest, provenance.offline()) as reader:
        report = json.loads(reader.json())
    found = report["manifests"][report["active_manifest"]]["ingredients"]
    assert [item.get("title", "") for item in found] == titles


def test_an_engine_refuses_before_the_work(
    workspace: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(load())
    credentials.load(engine.store.place)
    (workspace / "credentials" / "signing.pem").chmod(0o644)
    draft = engine.draft("soften", {"person": photo}, {})
    monkeypatch.setattr(Engine, "perform", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(UsageError) as caught:
        engine.execute(draft, Target(tmp_path / "a.png", "png"))
    assert caught.value.code == "credentials.permissions" and not (tmp_path / "a.png").exists()


def test_a_result_of_ones_own_certificate(workspace: Path, photo: Path, tmp_path: Path) -> None:
    chain, key = signers.kept(tmp_path, *signers.bought("Jane's Shop"))
    engine = Engine(load(signing_certificate=chain, signing_key=key))
    path = engine.execute(engine.draft("soften", {"person": photo}, {}), Target(tmp_path / "a.png", "png")).path
    verdict = verdicts.of_file(path, credentials.trust(engine.store.place))
    assert (verdict.status, verdict.signer) == ("studio", "Jane's Shop")
    assert verdicts.of_file(path, credentials.trust(credentials.Place(workspace))).status == "foreign"


def test_an_interrupt_waits_until_the_seal_is_whole(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Within c2pa's own callbacks it would be told as a traceback and lost."""
    whole: list[bytes] = []
    sign = c2pa.Builder.sign

    def interrupted(self: Any, *values: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        whole.append(sign(self, *values))
        return whole[0]

    monkeypatch.setattr(c2pa.Builder, "sign", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # test runners may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            provenance.seal(b"-", "stl", title="a", source_type="algorithmicMedia", ingredients=(), facts={},
                            signing=signers.other_studio())  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    assert whole and "Traceback" not in capfd.readouterr().err
