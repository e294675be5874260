"""The commands `wixhttp inspect`, run as a user runs them: as processes, in a project's folder."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import write_project
from tests.servers import free_port
from tests.test_cli import Outcome, run
from tests.test_dev_traffic import make
from wixhttp.dev.traffic.kept_requests import LogLine
from wixhttp.dev.traffic.store import RequestStore

SITE = """
    from wixhttp import data as wix_data

    def get_hello(request):
        print("said hello")
        return ok({"body": {"hello": request.query["name"]}, "headers": {"X-Shop": "one"}})

    def post_hello(request):
        return created({"body": {"got": request.body.text(), "agent": request.headers["user-agent"]}})

    def post_books(request):
        return ok({"body": wix_data.insert("books", request.body.json())})

    def get_books(request):
        return ok({"body": {"count": wix_data.query("books").count()}})
"""
TYPE = ("Content-Type", "application/json")
ANSWER = b'{"hello":"Ada"}'


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with kept requests, to be copied."""
    folder = write_project(tmp_path_factory.mktemp("kept"), SITE)
    (folder / ".env").write_text("SHOP_KEY=the-key-of-the-shop\n")
    store = RequestStore(folder / ".wixhttp")
    size: dict[str, Any] = {
        "response_body": ANSWER,
        "response_size": len(ANSWER),
        "request_body": b"",
        "request_size": 0,
    }
    headers = [("X-Shop", "one"), TYPE, ("Content-Length", "15"), ("X-Request-Id", "first")]
    posted = b'{"got":"a the-key-of-the-shop","agent":"Shop"}'
    store.add(
        make(
            1,
            request_id="first",
            target="/_functions/hello?name=Ada&token=abc",
            response_headers=headers,
            request_headers=[("Host", "localhost"), ("Authorization", "Bearer abc")],
            timings={"handler": 1.2, "send": 0.1},
            logs=[LogLine(1_795_968_510.0, "INFO", "print", "said hello")],
            **size,
        )
    )
    store.add(
        make(
            2,
            method="POST",
            function="post_hello",
            status=201,
            response_headers=[TYPE],
            request_headers=[("User-Agent", "Shop"), ("Content-Type", "text/plain")],
            request_body=b"a the-key-of-the-shop",
            request_size=21,
            response_body=posted,
            response_size=len(posted),
        )
    )
    store.add(make(3, status=404, target="/nothing", function="", request_body=b"\xff\x00", request_size=2))
    store.close()
    return folder


@pytest.fixture
def site(kept: Path, tmp_path: Path) -> Path:
    return shutil.copytree(kept, tmp_path / "site")


def inspect(folder: Path, *arguments: str, code: int = 0, stdin: bytes = b"") -> Outcome:
    return run(folder, "inspect", *arguments, code=code, stdin=stdin)


def test_list_is_a_table_with_the_newest_last(kept: Path) -> None:
    lines = inspect(kept, "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert re.fullmatch(
        r"1  \d\d:\d\d:\d\d  GET    /_functions/hello\?name=Ada&token=\*\*\* +200 +1.5 ms  get_hello", lines[0]
    )
    assert inspect(kept, "list", "--limit", "1").out.startswith("3 ")
    rows = [json.loads(line) for line in inspect(kept, "list", "--json").out.splitlines()]
    assert rows[0]["target"] == "/_functions/hello?name=Ada&token=***"
    assert [row["status"] for row in rows] == [200, 201, 404]


@pytest.mark.parametrize(
    ("option", "ids"),
    [
        ("--status=2xx", [1, 2]),
        ("--status=404", [3]),
        ("--method=post", [2]),
        ("--function=get_hello", [1]),
        ("--text=ADA", [1]),
    ],
)
def test_list_filters(kept: Path, option: str, ids: list[int]) -> None:
    assert [int(line.split()[0]) for line in inspect(kept, "list", option).out.splitlines()] == ids


def test_show_prints_both_sides_masked(kept: Path) -> None:
    shown = inspect(kept, "show", "1").out
    assert shown == inspect(kept, "show", "first").out
    for part in (
        "GET /_functions/hello?name=Ada&token=*** HTTP/1.1", "Authorization: Bearer ***", "HTTP/1.1 200 OK",
        '  "hello": "Ada"', "INFO print: said hello", "# 1.5 ms (handler 1.2, send 0.1)  get_hello",
    ):  # fmt: skip
        assert part in shown
    assert "the-key-of-the-shop" not in inspect(kept, "show", "2").out
    assert "(2 bytes that are no text)" in inspect(kept, "show", "3").out
    whole = json.loads(inspect(kept, "show", "2", "--json").out)
    assert whole["request"]["body"] == "a ***"
    assert json.loads(inspect(kept, "show", "3", "--json").out)["request"] == {
        "method": "GET", "target": "/nothing", "host": "localhost", "headers": [["accept", "*/*"]], "size": 2,
        "body": "/wA=", "encoding": "base64",
    }  # fmt: skip


def test_show_takes_whatever_was_sent(site: Path) -> None:
    store = RequestStore(site / ".wixhttp")
    bodies = [
        b'[1,{"a":"\\ud800"}]', b"[" * 10_000 + b"]" * 10_000, b"\x1b[31mred\x07\r\nx", b"</script>",
        json.dumps({f"key{number}": number for number in range(50_000)}).encode(), b'{"a":1e999}', "é\u2028".encode(),
    ]  # fmt: skip
    for body in bodies:
        store.add(
            make(
                1,
                request_body=body,
                request_size=len(body),
                response_body=body,
                response_size=len(body),
                request_headers=[("X-Latin", "\xe9\xff"), ("X-Empty", "")],
            )
        )
    store.close()
    for number in range(4, 4 + len(bodies)):
        shown = inspect(site, "show", str(number)).out
        assert "\x1b" not in shown
        assert "X-Latin: éÿ" in shown
        json.loads(inspect(site, "show", str(number), "--json").out)
    assert '"a": "\\ud800"' in inspect(site, "show", "4").out


def test_what_is_not_there_is_told(kept: Path, tmp_path: Path) -> None:
    assert "there is no kept request '77'" in inspect(kept, "show", "77", code=1).err
    assert "a status is a code such as 404" in inspect(kept, "list", "--status=abc", code=2).err
    (tmp_path / "backend").mkdir()
    assert "there are no kept requests" in inspect(tmp_path, "list", code=1).err
    assert not (tmp_path / ".wixhttp").exists()


def test_clear_forgets_them(site: Path) -> None:
    inspect(site, "clear")
    assert inspect(site, "list").out == ""


def test_export_and_import(site: Path, tmp_path: Path) -> None:
    assert inspect(site, "export", "all.har").out == "all.har  3 requests\n"
    text = (site / "all.har").read_text()
    assert "the-key-of-the-shop" not in text
    assert "Bearer abc" not in text
    assert (site / "all.har").stat().st_mode & 0o777 == 0o600
    assert "--force overwrites it" in inspect(site, "export", "all.har", code=1).err
    whole = inspect(site, "export", "-", "2", "--with-secrets").out
    assert len(json.loads(whole)["log"]["entries"]) == 1
    assert "the-key-of-the-shop" in whole
    write_project(tmp_path / "other", SITE)
    assert inspect(tmp_path / "other", "import", "-", stdin=whole.encode()).out == "1 request\n"
    assert "post_hello" in inspect(tmp_path / "other", "list").out
    told = inspect(site, "import", "-", code=1, stdin=b'{"log": {"entries": [{}]}}').err
    assert "- is no HTTP archive that can be read: log.entries[0] has no 'request'" in told
    assert "No such file" in inspect(site, "import", "none.har", code=1).err


# --- replay ----------------------------------------------------------------------------------------------------------


def test_replay_by_the_projects_code(site: Path) -> None:
    again = inspect(site, "replay", "1")
    assert '"hello": "Ada"' in again.out
    assert again.out.endswith("# as the kept answer to 1\n")
    assert "said hello" in again.err
    changed = inspect(
        site,
        "replay",
        "1",
        "-X",
        "POST",
        "--path",
        "/_functions/hello",
        "-d",
        "tea",
        "-H",
        "User-Agent: me",
        "-H",
        "X-A:",
    ).out
    assert '"got": "tea"' in changed
    assert '"agent": "me"' in changed
    assert "# differences from 1, which was edited\nstatus: 200 -> 201\nheader x-shop: one -> none\n" in changed
    rows = [json.loads(line) for line in inspect(site, "list", "--json").out.splitlines()]
    assert [row["replay_of"] for row in rows] == [None, None, None, 1, 1]
    assert rows[-1]["method"] == "POST"


def test_a_replay_reaches_the_projects_collections(site: Path) -> None:
    inspect(site, "replay", "2", "--path", "/_functions/books", "-d", '{"title": "Emma"}')
    assert '"title":"Emma"' in run(site, "data", "query", "books").out


def test_replay_is_told_what_cannot_be(kept: Path) -> None:
    assert "name a kept request, or --all" in inspect(kept, "replay", code=2).err
    assert "name a kept request, or --all" in inspect(kept, "replay", "1", "--all", code=2).err
    assert "are for one request" in inspect(kept, "replay", "--all", "-X", "GET", code=2).err
    assert "-H takes NAME:VALUE" in inspect(kept, "replay", "1", "-H", "x", code=2).err
    assert "a server is named by its URL" in inspect(kept, "replay", "1", "--against", "ftp://a", code=2).err
    assert "a method is one word" in inspect(kept, "replay", "1", "-X", "A B", code=1).err
    port = free_port()
    assert "Connection refused" in inspect(kept, "replay", "1", "--against", f"http://127.0.0.1:{port}", code=1).err


class Asked(http.server.BaseHTTPRequestHandler):
    """A server that answers with what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps({"path": self.path, "body": body.decode(), "host": self.headers["Host"]}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def test_replay_against_a_server_sends_the_very_request(kept: Path, server: str) -> None:
    told = inspect(kept, "replay", "2", "--against", f"{server}/base", "--path", "/a%2Fb/../c?q=%20").out
    assert '"path": "/base/a%2Fb/../c?q=%20"' in told
    assert f'"host": "{server.removeprefix("http://")}"' in told
    assert '"body": "a ***"' in told
    assert "HTTP/1.1 302 Found" in inspect(kept, "replay", "1", "--against", server).out


def test_replay_all_by_the_same_code_finds_no_difference(site: Path) -> None:
    store = RequestStore(site / ".wixhttp")
    store.clear()
    created = (
        b'{"_id":"x","_createdDate":"2026-11-29T16:08:30.556Z","_updatedDate":"2026-11-29T16:08:30.556Z","_owner":null}'
    )
    store.add(
        make(
            1,
            method="POST",
            target="/_functions/books",
            request_headers=[TYPE],
            request_body=b'{"_id": "x"}',
            request_size=12,
            response_headers=[TYPE],
            response_body=created,
            response_size=len(created),
        )
    )
    none: dict[str, Any] = {"request_body": b"", "request_size": 0}
    store.add(make(2, target="/_functions/books", response_headers=[TYPE], response_body=b'{"count":1}', **none))
    store.add(make(3, target="/_functions/books", status=499, **none))
    store.close()
    told = inspect(site, "replay", "--all")
    assert told.out == "3 requests: 2 as before, 0 with differences, 1 not sent\n"
    assert not list((site / "data").glob("*")) if (site / "data").exists() else True


def test_replay_all_against_another_checkout_prints_what_differs(site: Path, tmp_path: Path, server: str) -> None:
    other = write_project(tmp_path / "other", SITE.replace('"one"', '"two"').replace('{"hello":', '{"hullo":'))
    told = inspect(site, "replay", "--all", "--against", str(other), code=1)
    lines = told.out.splitlines()
    assert lines[0] == "# 1 GET /_functions/hello?name=Ada&token=***"
    assert "  header x-shop: one -> two" in lines
    assert '    -  "hello": "Ada"' in lines
    assert '    +  "hullo": "Ada"' in lines
    assert "# 2" not in told.out
    assert lines[-1] == "3 requests: 1 as before, 2 with differences"
    assert "said hello" not in told.out
    assert "is neither" in inspect(site, "replay", "--all", "--against", "nowhere", code=2).err
    assert inspect(site, "replay", "--all", "--against", server, code=1).out.endswith(" with differences\n")
    inspect(site, "clear")
    assert inspect(site, "replay", "--all").out == "0 requests: 0 as before, 0 with differences\n"


# --- tests -----------------------------------------------------------------------------------------------------------


def test_to_test_says_what_is_wrong(site: Path) -> None:
    written = inspect(site, "to-test", "1", "-o", "tests/test_one.py")
    assert written.out == "tests/test_one.py  1 test\n"
    assert "the test does not send Authorization" in written.err
    assert "--force overwrites it" in inspect(site, "to-test", "1", "-o", "tests/test_one.py", code=1).err
    functions = site / "backend/http_functions.py"
    functions.write_text(functions.read_text().replace('{"hello":', '{"hullo":'))
    failing = inspect(site, "to-test", "1", "-o", "tests/test_one.py", "--force", code=1)
    assert "the test of request 1 fails now" in failing.err
    assert '+  "hullo": "Ada"' in failing.err
    printed = inspect(site, "to-test", "1", "-o", "-", "--no-run")
    assert printed.out.startswith('"""Requests of 2026-11-29, and the answers that they got."""\n')
    assert 'getSecret("SHOP_KEY")' not in printed.out
    assert "getSecret('SHOP_KEY')" in inspect(site, "to-test", "2", "-o", "-", "--no-run").out
