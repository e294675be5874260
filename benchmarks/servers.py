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

GET_DEF, GET_ASYNC, POST = CASES = ["GET, def", "GET, async def", "POST, echo"]
THREADS = "8"

_PRODUCT = f"{workload.PRODUCT_PATH}?{workload.PRODUCT_QUERY}"
_PRODUCT_ASYNC = f"{workload.PRODUCT_ASYNC_PATH}?{workload.PRODUCT_QUERY}"


class Server(NamedTuple):
    """A command, in which `{port}` and `{workers}` are filled in, and the request target of each case it serves."""

    command: list[str]
    targets: dict[str, str]
    settings: Mapping[str, str] = MappingProxyType({})
    logs: bool | None = None
    """Whether a request writes to standard output, checked before the load; None: not ours to say."""


class ServerError(Exception):
    """A server did not come up, or answered wrongly."""


_SYNC = {GET_DEF: _PRODUCT, POST: workload.ECHO_PATH}
_BOTH = _SYNC | {GET_ASYNC: _PRODUCT_ASYNC}
_ENDPOINTS = {
    GET_DEF: f"{workload.ENDPOINT_PATH}?{workload.PRODUCT_QUERY}",
    GET_ASYNC: f"{workload.ENDPOINT_ASYNC_PATH}?{workload.PRODUCT_QUERY}",
    POST: workload.ENDPOINT_ECHO_PATH,
}


def _gthread(application: str) -> Server:
    options = ["--worker-class=gthread", f"--threads={THREADS}", "--workers={workers}", "--bind=127.0.0.1:{port}"]
    return Server(["gunicorn", *options, "--no-control-socket", application], _SYNC)


def _wixhttp(access_log: str, targets: dict[str, str], project: Path = workload.SITE) -> Server:
    command = ["wixhttp", "--project", str(project), "serve", "--port", "{port}", "--workers", "{workers}"]
    settings = {"HOST": "127.0.0.1", "WIXHTTP_ACCESS_LOG": access_log}
    return Server(command, targets, settings, logs=access_log == "true")


SERVERS = {
    "bare, gunicorn gthread": _gthread("peers.bare_app:application"),
    "wixhttp serve": _wixhttp("false", _BOTH),
    "wixhttp serve, access log on": _wixhttp("true", _BOTH),
    "wixhttp serve, beside endpoints": _wixhttp("false", _BOTH, workload.ENDPOINTS),
    "wixhttp serve, endpoints": _wixhttp("false", _ENDPOINTS, workload.ENDPOINTS),
    "Falcon, gunicorn gthread": _gthread("peers.falcon_app:application"),
    "Bottle, gunicorn gthread": _gthread("peers.bottle_app:application"),
    "Flask, gunicorn gthread": _gthread("peers.flask_app:application"),
    "functions-framework": Server(
        ["functions_framework", "--target=handle", "--source=peers/functions_source.py", "--port={port}"],
        _SYNC,
        {"HOST": "127.0.0.1", "WORKERS": "{workers}", "THREADS": THREADS},
    ),
    "bare ASGI, gunicorn asgi": Server(
        [
            *(
                "gunicorn",
                "--worker-class=asgi",
                "--workers={workers}",
                "--bind=127.0.0.1:{port}",
                "--no-control-socket",
            ),
            "peers.bare_asgi_app:application",
        ],
        {GET_ASYNC: _PRODUCT, POST: workload.ECHO_PATH},
    ),
    "Falcon ASGI, uvicorn": Server(
        [
            *("uvicorn", "--port={port}", "--workers={workers}"),
            *("--log-level=warning", "peers.falcon_asgi_app:application"),
        ],
        {GET_ASYNC: _PRODUCT, POST: workload.ECHO_PATH},
    ),
}


class Running(NamedTuple):
    port: int
    seconds: float
    """From the start of the process to the first 200."""


@contextmanager
def running(server: Server, workers: int, stdout: Path = Path(os.devnull)) -> Iterator[Running]:
    """The server as processes of its own, its output on the null device or in a file; always stopped, by SIGTERM.

    Raises:
        ServerError: it ended, or gave no 200 within `START_SECONDS`; with the last line it wrote to standard error.
    """
    port = _free_port()
    fill = {"port": str(port), "workers": str(workers)}
    command = [sys.executable, "-m", *(part.format(**fill) for part in server.command)]
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
            yield Running(port, monotonic() - begin)
        finally:
            _stop(process)


def check(server: Server, port: int) -> None:
    """Ask for every case once.

    Raises:
        ServerError: an answer is not a 200 with the case's JSON.
    """
    for case, target in server.targets.items():
        expected = workload.ORDER if case == POST else workload.PRODUCT
        status, body = _ask(port, target, workload.ORDER_JSON if case == POST else None)
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
        if (server.targets[POST] in file.read_text(encoding="utf-8")) != server.logs:
            raise ServerError(f"its access log is not {'on' if server.logs else 'off'}")


def _environment(home: str) -> dict[str, str]:
    """This environment without what would set up a server differently, and with a home folder that is thrown away."""
    foreign = ("WIXHTTP_", "GUNICORN_", "UVICORN_", "FUNCTION_", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {"HOME": home}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _ask(port: int, target: str, body: bytes | None = None) -> tuple[int, bytes]:
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
            if _ask(port, target)[0] == 200:
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
