"""The studio: recipes in, sealed artefacts out.

``from studio import tryon`` is the Python API (studio/api.py). Importing this package imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.api import building, check, parse, pose, tryon

__version__ = "0.1.0"
__all__ = ["__version__", "building", "check", "parse", "pose", "tryon"]


def __getattr__(name: str) -> Any:
    if name in ("building", "check", "tryon", "pose", "parse"):
        from studio import api

        return getattr(api, name)
    raise AttributeError(f"module 'studio' has no attribute {name!r}")
