"""kill -9 at twenty random moments of ``studio tryon``: a name holds a whole artefact or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core import hub
from pipelines.core.errors import WeightsError
from studio import media, pictures, replay, sealing, sidecar
from studio.engine import Engine
from studio.settings import load

ROOT = Path(__file__).resolve().parents[2]
TIMES = 20


def ready() -> bool:
    """Whether starter weights and sample pictures are here."""
    try:
        for name in ("viton-hd", "parsing", "pose", "garment"):
            hub.resolve(name)
    except WeightsError:
        return False
    return any((ROOT / "assets/samples/people").glob("*.*")) and any((ROOT / "assets/samples/garments").glob("*.*"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.skipif(not ready(), reason="needs the starter weights and the samples")
def test_kill_at_twenty_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    person, garment = (sorted((ROOT / "assets/samples" / kind).glob("*.*"))[0] for kind in ("people", "garments"))
    out = tmp_path / "out"
    command = [sys.executable, str(Path(__file__).with_name("forked_tryon.py")), str(TIMES), person, garment, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, *rest = [line for line in done.stdout.splitlines() if not line.startswith(str(out))]  # the command's own
    assert first.startswith("whole 0 "), done.stdout + done.stderr
    assert len(rest) == TIMES and any(line.endswith(" -9") for line in rest)

    written = [path for path in out.iterdir() if path.suffix == ".png" and not path.name.startswith(".")]
    hashes = set()
    for path in written:
        media.decode(path.read_bytes(), path.name)  # raises on half a picture
        inside = sidecar.parse(pictures.embedded_sidecar(path.read_bytes()) or "")
        assert sealing.content_hash(pictures.pixels_of(path.read_bytes())) == inside.output.pixels_sha256
        assert inside.receipt["edit"]["changed_outside_mask"] == 0
        if sidecar.path_beside(path).exists():
            assert sidecar.read(path)[1] == []
        hashes.add(inside.output.pixels_sha256)
    assert len(hashes) == 1  # whatever was written is the same picture
    for path in out.glob("[!.]*.json"):
        assert path.with_suffix("").exists() and sidecar.parse(path.read_bytes()).output.sha256

    engine = Engine(load())
    answer = replay.rerun(engine, out / "whole.png", out / "again.png")
    assert answer["verdict"] == "bit-exact" or answer["differences"], answer  # another pool of threads, say
    assert [p.name for p in out.iterdir() if p.name.startswith(".")] == []  # what the killed left is cleared away
