"""A workspace and a page per test; the worker runs in the test's own process, when the test says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from studio import registry, settings, worker
from studio.ui import inputs

# The stand-in pipeline is also the browser tests' worker, so it is a script that can be started by its path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import boxhouse
import boxpaste


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A workspace of its own, the stand-in pipeline in the registry, and no worker process."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    for stand_in in (boxpaste, boxhouse):
        monkeypatch.setattr(stand_in, "STEP_SECONDS", 0.0)
    monkeypatch.setattr(registry, "KINDS", dict(registry.KINDS))
    boxpaste.install()
    boxhouse.install()
    monkeypatch.setattr(worker, "ensure", lambda home, arguments=(): None)
    samples = boxhouse.write_samples(boxpaste.write_samples(tmp_path / "samples"))
    monkeypatch.setattr(inputs, "_samples_folder", lambda: samples)
    for cached in (inputs.samples, inputs._sample_hashes):
        cached.cache_clear()
    yield tmp_path / "home"
    for cached in (inputs.samples, inputs._sample_hashes):
        cached.cache_clear()


@pytest.fixture
def work(home):
    """Call it to let the worker end every waiting job; returns how many."""
    return lambda: worker.Worker(settings.load()).run(until_empty=True)
