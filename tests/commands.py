"""The command `wixhttp`, and programs of the tests, as processes: forked from one that has imported them already.

Most of the time of a short command goes into the start of Python and its imports. What is forked has a folder, an
environment and files of its own, and exits as any process does. Run as a program, this module is the process that is
forked.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import wixhttp

# Of a server, what its master imports, since workers are measured; gevent patches before there is an event loop. Of the
# other commands, what most of them do.
GEVENT = ("wixhttp.cli.commands", "wixhttp.cli.serve", "wixhttp.server.serve")
SERVER = (*GEVENT, "wixhttp.server.worker")
DEVELOPMENT = ("wixhttp.cli.commands", "wixhttp.cli.develop.dev", "wixhttp.dev.supervisor", "asyncio", "uvloop")
COMMAND = (
    "wixhttp.cli.commands", "wixhttp.cli.build", "wixhttp.cli.call", "wixhttp.cli.check", "wixhttp.cli.data.commands",
    "wixhttp.cli.init", "wixhttp.cli.migrate", "wixhttp.cli.routes", "wixhttp.cli.secrets", "wixhttp.dispatch.blocking",
    "wixhttp.dispatch.site", "wixhttp.endpoints.loader", "wixhttp.data", "wixhttp.data.collections", "asyncio",
)  # fmt: skip
_AT_START = ("PYTHON", "LC_", "LANG", "COVERAGE_")  # variables that Python reads when it starts
_BYTECODE = "PYTHONDONTWRITEBYTECODE"  # which can be obeyed later, too
ROOT = Path(__file__).parents[1]
TIMEOUT = 60.0  # seconds until a wait is a failure


class Process:
    """A process that was forked: as `subprocess.Popen`, as far as the tests need it."""

    stdin: IO[bytes] | None = None
    stdout: IO[bytes] | None = None
    stderr: IO[bytes] | None = None

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Its exit code, once it has ended; the signal that ended it as a negative number."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not in time.
        """
        with self._lock:
            if self.returncode is None:
                if not select.select([self._status], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("wixhttp", timeout or 0.0)
                self.returncode = int(os.read(self._status, 100))
                os.close(self._status)
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class _Forks:
    """A process that has imported ``modules``, started on first use: what is forked from it runs the first one's
    ``main``."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(
        self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], files: Sequence[int], *, alone: bool
    ) -> tuple[int, int]:
        """The process id of the command, and the file that its exit code will be written to; ``files`` are its
        standard input, output and error. ``alone``: in a session of its own."""
        status, told = os.pipe()
        order = {"arguments": list(arguments), "folder": str(folder), "environ": dict(environ), "alone": alone}
        with self._lock:
            control = self._control or self._start()
            socket.send_fds(control, [json.dumps(order).encode() + b"\n"], [*files, told])
            pid = int(control.recv(100))
        os.close(told)
        return pid, status

    def _start(self) -> socket.socket:
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.commands", str(theirs.fileno()), *self._modules]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        atexit.register(self._end)
        return self._control

    def _end(self) -> None:
        assert self._control is not None
        assert self._process is not None
        self._control.close()
        self._process.wait(TIMEOUT)


_servers, _gevent_servers, _commands = _Forks(SERVER), _Forks(GEVENT), _Forks(COMMAND)
_development_servers = _Forks(DEVELOPMENT)
_programs: dict[str, _Forks] = {}


def is_forkable(environ: Mapping[str, str]) -> bool:
    """Return whether Python starts with this environment as it has started here."""
    here, there = (
        {name: value for name, value in each.items() if name.startswith(_AT_START) and name != _BYTECODE}
        for each in (os.environ, environ)
    )
    return here == there


def start_server(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Process:
    """A server (`wixhttp ARGUMENTS`) in a session of its own, with pipes for what it writes."""
    forks = _gevent_servers if "gevent" in arguments else _development_servers if "dev" in arguments else _servers
    (out, their_out), (err, their_err) = os.pipe(), os.pipe()
    with open(os.devnull, "rb") as nothing:
        pid, status = forks.fork(arguments, folder, environ, [nothing.fileno(), their_out, their_err], alone=True)
    os.close(their_out)
    os.close(their_err)
    process = Process(pid, status)
    process.stdout, process.stderr = os.fdopen(out, "rb"), os.fdopen(err, "rb")
    return process


def start_program(module: str, *arguments: str) -> Process:
    """`python -m MODULE ARGUMENTS`, of a module that has a ``main``, with pipes for what it reads and writes."""
    forks = _programs.setdefault(module, _Forks([module]))
    (their_in, into), (out, their_out) = os.pipe(), os.pipe()
    process = Process(*forks.fork(arguments, ROOT, os.environ, [their_in, their_out, 2], alone=False))
    os.close(their_in)
    os.close(their_out)
    process.stdin, process.stdout = os.fdopen(into, "wb", buffering=0), os.fdopen(out, "rb")
    return process


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    input: bytes = b"",
    timeout: float = TIMEOUT,
    check: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """`wixhttp ARGUMENTS` in a folder, as `subprocess.run`: its exit code, and what it wrote.

    Raises:
        subprocess.TimeoutExpired: it did not end in time.
        subprocess.CalledProcessError: with ``check``, it did not exit with 0.
    """
    if not is_forkable(env):
        command = [sys.executable, "-m", "wixhttp", *arguments]
        return subprocess.run(command, cwd=cwd, env=env, input=input, capture_output=True, timeout=timeout, check=check)
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(input)
        stdin.seek(0)
        files = [stdin.fileno(), stdout.fileno(), stderr.fileno()]
        process = Process(*_commands.fork(arguments, cwd, env, files, alone=False))
        try:
            code = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        for file in (stdout, stderr):
            file.seek(0)
        done = subprocess.CompletedProcess(["wixhttp", *arguments], code, stdout.read(), stderr.read())
    if check:
        done.check_returncode()
    return done


# --- for shells ------------------------------------------------------------------------------------------------------

_PROGRAM = """#!{python} -ISE
import _socket, posix, sys
own = {own!r}
own = [sys.executable, own] if own else [sys.executable, "-m", "wixhttp"]
if not {{"serve", "dev"}} & set(sys.argv):  # which are told to stop by signals
    order = repr((posix.getcwd(), sys.argv[1:], posix.environ)).encode()
    with_files = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, b"".join(n.to_bytes(4, sys.byteorder) for n in (0, 1, 2)))]
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    socket.connect({address!r})
    socket.sendmsg([len(order).to_bytes(4, "big")], with_files)
    socket.sendall(order)
    code = int(socket.recv(100))
    if code >= 0:
        posix._exit(code)
posix.execv(sys.executable, [*own, *sys.argv[1:]])
"""


class ShellCommand:
    """The program ``wixhttp`` for shells, in a folder: it asks this process for a fork. Servers are not forked, nor
    what Python would start otherwise for, by its environment; ``script`` is the program that they are."""

    def __init__(self, folder: Path, script: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        address = str(folder / "forks")
        self._listener.bind(address)
        self._listener.listen()
        program = folder / "wixhttp"
        program.write_text(_PROGRAM.format(python=sys.executable, own=str(script), address=address))
        program.chmod(0o755)
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(TIMEOUT)
        self._listener.close()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                asking, _ = self._listener.accept()
                threading.Thread(target=self._run, args=(asking,), daemon=True).start()

    def _run(self, asking: socket.socket) -> None:
        with asking:
            size, files, _, _ = socket.recv_fds(asking, 4, 3)
            order = asking.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
            folder, arguments, environ = ast.literal_eval(order.decode())
            named = {os.fsdecode(name): os.fsdecode(value) for name, value in environ.items()}
            code = -1
            if is_forkable(named):
                code = Process(*_commands.fork(arguments, Path(folder), named, files, alone=False)).wait()
                code = code if code >= 0 else 128 - code  # as shells tell of signals
            for file in files:
                os.close(file)
            with contextlib.suppress(BrokenPipeError):
                asking.sendall(str(code).encode())


# --- the process that is forked --------------------------------------------------------------------------------------


def _next_order(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each order that comes, and return it in the new process. Ends with the process that orders."""
    running: dict[int, int] = {}  # process id -> where its exit code is to be written
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    while True:
        ready = select.select([control.fileno(), wake], [], [])[0]
        if wake in ready:
            os.read(wake, 4096)
            while running:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                told = running.pop(pid)
                with contextlib.suppress(BrokenPipeError):
                    os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
                os.close(told)
        if control.fileno() in ready:
            text, files = _receive(control)
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for number in (control.detach(), wake, woken, files.pop(), *running.values()):
                    os.close(number)
                return json.loads(text), files
            running[pid] = files.pop()
            for number in files:
                os.close(number)
            control.sendall(str(pid).encode())


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    text, files, _, _ = socket.recv_fds(control, 65_536, 4)
    while text and not text.endswith(b"\n"):
        text += control.recv(65_536)
    if not text:
        sys.exit(0)
    return text, files


def _become(order: dict[str, Any], files: list[int]) -> None:
    """Be the process that was ordered."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    if order["alone"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(order["environ"])
    time.tzset()
    os.chdir(order["folder"])
    sys.path[0] = os.getcwd()
    sys.dont_write_bytecode = bool(os.environ.get(_BYTECODE))
    sys.argv[:] = [str(Path(str(wixhttp.__file__)).with_name("__main__.py")), *order["arguments"]]
    sys.orig_argv[:] = [sys.executable, "-m", "wixhttp", *order["arguments"]]  # gunicorn starts another server so


if __name__ == "__main__":
    modules = [import_module(name) for name in sys.argv[2:]]
    gc.freeze()  # what a new process did not make, it need not look at when it ends
    _become(*_next_order(socket.socket(fileno=int(sys.argv[1]))))
    modules[0].main()
