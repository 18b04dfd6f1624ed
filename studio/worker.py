"""The process behind the page: ``python -m studio.worker``. Takes jobs from the queue, keeps pipelines warm.

It is a process of its own, never a thread of the web server: a page that reloads or crashes does not stop the work, and
work that crashes does not stop the page.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio import errors, pictures, recipe
from studio.database import open_database
from studio.engine import Engine, Progress
from studio.queue import Job, Queue
from studio.settings import Settings, load
from studio.targets import Target

POLL_SECONDS = 0.2
PROGRESS_SECONDS = 0.3
BEATS_PER_LEASE = 4

log = logging.getLogger("studio.worker")
_children: list[subprocess.Popen[bytes]] = []


class Worker:
    """Claims and runs jobs until it is told to stop or has nothing to do for long."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.engine, self.queue = settings, Engine(settings), Queue(settings.home)
        self.id = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.stop = threading.Event()

    def run(self, *, until_empty: bool = False) -> int:
        """Work.

        Args:
            until_empty: Leave as soon as no job can be claimed.

        Returns:
            How many jobs were ended.
        """
        ended, idle_since, signed = 0, time.monotonic(), 0.0
        anchor = open_database(self.settings.home)  # while one is open, closing another does not sync the whole file
        try:
            while not self.stop.is_set():
                if time.monotonic() - signed > 2:
                    self.queue.sign_in(self.id, os.getpid(), platform.node())
                    signed = time.monotonic()
                job = self.queue.claim(self.id, self.settings.lease_seconds)
                if job is not None:
                    self._work(job)
                    ended, idle_since = ended + 1, time.monotonic()
                elif until_empty or time.monotonic() - idle_since > 60 * self.settings.worker_idle_minutes:
                    break
                else:
                    self.stop.wait(POLL_SECONDS)
        finally:
            self.queue.sign_out(self.id)
            anchor.close()
        return ended

    def _work(self, job: Job) -> None:
        watch = _Watch(self, job)
        log.info("job %d, attempt %d", job.id, job.attempts)
        try:
            with watch:
                wanted = recipe.parse(job.recipe)
                target = Target(Path(job.target.pop("path")), **job.target)
                draft = self.engine.reopen(wanted)
                artefact = self.engine.execute(draft, target, on_progress=watch.tell, cancelled=watch.asked_to_stop)
        except Exception as error:  # whatever one job does, the worker goes on with the next
            self._failed(job, watch, error)
        else:
            self.queue.finish(job, "done", result=artefact.path)
            log.info("job %d done: %s", job.id, artefact.path)
        finally:
            watch.clean()

    def _failed(self, job: Job, watch: _Watch, error: Exception) -> None:
        told = errors.translate(error) or errors.bug_report(error, self.settings.home / "logs")
        if not isinstance(told, errors.Interrupted):
            self.queue.finish(job, "failed", error=told.as_dict())
            log.info("job %d failed: %s", job.id, told)
        elif watch.state == "cancel":
            self.queue.finish(job, "cancelled")
        elif watch.state == "go":
            self.queue.release(job)  # we are told to leave: the next worker shall have it


class _Watch:
    """Holds a job's lease while it runs, and passes progress and the wish to stop between job and queue."""

    def __init__(self, worker: Worker, job: Job) -> None:
        self.worker, self.job, self.state = worker, job, "go"
        self.over = threading.Event()
        self.told = 0.0
        self.preview = worker.settings.home / "previews" / f"{job.id}.png"
        self.thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> _Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _beat(self) -> None:
        queue, lease = self.worker.queue, self.worker.settings.lease_seconds
        # The flag is looked at more often than the lease needs it, so that a cancel is felt within a step.
        pause = min(0.25, lease / BEATS_PER_LEASE)
        signed = time.monotonic()
        while not self.over.wait(pause) and self.state == "go":
            try:
                self.state = queue.beat(self.job, lease)
                if time.monotonic() - signed > 2:
                    queue.sign_in(self.worker.id, os.getpid(), platform.node())
                    signed = time.monotonic()
            except errors.PipelineError as error:
                log.warning("the queue does not answer: %s", error)

    def asked_to_stop(self) -> bool:
        return self.state != "go" or self.worker.stop.is_set()

    def tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self.told < PROGRESS_SECONDS and progress.fraction < 1:
            return
        self.told = now
        path = self._show(progress.preview)
        self.worker.queue.progress(self.job, progress.fraction, progress.message, progress.eta, path)

    def _show(self, pixels: Any) -> Path | None:
        if pixels is None:
            return None
        self.preview.parent.mkdir(parents=True, exist_ok=True)
        part = self.preview.with_suffix(".part")
        part.write_bytes(pictures.thumbnail(pixels))
        os.replace(part, self.preview)
        return self.preview

    def clean(self) -> None:
        self.preview.unlink(missing_ok=True)


def ensure(home: Path, *, arguments: Sequence[str] = ()) -> None:
    """Start a worker for this workspace unless one is alive; returns at once.

    Args:
        home: The workspace.
        arguments: Further arguments of ``python -m studio.worker``.
    """
    queue = Queue(home)
    _children[:] = [child for child in _children if child.poll() is None]  # also lets those that ended go
    if queue.workers():
        return
    logs = home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "studio.worker", "--home", str(home), "--single", *arguments]
    with open(logs / "worker.log", "ab") as stream:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
    _children.append(child)


def open_session(home: Path) -> list[Job]:
    """What the page calls when it opens: after an unclean end the queue starts paused.

    Returns:
        The interrupted jobs, for the banner; empty when all is well or a worker is alive.
    """
    queue = Queue(home)
    if queue.workers():
        return []
    interrupted = queue.interrupted()
    if interrupted:
        queue.pause()
    return interrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker until it is idle for long, or told to stop by SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m studio.worker", description="Work through the studio's queue.")
    parser.add_argument("--home", type=Path, help="workspace (STUDIO_HOME)")
    parser.add_argument("--device")
    parser.add_argument("--until-empty", action="store_true", help="leave when there is nothing to do")
    parser.add_argument("--single", action="store_true", help="leave at once if another worker is alive")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        worker = Worker(load(home=options.home, device=options.device))
        if options.single and worker.queue.workers():
            return errors.OK
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop.set())
        worker.run(until_empty=options.until_empty)
    except errors.PipelineError as error:
        sys.stderr.write(errors.render(error) + "\n")
        return errors.exit_code(error)
    return errors.OK


if __name__ == "__main__":
    raise SystemExit(main())
