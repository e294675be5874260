"""A database of SQLite in memory, for the inbox of a store in memory. Nothing outlives the process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import apsw

from wixhttp.data.stores.memory import MemoryTransaction

Result = TypeVar("Result")


class MemoryDatabase:
    """See `sqlite.Database`. A forked process begins with an empty one."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._connection = apsw.Connection(":memory:")

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """The connection, for this thread alone."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            yield self._connection

    def transact(self, work: Callable[[apsw.Connection], Result]) -> Result:
        """Return the result of ``work``, which an exception undoes."""
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                result = work(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result

    def join(self, transaction: MemoryTransaction) -> apsw.Connection:
        """The connection, in a transaction that ends as that of collections does, and for its thread alone."""
        with self.reading() as connection:
            if not connection.in_transaction:
                connection.execute("BEGIN")
                self._lock.acquire()
                transaction.join(self._end)
            return connection

    def _end(self, is_done: bool) -> None:
        self._connection.execute("COMMIT" if is_done else "ROLLBACK")
        self._lock.release()
