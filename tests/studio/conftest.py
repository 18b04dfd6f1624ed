"""A workspace of its own for every test, photos made by Pillow, and the tiny kinds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import tiny_kind  # noqa: E402, F401  registers the kinds


@pytest.fixture(autouse=True)
def workspace(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """STUDIO_HOME, and a working folder without a studio.toml."""
    home = tmp_path_factory.mktemp("home") / "studio"
    monkeypatch.setenv("STUDIO_HOME", str(home))
    for name in ("STUDIO_DEVICE", "STUDIO_DTYPE", "STUDIO_FORMAT", "STUDIO_MAX_MEGAPIXELS", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    return home


@pytest.fixture
def pixels() -> np.ndarray:
    """(96, 80, 3) uint8: smooth colours with a little structure."""
    y, x = np.mgrid[0:96, 0:80]
    return np.stack([x * 3, y * 2, (x * y) % 251], 2).astype(np.uint8)


@pytest.fixture
def photo(tmp_path: Path, pixels: np.ndarray) -> Path:
    """The same as a PNG file."""
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path
