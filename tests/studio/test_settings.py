"""Flag over environment over studio.toml over default, and each value's origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio import settings
from studio.errors import UsageError


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load().device == "auto" and settings.origins()["device"] == "default"
    Path("studio.toml").write_text('device = "mps"\nquality = 80\n')
    assert settings.load().device == "mps" and settings.origins()["device"] == str(Path.cwd() / "studio.toml")
    monkeypatch.setenv("STUDIO_DEVICE", "cuda")
    assert settings.load().device == "cuda" and settings.origins()["device"] == "environment STUDIO_DEVICE"
    assert settings.load(device="cpu").device == "cpu" and settings.origins(device="cpu")["device"] == "flag"
    assert settings.load(device=None).device == "cuda"
    assert settings.load().quality == 80


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert settings.origins()["home"] == "environment STUDIO_HOME"
    monkeypatch.setenv("STUDIO_HOME", "relative")
    assert settings.load().home == Path.cwd() / "relative"
    monkeypatch.delenv("STUDIO_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert settings.load().home == settings.default_home()


def test_hub_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror")
    assert settings.load().hf_endpoint == "http://mirror"
    assert settings.origins()["hf_endpoint"] == "environment HF_ENDPOINT"


@pytest.mark.parametrize(
    ("text", "environment", "flags", "place"),
    [
        ("quality = 500", {}, {}, "studio.toml"),
        ("colour = 1", {}, {}, "studio.toml"),
        ("", {"STUDIO_MAX_MEGAPIXELS": "many"}, {}, "STUDIO_MAX_MEGAPIXELS"),
        ("", {"STUDIO_MAX_MEGAPIXELS": "500"}, {}, "STUDIO_MAX_MEGAPIXELS"),
        ("", {}, {"dtype": "int4"}, "flag"),
        ("this is [no toml", {}, {}, "studio.toml"),
    ],
)
def test_bad_values_say_where_they_stand(
    monkeypatch: pytest.MonkeyPatch, text: str, environment: dict[str, str], flags: dict[str, str], place: str
) -> None:
    Path("studio.toml").write_text(text)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as caught:
        settings.load(**flags)
    assert caught.value.code == "settings.bad" and place in str(caught.value.seen)
