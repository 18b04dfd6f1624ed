"""Recipes: canonical, hashed by what decides the result, and parsed without trust."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import recipe
from studio.errors import UsageError
from studio.recipe import InputRef, Recipe

HASH = "0123456789abcdef" * 4

names = st.text(
    st.characters(blacklist_categories=("C", "Z"), blacklist_characters="/\\"), min_size=1, max_size=40
).filter(lambda name: name not in (".", ".."))
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
slots = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
numbers = st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False))
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(st.characters(codec="utf-8"), max_size=20))
recipes = st.builds(
    Recipe,
    kind=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
    inputs=st.dictionaries(slots, st.builds(InputRef, sha256=hashes, name=names), max_size=4),
    settings=st.dictionaries(slots, st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=5),
    seed=st.integers(0, recipe.MAX_SEED),
    weights=st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True), hashes, max_size=3),
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=12,
)


def valid(**changes: Any) -> dict[str, Any]:
    """A recipe that is accepted, with changes that make it another."""
    return {"version": 1, "kind": "tryon", "inputs": {"person": {"sha256": HASH, "name": "me.jpg"}}, **changes}


@given(recipes)
def test_canonical_json_round_trips(wanted: Recipe) -> None:
    text = wanted.canonical()
    again = recipe.parse(text)
    assert again == wanted
    assert again.canonical() == text and again.sha256() == wanted.sha256()
    text.encode("ascii")


@given(recipes, names)
def test_hash_ignores_file_names_only(wanted: Recipe, name: str) -> None:
    renamed = wanted.model_copy(
        update={"inputs": {slot: ref.model_copy(update={"name": name}) for slot, ref in wanted.inputs.items()}}
    )
    assert renamed.sha256() == wanted.sha256()
    assert wanted.model_copy(update={"seed": (wanted.seed + 1) % recipe.MAX_SEED}).sha256() != wanted.sha256()
    assert wanted.model_copy(update={"weights": {**wanted.weights, "zz": HASH}}).sha256() != wanted.sha256()


def test_hash_is_stable() -> None:
    """A changed hash would make every finished batch run again."""
    wanted = recipe.parse(valid(seed=7, settings={"category": "upper"}))
    text = f'{{"inputs":{{"person":"{HASH}"}},"kind":"tryon","seed":7,'
    text += '"settings":{"category":"upper"},"version":1,"weights":{}}'
    assert wanted.sha256() == hashlib.sha256(text.encode()).hexdigest()


@settings(max_examples=300)
@given(anything)
def test_any_json_is_refused_or_read(value: Any) -> None:
    try:
        found = recipe.parse(value) if isinstance(value, (str, dict)) else recipe.parse(json.dumps(value))
    except UsageError as error:
        assert error.code == "recipe.bad" and len(str(error.seen)) <= 200
    else:
        assert isinstance(found, Recipe)


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        recipe.parse(data)
    assert caught.value.code == "recipe.bad"


@pytest.mark.parametrize(
    "bad",
    [
        valid(version=2),
        valid(version="1"),
        valid(seed=-1),
        valid(seed=2**53),
        valid(seed=1.0),
        valid(seed="1"),
        valid(seed=True),
        valid(kind="../tryon"),
        valid(kind="TRYON"),
        valid(inputs={"person": {"sha256": "zz", "name": "x"}}),
        valid(inputs={"person": {"sha256": HASH, "name": "/etc/passwd"}}),
        valid(inputs={"person": {"sha256": HASH, "name": "..\\x"}}),
        valid(inputs={"person": {"sha256": HASH, "name": ".."}}),
        valid(inputs={"person": {"sha256": HASH, "name": "a\nb"}}),
        valid(inputs={"person": {"sha256": HASH, "name": "x", "path": "/etc"}}),
        valid(inputs={"Person": {"sha256": HASH, "name": "x"}}),
        valid(inputs={f"s{i}": {"sha256": HASH, "name": "x"} for i in range(17)}),
        valid(settings={"a": {"nested": 1}}),
        valid(settings={"a": float("nan")}),
        valid(settings={"a": float("inf")}),
        valid(weights={"viton-hd": "short"}),
        valid(weights={"../x": HASH}),
        valid(extra=1),
        {},
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        recipe.parse(bad)
    assert caught.value.code == "recipe.bad"


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1, "version": 1, "kind": "a", "inputs": {}}',
        '{"kind": "a", "inputs": {}, "seed": NaN}',
        '{"kind": "a", "inputs": {}, "seed": ' + "9" * 5000 + "}",
        "[" * 5000,
        '{"a":' * 5000,
        '"' + "x" * recipe.MAX_BYTES + '"',
        '{"kind": "a", "inputs": {"p": {"sha256": "' + HASH + '", "name": "\\ud800"}}}',
        "",
        "null",
    ],
    ids=["twice", "nan", "digits", "deep list", "deep object", "large", "surrogate", "empty", "null"],
)
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe.parse(text)
    assert caught.value.code == "recipe.bad"
