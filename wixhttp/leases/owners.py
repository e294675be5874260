"""Owners: the processes that hold claims on work in a store, and which of them are dead.

In a store that is a file, each owner holds the lock of a file of its own, which the system drops at its death: others
know at once. Elsewhere a claim is held as long as its lease, which the owner renews.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path

from wixhttp.data.stores.contract import Store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.data.stores.private_files import PRIVATE
from wixhttp.errors import StoreUnavailable

LEASE = 30.0
"""Seconds for which a claim is held without being renewed."""
RENEWED = 10.0
"""Seconds between two renewals."""

_ID = re.compile("[0-9a-f]{32}")
_LOOK = 1.0  # seconds between two looks whether the lock file is still there

logger = logging.getLogger("wixhttp")
_owners: dict[str, Owner] = {}
_making = threading.Lock()


class Owner:
    """The owner of the claims of this process in one store. A process that was forked from it is another one.

    ``folder`` has the lock files of the store's owners; ``None``: it is in no file. ``is_alone``: nobody else sees the
    store.
    """

    def __init__(self, folder: Path | None, *, is_alone: bool) -> None:
        self._folder = folder
        self._is_alone = is_alone
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._id: str | None = None
        self._file: int | None = None
        self._looked = 0.0
        self._renewals: list[Callable[[], object]] = []
        self._thread: threading.Thread | None = None
        self._wakes = threading.Event()

    def begin_in_child(self) -> None:
        """Be the owner of a process that was just forked: it has claims and renewals of its own, and no lock."""
        file = self._file
        self._begin()
        if file is not None:  # a copy of the descriptor would hold the lock after the parent's death
            os.close(file)

    # --- who it is ---

    @property
    def id(self) -> str:
        """The id of the owner, which no other process has: 32 hexadecimal digits.

        Raises:
            StoreUnavailable: its lock file cannot be made: the folder is read-only, or the disk is full.
        """
        self._notice_fork()
        with self._lock:
            made = self._id
            if made is None or not self._is_held(made):
                made = self._id = self._new(made)
            return made

    def _notice_fork(self) -> None:
        if self._pid != os.getpid():  # forked by code that is not Python's
            self.begin_in_child()

    def _is_held(self, made: str) -> bool:
        """Return whether others see the lock still: who removes its file makes the owner look dead."""
        now = time.monotonic()
        if self._folder is None or self._file is None or now - self._looked < _LOOK:
            return True
        self._looked = now
        if _is_named(self._folder / made, self._file):
            return True
        logger.warning(
            "the lock file %s was removed, and is put back: others may have taken over what this process does",
            self._folder / made,
        )
        os.close(self._file)
        self._file = None
        return False

    def _new(self, before: str | None) -> str:
        """A new id with its lock file; ``before`` is the id whose file was removed, which it keeps if it can. What
        others have taken over meanwhile is theirs: claims are told apart by their number, too."""
        folder = self._folder
        if folder is None:
            return uuid.uuid4().hex
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_dead(folder)
            while True:
                made, before = before or uuid.uuid4().hex, None
                try:
                    file = os.open(folder / made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
                except FileExistsError:  # a copy of the file
                    continue
                # Who removes the files of dead owners may have come before the lock.
                if _locks(file, fcntl.LOCK_EX) and _is_named(folder / made, file):
                    break
                os.close(file)
            self._file, self._looked = file, time.monotonic()
        except OSError as error:
            raise StoreUnavailable(
                f"The lock file of this process cannot be made in {str(folder)!r}: {error.strerror}. Let the"
                " process write in the folder of the database, and see that its disk has room."
            ) from error
        return made

    # --- the others ---

    def dead_owners(self, ids: Collection[str]) -> set[str]:
        """Those of ``ids`` whose process is known to be dead. Never this one, and none where the store is no file:
        there the lease says it.

        Raises:
            StoreUnavailable: the lock files cannot be read.
        """
        self._notice_fork()
        others = {each for each in ids if each != self._id}
        if self._is_alone:
            return others
        folder = self._folder
        if folder is None:
            return set()
        try:
            return {each for each in others if _ID.fullmatch(each) is None or not _is_locked(folder / each)}
        except OSError as error:
            raise StoreUnavailable(
                f"The lock files in {str(folder)!r} cannot be read: {error.strerror}. Let all processes of the site"
                " run as one user."
            ) from error

    # --- renewal ---

    def renew_with(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback`` every `RENEWED` seconds, on one thread for all of this process. It renews the claims of its
        caller by one statement.

        Returns a function that ends it, as the end of the process and a fork do.
        """
        self._notice_fork()
        with self._lock:
            self._renewals.append(callback)
            if self._thread is None:
                self._wakes = threading.Event()
                self._thread = threading.Thread(
                    target=self._renew, args=(self._wakes,), name="wixhttp-leases", daemon=True
                )
                self._thread.start()

        def end() -> None:
            with self._lock:
                if callback in self._renewals:
                    self._renewals.remove(callback)
                if not self._renewals and self._thread is not None:
                    self._thread = None
                    self._wakes.set()

        return end

    def _renew(self, ended: threading.Event) -> None:
        is_failing = False
        while not ended.wait(RENEWED):
            failure = ""
            for callback in tuple(self._renewals):
                try:
                    callback()
                except Exception as error:  # noqa: BLE001 - the others go on; what was claimed may be taken over
                    failure = str(error)
            if failure and not is_failing:
                logger.warning("claims could not be renewed, and others may take them over: %s", failure)
            is_failing = bool(failure)


def owner_of(store: Store) -> Owner:
    """The owner of this process's claims in a store. Stores over one file have one."""
    kind = "memory" if isinstance(store, MemoryStore) else "server"
    folder = None if store.path is None else Path(f"{os.path.realpath(store.path)}-owners")
    key = kind if folder is None else str(folder)
    with _making:
        owner = _owners.get(key)
        if owner is None:
            owner = _owners[key] = Owner(folder, is_alone=key == "memory")
        return owner


def _locks(file: int, kind: int) -> bool:
    """Return whether an open file could be locked at once."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    """Return whether an owner holds the lock of a file; false where there is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _locks(file, fcntl.LOCK_SH)  # others who look at the same time see the same
    finally:
        os.close(file)


def _remove_dead(folder: Path) -> None:
    """Remove the lock files of dead owners: an absent one says the same."""
    for name in os.listdir(folder):
        if _ID.fullmatch(name) is not None and not _is_locked(folder / name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(folder / name)


def _is_named(path: Path, file: int) -> bool:
    """Return whether ``path`` is the name of an open file."""
    try:
        named, opened = os.stat(path), os.fstat(file)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def _begin_in_child() -> None:
    global _making  # noqa: PLW0603 - another thread of the parent may have held it
    _making = threading.Lock()
    for owner in _owners.values():
        owner.begin_in_child()


os.register_at_fork(after_in_child=_begin_in_child)
