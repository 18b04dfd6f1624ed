"""Samples of the published layout, which folder is in which layout, and what a broken one says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.core.augment import is_validation
from pipelines.core.errors import InputError
from pipelines.viton_hd.paired import CCP, VITON_HD, PairedPeople, layout_of, paired_people, seven_classes, unpack
from pipelines.viton_hd.preprocess import LOAD_SIZE, TO_PARSE7, TO_PARSE13, read_parse, read_sample
from tests.viton_hd.layout import HELD_OUT, KEPT_NAMES, write_layout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("viton"))


def test_a_sample_is_what_the_layout_holds(folder: Path) -> None:
    people = paired_people([folder], LOAD_SIZE)
    assert {person for _, person, _ in people.names} == {f"{name}.jpg" for name in KEPT_NAMES}
    assert is_validation(HELD_OUT) and len(people) == len(KEPT_NAMES)
    one = PairedPeople(people.names[:1], LOAD_SIZE)
    found = one.sample(np.random.default_rng(0))
    expected = read_sample(folder, *people.names[0][1:], mode="train")
    for name in ("image", "agnostic", "pose", "cloth", "cloth_mask"):
        assert np.array_equal(found[name], getattr(expected, name))
    worn = read_parse(folder, people.names[0][1], mode="train")
    assert np.array_equal(found["parse"], TO_PARSE13[worn])
    assert np.array_equal(found["parse_agnostic"], TO_PARSE13[expected.parse_agnostic])
    # The truth holds the garment that the agnostic parse lacks.
    assert (found["parse"] == 3).mean() > 0.02 and not (found["parse_agnostic"] == 3).any()


def test_a_sample_fits_any_load_size_without_new_labels(folder: Path) -> None:
    people = paired_people([folder], (256, 256))
    found = people.sample(np.random.default_rng(0))
    assert found["image"].shape == found["cloth"].shape == (256, 256, 3) and found["parse"].shape == (256, 256)
    assert set(np.unique(found["parse"])) <= set(range(13)) and set(np.unique(found["cloth_mask"])) == {0, 1}


def test_a_batch_becomes_what_the_networks_read() -> None:
    rng = np.random.default_rng(0)
    batch = {
        name: torch.from_numpy(rng.integers(0, 256, (2, 32, 24, 3), np.uint8))
        for name in ("image", "agnostic", "pose", "cloth")
    }
    batch |= {
        name: torch.from_numpy(rng.integers(0, 13, (2, 32, 24), np.uint8)) for name in ("parse", "parse_agnostic")
    }
    batch["cloth_mask"] = torch.from_numpy(rng.integers(0, 2, (2, 32, 24), np.uint8))
    inputs, image, parse = unpack(batch)
    assert image.shape == (2, 3, 32, 24) and torch.equal(
        torch.round((image + 1) * 127.5)[1, 2], batch["image"][1, ..., 2]
    )
    assert torch.equal(inputs.parse_agnostic.argmax(1), batch["parse_agnostic"].long())
    assert inputs.cloth_mask.shape == (2, 1, 32, 24) and parse.dtype == torch.int64
    seven = seven_classes(parse)
    assert torch.equal(seven.sum(1), torch.ones(2, 32, 24))
    assert np.array_equal(seven.argmax(1).numpy(), TO_PARSE7[batch["parse"].numpy()])


def test_which_layout(tmp_path: Path) -> None:
    (tmp_path / "a" / "train" / "image").mkdir(parents=True)
    (tmp_path / "a" / "train_pairs.txt").write_text("")
    assert layout_of(tmp_path / "a") == VITON_HD
    for part in ("images", "labels"):
        (tmp_path / "b" / part).mkdir(parents=True)
    assert layout_of(tmp_path / "b") == CCP


@pytest.mark.parametrize(
    ("present", "says"),
    [
        ((), "neither layout"),
        (("images/",), "neither layout"),
        (("train/image/",), "no train_pairs.txt"),
        (("train_pairs.txt",), "no train/image"),
        (("test/image/", "test_pairs.txt"), "to test on only"),
    ],
)
def test_a_folder_in_no_layout_says_what_it_lacks(tmp_path: Path, present: tuple[str, ...], says: str) -> None:
    for name in present:
        if name.endswith("/"):
            (tmp_path / name).mkdir(parents=True)
        else:
            (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=says) as raised:
        layout_of(tmp_path)
    assert raised.value.code == "data.layout" and "train_pairs.txt" in raised.value.remedy


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("00001_00.jpg 00003_00.jpg\n", "data.unpaired"),
        ("00001_00.jpg\n", "data.layout"),
        ("\n", "data.empty"),
        (f"{HELD_OUT}.jpg {HELD_OUT}.jpg\n", "data.empty"),
    ],
)
def test_a_list_that_cannot_be_trained_on(tmp_path: Path, lines: str, code: str) -> None:
    (tmp_path / "train_pairs.txt").write_text(lines)
    with pytest.raises(InputError) as raised:
        paired_people([tmp_path], LOAD_SIZE)
    assert raised.value.code == code and raised.value.remedy
