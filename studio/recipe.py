"""A recipe says what to do: inputs by content hash, settings, seed, weights by hash.

Recipes are read back out of pictures that come from anywhere, so parsing trusts nothing: the size is capped before
anything is parsed, types are strict, unknown fields are refused, and no field is a path that could be opened.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from studio.errors import UsageError

MAX_BYTES = 64 * 1024
MAX_SEED = 2**53 - 1  # what every JSON reader keeps exactly

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Slot = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Scalar = bool | int | float | str | None
Value = Scalar | list[Scalar]


class InputRef(BaseModel):
    """An input by content.

    Attributes:
        sha256: Of the file's bytes.
        name: The file's name without its folder, to help a person find it again; never opened.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sha256: Sha256
    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if re.search(r"[/\\]", name) or not name.isprintable() or name in (".", ".."):
            raise ValueError("a file name without folder or control characters is needed")
        return name


class Recipe(BaseModel):
    """What to do, complete: the same recipe on the same machine gives the same pixels.

    Attributes:
        version: Of this layout.
        kind: A row of the registry, e.g. ``tryon``.
        inputs: Slot -> input.
        settings: The kind's own settings, complete with defaults (studio/registry.py checks them).
        seed: Of every random draw.
        weights: Name -> sha256 of the folder's contents.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1
    kind: Name
    inputs: Annotated[dict[Slot, InputRef], Field(max_length=16)]
    settings: Annotated[dict[Slot, Value], Field(max_length=64)] = {}
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    weights: Annotated[dict[Name, Sha256], Field(max_length=16)] = {}

    def canonical(self) -> str:
        """Canonical JSON: sorted keys, no spaces, ASCII, no NaN."""
        return _canonical(self.model_dump(mode="json"))

    def sha256(self) -> str:
        """Hash of what decides the result: everything but the inputs' file names."""
        data = self.model_dump(mode="json")
        data["inputs"] = {slot: ref["sha256"] for slot, ref in data["inputs"].items()}
        return hashlib.sha256(
            json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        ).hexdigest()


def _canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def bad(seen: object) -> UsageError:
    """The error for a recipe that cannot be read."""
    return UsageError(
        "recipe.bad",
        "This recipe cannot be read",
        seen=str(seen)[:200],
        remedy="It may come from another program or a newer studio; `studio schema KIND` shows what is expected",
    )


def read_json(text: str | bytes, limit: int = MAX_BYTES) -> Any:
    """Parse untrusted JSON: size-capped, no NaN, no doubled keys, bounded depth.

    Raises:
        UsageError: ``recipe.bad``.
    """
    if len(text) > limit:
        raise bad(f"{len(text)} bytes, more than {limit}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            raise ValueError("the same key twice")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON number")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:  # ValueError covers bad UTF-8, bad JSON and huge integers
        raise bad(error) from error


def parse(data: str | bytes | dict[str, Any]) -> Recipe:
    """Read a recipe from JSON text or from an already parsed object.

    Raises:
        UsageError: ``recipe.bad``, with the first field that is wrong.
    """
    value = read_json(data) if isinstance(data, (str, bytes)) else data
    try:
        recipe = Recipe.model_validate(value)
        recipe.sha256().encode("ascii")
        return recipe
    except ValidationError as error:
        first = error.errors()[0]
        raise bad(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:  # infinity in a float, lone surrogates
        raise bad(error) from error
