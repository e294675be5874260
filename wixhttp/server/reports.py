"""Reports of workers to their master: one serves, one cannot load the project and why, one is to be replaced.

An exit code would not do: any handler can end its worker with any.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

from wixhttp.errors import ProjectError
from wixhttp.logs.masking import masked
from wixhttp.logs.tracebacks import format_exception

READY = "ready"  # it serves
FAILED = "failed"  # it could not load the project, and ends
WORN = "worn"  # it has served as many requests as one worker should

_LONGEST = 20_000  # characters of a traceback that are passed on; in JSON and UTF-8 at most six bytes each
_SIZE = 200_000  # bytes of a report
_PATIENCE = 5.0  # seconds that a worker which ends waits until it can tell why


class WorkerReport(NamedTuple):
    """One report of the worker ``pid``. ``reason`` is a sentence; ``traceback`` is empty where there is none."""

    kind: str
    pid: int
    reason: str = ""
    traceback: str = ""


class WorkerReports:
    """A channel from the workers to the master that they are forked from; each report is one datagram."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self._receiver, self._sender):
            end.setblocking(False)
        # They bound a datagram, too: on macOS, where the receiver's is small, both.
        self._sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _SIZE)
        self._receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * _SIZE)

    def send(self, kind: str) -> bool:
        """Report ``kind`` of this process; ``False`` where the queue is full, to be tried again."""
        return self._send(WorkerReport(kind, os.getpid()))

    def send_failure(self, reason: str, traceback: str) -> None:
        """Report why this process could not load the project; waits for a place in the queue, but not for ever."""
        report = WorkerReport(FAILED, os.getpid(), reason[-_LONGEST // 10 :], traceback[-_LONGEST:])
        end = time.monotonic() + _PATIENCE
        while not self._send(report):
            if time.monotonic() > end:
                return  # the master takes none any more; that this worker ended before it served, it sees itself
            time.sleep(0.05)

    def _send(self, report: WorkerReport) -> bool:
        try:
            self._sender.send(json.dumps(report).encode())
        except (BlockingIOError, ConnectionError):
            return False
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # what macOS says of a full queue
                raise
            return False
        return True

    def receive(self) -> Iterator[WorkerReport]:
        """The reports that wait, oldest first."""
        while True:
            try:
                data = self._receiver.recv(_SIZE)
            except BlockingIOError:
                return
            yield WorkerReport(*json.loads(data))


def explanation(error: Exception) -> tuple[str, str]:
    """The reason and the traceback of an error that ended the loading of the project, without known secrets."""
    if not isinstance(error, ProjectError):
        return masked(f"{type(error).__name__}: {error}"), masked(format_exception(error))
    return masked(str(error)), masked(format_exception(error.__cause__)) if error.__cause__ is not None else ""


def print_failure(reason: str, traceback: str) -> None:
    """Print on standard error, which may be captured as ``sys.stderr``, why the project cannot be loaded."""
    try:
        os.write(2, f"{traceback}\n\n{reason}\n".lstrip().encode("utf-8", "backslashreplace"))
    except OSError:  # nobody reads
        pass
