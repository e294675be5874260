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
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING

from wixhttp.errors import ProjectError

from .installed import check_installed

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "wixhttp-metrics-"
_LOCK = "lock"
_MEMORY = Path("/dev/shm")  # noqa: S108  # where it is writable, a read-only file system has it, too
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
        base = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        _sweep(base)
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            self._lock = _locked(self.folder / _LOCK)
        except OSError as error:
            raise ProjectError(
                f"metrics = true needs a folder for the numbers of the workers, and none can be made in {str(base)!r} "
                f"({error.strerror}); set TMPDIR to a folder that can be written"
            ) from None
        os.environ[_VARIABLE] = str(
            self.folder
        )  # read by the library when it is imported, and whenever it opens a file
        from prometheus_client import values  # loaded once, for all workers

        self._owner = os.getpid()
        self._next = 0
        self._places: dict[int, int] = {}  # by process id
        self._worker, self._file_name = 0, ""
        values.ValueClass = values.MultiProcessValue(self._name)  # type: ignore[no-untyped-call]

    def own(self, user: int, group: int) -> None:
        """Take the folder over for this process, whose workers are of a user and a group."""
        self._owner = os.getpid()
        if (user, group) != (os.geteuid(), os.getegid()):
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

            mark_process_dead(_name_at(self._places.pop(pid)), str(self.folder))  # type: ignore[no-untyped-call]

    def remove(self) -> None:
        """Remove the folder, once all workers have ended. Does nothing in another process than the master."""
        if os.getpid() == self._owner:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.close()

    # --- in a worker ---

    def enter(self) -> None:
        """Count as the worker of the place, in the process that was forked for it."""
        self._worker, self._file_name = os.getpid(), _name_at(self._next)
        count_worker(None)

    def _name(self) -> str:
        """The name of this process in those of its files. One that a handler has forked is no worker."""
        pid = os.getpid()
        return self._file_name if pid == self._worker else f"p{pid}"


def _name_at(place: int) -> str:
    return f"w{place}"


def _locked(path: Path) -> IO[bytes]:
    """A new file, locked as long as this process lives, or one that it has forked."""
    file = path.open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _sweep(base: Path) -> None:
    """Remove the folders of servers whose processes were all killed."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or another server was faster
            lock = folder / _LOCK
            if not lock.exists():
                if time.time() - folder.stat().st_mtime > _NEW:
                    shutil.rmtree(folder)
                continue
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - lock.stat().st_mtime > _NEW:
                    shutil.rmtree(folder)
