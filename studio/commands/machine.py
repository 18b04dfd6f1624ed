"""``studio doctor`` and ``studio ui``."""

from __future__ import annotations

from typing import Annotated

import typer

from studio.commands.common import Home, Json, settings


def register(app: typer.Typer) -> None:
    """Add the verbs to ``app``."""
    app.command()(doctor)
    app.command()(ui)


def doctor(as_json: Json = False) -> None:
    """Show what this machine has: Python, torch, device, libraries, weights, settings and where each came from."""
    from studio import doctor as module

    raise typer.Exit(module.run(json=as_json))


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 8501,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this computer only.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    home: Home = None,
) -> None:
    """Open the page."""
    import os
    import subprocess
    import sys

    from studio.page import page_file

    chosen = settings(home=home)
    command = [
        sys.executable, "-m", "streamlit", "run", str(page_file()), f"--server.port={port}", f"--server.address={host}",
        f"--server.headless={'false' if browser else 'true'}", "--browser.gatherUsageStats=false",
        "--server.showEmailPrompt=false",  # else the first start waits in the terminal for an address to be typed
    ]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, "STUDIO_HOME": str(chosen.home)}, check=False)
    raise typer.Exit(done.returncode)
