"""The studio: recipes in, sealed artefacts out.

``from studio import tryon`` is the Python API (studio/api.py). Importing this package imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.api import building, check, cloud, parse, pose, surface, tryon

__version__ = "0.1.0"
__all__ = ["__version__", "building", "check", "cloud", "parse", "pose", "surface", "tryon"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from studio import api

        return getattr(api, name)
    raise AttributeError(f"module 'studio' has no attribute {name!r}")
