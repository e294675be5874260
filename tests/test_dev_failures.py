"""The error page of `wixhttp dev`: of every place where a site can fail, and of whatever an exception can be."""

from __future__ import annotations

import gc
import html
import http.client
import json
import re
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.dev_servers import developing, save_at_once
from tests.interfaces import write_project
from tests.servers import Answer, Server, connect, read_answer
from wixhttp.dev.failures.page import NOT_LOADED
from wixhttp.dev.failures.report import report_of
from wixhttp.dev.traffic.store import RequestStore

FUNCTIONS = """
import asyncio, logging
from wixhttp import *
from wixhttp import data as wix_data

class Cart:
    def __init__(self):
        self.items = ["tea"]

def get_plain(request):
    password = "hunter2"
    cart = Cart()
    print("it begins")
    raise ValueError("boom </script><script>alert(1)</script>")  # here: plain

post_plain = get_plain

async def get_later(request):
    await asyncio.sleep(0)
    raise LookupError("later")  # here: later

def get_chain(request):
    try:
        {}["missing"]  # here: cause
    except KeyError as error:
        raise RuntimeError("no such thing") from error  # here: chain

def get_hook(request):
    wix_data.insert("books", {"title": ""})  # here: hook

def get_stream(request):
    def rows():
        if request.query.get("late"):
            yield "first"
        raise OSError("the rows are gone")  # here: stream
        yield ""
    return ok(body=rows())

async def get_async_stream(request):
    async def rows():
        raise OSError("the rows are gone")  # here: async stream
        yield ""
    return ok(body=rows())

def get_nothing(request):  # here: nothing
    ok(body="never sent")

def get_text(request):  # here: text
    return "text"

def get_unsendable(request):  # here: unsendable
    return ok(body={"items": [object()]})

async def get_slow_repr(request):
    import time
    class Slow:
        def __repr__(self):
            time.sleep(20)
    slow = Slow()
    print("slow begins")
    raise ValueError("slow")

def get_echo(request):
    token = request.headers["authorization"].split()[-1]
    print("token", token)
    words = [token]
    raise PermissionError(f"{token} is not allowed; see postgresql://ada:hunter2@db/x")

def get_habit(request):
    return ok(body=[1].push(2))  # here: habit
"""
HOOKS = """
def books_beforeInsert(item, context):
    title = item["title"]
    return {"short": title[0]}  # here: in the hook
"""
ENDPOINT = """
from wixhttp.endpoints import Response

def GET(context):
    raise ValueError("in the endpoint")  # here: endpoint

async def POST(context):
    raise ValueError("in the async endpoint")  # here: async endpoint

def PUT(context):  # here: no answer
    pass
"""
MIDDLEWARE = """
from wixhttp.endpoints import sequence

def plain(context, next):
    if "plain" in context.url.search:
        raise PermissionError("plain middleware")  # here: plain middleware
    return next()

async def later(context, next):  # here: wrong middleware
    if "wrong" in context.url.search:
        return 7
    if "later" in context.url.search:
        raise PermissionError("later middleware")  # here: later middleware
    return await next()

onRequest = sequence(plain, later)
"""
SITE = {
    "backend/http_functions.py": FUNCTIONS,
    "backend/data.py": HOOKS,
    "src/pages/api/fails.py": ENDPOINT,
    "src/pages/api/broken.py": "def GET(context):\n    return Response.json({'a': 1)\n",
    "src/pages/500.py": "from wixhttp.endpoints import Response\ndef GET(context):\n    return Response('sorry')\n",
    "src/middleware.py": MIDDLEWARE,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose every part fails."""
    return write_project(tmp_path_factory.mktemp("site"), SITE)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """`wixhttp dev` of that site."""
    with developing(folder) as development:
        yield development.server


def ask(
    server: Server, target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """The answer to a request of a program, unless a header says otherwise."""
    with connect(server.port) as connection:
        fields = {"Host": f"127.0.0.1:{server.port}", "Content-Length": str(len(body)), **(headers or {})}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return read_answer(connection, method)


def report(server: Server, target: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """The report of a failed request."""
    answer = ask(server, target, method, {"Content-Type": "application/json", **headers})
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


def failing_line(exception: dict[str, Any]) -> str:
    """The line of the innermost frame of the site."""
    frame = [frame for frame in exception["frames"] if frame["is_own"]][-1]
    lines = frame["source"]["lines"]
    assert len(lines) <= 7
    (text,) = [line["text"] for line in lines if line["is_current"]]
    assert [line["number"] for line in lines if line["is_current"]] == [frame["line"]]
    return str(text)


# --- the places where a site fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "exception", "message", "line"),
    [
        ("GET", "/_functions/plain", "ValueError", "boom", "plain"),
        ("GET", "/_functions/later", "LookupError", "later", "later"),
        ("GET", "/_functions/chain", "RuntimeError", "no such thing", "chain"),
        ("GET", "/_functions/stream", "OSError", "the rows are gone", "stream"),
        ("GET", "/_functions/async_stream", "OSError", "the rows are gone", "async stream"),
        ("GET", "/_functions/nothing", "wixhttp.errors.WrongAnswer", "add 'return'", "nothing"),
        ("GET", "/_functions/text", "wixhttp.errors.WrongAnswer", "return ok(body=...)", "text"),
        ("GET", "/_functions/unsendable", "wixhttp.errors.EncodeError", 'body["items"][0]', "unsendable"),
        ("GET", "/api/fails", "ValueError", "in the endpoint", "endpoint"),
        ("POST", "/api/fails", "ValueError", "in the async endpoint", "async endpoint"),
        ("PUT", "/api/fails", "wixhttp.errors.WrongAnswer", "returned nothing", "no answer"),
        ("GET", "/api/fails?wrong", "wixhttp.errors.WrongAnswer", "returned int", "wrong middleware"),
        ("GET", "/api/fails?plain", "PermissionError", "plain middleware", "plain middleware"),
        ("GET", "/api/fails?later", "PermissionError", "later middleware", "later middleware"),
    ],
)
def test_a_failure_is_reported_with_its_line(
    server: Server, method: str, target: str, exception: str, message: str, line: str
) -> None:
    found = report(server, target, method)
    assert found["exception"] == exception
    assert message in found["message"]
    assert failing_line(found).endswith(f"# here: {line}")
    assert found["place"].split(":")[0] in SITE


def test_the_report_has_values_logs_and_the_request(server: Server) -> None:
    found = report(server, "/_functions/plain?q=1", Authorization="Bearer of-bad-news")
    values = {each["name"]: each["value"] for each in found["frames"][-1]["locals"]}
    assert values["password"] == "***"
    assert values["cart"] == "<backend.http_functions.Cart items=['tea']>"
    assert [line["message"].split("\n")[0] for line in found["logs"]] == ["it begins", "get_plain raised ValueError"]
    assert found["request"]["url"] == f"{server.url}/_functions/plain?q=1"
    assert found["curl"].startswith("curl ")
    assert "of-bad-news" not in json.dumps(found)
    assert found["inspector"] == f"/_wixhttp/requests/{found['request_id']}"


def test_a_value_whose_repr_hangs_holds_no_other_request(server: Server) -> None:
    ask(server, "/_functions/echo")  # all is imported
    with ThreadPoolExecutor(1) as pool:
        failing_call = pool.submit(report, server, "/_functions/slow_repr")
        server.wait_for_message("slow begins")
        waits = []
        while not failing_call.done():
            began = time.monotonic()
            assert ask(server, "/_wixhttp/health/live").status == 200
            waits.append(time.monotonic() - began)
        values = {each["name"]: each["value"] for each in failing_call.result()["frames"][-1]["locals"]}
    assert "did not end in time" in values["slow"]
    assert max(waits, default=0.0) < 15  # which the repr would take


def test_a_credential_that_a_function_echoes_is_masked(server: Server) -> None:
    token = "a/token+of-this-request"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for accept in ("application/json", "text/html"):
        answer = ask(server, f"/_functions/echo?q={token}", headers={**headers, "Accept": accept})
        assert answer.status == 500
        for text in (token, html.escape(token), quote_plus(token), "hunter2"):
            assert text.encode() not in answer.body
        assert b"*** is not allowed" in answer.body


HIDDEN = {"Host": "evil.example"}


@pytest.mark.parametrize(
    ("method", "target", "detail"),
    [
        ("GET", "/_functions/plein", "There is no such function."),
        ("GET", "/_functions", "There is no such function."),
        ("GET", "/api/nothing", "There is nothing at this path."),
        ("POST", "/api/fails", "taken from the site's own pages only."),
    ],
)
def test_details_of_refusals_are_for_those_who_may_see_them(
    server: Server, method: str, target: str, detail: str
) -> None:
    told = ask(server, target, method).json()["detail"]
    assert re.search("Known functions: .*plain|Known endpoints: .*/api/fails|@check_origin", told)
    assert ask(server, target, method, HIDDEN).json()["detail"].endswith(detail)
    assert ask(server, target, method, {"X-Forwarded-For": "203.0.113.9"}).json()["detail"].endswith(detail)


def test_causes_follow(server: Server) -> None:
    (cause,) = report(server, "/_functions/chain")["causes"]
    assert (cause["relation"], cause["exception"], cause["message"]) == ("cause", "KeyError", "'missing'")
    assert failing_line(cause).endswith("# here: cause")


def test_a_hook_that_fails_is_reported_with_its_own_line(server: Server) -> None:
    found = report(server, "/_functions/hook")
    lines = {failing_line(each) for each in (found, *found["causes"]) if any(f["is_own"] for f in each["frames"])}
    assert any(line.endswith("# here: in the hook") for line in lines)


def test_advice_is_given(server: Server) -> None:
    assert "append" in report(server, "/_functions/habit")["advice"]


def test_an_endpoint_that_cannot_be_loaded_is_reported_alone(server: Server) -> None:
    found = report(server, "/api/broken")
    assert (found["exception"], found["place"]) == ("SyntaxError", "src/pages/api/broken.py:2")
    assert found["intro"] == "src/pages/api/broken.py cannot be imported"
    assert "(broken.py" not in found["message"]
    assert failing_line(found) == "    return Response.json({'a': 1)"
    assert found["frames"][-1]["source"]["mark"] is not None
    assert report(server, "/_functions/plain")["exception"] == "ValueError"


def test_a_stream_that_breaks_off_is_kept_with_its_report(server: Server, folder: Path) -> None:
    with connect(server.port) as connection:
        head = "GET /_functions/stream?late=1 HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: the-stream\r\n\r\n"
        connection.sendall(head.encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        with pytest.raises(http.client.IncompleteRead):
            response.read()
        response.close()
    server.wait_for_message("broke off")
    store = RequestStore(folder / ".wixhttp")
    kept = wait_for(lambda: store.get("the-stream"))
    store.close()
    assert kept.status == 200
    assert kept.failure["exception"] == "OSError"
    assert failing_line(kept.failure).endswith("# here: stream")


def wait_for(find: Callable[[], Any]) -> Any:
    """The finding of ``find``, once there is one: another process writes it soon, and does not tell."""
    deadline = time.monotonic() + 20
    while (found := find()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


# --- the page --------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """The parts of a page: its tags, and its text without the white space between words."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._text: list[str] = []
        self.feed(answer.body.decode())
        self.text = " ".join("".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._text.append(" ")

    def handle_data(self, data: str) -> None:
        self._text.append(data)


def show(server: Server, target: str, method: str = "GET", body: bytes = b"") -> tuple[Answer, _Page]:
    """The error page that a browser gets."""
    answer = ask(server, target, method, {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, body)
    assert answer.status == 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer, _Page(answer)


def test_a_browser_gets_a_page(server: Server) -> None:
    answer, page = show(server, "/_functions/plain")
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    for text in ("ValueError", "boom </script><script>alert(1)</script>", "password ***", "it begins", "curl "):
        assert text in page.text
    assert "hunter2" not in page.text.replace('password = "hunter2"', "")
    assert all(attributes.get("src") for tag, attributes in page.tags if tag == "script")
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.tags for name in attributes)
    (form,) = [attributes for tag, attributes in page.tags if tag == "form"]
    assert form == {"method": "post", "action": f"/_wixhttp/requests/{answer.headers['x-request-id']}/replay"}
    assert "In production visitors see src/pages/500.py instead." in page.text


def test_bodies_are_text(server: Server) -> None:
    _, page = show(server, "/_functions/plain", "POST", b"</script><script>alert(2)</script>")
    assert "</script><script>alert(2)</script>" in page.text
    _, page = show(server, "/_functions/plain", "POST", b"\x00\xff\xfe")
    assert "00 ff fe" in page.text
    _, page = show(server, "/_functions/plain", "POST", "größe".encode("utf-16"))
    assert "no text" in page.text
    _, page = show(server, "/_functions/plain", "POST", b"x" * 500_000)
    assert len(page.text) < 60_000


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    ],
)
def test_who_may_not_see_it_gets_what_visitors_get(server: Server, headers: dict[str, str]) -> None:
    answer = ask(server, "/_functions/plain", headers={"Accept": "text/html", **headers})
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert set(answer.json()) == {"type", "title", "status", "detail", "request_id"}
    assert b"boom" not in answer.body
    answer = ask(server, "/api/fails", headers={"Accept": "text/html", **headers})
    assert (answer.status, answer.body) == (500, b"sorry")
    server.wait_for_message("The error page is not shown: ", request_id=answer.headers["x-request-id"])


# --- a project that cannot be loaded ---------------------------------------------------------------------------------

GOOD = "from wixhttp import *\ndef get_hello(request):\n    return ok(body='hello')\n"


FILE = "backend/http_functions.py"
SETTINGS = "import_timeout = 2.5\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """`wixhttp dev` of a site that is saved again and again, and its folder."""
    folder = write_project(tmp_path_factory.mktemp("saved"), {FILE: GOOD, "wixhttp.toml": SETTINGS})
    with developing(folder) as development:
        yield development.server, folder


@pytest.mark.parametrize(
    ("file", "text", "exception", "intro", "place", "line"),
    [
        (FILE, "x = 1\ndef get_hello(:\n", "SyntaxError", "cannot be imported", 2, "get_hello(:"),
        (FILE, "import no_such_module\n", "ModuleNotFoundError", "cannot be imported", 1, "no_such_module"),
        (FILE, "def f():\n    return 1 / 0\nf()\n", "ZeroDivisionError", "cannot be imported", 2, "1 / 0"),
        (FILE, "import sys\nsys.exit(7)\n", "SystemExit", "cannot be imported", 2, "sys.exit(7)"),
        (FILE, "while True: pass\n", "wixhttp.project.loader.ImportTimeout", "cannot be imported", 1, "while True"),
        ("wixhttp.toml", "timeout = 5\n\nmax_bdy = 3\n", "wixhttp.errors.ConfigError", "", 3, "max_bdy = 3"),
        ("wixhttp.toml", "timeout = 'long'\n", "wixhttp.errors.ConfigError", "", 1, "timeout = 'long'"),
    ],
)
def test_a_project_that_cannot_be_loaded_is_reported(
    saved: tuple[Server, Path], file: str, text: str, exception: str, intro: str, place: int, line: str
) -> None:
    server, folder = saved
    save_at_once(folder / file, text)
    try:
        found = wait_for(lambda: answer.json() if (answer := ask(server, "/_functions/hello")).status == 500 else None)
        assert (found["exception"], found["place"]) == (exception, f"{file}:{place}")
        assert intro in found["intro"]
        assert found["message"]
        assert line in failing_line(found)
        _, page = show(server, "/anything")
        assert "Every request is answered with this page until the project can be loaded." in page.text
        hidden = ask(server, "/_functions/hello", headers={"Host": "evil.example", "Accept": "text/html"})
        assert (hidden.status, hidden.json()["detail"]) == (500, NOT_LOADED)
    finally:
        save_at_once(folder / file, GOOD if file.endswith(".py") else SETTINGS)
    wait_for(lambda: True if ask(server, "/_functions/hello").body == b"hello" else None)


def test_a_secrets_file_of_any_name_that_is_wrong_is_named_and_not_shown(saved: tuple[Server, Path]) -> None:
    server, folder = saved
    file = folder / "keys.conf"
    file.write_text("KEY=hunter2\n? hunter2 ?\n")
    file.chmod(0o600)
    save_at_once(folder / "wixhttp.toml", SETTINGS + "secrets_file = 'keys.conf'\n")
    try:
        found = wait_for(lambda: answer.json() if (answer := ask(server, "/_functions/hello")).status == 500 else None)
        assert found["place"] == "keys.conf:2"
        assert "hunter2" not in json.dumps(found)
        answer, page = show(server, "/_functions/hello")
        assert "Its lines are not shown, since they hold secrets." in page.text
        assert b"hunter2" not in answer.body
    finally:
        save_at_once(folder / "wixhttp.toml", SETTINGS)
        file.unlink()
    wait_for(lambda: True if ask(server, "/_functions/hello").body == b"hello" else None)


ENDLESS = """
import asyncio, threading
from wixhttp import *

async def get_later(request):
    print("began later")
    await asyncio.sleep(600)

def get_thread(request):
    print("began thread")
    threading.Event().wait(600)
"""


def test_what_still_runs_when_the_time_to_reload_is_over_is_answered_503(tmp_path: Path) -> None:
    folder = write_project(tmp_path, {FILE: ENDLESS, "wixhttp.toml": "graceful_timeout = 0.5\n"})
    with developing(folder) as development, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, development.server, f"/_functions/{name}") for name in ("later", "thread")]
        for name in ("later", "thread"):
            development.server.wait_for_message(f"began {name}")
        development.save(GOOD)
        for answer in (each.result() for each in asked):
            assert answer.status == 503
            assert "retry-after" not in answer.headers  # its handler was begun
            assert "stops or reloads" in answer.json()["detail"]
            assert "exception" not in answer.json()


# --- whatever an exception can be ------------------------------------------------------------------------------------


def failing(folder: Path, source: str, name: str = "run") -> BaseException:
    """The exception that a function of a file of the project raises."""
    file = folder / "backend" / "failing.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(dedent(source), encoding="utf-8")
    scope: dict[str, Any] = {"__name__": "backend.failing"}
    exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), scope)  # noqa: S102  # as an import does
    try:
        scope[name]()
    except BaseException as error:  # noqa: BLE001  # SystemExit too
        return error
    raise AssertionError


def bounded_report(error: BaseException, folder: Path) -> dict[str, Any]:
    """The report of an exception, checked for its size and the time that it takes."""
    began = time.monotonic()
    found = report_of(error, folder)
    assert time.monotonic() - began < 20
    assert len(json.dumps(found)) < 400_000
    return found


def values_of(found: dict[str, Any]) -> dict[str, str]:
    """The local variables of the innermost frame."""
    return {each["name"]: each["value"] for each in found["frames"][-1]["locals"]}


def test_values_that_raise_hang_or_lie(tmp_path: Path) -> None:
    error = failing(
        tmp_path,
        """
        import collections, dataclasses
        class Raises:
            def __repr__(self):
                raise RuntimeError("no")
        class Exits:
            def __repr__(self):
                raise SystemExit(3)
        class Hangs:
            def __repr__(self):
                while True:
                    pass
        class Lies:
            __class__ = property(lambda self: 1 / 0)
            def __getattribute__(self, name):
                raise RuntimeError(name)
        class Meta(type):
            def __getattribute__(self, name):
                raise RuntimeError(name)
        class Odd(metaclass=Meta):
            pass
        @dataclasses.dataclass
        class Login:
            name: str
            password: str
            tries: list
        Point = collections.namedtuple("Point", "x y")
        class NoText:
            def __repr__(self):
                return 7
        class Names(dict):
            def items(self):
                raise RuntimeError
            __iter__ = __len__ = keys = items
        def run():
            raises, exits, lies, odd, no_text, names = Raises(), Exits(), Lies(), Odd(), NoText(), Names(a=1)
            inside = {"it": [raises]}
            login, point = Login("ada", "hunter2", [0] * 100_000), Point(1, 2)
            counter, queue = collections.Counter("aab"), collections.deque([1], 5)
            settings = {"apiKey": "0123456789abcdef", "key": "short", "token": None, "accessToken": "x"}
            itself = []
            itself.append(itself)
            surrogate = "\\ud800"
            long = "x" * 30_000_000
            many = [0] * 5_000_000
            both = {"many": many, "bytes": b"y" * 30_000_000}
            number = 10 ** 100_000
            hangs = Hangs()
            after = Raises()
            raise ValueError(many)
        """,
    )
    values = values_of(found := bounded_report(error, tmp_path))
    told = "cannot be shown: it raised"
    assert values["raises"] == f"<the repr of this backend.failing.Raises {told} RuntimeError>"
    assert values["exits"] == f"<the repr of this backend.failing.Exits {told} SystemExit>"
    assert values["lies"] == "<backend.failing.Lies>"
    assert values["odd"] == "<backend.failing.Odd>"
    assert told in values["no_text"]
    assert values["names"] == "backend.failing.Names({'a': 1})"
    assert told in values["inside"]
    assert values["login"].startswith("backend.failing.Login(name='ada', password=***, tries=[0, 0")
    assert values["point"] == "backend.failing.Point(x=1, y=2)"
    assert values["counter"] == "collections.Counter({'a': 2, 'b': 1})"
    assert values["queue"] == "collections.deque([1])"
    assert values["settings"] == "{'apiKey': ***, 'key': 'short', 'token': None, 'accessToken': ***}"
    assert values["itself"] == "[<a reference to what it stands in>]"
    assert values["surrogate"] == repr("\ud800")
    assert values["long"].endswith("(30000000 characters)")
    assert values["many"].endswith("more]")
    assert "did not end in time" in values["hangs"]
    assert told in values["after"]
    assert found["message"].endswith("more]")
    assert max(map(len, values.values())) <= 501


def test_values_are_masked_by_their_names_and_by_what_they_are(tmp_path: Path) -> None:
    error = failing(
        tmp_path,
        """
        class Client:
            def __repr__(self):
                return "<Client postgresql://ada:hunter2@db/x password=hunter2 at 1>"
        def run():
            headers = {"x-api-key": "hunter2", "sort-key": "price", "apiKey": "hunter2", b"authorization": b"hunter2"}
            settings = {"pass": "hunter2", "pwd": "hunter2", "passwd": "hunter2", "smtp_pass": "hunter2", "passes": 2}
            dsn = "hunter2"
            fields = [("Authorization", "Bearer hunter2"), ("Accept", "*/*"), ["password", "hunter2"]]
            raw = [(b"cookie", b"hunter2")]
            items = {"token": "hunter2"}.items()
            pair = ("secret", "hunter2")
            words = ["password", "user"]
            url = "redis://:hunter2@cache/0"
            long_url = "x" * 100 + " postgresql://ada:" + "hunter2" * 20 + "@db"
            inside = {"urls": [long_url]}
            connection = "host=db password=hunter2 user=ada"
            client = Client()
            raise ConnectionError("no way to postgresql://ada:hunter2@db/x")  # password=hers
        """,
    )
    values = values_of(found := bounded_report(error, tmp_path))
    assert values["headers"] == "{'x-api-key': ***, 'sort-key': 'price', 'apiKey': ***, b'authorization': ***}"
    assert values["settings"] == "{'pass': ***, 'pwd': ***, 'passwd': ***, 'smtp_pass': ***, 'passes': 2}"
    assert values["fields"] == "[('Authorization', ***), ('Accept', '*/*'), ['password', ***]]"
    assert values["items"] == "dict_items([('token', ***)])"
    assert values["words"] == "['password', 'user']"
    assert values["connection"] == "'host=db password=*** user=ada'"
    assert values["client"] == "<Client postgresql://ada:***@db/x password=*** at 1>"
    assert found["message"] == "no way to postgresql://ada:***@db/x"
    assert failing_line(found).endswith("# password=hers")  # source is the user's own
    found["frames"][-1]["source"] = None
    assert "hunter2" not in json.dumps(found)


def test_messages_that_raise_or_are_long(tmp_path: Path) -> None:
    source = """
    class Odd(Exception):
        __cause__ = property(lambda self: 1 / 0)
        __notes__ = property(lambda self: 1 / 0)
        def __str__(self):
            raise {raised}
    def run():
        raise Odd
    """
    for raised in ("ValueError", "SystemExit", "KeyboardInterrupt"):
        found = bounded_report(failing(tmp_path, source.replace("{raised}", raised)), tmp_path)
        assert found["exception"] == "backend.failing.Odd"
        assert found["message"].endswith(f"cannot be shown: it raised {raised}>")
    found = bounded_report(failing(tmp_path, "def run():\n    raise ValueError('x' * 10_000_000)"), tmp_path)
    assert len(found["message"]) == 2001
    found = bounded_report(failing(tmp_path, "def run():\n    raise SystemExit"), tmp_path)
    assert (found["exception"], found["message"]) == ("SystemExit", "")


def test_causes_in_a_circle_and_without_end(tmp_path: Path) -> None:
    error = failing(
        tmp_path,
        """
        def run():
            first, second = ValueError("first"), ValueError("second")
            first.__cause__, second.__cause__ = second, first
            raise first
        """,
    )
    assert [cause["message"] for cause in bounded_report(error, tmp_path)["causes"]] == ["second"]
    error = failing(
        tmp_path,
        """
        def run():
            error = ValueError(0)
            for number in range(5_000):
                later = ValueError(number)
                later.__context__ = error
                error = later
            raise error
        """,
    )
    assert len(bounded_report(error, tmp_path)["causes"]) == 10


def test_a_recursion_is_one_step_and_other_depths_are_cut(tmp_path: Path) -> None:
    found = bounded_report(failing(tmp_path, "def run(n=0):\n    return run(n + 1)"), tmp_path)
    assert found["exception"] == "RecursionError"
    assert [frame["times"] for frame in found["frames"] if frame["is_own"]][-1] > 500
    found = bounded_report(
        failing(tmp_path, "def run(n=0):\n    return other(n)\ndef other(n):\n    return run(n + 1)"), tmp_path
    )
    assert len(found["frames"]) <= 40
    assert found["omitted"] > 500


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_groups(tmp_path: Path) -> None:
    error = failing(
        tmp_path,
        """
        def run():
            inner = ExceptionGroup("inner", [KeyError("a")])
            raise ExceptionGroup("outer", [ValueError(n) for n in range(1_000)] + [inner])
        """,
    )
    found = bounded_report(error, tmp_path)
    assert (len(found["members"]), found["omitted_members"]) == (10, 991)
    assert found["members"][0]["message"] == "0"
    error = failing(
        tmp_path,
        """
        def run():
            error = ValueError("innermost")
            for _ in range(200):
                error = ExceptionGroup("group", [error])
            raise error
        """,
    )
    assert bounded_report(error, tmp_path)["members"][0]["members"][0]["exception"] == "ExceptionGroup"


def test_source_that_is_not_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "backend" / "failing.py"
    error = failing(tmp_path, "# coding: latin-1\ndef run():\n    raise ValueError('\u00e9')")
    assert failing_line(bounded_report(error, tmp_path)) == "    raise ValueError('\u00c3\u00a9')"
    file.write_bytes(b"\xff\xfe\n\n    raise \xff\n")
    assert failing_line(bounded_report(error, tmp_path)) == "    raise \ufffd"
    assert "changed" in report_of(error, tmp_path, loaded_at=1.0)["frames"][-1]["source"]["note"]
    file.write_text("short")
    assert "fewer lines" in bounded_report(error, tmp_path)["frames"][-1]["source"]["note"]
    file.write_text("\n\n" + "x" * 10_000_000)
    assert len(failing_line(bounded_report(error, tmp_path))) <= 401
    file.unlink()
    assert "cannot be read" in bounded_report(error, tmp_path)["frames"][-1]["source"]["note"]


def test_a_report_keeps_nothing_alive(tmp_path: Path) -> None:
    source = """
    class Local:
        def __repr__(self):
            return "local"
    def run():
        local = Local()
        raise KeyError(local)
    """
    gc.disable()
    try:
        error: BaseException | None = failing(tmp_path, source)
        local = weakref.ref(error.args[0])  # type: ignore[union-attr]  # an exception
        found = report_of(error, tmp_path)  # type: ignore[arg-type]  # the same
        error = None
        assert values_of(found)["local"] == "local"
        assert local() is None
    finally:
        gc.enable()


def test_lines_of_secrets_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "wixhttp.toml").write_text('database_url = "postgresql://ada:hunter2@db/x"\n')
    from wixhttp.errors import ConfigError

    found = bounded_report(ConfigError("wixhttp.toml:1: database_url is wrong"), tmp_path)
    assert failing_line(found) == 'database_url = "postgresql://ada:***@db/x"'
    (tmp_path / ".env").write_text("KEY=hunter2\n")
    found = bounded_report(ConfigError(".env:1: no"), tmp_path)
    assert "hunter2" not in json.dumps(found)
    (tmp_path / "keys.conf").write_text("KEY=hunter2\n? ?\n")
    (tmp_path / "link.conf").symlink_to("keys.conf")
    for name in ("keys.conf", "link.conf"):
        for secrets_file in (tmp_path / "keys.conf", tmp_path / "link.conf"):
            found = report_of(ConfigError(f"{name}:2: no"), tmp_path, secrets_file=secrets_file)
            assert found["place"] == f"{name}:2"
            assert "hunter2" not in json.dumps(found)
    found = bounded_report(ConfigError("/etc/passwd:1: no"), tmp_path)
    assert found["frames"] == []
