"""Where streamlit_app.py lies: inside the package when installed, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from studio.errors import UsageError


def page_file() -> Path:
    """The path of streamlit_app.py.

    Raises:
        UsageError: ``page.missing``.
    """
    package = Path(__file__).resolve().parent
    for path in (package / "streamlit_app.py", package.parent / "streamlit_app.py"):
        if path.is_file():
            return path
    raise UsageError("page.missing", "This installation has no page", seen=package, remedy="Install it again")
