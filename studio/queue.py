"""The queue in front of the engine, in SQLite: leases, attempts, cancel flags, quarantine.

A worker claims a job by one UPDATE and holds it by a lease that it renews. A worker that dies loses the lease, and the
job goes to the next; after three attempts it is quarantined, so that a job that kills its worker cannot do so for ever.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from studio import recipe
from studio.database import open_database, transaction
from studio.errors import UsageError

State = Literal["queued", "running", "done", "failed", "cancelled", "quarantined"]
ATTEMPTS = 3
PREVIEW_LANE, WORK_LANE = 0, 1
WORKER_SILENT_SECONDS = 15.0

# One statement, so that two workers can never take the same job. The priority lane first; among owners, whoever was
# served longest ago; then first come, first served. A paused queue still serves the priority lane: previews are what
# the person at the page is looking at.
CLAIM = """
UPDATE jobs SET state = 'running', worker = :worker, lease_until = :until, started = :now, attempts = attempts + 1,
                fraction = 0, message = '', eta = NULL, preview = NULL
WHERE id = (
    SELECT j.id FROM jobs j
    WHERE (j.state = 'queued' OR (j.state = 'running' AND j.lease_until < :now))
      AND j.attempts < :attempts AND j.cancel = 0
      AND (j.lane = 0 OR NOT EXISTS (SELECT 1 FROM flags WHERE name = 'paused'))
    ORDER BY j.lane, (SELECT MAX(o.started) FROM jobs o WHERE o.owner = j.owner) NULLS FIRST, j.id
    LIMIT 1
)
RETURNING *
"""


@dataclass(frozen=True)
class Job:
    """A row of the queue.

    Attributes:
        id: Number.
        owner: Who asked.
        lane: 0 previews, 1 work.
        state: One of `State`.
        recipe: Canonical JSON of the recipe.
        target: JSON: path, format, quality, force, layers.
        attempts: How often it was started.
        worker: Who runs or ran it.
        lease_until: Unix time.
        cancel: Whether it shall stop.
        fraction: Progress in [0, 1].
        message: What is being done.
        eta: Seconds left, or None.
        preview: Path of a small PNG, or None.
        result: Path of the artefact, or None.
        error: code, what, seen, remedy, or None.
        created: Unix time.
        started: Unix time, or None.
        finished: Unix time, or None.
    """

    id: int
    owner: str
    lane: int
    state: State
    recipe: str
    target: dict[str, Any]
    attempts: int
    worker: str | None
    lease_until: float | None
    cancel: bool
    fraction: float
    message: str
    eta: float | None
    preview: str | None
    result: str | None
    error: dict[str, Any] | None
    created: float
    started: float | None
    finished: float | None

    @property
    def active(self) -> bool:
        """Whether it still waits or runs."""
        return self.state in ("queued", "running")


def _job(row: sqlite3.Row) -> Job:
    fields = {name: row[name] for name in Job.__dataclass_fields__}
    fields["target"] = json.loads(row["target"])
    fields["error"] = json.loads(row["error"]) if row["error"] else None
    fields["cancel"] = bool(row["cancel"])
    return Job(**fields)


class Queue:
    """The queue of a workspace. Every call opens the database anew: safe between threads and processes."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @contextlib.contextmanager
    def _base(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(open_database(self.home)) as base:
            yield base

    # -- asking

    def add(
        self,
        wanted: recipe.Recipe,
        path: Path,
        *,
        format: str = "png",
        quality: int = 95,
        force: bool = False,
        layers: bool = False,
        owner: str = "local",
        preview: bool = False,
    ) -> int:
        """Put a recipe into the queue.

        Args:
            wanted: Its inputs must be kept in the workspace already (`Engine.draft` and `Store.keep_input` do so).
            path: Where the result goes.
            format: ``png``, ``jpeg``, ``webp`` or ``json``.
            quality: JPEG quality.
            force: Overwrite.
            layers: Also write what led to the result.
            owner: Owners take turns.
            preview: Use the priority lane.

        Returns:
            The job's number.
        """
        target = {"path": str(path), "format": format, "quality": quality, "force": force, "layers": layers}
        with self._base() as base:
            row = base.execute(
                "INSERT INTO jobs (created, owner, lane, state, recipe, recipe_sha256, target) "
                "VALUES (?, ?, ?, 'queued', ?, ?, ?) RETURNING id",
                (time.time(), owner, PREVIEW_LANE if preview else WORK_LANE, wanted.canonical(), wanted.sha256(),
                 json.dumps(target)),
            ).fetchone()  # fmt: skip
        return int(row["id"])

    def get(self, number: int) -> Job:
        """One job.

        Raises:
            UsageError: ``queue.no-job``.
        """
        with self._base() as base:
            row = base.execute("SELECT * FROM jobs WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise UsageError("queue.no-job", "There is no such job", seen=number, remedy="See: studio queue ls")
        return _job(row)

    def ls(self, *, states: tuple[State, ...] = (), limit: int = 100) -> list[Job]:
        """Jobs, newest first."""
        marks = ",".join("?" * len(states))
        where = f"WHERE state IN ({marks})" if states else ""
        with self._base() as base:
            rows = base.execute(f"SELECT * FROM jobs {where} ORDER BY id DESC LIMIT ?", (*states, limit)).fetchall()
        return [_job(row) for row in rows]

    def ahead(self, number: int) -> int:
        """How many jobs wait or run before this one."""
        with self._base() as base:
            return base.execute(
                "SELECT COUNT(*) FROM jobs o, jobs j WHERE j.id = ? AND o.id != j.id AND (o.state = 'running' OR "
                "(o.state = 'queued' AND (o.lane < j.lane OR (o.lane = j.lane AND o.id < j.id))))",
                (number,),
            ).fetchone()[0]

    def counts(self) -> dict[str, int]:
        """State -> number of jobs."""
        with self._base() as base:
            rows = base.execute("SELECT state, COUNT(*) AS n FROM jobs GROUP BY state").fetchall()
        return {row["state"]: row["n"] for row in rows}

    def interrupted(self) -> list[Job]:
        """Jobs that a worker started and did not end: it was killed, or the computer went down."""
        with self._base() as base:
            rows = base.execute(
                "SELECT * FROM jobs WHERE state = 'running' AND lease_until < ? ORDER BY id", (time.time(),)
            ).fetchall()
        return [_job(row) for row in rows]

    # -- steering

    def cancel(self, number: int) -> Job:
        """Stop a job: at once if it waits, at its next step if it runs."""
        with self._base() as base, transaction(base):
            base.execute(
                "UPDATE jobs SET cancel = 1, finished = ?2, state = 'cancelled' WHERE id = ?1 AND "
                "(state = 'queued' OR (state = 'running' AND lease_until < ?2))",
                (number, time.time()),
            )
            base.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND state = 'running'", (number,))
        return self.get(number)

    def retry(self, number: int) -> Job:
        """Queue a failed, cancelled or quarantined job again, with its attempts forgotten.

        Raises:
            UsageError: ``queue.not-ended`` for a job that waits, runs or is done.
        """
        with self._base() as base:
            changed = base.execute(
                "UPDATE jobs SET state = 'queued', attempts = 0, cancel = 0, error = NULL, finished = NULL, "
                "fraction = 0, worker = NULL, lease_until = NULL "
                "WHERE id = ? AND state IN ('failed', 'cancelled', 'quarantined')",
                (number,),
            ).rowcount
        job = self.get(number)
        if not changed:
            raise UsageError(
                "queue.not-ended", "Only a job that failed can be tried again", seen=f"{number}: {job.state}"
            )
        return job

    def pause(self) -> None:
        """Start no further work (previews go on)."""
        with self._base() as base:
            base.execute("INSERT OR REPLACE INTO flags (name, value) VALUES ('paused', '1')")

    def resume(self) -> None:
        """Go on."""
        with self._base() as base:
            base.execute("DELETE FROM flags WHERE name = 'paused'")

    @property
    def paused(self) -> bool:
        """Whether `pause` is in force."""
        with self._base() as base:
            return base.execute("SELECT 1 FROM flags WHERE name = 'paused'").fetchone() is not None

    # -- working

    def claim(self, worker: str, lease_seconds: float) -> Job | None:
        """Take the next job, or None. Jobs that lost their worker for the last time are quarantined on the way."""
        now = time.time()
        with self._base() as base:
            self._bury(base, now)
            # fetchall, not fetchone: the change is committed only when the statement has run to its end.
            rows = base.execute(
                CLAIM, {"worker": worker, "until": now + lease_seconds, "now": now, "attempts": ATTEMPTS}
            ).fetchall()
        return _job(rows[0]) if rows else None

    def _bury(self, base: sqlite3.Connection, now: float) -> None:
        error = {
            "code": "queue.quarantined",
            "what": f"This job ended its worker {ATTEMPTS} times",
            "seen": None,
            "remedy": "Look at the worker's log; then studio queue retry",
        }
        base.execute(
            "UPDATE jobs SET state = 'quarantined', finished = ?1, error = ?2 "
            "WHERE state = 'running' AND lease_until < ?1 AND attempts >= ?3 AND cancel = 0",
            (now, json.dumps(error), ATTEMPTS),
        )
        base.execute(
            "UPDATE jobs SET state = 'cancelled', finished = ?1 "
            "WHERE state = 'running' AND lease_until < ?1 AND cancel = 1",
            (now,),
        )

    def beat(self, job: Job, lease_seconds: float) -> Literal["go", "cancel", "lost"]:
        """Renew the lease of a running job; says whether it shall go on."""
        with self._base() as base:
            rows = base.execute(
                "UPDATE jobs SET lease_until = ? WHERE id = ? AND worker = ? AND attempts = ? AND state = 'running' "
                "RETURNING cancel",
                (time.time() + lease_seconds, job.id, job.worker, job.attempts),
            ).fetchall()
        return "lost" if not rows else "cancel" if rows[0]["cancel"] else "go"

    def progress(self, job: Job, fraction: float, message: str, eta: float | None, preview: Path | None) -> None:
        """Say how far a job is."""
        with self._base() as base:
            base.execute(
                "UPDATE jobs SET fraction = ?, message = ?, eta = ?, preview = COALESCE(?, preview) "
                "WHERE id = ? AND worker = ? AND attempts = ? AND state = 'running'",
                (fraction, message, eta, preview and str(preview), job.id, job.worker, job.attempts),
            )

    def finish(
        self, job: Job, state: State, *, result: Path | None = None, error: dict[str, Any] | None = None
    ) -> bool:
        """End a job; False if another worker has it by now."""
        with self._base() as base:
            return bool(
                base.execute(
                    "UPDATE jobs SET state = :state, finished = :now, result = :result, error = :error, eta = NULL, "
                    "lease_until = NULL, fraction = CASE WHEN :state = 'done' THEN 1.0 ELSE fraction END "
                    "WHERE id = :id AND worker = :worker AND attempts = :attempts AND state = 'running'",
                    {
                        "state": state,
                        "now": time.time(),
                        "result": result and str(result),
                        "error": error and json.dumps(error),
                        "id": job.id,
                        "worker": job.worker,
                        "attempts": job.attempts,
                    },
                ).rowcount
            )

    def release(self, job: Job) -> None:
        """Give a job back untried, when its worker is asked to stop."""
        with self._base() as base:
            base.execute(
                "UPDATE jobs SET state = 'queued', attempts = attempts - 1, worker = NULL, lease_until = NULL "
                "WHERE id = ? AND worker = ? AND attempts = ? AND state = 'running'",
                (job.id, job.worker, job.attempts),
            )

    # -- workers

    def sign_in(self, worker: str, pid: int, host: str) -> None:
        """Enter or renew a worker's sign of life."""
        now = time.time()
        with self._base() as base:
            base.execute(
                "INSERT INTO workers (id, pid, host, started, seen) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
                (worker, pid, host, now, now),
            )

    def sign_out(self, worker: str) -> None:
        """Remove a worker."""
        with self._base() as base:
            base.execute("DELETE FROM workers WHERE id = ?", (worker,))

    def workers(self) -> list[dict[str, Any]]:
        """Workers that gave a sign of life lately."""
        with self._base() as base:
            rows = base.execute(
                "SELECT * FROM workers WHERE seen > ? ORDER BY started", (time.time() - WORKER_SILENT_SECONDS,)
            ).fetchall()
        return [dict(row) for row in rows]
