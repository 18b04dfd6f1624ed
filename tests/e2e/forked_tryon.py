"""Runs ``studio tryon`` in forked children and kills them, as `test_kill.py` asks; prints how each one ended.

Torch is imported once, in the parent, so that a child's life is the command's own work and twenty of them are quick.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

import pipelines.viton_hd.pipeline  # noqa: F401  the imports are what the parent is for
from studio.cli import run


def child(arguments: list[str]) -> int:
    """Start the command in a child process."""
    pid = os.fork()
    if pid == 0:
        os._exit(run(arguments))
    return pid


def main(times: int, person: str, garment: str, folder: str) -> None:
    """Let one child finish, to know how long it takes, and kill the others at random moments of that time."""
    torch.set_num_threads(1)  # a thread pool does not survive a fork
    random.seed(11)
    started = time.monotonic()
    _, status = os.waitpid(child(["tryon", person, garment, "-o", f"{folder}/whole.png", "--quiet"]), 0)
    whole = time.monotonic() - started
    sys.stdout.write(f"whole {os.waitstatus_to_exitcode(status)} {whole:.2f}\n")
    for number in range(times):
        more = ["--force"] if number % 2 else []
        pid = child(["tryon", person, garment, "-o", f"{folder}/out.png", "--quiet", "--layers", *more])
        # Half of the moments lie in the last tenth, where the files are written.
        time.sleep(whole * (random.uniform(0.9, 1.1) if number % 4 < 2 else random.uniform(0, 1)))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{number} {os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
