"""Weights are read strictly, and never run code."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipelines.core import checkpoint
from pipelines.core.checkpoint import load_strict, read_state_dict
from pipelines.core.errors import WeightsError

NO_STATE_DICT = "weights.not-a-state-dict"


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(6, 7))


class Payload:
    """Unpickled without care, it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("inside", ["alone", "in a list", "beside tensors"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, inside: str) -> None:
    mark, path = tmp_path / "ran", tmp_path / "weights.pth"
    bomb = Payload(mark)
    torch.save(
        {"alone": bomb, "in a list": [bomb], "beside tensors": {**model().state_dict(), "x": bomb}}[inside], path
    )
    with pytest.raises(WeightsError) as raised:
        read_state_dict(path)
    assert raised.value.code == "weights.unsafe" and "weights.pth" in str(raised.value)
    assert not mark.exists(), "the payload ran"


def test_a_bare_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "ran", tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(WeightsError):
        read_state_dict(path)
    assert not mark.exists(), "the payload ran"


def test_the_payload_is_armed(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 20, 300])
def test_a_cut_off_file_is_one_clear_error(tmp_path: Path, suffix: str, keep: int) -> None:
    path = tmp_path / f"weights{suffix}"
    save_file(model().state_dict(), path) if suffix == ".safetensors" else torch.save(model().state_dict(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError) as raised:
        read_state_dict(path)
    assert raised.value.code in ("weights.damaged", "weights.unsafe") and raised.value.remedy


def test_flipped_bytes_are_one_clear_error_or_harmless(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "weights.pth"
    stored = pickle.dumps({"a": [1, 2, (3, "x")]}, protocol=2)
    seen = set()
    for _ in range(200):
        damaged = bytearray(stored)
        for position in rng.integers(0, len(stored), 3):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        with pytest.raises(WeightsError) as raised:
            read_state_dict(path)
        seen.add(raised.value.code)
    assert {"weights.unsafe", "weights.damaged"} <= seen <= {"weights.unsafe", "weights.damaged", NO_STATE_DICT}


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no such weights file.*nowhere\.pth"):
        read_state_dict(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": {"a": "text"}}])
def test_something_else_than_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(WeightsError) as raised:
        read_state_dict(tmp_path / "weights.pth")
    assert raised.value.code == NO_STATE_DICT


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_usual_wrappings_are_taken_off(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    state = model().state_dict()
    stored = {prefix + key: value for key, value in state.items()}
    torch.save({wrapper: stored, "epoch": 1} if wrapper else stored, tmp_path / "weights.pth")
    found = read_state_dict(tmp_path / "weights.pth")
    assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


def test_the_error_names_the_first_five_keys_and_counts_the_rest() -> None:
    state = dict(model().state_dict())
    del state["0.weight"], state["2.bias"]
    state["3.bias"] = torch.zeros(9)
    state |= {f"extra.{i}": torch.zeros(1) for i in range(4)}
    with pytest.raises(WeightsError) as raised:
        load_strict(model(), state, source="some.pth")
    error = raised.value
    assert error.code == "weights.mismatch" and "some.pth" in str(error.seen)
    named = ["missing 0.weight", "missing 2.bias", "unexpected extra.0", "unexpected extra.1", "unexpected extra.2"]
    assert [part.strip() for part in str(error.seen).split(": ", 1)[1].split(" and ")[0].split(";")] == named
    assert str(error.seen).endswith("and 2 more")


def test_one_missing_key_or_one_other_shape_is_enough() -> None:
    for change, words in (("drop", "missing 1.bias"), ("shape", r"1.bias: (6,) instead of (5,)")):
        state = dict(model().state_dict())
        del state["1.bias"]
        if change == "shape":
            state["1.bias"] = torch.zeros(6)
        with pytest.raises(WeightsError, match=re.escape(words)):
            load_strict(model(), state, source="x")


def test_a_failed_load_changes_nothing() -> None:
    target, state = model(), dict(model().state_dict())
    before = {key: value.clone() for key, value in target.state_dict().items()}
    del state["3.bias"]
    with pytest.raises(WeightsError):
        load_strict(target, state, source="x")
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


def test_component_round_trip(tmp_path: Path) -> None:
    source, target = model(), model()
    checkpoint.save_component(tmp_path / "part", source, {"width": 3})
    assert checkpoint.read_config(tmp_path / "part") == {"width": 3}
    checkpoint.load_component(tmp_path / "part", target)
    for key, value in target.state_dict().items():
        assert value.dtype == torch.float32 and (value - source.state_dict()[key]).abs().max() < 1e-3
    assert not target.training and sorted(p.name for p in (tmp_path / "part").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_what_float16_cannot_hold_is_stored_as_it_is(tmp_path: Path) -> None:
    source, target = model(), model()
    with torch.no_grad():
        source.state_dict()["1.bias"][0] = 80_000.0  # as a running variance may become
    checkpoint.save_component(tmp_path / "part", source, {})
    stored = read_state_dict(tmp_path / "part" / "model.safetensors")
    assert stored["1.bias"].dtype == torch.float32 and stored["0.weight"].dtype == torch.float16
    checkpoint.load_component(tmp_path / "part", target)
    assert target.state_dict()["1.bias"][0] == 80_000.0


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_weights_that_are_not_finite_are_neither_written_nor_loaded(tmp_path: Path, value: float) -> None:
    broken, before = model(), model()
    state = {key: tensor.clone() for key, tensor in broken.state_dict().items()}
    state["2.bias"].view(-1)[0] = value
    with pytest.raises(WeightsError) as raised:
        load_strict(broken, state, source="some.pth")
    assert raised.value.code == "weights.not-finite" and "2.bias" in str(raised.value.seen)
    before.load_state_dict(state)
    with pytest.raises(WeightsError):
        checkpoint.save_component(tmp_path / "part", before, {})
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_broken_config_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError) as raised:
        checkpoint.read_config(tmp_path)
    assert raised.value.code == "weights.damaged"


def test_numpy_numbers_beside_the_weights_are_read(tmp_path: Path) -> None:
    """As published occupancy networks keep their best validation score."""
    path = tmp_path / "model.pt"
    torch.save({"model": {"a": torch.ones(2)}, "loss_val_best": np.float64(0.25), "it": np.int64(3)}, path)
    assert torch.equal(checkpoint.read_state_dict(path)["a"], torch.ones(2))
    old = tmp_path / "old.pt"  # numpy before 2.0 wrote the module's old name, which has one letter less
    with open(path, "rb") as new, zipfile.ZipFile(new) as archive, zipfile.ZipFile(old, "w") as written:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith("data.pkl"):
                assert b"cnumpy._core.multiarray\n" in data
                data = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
            written.writestr(name, data)
    assert checkpoint.read_torch(old)["loss_val_best"] == 0.25
