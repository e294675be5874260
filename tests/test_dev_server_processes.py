"""`wixhttp dev`: the processes, threads and addresses that the user's code takes, and what ends them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dev_servers import Development, command_of, developing, is_alive, returning, wait_until
from tests.servers import children, clean, connect, free_port, project, read_answer

SETTINGS = "graceful_timeout = 100\n"  # what ends sooner does not end by being killed
BROWSER = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    with developing(project(tmp_path_factory.mktemp("site"), returning("begin"), SETTINGS)) as server:
        yield server


@pytest.fixture
def site(running: Development) -> Iterator[Development]:
    """The server, which serves the one function; a test that fails leaves nothing to the next one."""
    yield running
    if running.get() != (200, "whole"):
        running.save(returning("whole"))


def _sockets(pid: int) -> set[str]:
    """The sockets that a process has open."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(os.readlink(entry))
    return {each for each in found if each.startswith("socket:")}


# --- processes -------------------------------------------------------------------------------------------------------

FORKING = """
import multiprocessing, os, time
from wixhttp import ok

def sleep():
    open(os.path.join({folder!r}, str(os.getpid())), "w").close()
    time.sleep(600)

def start():
    multiprocessing.get_context("fork").Process(target=sleep).start()
    if os.fork() == 0:
        sleep()

start()

def get_version(request):
    start()
    return ok({value!r})
"""


def test_forked_processes_have_no_socket_of_the_server_and_end_with_their_worker(
    site: Development, tmp_path: Path
) -> None:
    site.save(FORKING.format(folder=str(tmp_path), value="one"))
    with connect(site.port) as connection:
        connection.sendall(b"GET /_functions/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert read_answer(connection).body == b"one"
        assert connection.recv(1) == b""  # although a process was forked while it was open
    wait_until(lambda: len(list(tmp_path.iterdir())) == 4)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    servers = _sockets(site.server.process.pid)
    assert servers
    for pid in pids:
        assert not _sockets(pid) & servers
    site.save(returning("whole"))
    wait_until(lambda: not any(map(is_alive, pids)))


STRAYING = """
import os
from wixhttp import ok

{at_import}

def get_version(request):
    os.fork()
    return ok(str(os.getpid()))

async def get_other(request):
    os.fork()
    return ok(str(os.getpid()))
"""


def test_a_forked_process_that_comes_back_to_the_server_is_ended(site: Development) -> None:
    said = "a forked process came back from the code that forked it"
    site.save(STRAYING.format(at_import="os.fork()"))
    site.server.wait_for_message(said, 1)
    for count, path in enumerate(("/_functions/version", "/_functions/other"), 2):
        status, pid = site.get(path)
        assert (status, int(pid) in children(site.server.process.pid)) == (200, True)
        site.server.wait_for_message(said, count)
    wait_until(lambda: not any(map(is_alive, children(int(pid)))))


def test_connections_are_not_inherited_by_programs_that_handlers_start(site: Development, tmp_path: Path) -> None:
    listed = tmp_path / "listed"
    source = "import os\nfrom wixhttp import ok\n\n\ndef get_version(request):\n"
    source += f"    os.system('ls -l /proc/self/fd > {listed}')\n    return ok('done')\n"
    with connect(site.port) as connection:
        for save in (source, f"{source}# once more\n"):
            site.save(save)  # from the second one on, the connection is one that was handed over
            connection.sendall(b"GET /_functions/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_answer(connection).body == b"done"
            assert str(listed) in listed.read_text()
            assert "socket:" not in listed.read_text()


# --- threads ---------------------------------------------------------------------------------------------------------


def test_a_worker_does_not_wait_for_threads_that_never_end(site: Development) -> None:
    source = "import atexit, os, threading, time\nfrom wixhttp import ok\n\n\ndef wait():\n    time.sleep(1000)\n\n\n"
    source += "threading.Thread(target=wait).start()\natexit.register(lambda: print('good-bye', flush=True))\n\n\n"
    source += "def get_version(request):\n    return ok(str(os.getpid()))\n"
    site.save(source)
    pid = int(site.get()[1])
    site.save(returning("whole"))
    wait_until(lambda: not is_alive(pid))
    site.server.wait_for_message("good-bye")


# --- addresses -------------------------------------------------------------------------------------------------------


def _binding(port: int, value: str) -> str:
    source = "import socket\nbound = socket.socket()\nbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
    return returning(value, f"{source}bound.bind(('127.0.0.1', {port}))\nbound.listen()\n")


def test_a_project_that_binds_an_address_is_loaded_once_the_worker_before_has_let_it_go(site: Development) -> None:
    port = free_port()
    for value in ("one", "two", "three"):
        site.save(_binding(port, value))
        assert site.get() == (200, value)


def test_an_address_that_another_process_has_is_told_and_a_page_that_is_asked_for_again_finds_it_free(
    site: Development,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        site.save(_binding(taken.getsockname()[1], "free"))
        before = len(site.server.lines)
        assert site.failure()["exception"] == "OSError"
        wait_until(lambda: _generation(site, "/any") != _generation(site, "/any"))  # it was loaded again
        assert not any("cannot be loaded" in line["message"] for line in site.server.lines[before:])  # that is known
    with site.reloading("the project is served again"):
        wait_until(lambda: site.get(**BROWSER)[0] == 200)
    assert site.get() == (200, "free")


def _generation(site: Development, path: str) -> str:
    time.sleep(0.2)
    found = re.search(r'name="generation" content="(\d+)"', site.get(path, **BROWSER)[1])
    assert found is not None
    return found[1]


def test_a_module_that_is_installed_is_found_by_the_next_request_of_a_browser(
    site: Development, tmp_path: Path
) -> None:
    site.save(returning("found", f"import sys\nsys.path.append({str(tmp_path)!r})\nimport lately_installed\n"))
    assert site.failure()["exception"] == "ModuleNotFoundError"
    (tmp_path / "lately_installed.py").write_text("")
    with site.reloading("the project is served again"):
        wait_until(lambda: site.get(**BROWSER)[0] == 200)


def test_a_secrets_file_that_is_made_private_is_read(site: Development) -> None:
    site.save("KEY=1\n", "secrets.env")
    (site.folder / "secrets.env").chmod(0o644)
    site.save(returning("whole", "from wixhttp.secrets import getSecret\ngetSecret('KEY')\n"))
    assert "chmod 600" in site.failure()["message"]
    with site.reloading("reloaded", "secrets.env"):
        (site.folder / "secrets.env").chmod(0o600)
    assert site.get() == (200, "whole")


# --- ends ------------------------------------------------------------------------------------------------------------


def test_the_first_death_after_a_save_is_followed_by_no_pause(site: Development) -> None:
    before = len(site.server.lines)
    for value in ("one", "two"):
        site.save(f"import os\n{returning(value)}\n\ndef get_end(request):\n    os._exit(9)\n")
        with site.reloading("the project is served again"), contextlib.suppress(OSError):
            site.get("/_functions/end")
    told = [line["message"] for line in site.server.lines[before:] if "exit code 9" in line["message"]]
    assert told == ["the worker ended with exit code 9; another one is started"] * 2


def test_an_import_that_is_killed_is_not_told_as_a_crash(site: Development) -> None:
    site.save("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert "was ended by SIGKILL, which another process sent, or the system" in site.failure()["message"]
    site.save("raise KeyboardInterrupt\n")
    assert re.search("cannot be imported: KeyboardInterrupt$", site.server.messages("wixhttp")[-2], re.MULTILINE)


def test_signals_that_are_ignored_from_the_start_stay_so_and_one_to_the_whole_group_ends_all(tmp_path: Path) -> None:
    start = ["sh", "-c", 'trap "" HUP INT; exec "$@"', "sh", sys.executable, "-m", "wixhttp"]
    with developing(project(tmp_path, returning("one")), start=start) as site:
        found = children(site.server.process.pid)
        for number in (signal.SIGHUP, signal.SIGINT):
            site.server.process.send_signal(number)
        site.save(returning("two"))
        assert site.get() == (200, "two")
        os.killpg(site.server.process.pid, signal.SIGTERM)
        assert site.server.wait_exit() == 0
        assert site.server.errors == ""
        wait_until(lambda: not any(map(is_alive, found)))


def test_standard_files_that_are_closed_are_no_reason_not_to_start(tmp_path: Path) -> None:
    folder = project(tmp_path, returning("one"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [part.replace("{port}", str(taken.getsockname()[1])) for part in command_of(folder)]
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" <&- >&-', "sh", *command], stderr=subprocess.PIPE, timeout=60, env=clean({}),
            check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.decode().startswith("Error: port ")
