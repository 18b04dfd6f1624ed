"""The queue: one claim each, leases, attempts, cancel, quarantine; and workers that are killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio import sidecar, worker
from studio.database import open_database
from studio.engine import Engine
from studio.errors import OutputError, UsageError
from studio.queue import ATTEMPTS, CLAIM, Queue
from studio.recipe import Recipe
from studio.settings import load

HERE = Path(__file__).parent
WANTED = Recipe(kind="soften", inputs={})


@pytest.fixture
def queue(workspace: Path) -> Queue:
    """An empty queue."""
    return Queue(workspace)


def add(queue: Queue, number: int = 1, **options: object) -> list[int]:
    """Jobs that nobody will run."""
    return [queue.add(WANTED, Path(f"/nowhere/{i}.png"), **options) for i in range(number)]  # type: ignore[arg-type]


def test_claimed_once_each(queue: Queue) -> None:
    """Eight threads take sixty jobs; none is taken twice, none is forgotten."""
    numbers, taken = add(queue, 60), []

    def take() -> None:
        mine = Queue(queue.home)
        while (job := mine.claim(threading.current_thread().name, 60)) is not None:
            taken.append(job.id)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == numbers


def test_claim_uses_the_index(queue: Queue) -> None:
    with contextlib.closing(open_database(queue.home)) as base:
        values = {"worker": "w", "until": 1.0, "now": 0.0, "attempts": 3}
        plan = " ".join(row["detail"] for row in base.execute("EXPLAIN QUERY PLAN " + CLAIM, values))
    assert "jobs_by_state" in plan and "jobs_by_owner" in plan
    assert "SCAN j " not in plan + " " and "SCAN o " not in plan + " "


def test_order_first_come(queue: Queue) -> None:
    numbers = add(queue, 3)
    assert [queue.claim("w", 60).id for _ in numbers] == numbers  # type: ignore[union-attr]


def test_previews_come_first(queue: Queue) -> None:
    (work,), (preview,) = add(queue), add(queue, preview=True)
    assert [queue.claim("w", 60).id for _ in range(2)] == [preview, work]  # type: ignore[union-attr]


def test_owners_take_turns(queue: Queue) -> None:
    a, b = add(queue, 3, owner="a"), add(queue, 2, owner="b")
    order = []
    for _ in range(5):
        job = queue.claim("w", 60)
        assert job is not None
        order.append(job.id)
        queue.finish(job, "done")
        time.sleep(0.002)
    assert order == [a[0], b[0], a[1], b[1], a[2]]


def test_states_are_reported(queue: Queue) -> None:
    numbers = add(queue, 3)
    job = queue.claim("w", 60)
    assert job is not None and job.attempts == 1 and job.state == "running"
    queue.progress(job, 0.5, "step 1 of 2", 3.0, None)
    now = queue.get(job.id)
    assert (now.fraction, now.message, now.eta, now.active) == (0.5, "step 1 of 2", 3.0, True)
    assert queue.ahead(numbers[2]) == 2 and queue.counts() == {"queued": 2, "running": 1}
    assert queue.finish(job, "failed", error={"code": "x.y"})
    assert queue.get(job.id).error == {"code": "x.y"} and [j.id for j in queue.ls()] == numbers[::-1]
    assert [j.id for j in queue.ls(states=("failed",))] == [job.id]


def test_lost_lease(queue: Queue) -> None:
    """A worker that was silent too long finds its job taken, and cannot end it any more."""
    (number,) = add(queue)
    first = queue.claim("slow", 0.05)
    assert first is not None and queue.claim("fast", 60) is None
    time.sleep(0.1)
    assert [job.id for job in queue.interrupted()] == [number]
    second = queue.claim("fast", 60)
    assert second is not None and (second.id, second.attempts) == (number, 2)
    assert queue.beat(first, 60) == "lost" and not queue.finish(first, "done")
    assert queue.beat(second, 60) == "go" and queue.finish(second, "done")


def test_beat_keeps_the_lease(queue: Queue) -> None:
    add(queue)
    job = queue.claim("w", 0.3)
    assert job is not None
    for _ in range(5):
        time.sleep(0.1)
        assert queue.beat(job, 0.3) == "go"
        assert queue.claim("other", 60) is None and queue.interrupted() == []


def test_quarantine(queue: Queue) -> None:
    (number,) = add(queue)
    for attempt in range(ATTEMPTS):
        job = queue.claim("w", 0.01)
        assert job is not None and job.attempts == attempt + 1
        time.sleep(0.03)
    assert queue.claim("w", 60) is None
    job = queue.get(number)
    assert job.state == "quarantined" and job.error is not None and job.error["code"] == "queue.quarantined"
    assert queue.retry(number).attempts == 0 and queue.claim("w", 60) is not None


def test_cancel(queue: Queue) -> None:
    running, waiting = add(queue, 2)
    job = queue.claim("w", 60)
    assert job is not None
    assert queue.cancel(waiting).state == "cancelled"
    assert queue.cancel(running).state == "running" and queue.beat(job, 60) == "cancel"
    assert queue.finish(job, "cancelled") and queue.claim("w", 60) is None
    assert queue.retry(waiting).state == "queued"
    done = queue.claim("w", 60)
    assert done is not None and queue.finish(done, "done") and queue.cancel(waiting).state == "done"
    with pytest.raises(UsageError) as caught:
        queue.retry(waiting)
    assert caught.value.code == "queue.not-ended"


def test_cancel_of_an_interrupted_job(queue: Queue) -> None:
    (number,) = add(queue)
    assert queue.claim("w", 0.01) is not None
    time.sleep(0.03)
    assert queue.cancel(number).state == "cancelled" and queue.claim("w", 60) is None


def test_release_gives_the_attempt_back(queue: Queue) -> None:
    add(queue)
    job = queue.claim("w", 60)
    assert job is not None
    queue.release(job)
    again = queue.claim("v", 60)
    assert again is not None and again.attempts == 1


def test_pause(queue: Queue) -> None:
    add(queue)
    queue.pause()
    assert queue.paused and queue.claim("w", 60) is None
    (preview,) = add(queue, preview=True)
    job = queue.claim("w", 60)
    assert job is not None and job.id == preview
    queue.resume()
    assert not queue.paused and queue.claim("w", 60) is not None


def test_after_an_unclean_end_the_page_starts_paused(queue: Queue) -> None:
    add(queue, 2)
    assert worker.open_session(queue.home) == [] and not queue.paused
    assert queue.claim("w", 0.01) is not None
    time.sleep(0.03)
    assert len(worker.open_session(queue.home)) == 1 and queue.paused
    queue.sign_in("alive", 1, "here")
    assert worker.open_session(queue.home) == []  # a living worker will take the job up by itself


def test_unknown_job(queue: Queue) -> None:
    with pytest.raises(UsageError) as caught:
        queue.get(99)
    assert caught.value.code == "queue.no-job"


def test_workspace_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError) as caught:
        Queue(tmp_path / "file" / "home").counts()
    assert caught.value.code == "home.unwritable"


# -- worker processes


@contextlib.contextmanager
def workers(number: int, *arguments: str, lease: float = 1.0) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many worker processes; killed at the end if they still live."""
    command = [sys.executable, str(HERE / "worker_main.py"), "--device", "cpu", *arguments]
    environment = {**os.environ, "STUDIO_LEASE_SECONDS": str(lease)}
    started = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(number)]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def wait(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def submit(queue: Queue, photo: Path, path: Path, *, seed: int = 0, preview: bool = False, **values: object) -> int:
    """A job that softens the photo."""
    draft = Engine(load()).draft("soften", {"person": photo}, values, seed=seed)
    return queue.add(draft.recipe, path, preview=preview)


@pytest.mark.slow
def test_two_workers_one_killed_nothing_lost(queue: Queue, photo: Path, tmp_path: Path) -> None:
    """200 jobs, two workers; the one in the middle of the long job is killed: 200 of 200 done, that one twice tried."""
    folder = tmp_path / "out"
    long = submit(queue, photo, folder / "long.png", steps=40, seconds=0.1)
    for seed in range(199):
        submit(queue, photo, folder / f"{seed}.png", seed=seed, steps=1)
    with workers(2, "--until-empty") as started:
        wait(lambda: queue.get(long).fraction > 0.1)
        holder = next(row for row in queue.workers() if row["id"] == queue.get(long).worker)
        os.kill(holder["pid"], signal.SIGKILL)
        survivor = next(process for process in started if process.pid != holder["pid"])
        # The survivor may run dry before the dead one's lease ends; the next worker takes the job up then.
        wait(lambda: survivor.poll() is not None, 240)
    if queue.counts() != {"done": 200}:
        wait(queue.interrupted)
        with workers(1, "--until-empty") as (third,):
            wait(lambda: third.poll() is not None, 60)
    assert queue.counts() == {"done": 200}
    jobs = queue.ls(limit=500)
    assert {job.id: job.attempts for job in jobs if job.attempts != 1} == {long: 2}
    assert len({job.result for job in jobs}) == 200
    for job in jobs:
        seal, notes = sidecar.read(Path(job.result or ""))
        assert notes == [] and seal.recipe.canonical() == job.recipe
    assert [name for name in os.listdir(folder) if name.startswith(".")] == []


@pytest.mark.slow
def test_a_job_that_kills_its_worker_is_quarantined(queue: Queue, photo: Path, tmp_path: Path) -> None:
    poison = submit(queue, photo, tmp_path / "poison.png", fail="die")
    good = submit(queue, photo, tmp_path / "good.png")
    for _ in range(ATTEMPTS):
        with workers(1, "--until-empty", lease=0.5) as (process,):
            wait(lambda process=process: process.poll() is not None)
            if process.returncode == -signal.SIGKILL:
                wait(queue.interrupted, 5)
    with workers(1, "--until-empty", lease=0.5) as (process,):
        wait(lambda: process.poll() is not None)
    assert (queue.get(poison).state, queue.get(poison).attempts) == ("quarantined", ATTEMPTS)
    assert queue.get(good).state == "done" and not (tmp_path / "poison.png").exists()


@pytest.mark.slow
def test_worker_life(queue: Queue, photo: Path, tmp_path: Path) -> None:
    """Progress with a preview, cancel within a step, failures told, and a gentle stop that gives the job back."""
    with workers(1) as (process,):
        failing = submit(queue, photo, tmp_path / "fail.png", fail="input")
        buggy = submit(queue, photo, tmp_path / "bug.png", fail="bug")
        wait(lambda: not queue.get(buggy).active)
        assert (queue.get(failing).error or {})["code"] == "input.no-person"
        error = queue.get(buggy).error or {}
        assert error["code"] == "bug" and "a defect of the pipeline" in error["seen"]
        log = next(word for word in error["remedy"].split() if word.endswith(".txt"))
        assert "Traceback" in Path(log).read_text()

        slow = submit(queue, photo, tmp_path / "slow.png", steps=1000, seconds=0.05)
        wait(lambda: queue.get(slow).preview)
        job = queue.get(slow)
        assert 0 < job.fraction < 1 and job.message.startswith("step ") and job.eta is not None and job.eta > 1
        assert Path(job.preview or "").read_bytes().startswith(b"\x89PNG")
        begun = time.monotonic()
        queue.cancel(slow)
        wait(lambda: not queue.get(slow).active)
        assert queue.get(slow).state == "cancelled" and time.monotonic() - begun < 25  # of its 50 seconds
        assert not (tmp_path / "slow.png").exists() and not Path(job.preview or "").exists()

        given_back = submit(queue, photo, tmp_path / "back.png", steps=1000, seconds=0.05)
        wait(lambda: queue.get(given_back).fraction > 0)
        process.send_signal(signal.SIGTERM)
        wait(lambda: process.poll() is not None)
        assert process.returncode == 0 and queue.workers() == []
        job = queue.get(given_back)
        assert (job.state, job.attempts) == ("queued", 0) and not (tmp_path / "back.png").exists()


@pytest.mark.slow
def test_ensure_starts_one_worker(queue: Queue) -> None:
    worker.ensure(queue.home, arguments=("--device", "cpu"))
    wait(queue.workers)
    try:
        worker.ensure(queue.home)
        time.sleep(0.3)
        assert len(queue.workers()) == 1
    finally:
        os.kill(queue.workers()[0]["pid"], signal.SIGTERM)
    wait(lambda: not queue.workers())
    assert [child.wait(30) for child in worker._children] == [0]
    assert (queue.home / "logs" / "worker.log").exists()
