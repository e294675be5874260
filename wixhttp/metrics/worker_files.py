"""The files by which the worker processes of a server count together: those of prometheus-client's multiprocess mode
(https://prometheus.github.io/client_python/multiprocess/), in a private folder that the master makes and removes.

The library has a file for each kind of metric and each process, named for the process; what a dead process has counted
stays in its file. Named by process ids, there would be more and more of them. Here each worker has a place, the lowest
that is free, and goes on with the files of the one that had it before: there are never more than workers at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING

from wixhttp.errors import ProjectError
from wixhttp.measurements import count_with

from .installed import check_installed

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "wixhttp-metrics-"
_LOCK = "lock"
_MEMORY = Path("/dev/shm")  # noqa: S108  # where it is writable, a read-only file system has it, too
_ROOM = 1 << 24  # bytes free, without which numbers are somewhere else
_NEW = 60.0  # seconds in which a folder without a lock is one that is being made

logger = logging.getLogger("wixhttp")


def shared_folder() -> str | None:
    """The folder by which the processes of this server count together: that of `WorkerFiles`, or the one that the
    environment names for another server; ``None`` where this process counts alone."""
    return os.environ.get(_VARIABLE)


def is_of_workers(folder: str) -> bool:
    """Return whether a folder is one of `WorkerFiles`, whose workers have been counted."""
    return Path(folder).name.startswith(_PREFIX)


def count_worker(registry: CollectorRegistry | None) -> None:
    """Count this process as one that serves; ``None``: in its files alone."""
    from prometheus_client import Gauge

    Gauge("wixhttp_workers", "Processes that serve", multiprocess_mode="livesum", registry=registry).set(1)


class WorkerFiles:
    """The folder of one server, made in its master, and the places of its workers.

    Raises:
        ProjectError: prometheus-client is not installed, or there is nowhere to make a folder.
    """

    def __init__(self, *, is_taken_over: bool) -> None:
        check_installed()
        if shared_folder() is not None and not is_taken_over:
            logger.warning("%s is set; wixhttp serve counts in a folder of its own", _VARIABLE)
        base = _base()
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            self._lock = _locked(self.folder / _LOCK)
        except OSError as error:
            raise ProjectError(
                f"metrics = true needs a folder for the numbers of the workers, and none can be made in {str(base)!r} "
                f"({error.strerror}); set TMPDIR to a folder that can be written"
            ) from None
        # Read by the library when it is imported, and whenever it opens a file.
        os.environ[_VARIABLE] = str(self.folder)
        from prometheus_client import values  # loaded once, for all workers

        from .shared_values import SharedValues

        self._owner = os.getpid()
        self._next = 0
        self._places: dict[int, int] = {}  # by process id
        self._file_name = self._name_before = f"p{self._owner}"
        self._values = SharedValues(self.folder, lambda: self._file_name)
        values.ValueClass = self._values.value_class
        os.register_at_fork(after_in_child=self._begin_in_child)

    def _begin_in_child(self) -> None:
        """Count nothing in a process that a worker has just forked: there is no end of those, and a thread of the
        worker may have held a lock."""
        self._values.begin_in_child()
        if self._file_name != self._name_before:
            self._values.is_on = False
            count_with(None)

    def own(self, user: int, group: int) -> None:
        """Take the folder over for this process, whose workers are of a user and a group."""
        self._owner = os.getpid()
        if (user, group) != (os.geteuid(), os.getegid()):
            _sweep(self.folder.parent, user)
            for path in (self.folder, self.folder / _LOCK):
                os.chown(path, user, group)

    # --- in the master ---

    def begin_worker(self) -> None:
        """Choose the place of the worker that is forked next."""
        taken = set(self._places.values())
        self._next = next(place for place in range(len(taken) + 1) if place not in taken)

    def note_worker(self, pid: int) -> None:
        """Note the process that has taken the place."""
        self._places[pid] = self._next

    def keep_only(self, pids: Collection[int]) -> None:
        """Free the places of all workers but these, and forget what holds of living ones only: requests in flight."""
        for pid in self._places.keys() - set(pids):
            from prometheus_client.multiprocess import mark_process_dead

            with contextlib.suppress(OSError):  # somebody has removed the files
                mark_process_dead(_name_at(self._places.pop(pid)), str(self.folder))  # type: ignore[no-untyped-call]

    def remove(self) -> None:
        """Remove the folder, once all workers have ended. Does nothing in another process than the master."""
        if os.getpid() == self._owner:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.close()

    # --- in a worker ---

    def enter(self) -> None:
        """Count as the worker of the place, in the process that was forked for it; not where there is no room."""
        self._file_name = _name_at(self._next)
        self._values.enter(self._name_before)
        count_worker(None)
        self._values.is_on = self._values.has_room


def _name_at(place: int) -> str:
    return f"w{place}"


def _locked(path: Path) -> IO[bytes]:
    """A new file, locked as long as this process lives, or one that it has forked."""
    file = path.open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _base() -> Path:
    """The folder in which folders are made: in memory, unless there is little room."""
    if os.access(_MEMORY, os.W_OK):
        _sweep(_MEMORY, os.geteuid())
        room = os.statvfs(_MEMORY)
        if room.f_bavail * room.f_frsize >= _ROOM:
            return _MEMORY
    try:
        base = Path(tempfile.gettempdir())
    except FileNotFoundError:  # none can be written
        return _MEMORY
    _sweep(base, os.geteuid())
    return base


def _sweep(base: Path, user: int) -> None:
    """Remove the folders of a user's servers whose processes were all killed. Others may have made anything here: a
    pipe, whose opening waits, or a link."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another server was faster
            found = folder.lstat()
            if found.st_uid != user or not stat.S_ISDIR(found.st_mode):
                continue
            lock = folder / _LOCK
            if not lock.exists():
                if time.time() - found.st_mtime > _NEW:
                    shutil.rmtree(folder)
                continue
            file = os.open(lock, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(file).st_mtime > _NEW:
                    shutil.rmtree(folder)
            finally:
                os.close(file)
