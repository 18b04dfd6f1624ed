"""Which workspace the page works in: its settings, store and queue, read anew each time so that nothing goes stale."""

from __future__ import annotations

from pathlib import Path

from studio import credentials, settings, verdicts
from studio.errors import PipelineError
from studio.queue import Queue
from studio.store import Store
from studio.verdicts import Verdict


def chosen() -> settings.Settings:
    """The settings in force."""
    return settings.load()


def store() -> Store:
    """Kept inputs, results and gallery."""
    found = chosen()
    return Store(found.home, credentials.place_of(found))


def verdict_of(path: Path) -> Verdict:
    """Whose seal a file carries, and whether it holds.

    Raises:
        InputError: ``input.*`` if it cannot be read.
        UsageError: ``credentials.*`` if it cannot be told who is to be trusted.
    """
    return verdicts.of_file(path, credentials.trust(credentials.place_of(chosen())))


def seal_of(path: Path) -> str:
    """The same in words."""
    try:
        return verdict_of(path).words
    except PipelineError as error:
        return error.what


def queue() -> Queue:
    """What waits and what runs."""
    return Queue(chosen().home)


def log_folder() -> Path | None:
    """Where a bug is written down, or None when even the settings cannot be read."""
    try:
        return chosen().home / "logs"
    except PipelineError:
        return None
