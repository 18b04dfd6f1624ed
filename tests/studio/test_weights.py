"""Weights: the manifest, hashes, and a pull from a hub that this test runs itself."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipelines.core import hub
from pipelines.core.errors import WeightsError
from studio import cli, weights
from studio.errors import UsageError

CONFIG, BLOB = (
    b'{"kind": "tiny"}',
    bytes(range(256)) * 46_000,
)  # more than the 10 MiB that the client asks for at a time
SHA = {"config.json": hashlib.sha256(CONFIG).hexdigest(), "model.safetensors": hashlib.sha256(BLOB).hexdigest()}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as a client asks for: metadata by HEAD, bytes by GET with ranges, and its failures."""

    files: ClassVar[dict[str, bytes]] = {}
    ranges: ClassVar[list[str]] = []
    break_after: int | None = None
    status = 200

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        name = self.path.rsplit("/", 1)[-1]
        data = self.files.get(name)
        if data is None or self.status != 200:
            self.send_response(404 if data is None else self.status)
            if self.status in (401, 403):
                self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, wanted = 0, self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            type(self).ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if body:
            cut = type(self).break_after if len(data) > 1000 else None
            self.wfile.write(data[start : start + cut] if cut else data[start:])
            if cut:
                type(self).break_after = None
                self.wfile.flush()
                self.connection.close()


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The address of a running hub."""
    Hub.files, Hub.ranges, Hub.break_after, Hub.status = (
        {"config.json": CONFIG, "model.safetensors": BLOB},
        [],
        None,
        200,
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A weights folder of its own: one set to pull freely, one by consent, one shipped."""
    root = tmp_path / "weights"
    (root / "cards").mkdir(parents=True)
    (root / "cards" / "free.md").write_text("# free")
    (root / "starter" / "small").mkdir(parents=True)
    (root / "starter" / "small" / "config.json").write_bytes(CONFIG)
    (root / "starter" / "small" / "model.safetensors").write_bytes(BLOB)
    files = "".join(f'[[weights.{{name}}.files]]\npath = "{path}"\nsha256 = "{sha}"\n' for path, sha in SHA.items())
    common = 'system = "tiny"\ntier = "official"\nrepo = "some/tiny"\ndata = "d"\nlicence_url = "http://licence"\n'
    (root / "manifest.toml").write_text(
        f'# heading\n[weights.free]\n{common}licence = "MIT"\ncommercial = "yes"\n{files.format(name="free")}\n'
        f'[weights.bound]\n{common}licence = "NC"\ncommercial = "no"\n{files.format(name="bound")}\n'
        '[weights.small]\nsystem = "tiny"\ntier = "starter"\nfolder = "starter/small"\nlicence = "MIT"\n'
        'licence_url = ""\ncommercial = "unclear"\ndata = "d"\n'
    )
    monkeypatch.setattr(hub, "root", lambda: root)
    monkeypatch.setattr(hub, "_workspaces", [])
    hub.manifest.cache_clear()
    yield root / "manifest.toml"
    hub.manifest.cache_clear()


def test_pull(manifest: Path, workspace: Path, endpoint: str) -> None:
    lines: list[str] = []
    folder = weights.pull("free", workspace, endpoint=endpoint, log=lines.append)
    assert (folder / "model.safetensors").read_bytes() == BLOB and len(lines) == 2
    assert [row["status"] for row in weights.verify("free", workspace)] == ["ok", "ok"]
    assert weights.resolve("free").sha256 == weights.hash_folder(folder)
    row = next(row for row in weights.listing(workspace) if row["name"] == "free")
    assert row["here"] and row["bytes"] > len(BLOB) and row["commercial"] == "yes"


def test_pull_goes_on_where_it_stopped(manifest: Path, workspace: Path, endpoint: str) -> None:
    """The connection breaks after 11 MB; the client asks only for the rest."""
    Hub.break_after = 11_000_000
    try:
        weights.pull("free", workspace, endpoint=endpoint)
    except WeightsError as error:
        assert error.code == "weights.download"
        weights.pull("free", workspace, endpoint=endpoint)
    assert Hub.ranges and all(int(r.removeprefix("bytes=").rstrip("-").split("-")[0]) > 0 for r in Hub.ranges)
    assert [row["status"] for row in weights.verify("free", workspace)] == ["ok", "ok"]


def test_other_bytes_are_removed(manifest: Path, workspace: Path, endpoint: str) -> None:
    Hub.files = {**Hub.files, "model.safetensors": b"not what was published"}
    with pytest.raises(WeightsError) as caught:
        weights.pull("free", workspace, endpoint=endpoint)
    assert caught.value.code == "weights.bad-hash"
    assert not (workspace / "weights" / "free" / "model.safetensors").exists()


def test_licence_must_be_accepted_once(manifest: Path, workspace: Path, endpoint: str) -> None:
    with pytest.raises(WeightsError) as caught:
        weights.pull("bound", workspace, endpoint=endpoint)
    assert caught.value.code == "weights.licence" and caught.value.seen == "http://licence"
    assert not (workspace / "weights" / "bound").exists()
    weights.pull("bound", workspace, endpoint=endpoint, accept_licence=True)
    weights.pull("bound", workspace, endpoint=endpoint)  # it is on record now
    accepted = weights._read_records(workspace)["bound"]["accepted"]
    assert accepted["licence"] == "NC" and accepted["when"]
    manifest.write_text(manifest.read_text().replace('"NC"', '"NC-2"'))
    hub.manifest.cache_clear()
    with pytest.raises(WeightsError):  # another licence, another consent
        weights.pull("bound", workspace, endpoint=endpoint)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "weights.licence"), (403, "weights.licence"), (404, "weights.download")]
)
def test_hub_refuses(manifest: Path, workspace: Path, endpoint: str, status: int, code: str) -> None:
    Hub.status = status
    with pytest.raises(WeightsError) as caught:
        weights.pull("free", workspace, endpoint=endpoint)
    assert caught.value.code == code


def test_hub_away(manifest: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the hub's library tries again, later and later
    with pytest.raises(WeightsError) as caught:
        weights.pull("free", workspace, endpoint="http://127.0.0.1:9")
    assert caught.value.code == "weights.download" and "again" in caught.value.remedy


def test_offline_and_unpullable(manifest: Path, workspace: Path, endpoint: str) -> None:
    with pytest.raises(UsageError):
        weights.pull("free", workspace, endpoint=endpoint, offline=True)
    for name, code in (("small", "weights.not-pullable"), ("nothing", "weights.unknown")):
        with pytest.raises(WeightsError) as caught:
            weights.pull(name, workspace, endpoint=endpoint)
        assert caught.value.code == code


def test_verify_sees_every_change(
    manifest: Path, workspace: Path, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = weights.pull("free", workspace, endpoint=endpoint)
    (folder / "model.safetensors").write_bytes(BLOB[:-1])
    (folder / "more.safetensors").write_bytes(b"x")
    assert [row["status"] for row in weights.verify("free", workspace)] == ["ok", "differs", "unlisted"]
    assert cli.run(["weights", "verify", "free", "--home", str(workspace), "--json"]) == 4
    told = json.loads(capsys.readouterr().out)  # one object, failure or not
    assert told["free"][1]["status"] == "differs" and told["error"]["code"] == "weights.bad-hash"
    (folder / "config.json").unlink()
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError):
        weights.verify("free", workspace)


def test_seal(manifest: Path, workspace: Path) -> None:
    before = manifest.read_text()
    assert [row["status"] for row in weights.verify("small", workspace)] == ["unlisted", "unlisted"]
    weights.seal("small")
    once = manifest.read_text()
    assert [row["status"] for row in weights.verify("small", workspace)] == ["ok", "ok"]
    assert once.startswith(before.rstrip()) and weights.entry("small")["files"][1]["size"] == len(BLOB)
    weights.seal("small")
    assert manifest.read_text() == once
    (manifest.parent / "starter" / "small" / "config.json").write_text("{}")
    assert weights.verify("small", workspace)[0]["status"] == "differs"
    with pytest.raises(UsageError):
        weights.seal("free")


def test_the_shipped_manifest_is_complete() -> None:
    for name, entry in hub.manifest().items():
        assert {"system", "tier", "licence", "licence_url", "commercial", "data"} <= set(entry), name
        assert entry["commercial"] in ("yes", "no", "unclear") and entry["tier"] in ("starter", "official"), name
        assert ("folder" in entry) == (entry["tier"] == "starter"), name
        assert "repo" in entry or entry.get("how"), name
