"""The one database of a workspace: its schema, its migrations and how it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.errors import OutputError

FILE = "studio.sqlite"

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE artefacts (
        id INTEGER PRIMARY KEY,
        created REAL NOT NULL,
        path TEXT NOT NULL,
        kind TEXT NOT NULL,
        recipe_sha256 TEXT NOT NULL,
        file_sha256 TEXT NOT NULL,
        seed INTEGER NOT NULL,
        width INTEGER,
        height INTEGER,
        tier TEXT,
        commercial TEXT,
        seconds REAL
    );
    CREATE INDEX artefacts_by_recipe ON artefacts (recipe_sha256);
    CREATE INDEX artefacts_by_time ON artefacts (created);

    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        created REAL NOT NULL,
        owner TEXT NOT NULL,
        lane INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'quarantined')),
        recipe TEXT NOT NULL,
        recipe_sha256 TEXT NOT NULL,
        target TEXT NOT NULL,
        force INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        worker TEXT,
        lease_until REAL,
        started REAL,
        finished REAL,
        cancel INTEGER NOT NULL DEFAULT 0,
        fraction REAL NOT NULL DEFAULT 0,
        message TEXT NOT NULL DEFAULT '',
        eta REAL,
        preview TEXT,
        result TEXT,
        error TEXT
    );
    CREATE INDEX jobs_by_state ON jobs (state, lane, id);
    CREATE INDEX jobs_by_owner ON jobs (owner, started);

    CREATE TABLE workers (
        id TEXT PRIMARY KEY,
        pid INTEGER NOT NULL,
        host TEXT NOT NULL,
        started REAL NOT NULL,
        seen REAL NOT NULL
    );
    CREATE TABLE flags (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    """,
)


def open_database(home: Path) -> sqlite3.Connection:
    """Open (and create or migrate) the workspace's database in WAL mode, autocommit.

    Raises:
        OutputError: ``home.unwritable`` if the workspace cannot hold a database.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(home / FILE, timeout=30.0, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # with WAL: a power cut may lose the last row, never the file
        if connection.execute("PRAGMA user_version").fetchone()[0] < len(MIGRATIONS):
            _migrate(connection)
        return connection
    except (OSError, sqlite3.Error) as error:
        raise OutputError(
            "home.unwritable",
            "The workspace cannot be written",
            seen=f"{home}: {error}",
            remedy="Set STUDIO_HOME to a folder on a disk with free space",
        ) from error


def _migrate(connection: sqlite3.Connection) -> None:
    with transaction(connection):  # a second process that came at the same time waits here and then finds it done
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            for statement in script.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One write transaction, rolled back if the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
