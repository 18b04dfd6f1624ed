"""What the page lets through is what can be read, and what the error for anything else names."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pipelines.core.errors import InputError
from studio import media

ROOT = Path(__file__).resolve().parents[2]


def test_both_uploaders_let_through_every_format_that_is_read(home: Path) -> None:
    at = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120).run()
    for slot in ("person", "garment"):
        assert {f".{suffix}" for suffix in media.SUFFIXES} <= set(at.file_uploader(key=f"{slot}_upload").proto.type)


def test_each_format_is_one_of_pillows_and_the_error_names_them_all() -> None:
    Image.init()
    for name, (_, suffixes) in media.FORMATS.items():
        assert {Image.EXTENSION[f".{suffix}"] for suffix in suffixes} == {name}
    with pytest.raises(InputError) as caught:
        media.decode(b"no picture", "x.png")
    named = caught.value.remedy.removeprefix("Use one of: ").split(", ")
    assert [title.replace(" ", "").upper() for title in named] == list(media.FORMATS)
