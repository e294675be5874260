"""Calls of a WSGI application, as a server makes them: a fresh environ, start_response, every chunk, close.

The cost of the copied environ and of the `BytesIO` is part of every figure, the same for all.
"""

from __future__ import annotations

import sys
from io import BytesIO
from time import perf_counter
from typing import TYPE_CHECKING, Any

import workload

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


class WSGICalls:
    """Calls of one application, in this thread."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def answer(self, case: workload.Case) -> tuple[int, bytes]:
        """Make one call, and return status and body."""
        seen: list[str] = []

        def start_response(status: str, *_: object) -> Any:
            seen.append(status)

        chunks = self._application(_environ(case) | {"wsgi.input": BytesIO(case.body)}, start_response)
        body = b"".join(chunks)
        getattr(chunks, "close", lambda: None)()
        return int(seen[0].partition(" ")[0]), body

    def time(self, case: workload.Case, calls: int) -> float:
        """Microseconds per call, the mean of `calls` calls in a row."""
        application, environ, body = self._application, _environ(case), case.body

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
            return None

        begin = perf_counter()
        for _ in range(calls):
            call = environ.copy()
            call["wsgi.input"] = BytesIO(body)
            chunks = application(call, start_response)
            for _chunk in chunks:
                pass
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        return (perf_counter() - begin) / calls * 1e6

    def close(self) -> None:
        """A WSGI application is told nothing at its end."""


def _environ(case: workload.Case) -> WSGIEnvironment:
    """The WSGI environ that gunicorn makes for a request of `wrk`, without `wsgi.input`."""
    target = f"{case.path}?{case.query}" if case.query else case.path
    content = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(case.body))} if case.body else {}
    return content | {
        "REQUEST_METHOD": case.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": case.path.replace("%20", " "),
        "RAW_URI": target,
        "QUERY_STRING": case.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "gunicorn",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "127.0.0.1:8080",
        "HTTP_USER_AGENT": "benchmark",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
