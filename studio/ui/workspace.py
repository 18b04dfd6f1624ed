"""Which workspace the page works in: its settings, store and queue, read anew each time so that nothing goes stale."""

from __future__ import annotations

from pathlib import Path

from studio import settings
from studio.errors import PipelineError
from studio.queue import Queue
from studio.store import Store


def chosen() -> settings.Settings:
    """The settings in force."""
    return settings.load()


def store() -> Store:
    """Kept inputs, results and gallery."""
    return Store(chosen().home)


def queue() -> Queue:
    """What waits and what runs."""
    return Queue(chosen().home)


def log_folder() -> Path | None:
    """Where a bug is written down, or None when even the settings cannot be read."""
    try:
        return chosen().home / "logs"
    except PipelineError:
        return None
