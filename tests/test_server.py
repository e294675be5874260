"""`wixhttp serve` as a real process: that it answers, starts, stops, heals, and keeps to itself."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import SITES, Server, connect, failed_start, free_port, missing, project, read_answer, serving
from wixhttp.server.connection import HALF_CLOSED
from wixhttp.server.descriptors import AGAIN, DescriptorShortage

SITE = SITES / "served"
PATIENT = 60  # seconds until a request is a failure


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(SITE, "--workers", "2", API_KEY="k-123456") as server:
        yield server


@pytest.fixture(scope="module")
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


# --- it answers ---


@pytest.mark.parametrize("name", ["hello", "ahello"])
def test_answers_over_one_connection(server: Server, http: requests.Session, name: str) -> None:
    for _ in range(3):
        answer = http.get(f"{server.url}/_functions/{name}/sub?q=1", timeout=30)
        assert (answer.status_code, answer.json()) == (200, {"hello": "sub", "q": "1"})
        assert answer.headers["Content-Type"] == "application/json"
        assert "Connection" not in answer.headers


@pytest.mark.parametrize("name", ["echo", "aecho"])
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_body_is_echoed(server: Server, http: requests.Session, name: str, size: int) -> None:
    body = os.urandom(size)
    for data in (body, iter([body[:10], body[10:]]) if size else body):  # the second is sent in chunks
        answer = http.post(f"{server.url}/_functions/{name}", data=data, timeout=30)
        assert (answer.status_code, answer.content) == (201, body)


def test_head_is_get_without_the_body(server: Server, http: requests.Session) -> None:
    answer = http.head(f"{server.url}/_functions/hello/sub", timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(b'{"hello":"sub","q":null}'))
    for name in ("stream", "astream", "file"):
        answer = http.head(f"{server.url}/_functions/{name}", timeout=30)
        assert (answer.status_code, answer.content) == (200, b"")


def test_streams(server: Server, http: requests.Session) -> None:
    lines = b"line 0\nline 1\nline 2\n"
    for name, expected in (("stream", lines), ("astream", lines), ("file", b"0123456789" * 20_000)):
        answer = http.get(f"{server.url}/_functions/{name}", timeout=30)
        assert (answer.status_code, answer.content) == (200, expected), name
        assert answer.headers["Transfer-Encoding"] == "chunked"


def test_uvloop_is_in_use(server: Server) -> None:
    pytest.importorskip("uvloop")
    told = requests.get(f"{server.url}/_functions/engine", timeout=30).json()
    assert told["loop"].partition(".")[0] == "uvloop"


def test_ended_connections_are_let_go(server: Server) -> None:
    counts = []
    for _ in range(60):
        told = requests.get(f"{server.url}/_functions/engine", headers={"Connection": "close"}, timeout=30).json()
        counts.append(told["connections"])
    assert counts[-1] < 25


@pytest.mark.parametrize("status", [200, 205, 413, 418, 511, 599])
def test_reason_phrase(server: Server, status: int) -> None:
    phrase = HTTPStatus(status).phrase if status != 599 else "Unknown"
    with connect(server.port) as connection:
        connection.sendall(f"GET /_functions/status/{status} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(4096).startswith(f"HTTP/1.1 {status} {phrase}\r\n".encode())


def test_def_runs_on_a_thread_of_the_pool(server: Server, http: requests.Session) -> None:
    about = http.get(f"{server.url}/_functions/about", timeout=30).json()
    assert about["thread"].startswith("wixhttp-")
    assert (about["ip"], about["baseUrl"]) == ("127.0.0.1", f"{server.url}/_functions")


@pytest.mark.parametrize("application", ["wixhttp.asgi:application", "wixhttp.wsgi:application"])
def test_application_under_plain_gunicorn(application: str, tmp_path: Path) -> None:
    worker = ("-k", "asgi") if "asgi" in application else ("-k", "gthread", "--threads", "4")
    command = [sys.executable, "-m", "gunicorn", application, "-b", "127.0.0.1:{port}", "--no-control-socket", *worker]
    with serving(tmp_path, command=command, WIXHTTP_PROJECT=str(SITE)) as server:
        for name in ("hello", "ahello"):
            answer = requests.get(f"{server.url}/_functions/{name}/x", timeout=30)
            assert answer.json() == {"hello": "x", "q": None}
        assert requests.get(f"{server.url}/_functions/astream", timeout=30).text.endswith("line 2\n")
        assert requests.post(f"{server.url}/_functions/echo", data=b"\0\xff", timeout=30).content == b"\0\xff"
        assert requests.get(f"{server.url}/_functions/about", timeout=30).json()["method"] == "GET"
        assert server.stop() == 0


# --- gunicorn's options ---


def test_gunicorn_options_and_who_wins() -> None:
    options = ("--worker-class", "gthread", "--max-requests", "7", "--backlog", "77")
    environ: dict[str, Any] = {"GUNICORN_CMD_ARGS": "--workers 3 --graceful-timeout 5 --backlog 99"}
    # of the project's settings, the environment and the command line, the last that says a thing wins
    with serving(SITE, "--workers", "1", gunicorn=("--print-config", *options), wait=False, **environ) as server:
        server.wait_exit()
        text = "\n".join(str(line) for line in server.lines) + server.errors
    shown = dict(line.replace(" ", "").split("=", 1) for line in text.splitlines() if "=" in line)
    assert (shown["workers"], shown["graceful_timeout"], shown["backlog"]) == ("3", "5", "77")
    assert (shown["worker_class"], shown["max_requests"]) == ("gthread", "7")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--no-such-option",), "--no-such-option"),
        (("--workers", "many"), "many"),
        (("--keep-alive", "-5"), "-5"),
        (("module:application",), "module:application"),
        (("--bind", "x:y:z"), "'y' is not a valid port number"),
        (("--proxy-protocol",), "proxy_protocol: the asgi worker does not act on it"),
        (("--bind", "127.0.0.1:99999"), "99999 is not a valid port number"),
    ],
)
def test_wrong_gunicorn_option_is_a_usage_error(options: tuple[str, ...], named: str) -> None:
    code, errors, _ = failed_start(SITE, gunicorn=options)
    assert code == 2, errors
    assert named in errors
    assert "Traceback" not in errors


def test_wrong_gunicorn_option_of_the_environment() -> None:
    code, errors, _ = failed_start(SITE, GUNICORN_CMD_ARGS="--no-such-option")
    assert code == 2
    assert "--no-such-option" in errors


def test_settings_file_of_gunicorn(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.py"
    hooks.write_text("raw_env = ['GREETING=hello']\ndef on_starting(server):\n    server.log.info('hook ran')\n")
    with serving(SITE, "--workers", "1", gunicorn=("--config", str(hooks))) as server:
        server.wait_for_message("hook ran")


# --- it stops ---


@pytest.mark.parametrize("worker_class", ["asgi", "gthread"])
def test_sigterm_loses_no_running_request(worker_class: str) -> None:
    kinds = ("sleep", "asleep")
    flags = ("--workers", "2", "--threads", "16", "--worker-class", worker_class)
    answers: dict[str, bool] = {}
    stopping = threading.Event()

    def client(url: str, number: int) -> None:
        with requests.Session() as session:
            for turn in range(10_000):
                name = f"{kinds[number % 2]}-{number}-{turn}"
                try:
                    answer = session.get(f"{url}/_functions/{kinds[number % 2]}/{name}?seconds=0.3", timeout=PATIENT)
                    answers[name] = answer.status_code == 200 and len(answer.json()["padding"]) == 20_000
                except (requests.ConnectionError, ValueError):
                    answers.setdefault(name, False)
                    if stopping.is_set():
                        return

    with serving(SITE, *flags, WIXHTTP_GRACEFUL_TIMEOUT="20") as server, ThreadPoolExecutor(16) as clients:
        for number in range(16):
            clients.submit(client, server.url, number)
        server.wait_for_message("began", 60)
        stopping.set()
        asked = time.monotonic()
        code = server.stop()
        took = time.monotonic() - asked
    assert code == 0
    assert took < 20
    began = {line["message"].removeprefix("began ") for line in server.lines if _says(line, "began ")}
    ended = {line["message"].removeprefix("ended ") for line in server.lines if _says(line, "ended ")}
    assert began
    assert began == ended
    assert [name for name in began if not answers.get(name)] == []


def _says(line: object, text: str) -> bool:
    return isinstance(line, dict) and str(line["message"]).startswith(text)


@pytest.mark.parametrize("worker_class", ["asgi", "gthread"])
def test_tasks_are_waited_for_at_stop(worker_class: str) -> None:
    with serving(SITE, "--workers", "1", "--worker-class", worker_class) as server:
        requests.get(f"{server.url}/_functions/task/a?seconds=0.5", timeout=30)
        server.wait_for_message("task began a")
        assert server.stop() == 0
    assert "task ended a" in server.messages("print")
    assert "task of the task ended a" in server.messages("print")


def test_what_does_not_end_is_not_waited_for_longer_than_graceful_timeout() -> None:
    with serving(SITE, "--workers", "1", "--timeout", "0", WIXHTTP_GRACEFUL_TIMEOUT="2") as server:
        with connect(server.port) as connection, connect(server.port) as other:
            connection.sendall(b"GET /_functions/asleep/a?seconds=600 HTTP/1.1\r\nHost: x\r\n\r\n")
            other.sendall(b"GET /_functions/sleep/c?seconds=600 HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for_message("began a")
            server.wait_for_message("began c")
            requests.get(f"{server.url}/_functions/task/b?seconds=600", timeout=30)
            server.wait_for_message("task began b")
            started = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started < 20
            for answer in (read_answer(connection), read_answer(other)):
                assert answer.status == 503
                assert "retry-after" not in answer.headers  # its handler was begun
                assert "stops or reloads" in answer.json()["detail"]
        server.wait_for_message("cancelled a")


def test_handler_whose_client_hung_up_is_waited_for_at_stop() -> None:
    with serving(SITE, "--workers", "1") as server:
        for name in ("sleep", "asleep"):
            with connect(server.port) as connection:
                connection.sendall(f"GET /_functions/{name}/{name}?seconds=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                server.wait_for_message(f"began {name}")
        assert server.stop() == 0
    assert {"ended sleep", "ended asleep"} <= set(server.messages("print"))


WAITING = """
import asyncio
from wixhttp import ok

async def rows():
    try:
        yield "first"
        await asyncio.sleep(1000)
    finally:
        print("ended rows")

async def get_rows(request):
    return ok(rows())
"""


def test_a_stream_whose_client_has_left_holds_up_no_stop(tmp_path: Path) -> None:
    with serving(project(tmp_path, WAITING, "graceful_timeout = 300\n"), "--workers", "1") as server:
        with connect(server.port) as connection:
            connection.sendall(b"GET /_functions/rows HTTP/1.1\r\nHost: x\r\n\r\n")
            while b"first" not in connection.recv(1000):
                pass
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < HALF_CLOSED / 2
        assert "ended rows" in server.messages("print")


@pytest.mark.parametrize("worker_class", ["asgi", "gthread"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGQUIT, 0)])
def test_exit_code_of_a_signal(worker_class: str, number: signal.Signals, code: int) -> None:
    with serving(SITE, "--workers", "2", "--worker-class", worker_class) as server:
        server.process.send_signal(number)
        assert server.wait_exit() == code
        assert server.errors == ""
        assert [line for line in server.lines if isinstance(line, dict) and line["severity"] == "ERROR"] == []


@pytest.mark.parametrize("worker_class", ["asgi", "gthread", "sync", "gevent"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGQUIT, 0)])
def test_signal_while_workers_load(tmp_path: Path, worker_class: str, number: signal.Signals, code: int) -> None:
    slow = "import time\nprint('loading')\ntime.sleep(25)\n"
    root = project(tmp_path, slow)
    with serving(root, "--workers", "2", "--worker-class", worker_class, wait=False) as server:
        server.wait_for_message("loading", 2)
        server.process.send_signal(number)
        assert server.wait_exit() == code
        assert server.errors == ""


# A function that runs in a new process before those of `wixhttp serve`: as a signal that comes while the process is
# there and has not run yet.
SIGNALLED = "import os, signal\nos.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGQUIT))\n"


def test_signal_to_a_worker_that_has_only_been_forked_ends_it(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.py"
    hooks.write_text(SIGNALLED)
    with serving(SITE, "--workers", "1", gunicorn=("--config", str(hooks)), wait=False) as server:
        server.wait_for_message("was sent SIGQUIT")
        assert server.stop() == 0


# In a worker of threads: a signal that comes while it starts one, with the lock of its threads.
INTERRUPTED = """
import os, signal, threading
def post_worker_init(worker):
    start = threading.Thread.start
    def interrupted(thread):
        os.kill(os.getpid(), signal.SIGQUIT)
        start(thread)
    threading.Thread.start = interrupted
"""


def test_signal_to_a_worker_that_is_starting_a_thread_ends_it(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.py"
    hooks.write_text(INTERRUPTED)
    options = ("--config", str(hooks))
    with serving(SITE, "--workers", "1", "--worker-class", "gthread", gunicorn=options, wait=False) as server:
        server.wait_for_message("functions of")
        with connect(server.port) as connection:
            connection.sendall(b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for_message("Worker exiting")
        assert not any("TIMEOUT" in message for message in server.messages())  # after which it would be ended
        assert server.stop() == 0


# --- it heals ---


@pytest.mark.parametrize("raised", ["exit?code=0", "exit?code=3", "exit?code=4", "interrupt?code=0"])
def test_worker_that_a_callback_ends_is_replaced(raised: str) -> None:
    with serving(SITE, "--workers", "2") as server:
        server.wait_for_message("functions of", 2)
        before = set(server.workers())
        try:  # the worker's last act is to cancel what runs: its 500 may get out before the connection ends
            assert requests.get(f"{server.url}/_functions/callback/{raised}", timeout=PATIENT).status_code == 500
        except requests.ConnectionError:
            pass
        [line] = server.wait_for_message("a callback of the event loop ended this worker")
        assert line["severity"] == "CRITICAL"
        assert "_raise" in line["exception"]
        server.wait_for_message("exited with code 1")
        server.wait_for_message("functions of", 3)
        assert requests.get(f"{server.url}/_functions/hello/x", timeout=PATIENT).ok
        assert len(before & set(server.workers())) == 1
        assert server.stop() == 0


def test_killed_worker_is_replaced(server: Server) -> None:
    server.wait_for_message("functions of", 2)
    before = set(server.workers())
    assert len(before) == 2
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    server.wait_for_message("SIGKILL", 2)
    server.wait_ready()
    for _ in range(5):
        assert requests.get(f"{server.url}/_functions/hello/x", timeout=PATIENT).status_code == 200
    server.wait_for_message("functions of", 4)
    assert not before & set(server.workers())


# --- it keeps to itself ---


def test_nothing_is_written_to_the_home_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    folders: dict[str, Any] = {f"XDG_{name}_HOME": str(home / name) for name in ("CONFIG", "CACHE", "DATA", "STATE")}
    with serving(SITE, "--workers", "1", HOME=str(home), XDG_RUNTIME_DIR=str(home / "run"), **folders) as server:
        assert requests.get(f"{server.url}/_functions/hello/x", timeout=30).ok
        assert list(home.rglob("*")) == []
        assert server.stop() == 0
    assert list(home.rglob("*")) == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="wixhttp-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    shutil.rmtree(folder)


def test_runs_without_rights_on_a_read_only_project(open_folder: Path) -> None:
    site = open_folder / "site"
    shutil.copytree(SITE, site, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [site, *site.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    prefix: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            missing("setpriv (util-linux) is needed to run as another user")
        prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"]
        probe = [*prefix, sys.executable, "-c", "import wixhttp.server.serve"]
        tried = subprocess.run(probe, capture_output=True, text=True, check=False, cwd="/")
        if tried.returncode:
            pytest.skip(f"another user cannot run this Python: {tried.stderr.strip().splitlines()[-1:]}")
    with serving(site, "--workers", "1", prefix=prefix, PYTHONDONTWRITEBYTECODE=None, HOME="/nonexistent") as server:
        assert requests.get(f"{server.url}/_functions/hello/x", timeout=30).json()["hello"] == "x"
        if prefix:
            assert os.stat(f"/proc/{server.process.pid}").st_uid == 65534
        assert server.stop() == 0
    assert not list(site.rglob("__pycache__"))


def test_port_in_use_is_said_and_no_other_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, errors, server = failed_start(SITE, port=port)
    assert code == 1
    assert f"port {port} on 127.0.0.1 is in use" in errors
    assert "Traceback" not in errors
    assert server.messages() == []


# What systemd does for a socket unit: the listening socket is descriptor 3 of the process that LISTEN_PID names.
ACTIVATE = """
import os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_socket_handed_over_by_systemd() -> None:
    with serving(SITE, "--workers", "1", prefix=[sys.executable, "-c", ACTIVATE, "{port}"]) as server:
        assert requests.get(f"{server.url}/_functions/hello/x", timeout=60).status_code == 200


@pytest.mark.parametrize("host", ["192.0.2.1", "no..name", "x" * 64])
def test_address_of_another_machine_or_none(host: str) -> None:
    code, errors, _ = failed_start(SITE, "--host", host)
    assert code == 1
    assert host in errors
    assert "Traceback" not in errors


# --- projects that cannot be served ---

BROKEN = {
    "syntax": ("def get_a(request)\n    pass\n", "SyntaxError"),
    "import": ("import no_such_module_at_all\n", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    "two arguments": ("def get_a(request, more):\n    pass\n", "get_a"),
    "exit": ("import sys\nsys.exit('no')\n", "sys.exit('no')"),
    "exit without a word": ("raise SystemExit\n", "SystemExit"),
    "interrupt": ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    "raises": ("def check():\n    raise RuntimeError('of the user')\ncheck()\n", "RuntimeError: of the user"),
    "endless": ("while True:\n    pass\n", "import_timeout"),
    "endless try": (
        "import time\nwhile True:\n    try:\n        time.sleep(1)\n    except Exception:\n        pass\n", "import_"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_ends_the_server_with_3(case: str, tmp_path: Path) -> None:
    source, named = BROKEN[case]
    site = project(tmp_path, source)
    code, errors, server = failed_start(site, "--workers", "2", WIXHTTP_IMPORT_TIMEOUT="2.5")
    assert code == 3, errors
    assert named in errors
    assert str(site / "backend" / "http_functions.py") in errors
    tracebacks = 0 if case in ("syntax", "two arguments") else 1
    assert errors.count("Traceback (most recent call last)") == tracebacks, errors
    assert "gunicorn" not in errors
    assert "site-packages" not in errors
    assert [line for line in server.lines if isinstance(line, dict) and "exception" in line] == []


@pytest.mark.parametrize("option", ["--preload", "--check-config"])
def test_broken_file_without_a_worker(option: str, tmp_path: Path) -> None:
    source, named = BROKEN["raises"]
    site = project(tmp_path, source)
    code, errors, _ = failed_start(site, gunicorn=(option,))
    assert code == 3
    assert named in errors
    assert errors.count(str(site / "backend" / "http_functions.py") + " cannot be imported") == 1
    assert failed_start(SITE, gunicorn=("--check-config",))[:2] == (0, "")


@pytest.mark.parametrize("options", [(), ("--check-config",)])
def test_secret_is_not_in_what_is_said_of_a_broken_file(options: tuple[str, ...], tmp_path: Path) -> None:
    site = project(tmp_path, "raise ValueError('bad key k-9876543210')\n")
    (site / ".env").write_text("API_KEY=k-9876543210\n")
    code, errors, server = failed_start(site, "--workers", "1", gunicorn=options)
    assert code == 3
    assert "ValueError: bad key" in errors
    assert "9876543210" not in errors + str(server.lines)


def test_project_that_is_none(tmp_path: Path) -> None:
    code, errors, _ = failed_start(tmp_path)
    assert code == 3
    assert "wixhttp init" in errors


def test_broken_settings_end_the_server_with_3(tmp_path: Path) -> None:
    project(tmp_path, "def get_a(request):\n    pass\n", "timeout = 5\nworkers = 'two'\n")
    code, errors, _ = failed_start(tmp_path)
    assert code == 3
    assert "wixhttp.toml:2" in errors
    assert "Traceback" not in errors


def test_worker_class_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "gevent.py").write_text("raise ImportError('No module named gevent')\n")
    code, errors, _ = failed_start(SITE, "--worker-class", "gevent", PYTHONPATH=str(tmp_path))
    assert code == 3, errors
    assert "wixhttp[gevent]" in errors
    assert "Traceback" not in errors


# --- projects that break while they are served ---

SERVED = """
import os
from wixhttp import ok
VERSION = 1
def get_version(request): return ok({"body": {"version": VERSION, "pid": os.getpid()}})
def get_exit(request): os._exit(int(request.path[0]))
"""
WORKER_CLASSES = ["asgi", "gthread", "gevent", "sync"]


def write_version(root: Path, version: int, more: str = "") -> None:
    """Write the file of functions as editors do, so that no worker reads a half of it, nor the byte code of another."""
    file = root / "backend" / "http_functions.py"
    new = file.with_suffix(".new")
    new.write_text(SERVED.replace("VERSION = 1", f"VERSION = {version}" + " " * version) + more)
    new.replace(file)


def version_of(server: Server) -> dict[str, int]:
    told: dict[str, int] = requests.get(
        f"{server.url}/_functions/version", headers={"Connection": "close"}, timeout=PATIENT
    ).json()
    return told


def wait_for_version(server: Server, version: int, workers: int) -> None:
    """Ask until only so many workers answer, all of them with this version: the others have ended."""
    deadline = time.monotonic() + PATIENT
    while len(server.workers()) != workers or {version_of(server)["version"] for _ in range(5)} != {version}:
        assert time.monotonic() < deadline, server.messages()[-30:]


def tell_broken(server: Server) -> dict[str, Any]:
    """The line that says what is wrong with the file, once it has been said."""
    server.wait_for_message("the project cannot be loaded: ")
    told = [line for line in server.lines if isinstance(line, dict) and "exception" in line]
    assert len(told) == 1
    line: dict[str, Any] = told[0]
    assert line["message"].startswith("the project cannot be loaded: ")
    assert "next try in 1 s" in line["message"]
    return line


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_worker_past_max_requests_serves_until_another_has_loaded(tmp_path: Path, worker_class: str) -> None:
    root = project(tmp_path, SERVED)
    flags = ("--workers", "1", "--worker-class", worker_class)  # of two, one may get all requests
    with serving(root, *flags, gunicorn=("--max-requests", "3")) as server:
        before = set(server.workers())
        write_version(root, 2, "import no_such_module_at_all\n")
        for _ in range(5):
            assert version_of(server)["version"] == 1
        server.wait_for_message("has served max_requests")
        assert "ModuleNotFoundError: No module named 'no_such_module_at_all'" in tell_broken(server)["exception"]
        assert {version_of(server)["version"] for _ in range(10)} == {1}
        assert before <= set(server.workers())
        write_version(root, 3)
        server.wait_for_message("the project can be loaded again")
        wait_for_version(server, 3, 1)
        assert server.stop() == 0
    assert server.errors == ""


@pytest.mark.parametrize("worker_class", ["asgi", "gthread"])
def test_reload_replaces_workers_by_such_that_load(tmp_path: Path, worker_class: str) -> None:
    root = project(tmp_path, SERVED)
    with serving(root, "--workers", "2", "--worker-class", worker_class) as server:
        server.wait_for_message("functions of", 2)
        before = set(server.workers())
        write_version(root, 2, "def broken(:\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_message("the project still cannot be loaded; 2 of 2 workers serve; next try in 2 s")
        assert "SyntaxError" in server.wait_for_message("the project cannot be loaded: ")[0]["message"]
        assert {version_of(server)["version"] for _ in range(10)} == {1}
        assert before <= set(server.workers())
        write_version(root, 3)
        server.process.send_signal(signal.SIGHUP)  # which does not wait for the next try
        wait_for_version(server, 3, 2)
        assert not before & set(server.workers())
        assert server.stop() == 0
    assert server.errors == ""


def test_signal_ends_a_server_that_cannot_reload(tmp_path: Path) -> None:
    root = project(tmp_path, SERVED)
    with serving(root, "--workers", "1") as server:
        write_version(root, 2, "raise ValueError('of the user')\n")
        server.process.send_signal(signal.SIGHUP)
        tell_broken(server)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 20


def test_requests_wait_where_no_worker_is_left(tmp_path: Path) -> None:
    root = project(tmp_path, SERVED)
    with serving(root, "--workers", "1") as server, ThreadPoolExecutor(1) as client:
        [pid] = server.workers()
        write_version(root, 2, "1 / 0\n")
        os.kill(pid, signal.SIGKILL)
        assert tell_broken(server)["exception"].endswith("ZeroDivisionError: division by zero")
        waiting = client.submit(version_of, server)
        write_version(root, 3)
        assert waiting.result()["version"] == 3


def test_each_different_error_is_said(tmp_path: Path) -> None:
    root = project(tmp_path, SERVED)
    with serving(root, "--workers", "2") as server:
        server.wait_for_message("functions of", 2)
        for error in ("KeyError('first')", "KeyError('second')"):
            write_version(root, 2, f"raise {error}\n")
            server.process.send_signal(signal.SIGHUP)
            [line] = server.wait_for_message(f"KeyError: {error[9:-1]}")
            assert "backend/http_functions.py" in line["exception"]
        server.wait_for_message("still cannot be loaded")
        assert len([line for line in server.lines if "exception" in line]) == 2


@pytest.mark.parametrize("worker_class", ["asgi", "gthread"])
@pytest.mark.parametrize("code", [3, 4])
def test_handler_that_ends_its_process_ends_no_other(tmp_path: Path, worker_class: str, code: int) -> None:
    root = project(tmp_path, SERVED)
    with serving(root, "--workers", "2", "--worker-class", worker_class) as server:
        server.wait_for_message("functions of", 2)
        before = set(server.workers())
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{server.url}/_functions/exit/{code}", timeout=PATIENT)
        server.wait_for_message(f"exited with code {code}")
        server.wait_for_message("functions of", 3)
        assert version_of(server)["version"] == 1
        assert len(before & set(server.workers())) == 1
        assert server.stop() == 0


def test_process_that_ends_within_its_first_import(tmp_path: Path) -> None:
    code, errors, _ = failed_start(project(tmp_path, "import os\nos._exit(0)\n"), "--workers", "1")
    assert code == 3
    assert "ended before it could serve" in errors


KILLED = """
import os, pathlib, signal
kills = pathlib.Path("kills")
if kills.exists():
    left = int(kills.read_text())
    kills.write_text(str(left - 1)) if left > 1 else kills.unlink()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_that_is_killed_while_it_loads_is_replaced_and_the_project_not_blamed(tmp_path: Path) -> None:
    root = project(tmp_path, KILLED + SERVED)
    (root / "kills").write_text("1")
    with serving(root, "--workers", "1") as server:
        server.wait_for_message("was killed while it loaded the project; 0 of 1 workers serve; another one is started")
        pid = version_of(server)["pid"]
        (root / "kills").write_text("3")
        os.kill(pid, signal.SIGKILL)
        assert version_of(server)["pid"] != pid
        server.wait_for_message("was killed while it loaded", 4)
        assert not [line for line in server.messages() if "cannot be loaded" in line]
        assert server.stop() == 0


def test_gunicorns_settings_that_break_stay_as_they_are(tmp_path: Path) -> None:
    root = project(tmp_path, SERVED)
    options = tmp_path / "options.py"
    options.write_text("workers = 2  # a file of another size than the next: Python may keep it compiled\n")
    with serving(root, "--workers", "1", gunicorn=("--config", str(options))) as server:
        server.wait_for_message("functions of", 2)
        broken = ("workers = (\n", "workers = 'many'\n", "worker_class = 'no.such.class'\n")
        for number, text in enumerate(broken, 1):
            options.write_text(text)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_message("gunicorn's settings cannot be read again", number)
            server.wait_for_message("functions of", 2 + 2 * number)
        assert version_of(server)["version"] == 1
        assert server.stop() == 0


def test_more_and_fewer_workers_by_signal(tmp_path: Path) -> None:
    with serving(project(tmp_path, SERVED), "--workers", "1") as server:
        server.process.send_signal(signal.SIGTTIN)
        server.wait_for_message("functions of", 2)
        server.process.send_signal(signal.SIGTTOU)
        wait_for_version(server, 1, 1)
        assert server.stop() == 0


def test_second_server_by_signal(tmp_path: Path) -> None:
    root = project(tmp_path, SERVED)
    pid_file = tmp_path / "pid"
    with serving(root, "--workers", "1", gunicorn=("--pid", str(pid_file))) as server:
        write_version(root, 2, "1 / 0\n")
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for_message("Reason: The project cannot be loaded.")  # the second server ends, the first does not
        assert version_of(server)["version"] == 1
        write_version(root, 3)
        wait_for_version(server, 1, 1)  # the second server has been waited for
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for_message("functions of", 2)
        second = int(Path(f"{pid_file}.2").read_text())
        server.terminate()
        wait_until_only(server, 3)
        os.kill(second, signal.SIGTERM)


def wait_until_only(server: Server, version: int) -> None:
    """Ask until the server that was there first has ended, and the second one answers."""
    server.process.wait(PATIENT)
    assert {version_of(server)["version"] for _ in range(3)} == {version}


# --- handlers that do what they should not ---


@pytest.mark.parametrize("name", ["exit", "aexit", "interrupt", "ainterrupt", "acancel", "recursion", "none", "crlf"])
def test_handler_that_tries_to_end_the_process(server: Server, name: str) -> None:
    before = server.workers()
    for _ in range(3):
        answer = requests.get(f"{server.url}/_functions/{name}", timeout=30)
        assert answer.status_code == 500
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert server.workers() == before


def test_task_of_a_handler_that_calls_exit(server: Server) -> None:
    before = server.workers()
    assert requests.get(f"{server.url}/_functions/taskexit", timeout=30).json()["pid"] in before
    assert requests.get(f"{server.url}/_functions/hello/x", timeout=30).ok
    assert server.workers() == before


def test_body_that_is_nested_very_deep(server: Server) -> None:
    assert requests.get(f"{server.url}/_functions/nested", timeout=30).status_code == 500
    assert requests.get(f"{server.url}/_functions/hello/x", timeout=30).ok


# --- the loop is never blocked ---


def test_sleeping_threads_do_not_delay_async_functions(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    limits: dict[str, Any] = {"WIXHTTP_TIMEOUT": "0", "WIXHTTP_QUEUE_TIMEOUT": "60"}
    with serving(SITE, "--workers", "1", "--threads", "4", **limits) as server, ThreadPoolExecutor(5) as clients:
        try:
            target = f"{server.url}/_functions/held/x?until={gate}"
            waiting = [clients.submit(requests.get, target, timeout=PATIENT) for _ in range(5)]
            server.wait_for_message("held x", 4)
            with requests.Session() as session:  # while all threads are taken, and a request waits for one
                for _ in range(20):
                    assert session.get(f"{server.url}/_functions/ahello/x", timeout=PATIENT).ok
            assert not any(each.done() for each in waiting)
        finally:
            gate.touch()
        assert [each.result().status_code for each in waiting] == [200] * 5


# --- out of file descriptors ---

# The limit is the hard one, so that the server cannot raise it.
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
def test_out_of_file_descriptors(tmp_path: Path, worker_class: str) -> None:
    root = project(tmp_path, SERVED)
    flags = ("--workers", "1", "--worker-class", worker_class)
    prefix = [sys.executable, "-c", LIMITED]
    with serving(root, *flags, prefix=prefix) as server:
        before = server.workers()
        connections = [connect(server.port) for _ in range(80)]
        [line] = server.wait_for_message("out of file descriptors")
        assert (line["severity"], line["logger"]) == ("ERROR", "wixhttp")
        assert "this process may have 60" in line["message"]
        for connection in connections:
            connection.close()
        server.wait_for_message("there are file descriptors again")
        assert version_of(server)["version"] == 1
        assert server.workers() == before
        assert server.stop() == 0
    told = [line for line in server.lines if line["severity"] not in ("INFO", "WARNING") or line["logger"] == "stderr"]
    assert [line["message"][:23] for line in told] == ["out of file descriptors"]
    assert server.errors == ""


def test_shortage_is_said_again_after_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    shortage = DescriptorShortage(lambda: now)
    error = OSError(errno.EMFILE, "Too many open files")
    for now in (0.0, 1.0, AGAIN - 1, AGAIN, AGAIN + 1):  # noqa: B007  # the clock reads it
        shortage.note(error)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    caplog.set_level("INFO")
    for now in (AGAIN + 2, AGAIN + 10, AGAIN + 11):  # noqa: B007
        shortage.look(0)
    assert [record.message for record in caplog.records[2:]] == ["there are file descriptors again"]


# --- health ---


def test_health_for_this_machine(server: Server) -> None:
    for name in ("live", "ready"):
        answer = requests.get(f"{server.url}/_wixhttp/health/{name}", timeout=30)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    # through a proxy that is not trusted, nobody knows who asks
    through = requests.get(f"{server.url}/_wixhttp/health/live", headers={"X-Forwarded-For": "10.0.0.1"}, timeout=30)
    assert through.status_code == 403
    assert requests.get(f"{server.url}/_wixhttp/other", timeout=30).status_code == 404
    assert requests.post(f"{server.url}/_wixhttp/health/live", timeout=30).status_code == 405


def test_health_on_a_port_of_its_own() -> None:
    port = free_port()
    with serving(SITE, "--workers", "1", WIXHTTP_HEALTH_PORT=str(port), WIXHTTP_HEALTH="public") as server:
        other = f"http://127.0.0.1:{port}"
        forwarded = {"X-Forwarded-For": "8.8.8.8"}
        assert requests.get(f"{other}/_wixhttp/health/ready", headers=forwarded, timeout=30).status_code == 200
        assert requests.get(f"{other}/_functions/hello/x", timeout=30).status_code == 404
        assert requests.get(f"{server.url}/_wixhttp/health/ready", timeout=30).status_code == 404
        assert requests.get(f"{server.url}/_functions/hello/x", timeout=30).status_code == 200


def test_health_public_behind_a_trusted_proxy() -> None:
    forwarded = {
        "X-Forwarded-For": "6.6.6.6, 8.8.8.8",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example.com",
    }
    settings: dict[str, Any] = {"WIXHTTP_HEALTH": "public", "WIXHTTP_TRUSTED_PROXIES": "1"}
    with serving(SITE, "--workers", "1", **settings) as server:
        assert requests.get(f"{server.url}/_wixhttp/health/live", headers=forwarded, timeout=30).status_code == 200
        about = requests.get(f"{server.url}/_functions/about", headers=forwarded, timeout=30).json()
        assert (about["ip"], about["baseUrl"]) == ("8.8.8.8", "https://shop.example.com/_functions")
        [line] = server.wait_for_message("/_functions/about", logger="wixhttp.access")
        assert line["client_ip"] == "8.8.8.8"


def test_health_off_and_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "serve.sock"
    bind = ("--bind", f"unix:{path}")
    with serving(SITE, "--workers", "1", gunicorn=bind, wait=False, WIXHTTP_HEALTH="off") as server:
        server.wait_for_message("functions of")
        for target, status in (("/_functions/hello/x", 200), ("/_wixhttp/health/live", 404)):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(30)
                connection.connect(str(path))
                connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert read_answer(connection).status == status


# --- who is believed ---


@pytest.mark.parametrize("worker_class", ["asgi", "gthread"])
@pytest.mark.parametrize(
    ("options", "environ", "scheme"),
    [
        ((), {}, "http"),
        (("--forwarded-allow-ips", "127.0.0.1"), {}, "https"),
        ((), {"FORWARDED_ALLOW_IPS": "127.0.0.1"}, "https"),
        ((), {"GUNICORN_CMD_ARGS": "--forwarded-allow-ips=127.0.0.1"}, "https"),
    ],
)
def test_who_may_say_https(worker_class: str, options: tuple[str, ...], environ: dict[str, Any], scheme: str) -> None:
    flags = ("--workers", "1", "--worker-class", worker_class)
    with serving(SITE, *flags, gunicorn=options, **environ) as server:
        said = {"X-Forwarded-Proto": "https"}
        about = requests.get(f"{server.url}/_functions/about", headers=said, timeout=PATIENT).json()
    assert about["url"].partition(":")[0] == scheme
