"""Real servers for the tests: `wixhttp serve` as a process of its own, its log read line by line, and raw sockets.

A line is there when it was written: that is waited for by a condition. A server is ready when it answers: nothing tells
of that, so it is asked every 20 ms. All waits end.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests import commands

SITES = Path(__file__).parent / "sites"
_WIXHTTP = [sys.executable, "-m", "wixhttp"]
TIMEOUT = 60.0  # seconds until a wait is a failure; long, for machines that do other work, too
_OURS = ("WIXHTTP_", "GUNICORN_", "WEB_CONCURRENCY", "HOST", "PORT", "FORWARDED_ALLOW_IPS", "PYTEST_")


class Answer:
    """An answer read from a raw socket: ``status``, ``headers`` with lower-case names, ``body``."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A running server: ``url``, its log ``lines`` as parsed JSON (text where they are none), ``errors`` (stderr)."""

    def __init__(self, command: Sequence[str], port: int, environ: Mapping[str, str], folder: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.lines: list[Any] = []
        self.errors = ""
        self._changed = threading.Condition()
        self.process: subprocess.Popen[bytes] | commands.Process
        if list(command[: len(_WIXHTTP)]) == _WIXHTTP and commands.is_forkable(environ):
            self.process = commands.start_server(command[len(_WIXHTTP) :], folder, environ)
        else:
            self.process = subprocess.Popen(
                command, cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        self._readers = [threading.Thread(target=read) for read in (self._read_lines, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            text = raw.decode("utf-8")  # a line that is not UTF-8 ends the reading, and the test
            try:
                line = json.loads(text)
            except ValueError:
                line = text.rstrip("\n")
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            self.errors += raw.decode("utf-8", "replace")

    # --- what it wrote ---

    def wait_for(self, wanted: Callable[[Any], object], count: int = 1, timeout: float = TIMEOUT) -> list[Any]:
        """The log lines that are wanted, once there are ``count`` of them."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(found := [line for line in self.lines if wanted(line)]) < count:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise AssertionError(f"{len(found)} of {count} lines came: {self.lines[-30:]}\n{self.errors}")
        return found

    def wait_for_message(self, text: str, count: int = 1, **keys: object) -> list[dict[str, Any]]:
        """The log lines whose message holds ``text`` and whose keys have these values, once there are ``count``."""
        return self.wait_for(
            lambda line: (
                isinstance(line, dict)
                and text in line["message"]
                and all(line.get(key) == value for key, value in keys.items())
            ),
            count,
        )

    def messages(self, logger: str | None = None) -> list[str]:
        """The messages that were logged until now."""
        return [
            line["message"] for line in list(self.lines) if isinstance(line, dict) and logger in (None, line["logger"])
        ]

    # --- its processes ---

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return children(self.process.pid)

    def wait_ready(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            if self.process.poll() is not None:
                self.end()
                raise ServerEnded(f"the server ended with {self.process.returncode}: {self.errors}\n{self.lines}")
            try:
                with connect(self.port, timeout=TIMEOUT) as connection:
                    connection.sendall(b"GET /_wixhttp/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    if connection.recv(65_536):
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline, f"no answer: {self.errors}\n{self.lines}"
            time.sleep(0.02)

    def terminate(self) -> None:
        """Ask it to stop, as systemd and Docker do."""
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, timeout: float = TIMEOUT) -> int:
        """Its exit code, once it has ended and all that it wrote was read."""
        code = self.process.wait(timeout)
        self.end()
        return code

    def stop(self) -> int:
        """Stop it with SIGTERM; its exit code."""
        self.terminate()
        return self.wait_exit()

    def end(self) -> None:
        """Leave nothing of it behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT)
        for reader in self._readers:
            reader.join(TIMEOUT)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


class ServerEnded(AssertionError):
    """A server ended where it should have served."""


@contextlib.contextmanager
def serving(
    project: Path,
    *flags: str,
    gunicorn: Sequence[str] = (),
    command: Sequence[str] | None = None,
    prefix: Sequence[str] = (),
    wait: bool = True,
    port: int | None = None,
    **environ: str | None,
) -> Iterator[Server]:
    """`python -m wixhttp serve` for a project folder, answering; ``environ`` is added to its environment.

    ``command`` runs another server, with ``{port}`` filled in; ``prefix`` is put in front (setpriv).
    """
    whole = [*prefix, *(command or own_command(project, flags, gunicorn))]
    server = _start(whole, port, clean(environ), project, wait)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(10)
        server.end()


def _start(command: list[str], port: int | None, environ: dict[str, str], folder: Path, wait: bool) -> Server:
    for attempt in itertools.count(1):
        chosen = port or free_port()
        server = Server([part.replace("{port}", str(chosen)) for part in command], chosen, environ, folder)
        try:
            if wait:
                server.wait_ready()
            return server
        except ServerEnded:
            if attempt == 3 or "in use" not in server.errors:  # another suite was faster to take the port
                raise
        except BaseException:
            server.end()
            raise
    raise AssertionError


def own_command(project: Path, flags: Sequence[str], gunicorn: Sequence[str]) -> list[str]:
    """The command line of `wixhttp serve`."""
    command = [*_WIXHTTP, "--project", str(project), "serve", "--host", "127.0.0.1"]
    command += ["--port", "{port}", *flags]
    return [*command, "--", *gunicorn] if gunicorn else command


def failed_start(project: Path, *flags: str, timeout: float = TIMEOUT, **options: Any) -> tuple[int, str, Server]:
    """Exit code and standard error of a server that does not come up."""
    with serving(project, *flags, wait=False, **options) as server:
        code = server.wait_exit(timeout)
        return code, server.errors, server


def clean(changes: Mapping[str, str | None]) -> dict[str, str]:
    """The environment of these tests without what servers read, with changes; ``None`` takes a variable out."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    environ.update({key: value for key, value in changes.items() if value is not None})
    return {key: value for key, value in environ.items() if changes.get(key, "") is not None}


def _ports() -> Iterator[int]:
    """Ports to listen on: none of those that the system gives to connections, which come and go in their thousands, and
    in each process of the tests others."""
    with contextlib.suppress(OSError):
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        if first >= 20_000:
            share = (first - 10_000) // 16
            number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw15").removeprefix("gw")) % 16
            begin = random.randrange(share)  # noqa: S311  # no secret
            while True:
                yield from (10_000 + number * share + (begin + each) % share for each in range(share))
    while True:
        yield 0


_PORTS = _ports()
_PORTS_LOCK = threading.Lock()


def free_port() -> int:
    """A port that nobody listens on."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError), _PORTS_LOCK:
            probe.bind(("127.0.0.1", next(_PORTS)))
            port: int = probe.getsockname()[1]
            return port


def project(folder: Path, source: str, settings: str = "") -> Path:
    """A project folder with this file of functions."""
    (folder / "backend").mkdir(parents=True, exist_ok=True)
    (folder / "backend" / "http_functions.py").write_text(source, encoding="utf-8")
    if settings:
        (folder / "wixhttp.toml").write_text(settings, encoding="utf-8")
    return folder


# --- processes -------------------------------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def resident(pid: int) -> float:
    """The resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def allow_descriptors(count: int) -> None:
    """Let this process have ``count`` files open; the test is `missing` that where the system does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        missing(f"needs {count} descriptors; the system allows {hard}")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def missing(reason: str) -> NoReturn:
    """Skip a test for what is not there; fail in CI, where everything is to be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


# --- raw sockets -----------------------------------------------------------------------------------------------------


def connect(port: int, *, timeout: float = TIMEOUT, receive_buffer: int = 0) -> socket.socket:
    """A connection to a server of this machine."""
    connection = socket.socket()
    connection.settimeout(timeout)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        connection.connect(("127.0.0.1", port))
    except BaseException:
        connection.close()
        raise
    return connection


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The next answer of a connection; nothing may follow it yet."""
    with contextlib.closing(HTTPResponse(connection, method=method)) as response:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())


def ask(port: int, request: bytes, method: str = "GET") -> Answer:
    """The answer to raw bytes."""
    with connect(port) as connection:
        connection.sendall(request)
        return read_answer(connection, method)


def drip(port: int, *, pause: float, part: bytes) -> Answer:
    """The answer to a POST whose body of 120 parts comes with a ``pause`` in seconds after each, as soon as there is
    one. No pause is longer than ``body_timeout``."""
    with connect(port) as connection:
        head = f"POST /_functions/echo HTTP/1.1\r\nHost: x\r\nContent-Length: {120 * len(part)}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(120):
            connection.sendall(part)
            if select.select([connection], [], [], pause)[0]:
                break
        return read_answer(connection)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)
