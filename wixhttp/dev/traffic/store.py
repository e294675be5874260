"""The store of kept requests: a bounded SQLite file in the project's ``.wixhttp`` folder.

Requests are handed over on the event loop and written in batches by a thread of the store's own: soon where it is
quiet, once in a second or more under load, when those that later ones have pushed out are never looked at.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from . import request_rows
from .kept_requests import KeptRequest, KeptSummary, RequestFilters
from .request_file import RequestFile

MOST_REQUESTS = 1_000
MOST_BYTES = 50_000_000
SOON = 0.02  # seconds from a request in quiet times to the batch that writes it
PAUSE = 1.0  # seconds between batches under load
_BUSY = 50  # requests in a batch that are load
_SHARE = 0.01  # of one processor, at most, that writing takes under load
_BATCH_BYTES = 8_000_000  # of one transaction, so that the log of the database stays small
_BATCH_ROWS = 100  # of one statement

_Outcome = TypeVar("_Outcome")
Listener = Callable[[list[KeptSummary]], None]

logger = logging.getLogger("wixhttp")


class Keepable(Protocol):
    """A request that is to be kept: `kept` makes it ready, on the writer's thread. ``weight`` is about its bytes."""

    @property
    def weight(self) -> int:
        """About the bytes that it takes."""
        ...

    def kept(self) -> KeptRequest:
        """The request as it is kept."""
        ...


class RequestStore:
    """The last requests, at most `MOST_REQUESTS` and `MOST_BYTES`, in ``requests.sqlite3`` of a folder that is made
    with them, readable by its owner alone.

    The file is opened at first use, so a store may be made before a fork, and several processes may share the file.
    One that is damaged is set aside. Where the file cannot be written, requests are kept in memory, and ``problem``
    says why.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._listeners: list[Listener] = []
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._waiting: deque[Keepable] = deque(maxlen=MOST_REQUESTS)
        self._weight = 0  # of those that wait, no less than it is
        self._wake = threading.Event()
        self._closing = threading.Condition()
        self._is_idle = True
        self._is_closed = False
        self._writer: threading.Thread | None = None
        self._using = threading.RLock()  # of the file below
        # Connections of the process that this one was forked from are neither used nor closed.
        self._left_behind = getattr(self, "_file", None)
        self._file: RequestFile | None = None

    # --- writing ---

    def add(self, request: Keepable) -> None:
        """Keep a request. Returns at once; it is written soon."""
        self._waiting.append(request)
        self._weight += request.weight
        if self._weight > MOST_BYTES:
            self._make_room()
        if self._is_idle:
            self._start()

    def _make_room(self) -> None:
        """Drop the oldest of those that wait, a tenth more than is needed, so that this is seldom done."""
        weight = sum(each.weight for each in list(self._waiting))
        with contextlib.suppress(IndexError):  # the writer takes them, too
            while weight > MOST_BYTES * 0.9:
                weight -= self._waiting.popleft().weight
        self._weight = weight

    def _start(self) -> None:
        self._is_idle = False
        if self._writer is None and not self._is_closed:
            self._writer = threading.Thread(target=self._write_batches, name="wixhttp-kept-requests", daemon=True)
            self._writer.start()
        self._wake.set()

    def _write_batches(self) -> None:
        while not self._is_closed:
            self._is_idle = True
            if not self._waiting:
                self._wake.wait()
            self._wake.clear()
            self._is_idle = False
            time.sleep(SOON)
            begun = time.thread_time()
            if self.flush() > _BUSY:
                spent = time.thread_time() - begun
                with self._closing:
                    self._closing.wait_for(lambda: self._is_closed, max(PAUSE, spent / _SHARE))

    def flush(self) -> int:
        """Write what waits, now, in the calling thread; the number of requests."""
        with self._using:
            taken: list[KeptRequest] = []
            self._weight = 0
            with contextlib.suppress(IndexError):
                while True:
                    taken.append(self._waiting.popleft().kept())
            if not taken:
                return 0
            summaries = self._write(taken)
        for listener in list(self._listeners):
            try:
                listener(summaries)
            except Exception:
                logger.exception("a listener to kept requests failed")
        return len(taken)

    def _write(self, requests: list[KeptRequest]) -> list[KeptSummary]:
        found: list[KeptSummary] = []
        for batch in _batches(requests):
            found += self._with_file(partial(_write_batch, requests=batch))
        return found

    def clear(self) -> None:
        """Forget all requests."""
        with self._using:
            self._waiting.clear()
            self._with_file(_clear)

    # --- reading ---

    def get(self, key: int | str) -> KeptRequest | None:
        """The request of an id of the store, or the last one of a request id; ``None`` where there is none."""
        text = str(key)
        if text.isascii() and text.isdigit() and len(text) < 19:
            found = self._one("WHERE id = ?", int(text))
            if found is not None or isinstance(key, int):
                return found
        return self._one("WHERE request_id = ? ORDER BY id DESC LIMIT 1", text.encode("utf-8", "replace").decode())

    def _one(self, condition: str, value: Any) -> KeptRequest | None:
        def read(file: RequestFile) -> KeptRequest | None:
            row = file.reading.execute(f"{request_rows.READ} {condition}", (value,)).fetchone()
            return None if row is None else request_rows.request_of(row)

        return self._with_file(read)

    def page(
        self,
        filters: RequestFilters | None = None,
        before_id: int | None = None,
        after_id: int | None = None,
        limit: int = 100,
    ) -> list[KeptSummary]:
        """Requests, the newest first: those that pass the filters, with ids between the two given.

        Raises:
            ValueError: a filter is malformed.
        """
        found, values = request_rows.conditions(filters or RequestFilters())
        if before_id is not None:
            found.append("id < :before")
            values["before"] = before_id
        if after_id is not None:
            found.append("id > :after")
            values["after"] = after_id
        where = " WHERE " + " AND ".join(found) if found else ""
        statement = f"SELECT {request_rows.SUMMARY} FROM requests{where} ORDER BY id DESC LIMIT :limit"  # noqa: S608
        values["limit"] = limit

        def read(file: RequestFile) -> list[KeptSummary]:
            return [request_rows.summary_of(row) for row in file.reading.execute(statement, values).fetchall()]

        return self._with_file(read)

    def functions(self) -> list[str]:
        """The functions of the kept requests, in order of their names."""
        statement = "SELECT DISTINCT function FROM requests WHERE function != '' ORDER BY function"
        return self._with_file(lambda file: [name for (name,) in file.reading.execute(statement).fetchall()])

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have a listener called with the summaries of each batch once it is written, on the writer's thread or that of
        whoever flushes; returns what ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._is_closed = True
        with self._closing:
            self._closing.notify_all()
        self._wake.set()
        if self._writer is not None:
            self._writer.join(2)
        self.flush()
        with self._using:
            if self._file is not None:
                self._file.close()
                self._file = None

    # --- the file, in memory where there is none ---

    def _with_file(self, work: Callable[[RequestFile], _Outcome]) -> _Outcome:
        """The outcome of work on the file: after a fault of its disk on one in memory, after damage on a new one."""
        with self._using:
            for _ in range(3):
                try:
                    return work(self._opened())
                except sqlite3.DatabaseError as error:
                    self._after(error)
            return work(self._opened())

    def _opened(self) -> RequestFile:
        if self._file is None:
            try:
                self._file = RequestFile.open(self.folder)
            except (OSError, sqlite3.DatabaseError) as error:
                self._keep_in_memory(error)
        assert self._file is not None  # noqa: S101  # just made
        return self._file

    def _after(self, error: sqlite3.DatabaseError) -> None:
        file = self._file
        if file is None or file.path is None:
            raise error
        if isinstance(error, sqlite3.OperationalError):
            if "locked" not in str(error):  # else another process writes, and this one has waited for some time
                self._keep_in_memory(error)
            return
        file.close()
        self._file = None
        try:
            self._file = RequestFile.open(self.folder, suspect=True)
        except (OSError, sqlite3.DatabaseError) as again:
            self._keep_in_memory(again)

    def _keep_in_memory(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        self.problem = f"requests are kept in memory only: {self.folder / 'requests.sqlite3'}: {reason}"
        logger.warning("%s; they are lost when the server stops", self.problem)
        before, self._file = self._file, RequestFile.in_memory()
        if before is not None:
            with contextlib.suppress(sqlite3.DatabaseError):
                self._file.copy(before)
            before.close()


def _batches(requests: list[KeptRequest]) -> Iterator[list[KeptRequest]]:
    """Requests, in groups for a transaction each."""
    batch: list[KeptRequest] = []
    weight = 0
    for request in requests:
        batch.append(request)
        weight += request.weight
        if weight > _BATCH_BYTES:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _write_batch(file: RequestFile, requests: list[KeptRequest]) -> list[KeptSummary]:
    rows = [request_rows.row_of(request) for request in requests]
    connection = file.writing
    connection.execute("BEGIN IMMEDIATE")
    try:
        for at in range(0, len(rows), _BATCH_ROWS):
            some = rows[at : at + _BATCH_ROWS]
            cursor = connection.execute(request_rows.insert(len(some)), [value for row in some for value in row])
            last = cursor.lastrowid or 0
            for place, request in enumerate(requests[at : at + len(some)]):  # one writer at a time: ids without gaps
                request.id = last - len(some) + 1 + place
        connection.execute(request_rows.TRIM, {"bytes": MOST_BYTES, "requests": MOST_REQUESTS})
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    file.give_back()
    return [request_rows.summary_of((request.id, *row)) for request, row in zip(requests, rows, strict=True)]


def _clear(file: RequestFile) -> None:
    file.writing.execute("DELETE FROM requests")
    file.give_back(at_least=0)
