"""How a file reaches the disk whole or not at all: a temporary name, a sync, one rename, and one clear error.

A temporary name says which process writes it, so that the next writer can clear away what a killed one left.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from studio.errors import OutputError

MARK = ".part"


def write(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def shorten(name: str, size: int) -> str:
    """The beginning of a name in at most ``size`` bytes: a disk counts bytes, and one letter can take four of them."""
    return name.encode("utf-8", "ignore")[:size].decode("utf-8", "ignore")


def check_name(path: Path) -> None:
    """Raise the OSError that a name gives which no file can have: too long, or with a zero byte in it."""
    if "\0" in str(path):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        os.lstat(path)


def check_folder(folder: Path) -> None:
    """Raise the OSError that writing into a folder would give, or making it if it is not there; leaves nothing."""
    check_name(folder)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    with temporary(folder / "check") as part:
        part.write_bytes(b"\0" * 4096)


def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _part_name(name: str) -> str:
    # The name says who writes, so that the next writer can clear away what a killed process left.
    return f".{shorten(name[::-1], 80)[::-1]}.{_host()}-{os.getpid()}-{threading.get_ident()}{MARK}"


@contextlib.contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """A name for a temporary file or folder beside ``path``; whatever happens, it is gone afterwards."""
    part = path.with_name(_part_name(path.name))
    try:
        yield part
    finally:
        remove(part)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # a place that cannot hold it cannot lose it either
            path.unlink()


def sweep(folder: Path) -> None:
    """Remove temporary files whose writer, a process of this computer, no longer lives."""
    for stale in folder.glob(f".*.{_host()}-*{MARK}"):
        pid = stale.name.removesuffix(MARK).rsplit(".", 1)[-1].split("-")[1]
        if pid.isdecimal() and int(pid) != os.getpid() and not _alive(int(pid)):
            remove(stale)


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # os.kill(pid, 0) would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for what must not be cut in two, some milliseconds: a file and its sidecar, a seal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pending.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pending:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one clear error."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OutputError(
                "output.disk-full",
                "There is no room for the output",
                seen=f"{path}: {error.strerror}",
                remedy="Free some space or name another disk",
            ) from error
        raise OutputError(
            "output.unwritable",
            "The output cannot be written there",
            seen=f"{path}: {error.strerror or error}",
            remedy="Use a shorter name" if error.errno == errno.ENAMETOOLONG else "Name a folder that you may write to",
        ) from error
