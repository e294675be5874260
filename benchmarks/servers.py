"""The servers: how each is started, what it is asked, and that it is stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from types import MappingProxyType
from typing import NamedTuple

import workload

START_SECONDS = 30
STOP_SECONDS = 20
POLL_SECONDS = 0.002

GET_DEF, GET_ASYNC, POST_DEF, POST_ASYNC = CASES = ["GET, def", "GET, async def", "POST, def", "POST, async def"]
POSTS = (POST_DEF, POST_ASYNC)
THREADS = "8"
_PYTHON = [sys.executable, "-m"]

_PRODUCT = f"{workload.PRODUCT_PATH}?{workload.PRODUCT_QUERY}"
_PRODUCT_ASYNC = f"{workload.PRODUCT_ASYNC_PATH}?{workload.PRODUCT_QUERY}"


class Server(NamedTuple):
    """A command and settings, in which `{port}` and `{workers}` are filled in, and the request target of each case that
    it serves. A command without `{workers}` is that of a server with one process."""

    command: list[str]
    targets: dict[str, str]
    settings: Mapping[str, str] = MappingProxyType({})
    logs: bool | None = None
    """Whether a request writes to standard output, checked before the load; None: not ours to say."""
    needs: Path | None = None
    """A file that an installation leaves, where the command alone would not say what is missing."""


class ServerError(Exception):
    """A server did not come up, or answered wrongly."""


_SYNC = {GET_DEF: _PRODUCT, POST_DEF: workload.ECHO_PATH}
_ASYNC = {GET_ASYNC: _PRODUCT, POST_ASYNC: workload.ECHO_PATH}
_BOTH = _SYNC | {GET_ASYNC: _PRODUCT_ASYNC, POST_ASYNC: workload.ECHO_ASYNC_PATH}
_NO_DEF_POST = {case: target for case, target in _BOTH.items() if case != POST_DEF}
_ENDPOINTS = {
    GET_DEF: f"{workload.ENDPOINT_PATH}?{workload.PRODUCT_QUERY}",
    GET_ASYNC: f"{workload.ENDPOINT_ASYNC_PATH}?{workload.PRODUCT_QUERY}",
    POST_DEF: workload.ENDPOINT_ECHO_PATH,
    POST_ASYNC: workload.ENDPOINT_ECHO_ASYNC_PATH,
}


def _wixhttp(access_log: str, targets: dict[str, str], project: Path = workload.SITE) -> Server:
    command = ["wixhttp", "--project", str(project), "serve", "--port", "{port}", "--workers", "{workers}"]
    settings = {"HOST": "127.0.0.1", "WIXHTTP_ACCESS_LOG": access_log}
    return Server([*_PYTHON, *command], targets, settings, logs=access_log == "true")


def _gthread(application: str) -> Server:
    options = ["--worker-class=gthread", f"--threads={THREADS}", "--workers={workers}", "--bind=127.0.0.1:{port}"]
    return Server([*_PYTHON, "gunicorn", *options, "--no-control-socket", application], _SYNC)


def _uvicorn(application: str, targets: dict[str, str]) -> Server:
    options = ["--http=httptools", "--loop=uvloop", "--no-access-log", "--log-level=warning"]
    options += ["--port={port}", "--workers={workers}"]
    return Server([*_PYTHON, "uvicorn", *options, application], targets)


def _granian(application: str, targets: dict[str, str]) -> Server:
    options = ["--interface=asgi", "--loop=uvloop", "--log-level=warning", "--port={port}", "--workers={workers}"]
    return Server([*_PYTHON, "granian", *options, application], targets)


def _node(name: str, script: str, needs: str, targets: dict[str, str]) -> Server:
    folder = workload.BENCHMARKS / "peers" / name
    command = [str(folder / "node_modules/.bin/node"), str(folder / script)]
    return Server(command, targets, {"HOST": "127.0.0.1", "PORT": "{port}"}, needs=folder / needs)


SERVERS = {
    "wixhttp serve": _wixhttp("false", _BOTH),
    "wixhttp serve, access log on": _wixhttp("true", _BOTH),
    "wixhttp serve, beside endpoints": _wixhttp("false", _BOTH, workload.ENDPOINTS),
    "wixhttp serve, endpoints": _wixhttp("false", _ENDPOINTS, workload.ENDPOINTS),
    "bare, gunicorn gthread": _gthread("peers.bare_app:application"),
    "Falcon, gunicorn gthread": _gthread("peers.falcon_app:application"),
    "Bottle, gunicorn gthread": _gthread("peers.bottle_app:application"),
    "Flask, gunicorn gthread": _gthread("peers.flask_app:application"),
    "functions-framework": Server(
        [*_PYTHON, "functions_framework", "--target=handle", "--source=peers/functions_source.py", "--port={port}"],
        _SYNC,
        {"HOST": "127.0.0.1", "WORKERS": "{workers}", "THREADS": THREADS},
    ),
    "bare ASGI, uvicorn": _uvicorn("peers.bare_asgi_app:application", _ASYNC),
    "Starlette, uvicorn": _uvicorn("peers.starlette_app:application", _NO_DEF_POST),
    "Falcon ASGI, uvicorn": _uvicorn("peers.falcon_asgi_app:application", _ASYNC),
    "BlackSheep, uvicorn": _uvicorn("peers.blacksheep_app:application", _ASYNC),
    "bare ASGI, Granian": _granian("peers.bare_asgi_app:application", _ASYNC),
    "Starlette, Granian": _granian("peers.starlette_app:application", _NO_DEF_POST),
    "Astro, Node": _node(
        "astro",
        "dist/server/entry.mjs",
        "dist/server/entry.mjs",
        {GET_ASYNC: _ENDPOINTS[GET_DEF], POST_ASYNC: workload.ENDPOINT_ECHO_PATH},
    ),
    "Fastify, Node": _node("fastify", "server.js", "node_modules/fastify/package.json", _ASYNC),
}


class Running(NamedTuple):
    port: int
    session: int
    """The session of its processes."""
    seconds: float
    """From the start of the process to the first 200."""


@contextmanager
def running(server: Server, workers: int, stdout: Path = Path(os.devnull)) -> Iterator[Running]:
    """The server as processes of its own, its output on the null device or in a file; always stopped, by SIGTERM.

    Raises:
        ServerError: it is not installed; it has one process, and more are asked for; it ended, or gave no 200 within
            `START_SECONDS`, with the last line that it wrote to standard error.
    """
    if server.needs and not server.needs.exists():
        raise ServerError(f"{server.needs.relative_to(workload.BENCHMARKS)} does not exist: see benchmarks/README.md")
    if workers != 1 and "{workers}" not in " ".join([*server.command, *server.settings.values()]):
        raise ServerError(f"it has one process, not {workers}")
    port = _free_port()
    fill = {"port": str(port), "workers": str(workers)}
    command = [part.format(**fill) for part in server.command]
    with (
        TemporaryDirectory() as home,
        Path(home, "stderr").open("w", encoding="utf-8") as stderr,
        stdout.open("w") as out,
    ):
        settings = {name: value.format(**fill) for name, value in server.settings.items()}
        begin = monotonic()
        process = subprocess.Popen(
            command,
            cwd=workload.BENCHMARKS,
            env=_environment(home) | settings,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, port, next(iter(server.targets.values())), Path(stderr.name))
            yield Running(port, process.pid, monotonic() - begin)
        finally:
            _stop(process)


def check(server: Server, port: int) -> None:
    """Ask for every case once.

    Raises:
        ServerError: an answer is not a 200 with the case's JSON.
    """
    for case, target in server.targets.items():
        is_post = case in POSTS
        status, body = ask(port, target, workload.ORDER_JSON if is_post else None)
        expected = workload.ORDER if is_post else workload.PRODUCT
        if status != 200 or json.loads(body) != expected:
            raise ServerError(f"{target} answered {status} {body[:200]!r}")


def check_log(server: Server) -> None:
    """Start the server once more, its output in a file, and look whether requests are lines of it.

    Raises:
        ServerError: the access log is on and nothing is written, or the other way round.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder, "stdout")
        with running(server, 1, file) as started:
            check(server, started.port)
        if (server.targets[POST_DEF] in file.read_text(encoding="utf-8")) != server.logs:
            raise ServerError(f"its access log is not {'on' if server.logs else 'off'}")


def _environment(home: str) -> dict[str, str]:
    """This environment without what would set up a server differently, and with a home folder that is thrown away."""
    foreign = ("WIXHTTP_", "GUNICORN_", "UVICORN_", "GRANIAN_", "FUNCTION_", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")
    foreign += ("NODE_", "ASTRO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {"HOME": home}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def ask(port: int, target: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Make one request, and return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request("POST" if body else "GET", target, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, target: str, stderr: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        try:
            if ask(port, target)[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        if process.poll() is not None:
            break
        sleep(POLL_SECONDS)
    lines = stderr.read_text(encoding="utf-8", errors="replace").splitlines() or ["it wrote nothing"]
    how = f"no 200 in {START_SECONDS} s" if process.returncode is None else f"ended with status {process.returncode}"
    raise ServerError(f"{how}: {lines[-1].strip()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
