"""Names to folders."""

import pytest

from pipelines.core import hub
from pipelines.core.errors import InputError, WeightsError


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A weights folder of our own with one shipped set and one that has to be pulled."""
    (tmp_path / "starter" / "small").mkdir(parents=True)
    (tmp_path / "starter" / "small" / "config.json").write_text("{}")
    (tmp_path / hub.MANIFEST).write_text(
        '[weights.small]\nfolder = "starter/small"\n[weights.lost]\nfolder = "starter/lost"\nhow = "Train it"\n'
        '[weights.large]\nrepo = "somebody/large"\n'
    )
    monkeypatch.setattr(hub, "root", lambda: tmp_path)
    monkeypatch.setattr(hub, "_workspaces", [])
    monkeypatch.delenv("STUDIO_HOME", raising=False)
    hub.manifest.cache_clear()
    yield tmp_path
    hub.manifest.cache_clear()


def refusal(name):
    with pytest.raises(WeightsError) as caught:
        hub.resolve(name)
    assert caught.value.code == "weights.missing"
    return str(caught.value)


def test_shipped_name(shelf):
    assert hub.resolve("small") == shelf / "starter" / "small"


def test_folder_of_one_s_own(shelf, tmp_path):
    own = tmp_path / "mine"
    own.mkdir()
    assert "holds no weights" in refusal(own)
    (own / "model_index.json").write_text("{}")
    assert hub.resolve(own) == own and hub.resolve(str(own)) == own


def test_a_name_wins_over_a_folder_of_that_name(shelf, tmp_path, monkeypatch):
    work = tmp_path / "work"
    (work / "small").mkdir(parents=True)
    (work / "small" / "config.json").write_text("{}")
    monkeypatch.chdir(work)
    assert hub.resolve("small") == shelf / "starter" / "small"
    assert hub.resolve("./small").resolve() == work / "small"


def test_pulled_weights_are_found_in_the_workspace(shelf, tmp_path, monkeypatch):
    assert "studio weights pull large" in refusal("large")
    home = tmp_path / "home"
    (home / "weights" / "large").mkdir(parents=True)
    (home / "weights" / "large" / "config.json").write_text("{}")
    monkeypatch.setenv("STUDIO_HOME", str(home))
    assert hub.resolve("large") == home / "weights" / "large"
    hub.add_workspace(tmp_path / "other")  # a workspace that was named outranks the environment
    refusal("large")
    hub.add_workspace(home)
    assert hub.resolve("large") == home / "weights" / "large"


def test_missing_names_the_remedy_and_what_there_is(shelf):
    assert "Train it" in refusal("lost")
    message = refusal("nonesuch")
    assert "nonesuch" in message and "small, lost, large" in message


def test_the_real_manifest_knows_the_starters():
    hub.manifest.cache_clear()
    for name in ("pose", "parsing", "garment", "viton-hd"):
        assert hub.manifest()[name]["folder"] == f"starter/{name}"
    assert (hub.root() / hub.MANIFEST).is_file()


def test_sample_inputs_are_found_in_this_checkout():
    assert any((hub.assets() / "samples" / "garments").iterdir())


@pytest.mark.parametrize("inside", ["assets", "studio/assets"])
def test_sample_inputs_lie_beside_the_package_or_in_the_product(tmp_path, monkeypatch, inside):
    monkeypatch.setattr(hub.resources, "files", lambda name: tmp_path / name)
    with pytest.raises(InputError) as caught:
        hub.assets()
    assert caught.value.code == "input.missing"
    (tmp_path / inside / "samples").mkdir(parents=True)
    assert hub.assets() == tmp_path / inside
