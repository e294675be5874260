"""One candidate in a process of its own: load it, check its answer, make calls.

What a call is stands in `wsgi_calls.py` and `asgi_calls.py`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from types import MappingProxyType
from typing import Any, NamedTuple, TextIO

import workload
from asgi_calls import ASGICalls
from workload import Case
from wsgi_calls import WSGICalls


class Candidate(NamedTuple):
    """An application to import, and the settings it reads at import."""

    target: str
    settings: Mapping[str, str] = MappingProxyType({})
    files: Callable[[], Mapping[str, str]] | None = None
    """The files of its generated project; None: it serves `benchmarks/site`."""
    logs: bool = False
    """Whether a call writes to standard output; checked, as a log that is off costs nothing and proves nothing."""
    paths: Mapping[str, str] = MappingProxyType({})
    """Case -> where this candidate answers it, if elsewhere than the others."""
    interface: type[WSGICalls | ASGICalls] = WSGICalls


_WIXHTTP = "wixhttp.wsgi:application"
_WIXHTTP_ASGI = "wixhttp.asgi:application"
_QUIET = {"WIXHTTP_PROJECT": str(workload.SITE), "WIXHTTP_ACCESS_LOG": "false"}
_BESIDE = _QUIET | {"WIXHTTP_PROJECT": str(workload.ENDPOINTS)}
_ENDPOINT = {"get": workload.ENDPOINT_PATH, "post": workload.ENDPOINT_ECHO_PATH}
_ASYNC = {"get": workload.PRODUCT_ASYNC_PATH, "post": workload.ECHO_ASYNC_PATH}
_ENDPOINT_ASYNC = {"get": workload.ENDPOINT_ASYNC_PATH, "post": workload.ENDPOINT_ECHO_ASYNC_PATH}


def _functions(number: int) -> dict[str, str]:
    """A project of so many functions."""
    names = [f"f{each}" for each in range(1, number)] + ["last"]
    source = "".join(f'def get_{name}(request):\n    return ok({{"body": {{"n": 1}}}})\n\n\n' for name in names)
    return {"backend/http_functions.py": f"from wixhttp import ok\n\n\n{source}"}


def _routes(number: int, name: str) -> dict[str, str]:
    """A project of so many endpoints; `name` is that of a file, with `{}` for its number, which is the last of all."""
    source = 'from wixhttp.endpoints import Response\n\n\ndef GET(params):\n    return Response.json({"n": 1})\n'
    return {f"src/pages/{name.format(each)}.py": source for each in range(1000 - number, 1000)}


def _behind_middleware() -> dict[str, str]:
    """`benchmarks/endpoints` with a middleware that does nothing in front of its endpoints."""
    files = {
        file.relative_to(root).as_posix(): file.read_text("utf-8")
        for root in (workload.SITE, workload.ENDPOINTS)
        for file in root.rglob("*.py")
    }
    return files | {"src/middleware.py": "def onRequest(context, next):\n    return next()\n"}


_asgi = partial(Candidate, interface=ASGICalls)

FRAMEWORKS = {
    "bare": Candidate("peers.bare_app:application"),
    "wixhttp": Candidate(_WIXHTTP, _QUIET),
    "wixhttp-access-log": Candidate("logged_app:application", _QUIET | {"WIXHTTP_ACCESS_LOG": "true"}, logs=True),
    "wixhttp-endpoint": Candidate(_WIXHTTP, _BESIDE, paths=_ENDPOINT),
    "falcon": Candidate("peers.falcon_app:application"),
    "bottle": Candidate("peers.bottle_app:application"),
    "werkzeug": Candidate("peers.werkzeug_app:application"),
    "flask": Candidate("peers.flask_app:application"),
    "functions-framework": Candidate("peers.functions_app:application"),
}
ENDPOINTS = {
    "wixhttp-endpoint-context": Candidate(
        _WIXHTTP, _BESIDE, paths={"get": "/context/product/sku%2042", "post": "/context/echo"}
    ),
    "wixhttp-endpoint-middleware": Candidate(_WIXHTTP, _QUIET, _behind_middleware, paths=_ENDPOINT),
    "wixhttp-endpoint-adapted": Candidate(
        _WIXHTTP, _BESIDE, paths={"get": "/adapted/product/sku%2042", "post": "/adapted/echo"}
    ),
}
ASGI = {
    "bare-asgi": _asgi("peers.bare_asgi_app:application"),
    "wixhttp-asgi": _asgi(_WIXHTTP_ASGI, _QUIET, paths=_ASYNC),
    "wixhttp-asgi-endpoint": _asgi(_WIXHTTP_ASGI, _BESIDE, paths=_ENDPOINT_ASYNC),
    "falcon-asgi": _asgi("peers.falcon_asgi_app:application"),
    "starlette": _asgi("peers.starlette_app:application", paths=_ASYNC),
    "blacksheep": _asgi("peers.blacksheep_app:application"),
}
ASGI_DEF = {
    "starlette-def": _asgi("peers.starlette_app:application"),
    "wixhttp-asgi-def": _asgi(_WIXHTTP_ASGI, _QUIET),
    "wixhttp-asgi-endpoint-def": _asgi(_WIXHTTP_ASGI, _BESIDE, paths=_ENDPOINT),
}
METRICS = {
    "wixhttp-asgi": ASGI["wixhttp-asgi"],
    "wixhttp-asgi-metrics": _asgi("measured_app:application", _QUIET | {"WIXHTTP_METRICS": "true"}, paths=_ASYNC),
}
GROWTH = {
    "wixhttp-1-function": Candidate(_WIXHTTP, _QUIET, partial(_functions, 1)),
    "wixhttp-10000-functions": Candidate(_WIXHTTP, _QUIET, partial(_functions, 10_000)),
    "wixhttp-1-route": Candidate(_WIXHTTP, _QUIET, partial(_routes, 1, "api/r{}/[id]")),
    "wixhttp-1000-routes": Candidate(_WIXHTTP, _QUIET, partial(_routes, 1000, "api/r{}/[id]")),
    "wixhttp-1-sibling": Candidate(_WIXHTTP, _QUIET, partial(_routes, 1, "p{}-[id]")),
    "wixhttp-1000-siblings": Candidate(_WIXHTTP, _QUIET, partial(_routes, 1000, "p{}-[id]")),
}
CANDIDATES = {**FRAMEWORKS, **ENDPOINTS, **ASGI, **ASGI_DEF, **METRICS, **GROWTH}

CASES = {
    "get": Case("GET", workload.PRODUCT_PATH, workload.PRODUCT_QUERY, b"", workload.PRODUCT),
    "post": Case("POST", workload.ECHO_PATH, "", workload.ORDER_JSON, workload.ORDER),
    "last": Case("GET", "/_functions/last", "", b"", {"n": 1}),
    "route": Case("GET", "/api/r999/42", "", b"", {"n": 1}),
    "sibling": Case("GET", "/p999-42", "", b"", {"n": 1}),
}


def serve(name: str, case_name: str, calls: int) -> None:
    """Make `calls` calls at once, and again for every line on standard input; print microseconds per call, as JSON.

    A candidate that cannot be imported, or answers wrongly, is one line with `error`.
    """
    case = CASES[case_name]
    case = case._replace(path=CANDIDATES[name].paths.get(case_name, case.path))
    with _output_kept_apart() as out, _project(CANDIDATES[name]) as settings:
        os.environ.update(settings)
        try:
            application = CANDIDATES[name].interface(_load(CANDIDATES[name].target))
            with _written() as size:
                check(application, case)
                if bool(size()) != CANDIDATES[name].logs:
                    raise ValueError(f"wrote {size()} bytes to standard output")
        except Exception as error:  # noqa: BLE001  # a peer may fail in any way, and the table says which
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=out, flush=True)
            return
        while True:
            print(json.dumps({"microseconds": application.time(case, calls)}), file=out, flush=True)
            if not sys.stdin.readline():
                break
        application.close()


def check(application: WSGICalls | ASGICalls, case: Case) -> None:
    """Make one call.

    Raises:
        ValueError: the answer is not a 200 with the case's JSON.
    """
    status, body = application.answer(case)
    if status != 200 or json.loads(body) != case.answer:
        raise ValueError(f"answered {status} {body[:200]!r}, not {case.answer!r}")


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


@contextmanager
def _project(candidate: Candidate) -> Iterator[Mapping[str, str]]:
    """The candidate's settings, with a generated project where it wants one."""
    if candidate.files is None:
        yield candidate.settings
        return
    with TemporaryDirectory() as folder:
        for name, source in candidate.files().items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source, encoding="utf-8")
        yield {**candidate.settings, "WIXHTTP_PROJECT": folder}


@contextmanager
def _output_kept_apart() -> Iterator[TextIO]:
    """Standard output for the figures; what the candidate itself writes to it goes to the null device."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
        yield out


@contextmanager
def _written() -> Iterator[Callable[[], int]]:
    """A function that counts the bytes written to standard output so far, inside the block."""
    before = os.dup(1)
    with TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield lambda: os.fstat(file.fileno()).st_size
        finally:
            os.dup2(before, 1)
            os.close(before)
