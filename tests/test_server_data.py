"""`wixhttp serve` and the other servers with collections: opened by each worker, and not in the way of a start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tests.interfaces import write_project
from tests.servers import TIMEOUT, Server, clean, failed_start, serving

FUNCTIONS = """
    from wixhttp import created, ok
    from wixhttp import data as wix_data
    from wixhttp.data import aio

    def post_books(request):
        return created(body=wix_data.insert("books", request.body.json()))
    def get_books(request): return ok(body=wix_data.query("books").ascending("title").find().items)
    async def get_later(request): return ok(body=(await aio.query("books").count()))
    async def post_later(request): return ok(body=(await aio.insert("books", await request.body.json())))
    def get_hello(request): return ok(body="hello")
"""
HOOKS = """
    from wixhttp.data import aio

    async def books_beforeInsert(item, context):
        return {**item, "number": await aio.query("books").count()}
"""
FILES = {
    "backend/http_functions.py": FUNCTIONS,
    "backend/data.py": HOOKS,
    "data/collections.toml": "[books]\n",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_project(tmp_path / "site", FILES)


def page(server: Server, name: str) -> requests.Response:
    return requests.get(f"{server.url}/_wixhttp/health/{name}", timeout=TIMEOUT)


def until_ready(server: Server, status: int) -> requests.Response:
    end = time.monotonic() + TIMEOUT
    while (answer := page(server, "ready")).status_code != status:
        assert time.monotonic() < end, answer.text
        time.sleep(0.02)
    return answer


def titles(server: Server) -> list[str]:
    items = requests.get(f"{server.url}/_functions/books", timeout=TIMEOUT).json()
    return [item["title"] for item in items]


def open_databases(pid: int) -> list[str]:
    """The files of the database that a process has open."""
    names = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]
    return [name for name in names if "wixhttp.sqlite3" in name]


def test_workers_share_the_collections(site: Path) -> None:
    with serving(site, "--workers", "2") as server:
        until_ready(server, 200)
        for number in range(12):
            path = ("books", "later")[number % 2]
            answer = requests.post(f"{server.url}/_functions/{path}", json={"title": f"{number:02}"}, timeout=TIMEOUT)
            assert answer.ok, (answer.text, server.errors)
            assert answer.json()["number"] == number
        assert titles(server) == [f"{number:02}" for number in range(12)]
        assert requests.get(f"{server.url}/_functions/later", timeout=TIMEOUT).json() == 12
        assert open_databases(server.process.pid) == []
        assert any(open_databases(pid) for pid in server.workers())
        assert server.stop() == 0
    assert (site / "data/wixhttp.sqlite3").is_file()
    with serving(site, "--workers", "1", "--worker-class", "gthread") as server:
        assert len(titles(server)) == 12


@pytest.mark.parametrize("worker_class", ["asgi", "gthread", "gevent"])
def test_async_hooks_of_calls_that_block(site: Path, worker_class: str) -> None:
    with serving(site, "--workers", "1", "--worker-class", worker_class) as server:
        url, closing = f"{server.url}/_functions", {"Connection": "close"}  # gevent's worker waits for idle clients
        for number in range(3):  # the loop of `async def` functions runs by then, or not yet
            for name in ("books", "later"):
                answer = requests.post(
                    f"{url}/{name}", json={"_id": f"{name}{number}"}, headers=closing, timeout=TIMEOUT
                )
                assert answer.ok, answer.text
        numbers = [item["number"] for item in requests.get(f"{url}/books", headers=closing, timeout=TIMEOUT).json()]
        assert sorted(numbers) == list(range(6))


def test_asking_for_health_makes_no_database(tmp_path: Path) -> None:
    site = write_project(tmp_path, {"backend/http_functions.py": FUNCTIONS})
    with serving(site, "--workers", "1") as server:
        assert page(server, "ready").status_code == 200
        assert not (site / "data").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("data/collections.toml", "[books]\nindexs = []\n", "data/collections.toml:2: books.indexs: 'indexs' is not"),
        ("backend/data.py", "def books_afterGet(a, b, c): ...\n", "the hook afterGet takes (item, context), or less"),
        ("backend/data.py", "import nothing_there\n", "data.py cannot be imported: ModuleNotFoundError"),
        ("wixhttp.toml", "database_url = 'mysql://x'\n", "wixhttp.toml:1: database_url is sqlite:///"),
    ],
)
def test_what_is_wrong_ends_the_start(site: Path, name: str, text: str, message: str) -> None:
    (site / name).write_text(text)
    code, errors, _ = failed_start(site, "--workers", "2")
    assert code == 3, errors
    assert errors.count(message) == 1


def test_a_database_that_cannot_be_reached_does_not_keep_the_server_from_starting(site: Path) -> None:
    # Nothing can be made below a device.
    with serving(site, "--workers", "1", WIXHTTP_DATABASE_URL="sqlite:////dev/null/x.sqlite3") as server:
        answer = until_ready(server, 503)
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["detail"] == "The database does not answer."
        assert page(server, "live").status_code == 200
        assert requests.get(f"{server.url}/_functions/hello", timeout=TIMEOUT).text == "hello"
        refused = requests.get(f"{server.url}/_functions/books", timeout=TIMEOUT)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        server.wait_for_message("the database does not answer; this process is not ready")


def post(server: Server, title: str) -> requests.Response:
    return requests.post(f"{server.url}/_functions/books", json={"title": title}, timeout=TIMEOUT)


def refuses(server: Server, since: float = 0.0) -> None:
    """Each worker says 503, to calls and to probes; a connection may reach any of them. What is written is refused at
    once, what is read a tenth of a second after ``since``."""
    while time.monotonic() - since <= 0.1:
        assert post(server, "lost").status_code == 503
    for _ in range(10):
        for answer in (post(server, "lost"), requests.get(f"{server.url}/_functions/books", timeout=TIMEOUT)):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), answer.text
            assert "sqlite3" not in answer.text
        assert page(server, "ready").status_code == 503


def test_a_deleted_database_is_noticed_at_once_and_never_made_anew(site: Path, tmp_path: Path) -> None:
    database = site / "data/wixhttp.sqlite3"
    with serving(site, "--workers", "2") as server:
        until_ready(server, 200)
        assert post(server, "kept").ok
        run_data(site, "backup", str(tmp_path / "backup"))
        assert post(server, "after the backup").ok
        database.unlink()
        refuses(server, time.monotonic())
        first = server.workers()[0]
        os.kill(first, signal.SIGKILL)  # a worker that never saw the database does not take it for a first start
        server.wait_for_message("serving ", count=3)
        refuses(server)
        assert not database.exists()
        lines = [line for line in server.messages() if f"{str(database)!r} is gone" in line]
        assert any("or a backup of it is in its place" in line for line in lines)
        assert len([line for line in lines if line.startswith("WDE0053")]) <= 3, "once for each worker"
        os.replace(tmp_path / "backup", database)
        until_ready(server, 200)
        for _ in range(10):
            assert titles(server) == ["kept"]
        assert post(server, "new").ok
        for _ in range(10):
            assert titles(server) == ["kept", "new"]
        server.wait_for_message("was replaced: the new file is in use")
        assert server.stop() == 0
    assert run_data(site, "check") == "no problems\n"


def test_damaged_pages_make_the_server_not_ready(site: Path) -> None:
    database = site / "data/wixhttp.sqlite3"
    with serving(site, "--workers", "1") as server:
        for number in range(50):
            assert post(server, f"{number:03}" + "x" * 3000).ok
        assert server.stop() == 0
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xa5" * (size // 2))
    with serving(site, "--workers", "1") as server:
        until_ready(server, 503)
        refuses(server)
        [line] = {line for line in server.messages() if line.startswith("WDE0053")}
        assert f"The database {str(database)!r}, or its log wixhttp.sqlite3-wal, is damaged" in line
        assert "wixhttp data check" in line
        assert not [line for line in server.lines if isinstance(line, dict) and "exception" in line]


def test_a_damaged_log_makes_the_server_not_ready(site: Path) -> None:
    log = site / "data/wixhttp.sqlite3-wal"
    with serving(site, "--workers", "2") as server:
        until_ready(server, 200)
        assert post(server, "kept").ok
        with log.open("r+b") as file:
            file.write(b"\xa5" * log.stat().st_size)
        assert post(server, "lost").status_code == 503
        until_ready(server, 503)
        server.wait_for_message("wixhttp data check")
        assert not [line for line in server.lines if isinstance(line, dict) and "exception" in line]


def test_another_server_serves_the_collections(site: Path) -> None:
    command = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:{port}", "wixhttp.wsgi:application"]
    with serving(site, command=command, WIXHTTP_PROJECT=str(site)) as server:
        for path in ("books", "later"):
            body = {"title": path}
            assert requests.post(f"{server.url}/_functions/{path}", json=body, timeout=TIMEOUT).ok, server.errors
        assert titles(server) == ["books", "later"]


def test_a_call_reaches_the_collections_of_the_project(site: Path) -> None:
    for number in range(2):
        answer = run_call(site, "POST", "later", "-d", f'{{"title": "{number}"}}')
        assert json.loads(answer)["number"] == number
    assert json.loads(run_call(site, "GET", "later")) == 2


def run_data(site: Path, *words: str) -> str:
    """The output of `wixhttp data`."""
    command = [sys.executable, "-m", "wixhttp", "--project", str(site), "data", *words]
    done = subprocess.run(command, env=clean({}), capture_output=True, check=True, timeout=TIMEOUT, text=True)
    return done.stdout


def run_call(site: Path, *words: str) -> str:
    """The body that `wixhttp call` prints."""
    command = [sys.executable, "-m", "wixhttp", "call", *words]
    done = subprocess.run(command, cwd=site, env=clean({}), capture_output=True, check=True, timeout=TIMEOUT)
    return done.stdout.decode().partition("\n\n")[2]
