"""`wixhttp dev`: a save is served at once, whatever was saved, and no request is refused meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dev_servers import FUNCTIONS, Development, developing, returning, save_at_once, wait_until
from tests.servers import TIMEOUT, connect, read_all, read_answer

SETTINGS = "import_timeout = 2.5\ngraceful_timeout = 5\n"
ASK = b"GET /_functions/version HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "backend").mkdir()
    (folder / FUNCTIONS).write_text(returning("begin"))
    (folder / "wixhttp.toml").write_text(SETTINGS)
    with developing(folder) as server:
        yield server
        assert "Traceback (most recent call last)" not in server.server.errors


@pytest.fixture
def site(running: Development) -> Iterator[Development]:
    """The server, which serves the one function; a test that fails leaves nothing to the next one."""
    yield running
    if running.get() != (200, "whole"):
        running.save(returning("whole"))


# --- what is served --------------------------------------------------------------------------------------------------


def test_the_lines_of_a_start_and_of_a_reload(running: Development) -> None:
    messages = running.server.messages("wixhttp")
    assert f"1 function of {running.folder} at http://127.0.0.1:{running.port}/" in messages
    assert f"the inspector is at http://127.0.0.1:{running.port}/_wixhttp/" in messages
    assert "files are watched: a save is served at once (watchfiles)" in messages
    before = len(running.server.lines)
    running.save(returning("second"))
    assert running.get() == (200, "second")
    lines = [line for line in running.server.lines[before:] if line["logger"] != "wixhttp.access"]
    assert len(lines) == 1
    assert lines[0]["message"].startswith(f"reloaded {FUNCTIONS} in ")
    assert lines[0]["message"].endswith(" ms")


def test_two_saves_of_one_length_within_a_second_are_both_served(site: Development) -> None:
    now = time.time()
    for value in ("aaaa", "bbbb", "cccc"):
        with site.reloading(FUNCTIONS):
            save_at_once(site.folder / FUNCTIONS, returning(value), modified=now)
        assert site.get() == (200, value)
    assert not list(site.folder.rglob("*.pyc"))


def test_imported_modules_settings_env_files_and_endpoints_are_read_anew(site: Development) -> None:
    source = "from wixhttp import ok\nfrom wixhttp.secrets import getSecret\nfrom backend.lib.rates import RATE\n\n\n"
    source += "def get_version(request):\n    return ok(f'{RATE} {getSecret(\"PLACE\")} {request.baseUrl}')\n"
    with site.reloading():
        (site.folder / "backend/lib").mkdir()
        (site.folder / "backend/lib/rates.py").write_text("RATE = 1\n")
        (site.folder / ".env").write_text("PLACE=here\n")
    site.save(source)
    assert site.get()[1].startswith("1 here http://127.0.0.1:")
    site.save("RATE = 2\n", "backend/lib/rates.py")
    site.save("PLACE=there\n", ".env")
    site.save(SETTINGS + 'public_url = "https://a.example"\n', "wixhttp.toml")
    assert site.get()[1].startswith("2 there https://a.example")
    site.save("from wixhttp.endpoints import Response\n\n\ndef GET():\n    return Response('page')\n", "src/pages/p.py")
    assert site.get("/p") == (200, "page")
    site.save("<p>public</p>", "public/a.html")
    assert site.get("/a.html") == (200, "<p>public</p>")
    site.save(SETTINGS, "wixhttp.toml")


def test_a_broken_endpoint_fails_alone_and_is_told_with_its_line(site: Development) -> None:
    site.save("def GET(:\n", "src/pages/broken.py")
    assert site.get()[0] == 200
    assert site.failure("/broken")["exception"] == "SyntaxError"
    [line] = [each for each in site.server.lines if each["message"] == "src/pages/broken.py cannot be loaded"]
    assert "def GET(:" in line["exception"]
    with site.reloading("src/pages/broken.py"):
        (site.folder / "src/pages/broken.py").unlink()


# --- how editors save ------------------------------------------------------------------------------------------------


def test_files_are_saved_by_temporary_names_renaming_and_with_other_line_ends(site: Development) -> None:
    path = site.folder / FUNCTIONS
    with site.reloading(FUNCTIONS):  # vim, with a backup; the names beside it are no files of the project
        (site.folder / "backend/4913").write_text("")
        (site.folder / "backend/4913").unlink()
        path.rename(site.folder / "backend/http_functions.py~")
        path.write_bytes(returning("vim").encode())
        (site.folder / "backend/http_functions.py~").unlink()
    wait_until(lambda: site.get() == (200, "vim"))
    with site.reloading(FUNCTIONS):  # written aside, and renamed over
        temporary = site.folder / "backend/.http_functions.py.x1"
        temporary.write_bytes(returning("renamed").replace("\n", "\r\n").encode())
        temporary.replace(path)
    wait_until(lambda: site.get() == (200, "renamed"))


def test_a_file_that_is_saved_in_two_halves_is_served_once_it_is_whole(site: Development) -> None:
    whole = returning("both halves")
    with site.reloading("waiting"), open(site.folder / FUNCTIONS, "w") as file:
        file.write(whole[: whole.index(")")])
    with site.reloading("reloaded"), open(site.folder / FUNCTIONS, "a") as file:
        file.write(whole[whole.index(")") :])
    assert site.get() == (200, "both halves")


def test_a_deleted_file_and_a_folder_that_moves_are_noticed(site: Development) -> None:
    with site.reloading(FUNCTIONS):
        (site.folder / FUNCTIONS).unlink()
    assert site.get()[0] in (404, 500)  # as there are endpoints or not
    site.save(returning("again"))
    site.save("VALUE = 1\n", "backend/one/deep/value.py")
    site.save(returning("moved", "from backend.two.deep.value import VALUE\n"))
    assert site.failure()["exception"] == "ModuleNotFoundError"
    with site.reloading("reloaded"):
        (site.folder / "backend/one").rename(site.folder / "backend/two")
    assert site.get() == (200, "moved")
    site.save("VALUE = 1 +\n", "backend/two/deep/value.py")  # the folder is watched at its new place
    assert site.failure()["place"].startswith("backend/two/deep/value.py:1")
    site.save("VALUE = 2\n", "backend/two/deep/value.py")


def test_what_changes_nothing_is_no_reason_to_reload(site: Development) -> None:
    before = len(site.reloads())
    path = site.folder / FUNCTIONS
    path.touch()
    save_at_once(path, path.read_text())
    path.chmod(0o600)
    for name in (
        "data/notes.py",
        "node_modules/a.js",
        ".cache/a.py",
        "backend/__pycache__/b.py",
        "dist/c.html",
        "a.md",
    ):
        (site.folder / name).parent.mkdir(exist_ok=True)
        (site.folder / name).write_text("new")
    site.save(returning("after"))
    assert len(site.reloads()) == before + 1


def test_of_many_saves_in_a_row_the_last_one_is_served(site: Development) -> None:
    before = len(site.reloads())
    for number in range(40):
        (site.folder / FUNCTIONS).write_text(returning(f"row {number}"))
        time.sleep(0.005)  # faster than a reload
    wait_until(lambda: site.get() == (200, "row 39"))
    assert before < len(site.reloads()) < before + 40


# --- bad saves -------------------------------------------------------------------------------------------------------

BAD = {
    "syntax": ("def get_version(:\n", "SyntaxError"),
    "indentation": ("def get_version(request):\nreturn 1\n", "IndentationError"),
    "import": ("import not_there_at_all\n", "ModuleNotFoundError"),
    "circular": ("from backend.http_functions import get_other\n", "ImportError"),
    "exception": ("import json\njson.loads('{')\n", "JSONDecodeError"),
    "system exit": ("import sys\nsys.exit(5)\n", "SystemExit"),
    "interrupt": ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    "endless": ("while True:\n    pass\n", "ImportTimeout"),
    "signature": ("def get_version(a, b, c):\n    pass\n", "ProjectError"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_save_is_answered_with_its_reason_and_the_next_good_one_mends_it(site: Development, what: str) -> None:
    source, exception = BAD[what]
    site.save(source)
    assert site.failure()["exception"].endswith(exception)
    assert site.failure("/any/other/path")["exception"].endswith(exception)
    assert "text/html" in _content_type(site, "/_functions/version")
    site.save(returning("whole"))
    assert site.get() == (200, "whole")


def _content_type(site: Development, path: str) -> str:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=TIMEOUT)) as connection:
        connection.request("GET", path, headers={"Accept": "text/html"})
        answer = connection.getresponse()
        answer.read()
        return answer.headers["Content-Type"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import os\nos._exit(7)\n", "ended with exit code 7: something calls os._exit() at import"),
        ("import ctypes\nctypes.string_at(0)\n", "was ended by SIGSEGV"),
        (
            "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass\n",
            "catches all that would end it",
        ),
    ],
    ids=["os._exit", "segmentation fault", "catches everything"],
)
def test_an_import_that_ends_its_process_is_told(site: Development, source: str, told: str) -> None:
    site.save(source)
    message = site.failure()["message"]
    assert told in message
    if "SIGSEGV" in told:
        assert 'http_functions.py", line 2 in <module>' in message
    site.save(returning("whole"))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("wixhttp.toml", "timeout = 'long'\n", "timeout"),
        ("wixhttp.toml", "this is no toml\n", "wixhttp.toml"),
        (".env", "no assignment: 'at all\n", ".env:1"),
        ("data/collections.toml", "[books\n", "collections.toml"),
    ],
)
def test_a_wrong_file_of_settings_is_told_and_mended(site: Development, name: str, text: str, told: str) -> None:
    path = site.folder / name
    before = path.read_text() if path.exists() else None
    site.save(text, name)
    assert told in site.failure()["message"]
    with site.reloading(name):
        if before is None:
            path.unlink()
        else:
            save_at_once(path, before)
    assert site.get()[0] == 200


def test_a_good_save_ends_an_endless_import_at_once(site: Development, tmp_path: Path) -> None:
    site.save(SETTINGS.replace("import_timeout = 2.5", "import_timeout = 60"), "wixhttp.toml")
    save_at_once(
        site.folder / FUNCTIONS,
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'began')!r}).write_text('x')\nwhile True: time.sleep(1)\n",
    )
    wait_until((tmp_path / "began").exists)
    site.save(returning("mended"))
    assert site.get() == (200, "mended")
    site.save(SETTINGS, "wixhttp.toml")


# --- requests during a reload ----------------------------------------------------------------------------------------


def test_no_request_is_refused_or_lost_over_saves_of_which_some_are_broken(site: Development) -> None:
    answers: Counter[tuple[str, int]] = Counter()
    failures: list[str] = []
    has_ended = threading.Event()

    def ask_by_new_connections() -> None:
        while not has_ended.wait(0.005):
            try:
                answers["new", site.get()[0]] += 1
            except Exception as error:  # noqa: BLE001  # whatever a client sees
                failures.append(f"new: {error!r}")

    def ask_by_one_connection() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=TIMEOUT)
        connection.connect()
        connection.auto_open = 0
        with contextlib.closing(connection):
            while not has_ended.wait(0.005):
                try:
                    connection.request("GET", "/_functions/version")
                    answer = connection.getresponse()
                    answer.read()
                    answers["kept", answer.status] += 1
                except Exception as error:  # noqa: BLE001  # as above
                    failures.append(f"kept: {error!r}")
                    return

    clients = [threading.Thread(target=each) for each in (ask_by_new_connections, *[ask_by_one_connection] * 3)]
    for client in clients:
        client.start()
    try:
        quick = [source for what, (source, _) in BAD.items() if what != "endless"]
        for number in range(12):
            site.save(returning(number))
            assert site.get() == (200, str(number))
            if number < len(quick):
                site.save(quick[number])
                assert site.get()[0] == 500
    finally:
        has_ended.set()
        for client in clients:
            client.join(TIMEOUT)
    assert failures == []
    assert all(answers[kind, status] for kind in ("new", "kept") for status in (200, 500))


def test_a_running_request_is_finished_by_the_code_that_it_began_with(site: Development, tmp_path: Path) -> None:
    source = "import pathlib, time\nfrom wixhttp import ok\n\n\ndef get_version(request):\n"
    source += f"    pathlib.Path({str(tmp_path / 'began')!r}).touch()\n"
    source += f"    while not pathlib.Path({str(tmp_path / 'go')!r}).exists():\n        time.sleep(0.01)\n"
    source += "    return ok('old')\n"
    site.save(source)
    with connect(site.port) as connection:
        connection.sendall(ASK)
        wait_until((tmp_path / "began").exists)
        site.save(returning("new"))
        assert site.get() == (200, "new")
        (tmp_path / "go").touch()
        assert read_answer(connection).body == b"old"
        connection.sendall(ASK)  # the connection is the next worker's now
        assert read_answer(connection).body == b"new"


def test_a_connection_outlives_reloads_with_half_a_request_that_was_sent(site: Development) -> None:
    site.save(returning("one"))
    with connect(site.port) as connection:
        connection.sendall(ASK)
        assert read_answer(connection).body == b"one"
        site.save(returning("two"))
        connection.sendall(ASK)
        assert read_answer(connection).body == b"two"
        connection.sendall(ASK[:20])
        site.get()  # it was read by now: the server reads connections in turn
        site.save(returning("three"))
        site.save(returning("four"))
        connection.sendall(ASK[20:])
        assert read_answer(connection).body == b"four"


def test_a_stream_of_events_is_ended_in_order_and_its_connection_goes_on(site: Development) -> None:
    with connect(site.port) as connection:
        connection.sendall(b"GET /_wixhttp/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        first = _event(connection)
        site.save("def get_version(:\n")
        assert connection.recv(100) == b"0\r\n\r\n"
        connection.sendall(b"GET /_wixhttp/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        second = _event(connection)
        assert second["generation"] > first["generation"]
        assert (first["ok"], second["ok"]) == (True, False)
        site.save(returning("whole"))
        assert connection.recv(100) == b"0\r\n\r\n"


def _event(connection: socket.socket) -> dict[str, int]:
    data = b""
    while not data.endswith(b"\n\n\r\n"):
        data += connection.recv(1000)
    event: dict[str, int] = json.loads(data.partition(b"data: ")[2].partition(b"\n")[0])
    return event


def test_a_streamed_answer_is_sent_to_its_end_by_the_old_worker(site: Development, tmp_path: Path) -> None:
    source = "import pathlib, time\nfrom wixhttp import Response\n\n\ndef rows():\n    yield 'first\\n'\n"
    source += f"    while not pathlib.Path({str(tmp_path / 'go')!r}).exists():\n        time.sleep(0.01)\n"
    source += "    yield 'last\\n'\n\n\ndef get_version(request):\n    return Response(200, rows())\n"
    site.save(source)
    with connect(site.port) as connection:
        connection.sendall(ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert b"first" in connection.recv(1000)
        site.save(returning("new"))
        (tmp_path / "go").touch()
        assert read_all(connection).endswith(b"last\n\r\n0\r\n\r\n")


# --- processes -------------------------------------------------------------------------------------------------------


def test_a_worker_that_a_handler_ends_is_replaced_and_that_is_said(site: Development) -> None:
    source = "import os\n" + returning("whole")
    source += "\n\ndef get_end(request):\n    os._exit(9)\n\n\nasync def get_crash(request):\n    os.abort()\n"
    site.save(source)
    for path, told in (("/_functions/end", "ended with exit code 9"), ("/_functions/crash", "was ended by SIGABRT")):
        with site.reloading("the project is served again"), contextlib.suppress(OSError, http.client.HTTPException):
            site.get(path)
        assert site.get() == (200, "whole")
        site.server.wait_for_message(told)
    [crash] = [line for line in site.server.lines if "was ended by SIGABRT" in line["message"]]
    assert "in get_crash" in crash["exception"]


def test_nobody_waits_for_a_worker_whose_event_loop_is_blocked(site: Development, tmp_path: Path) -> None:
    source = "import os, pathlib\n" + returning("whole")
    source += f"\n\nasync def get_blocked(request):\n    began = pathlib.Path({str(tmp_path / 'began')!r})\n"
    source += "    began.write_text(str(os.getpid()))\n    while True:\n        pass\n"
    site.save(source)
    with connect(site.port) as blocked:
        blocked.sendall(ASK.replace(b"version", b"blocked"))
        wait_until(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text())
        site.save(returning("next"))
        assert site.get() == (200, "next")
        os.kill(int((tmp_path / "began").read_text()), signal.SIGKILL)  # it would be, after graceful_timeout
