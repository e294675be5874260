"""The pages of the inspector, in this process: application, recorder and store are the real ones, without sockets."""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import pytest

import wixhttp.dev.web
from tests.interfaces import write_project
from wixhttp import data
from wixhttp.asgi import ASGIApplication
from wixhttp.data.collections import open_collections, set_default
from wixhttp.data.queries.tree import EVERYTHING, Order
from wixhttp.dev.application import DevelopmentApplication, StandInApp, still_loading
from wixhttp.dev.inspector import collection_data
from wixhttp.dev.inspector.collection_data import read_cursor, write_cursor
from wixhttp.dev.inspector.json_tree import DEEPEST, MOST_ROWS, tree_rows
from wixhttp.dev.inspector.live_requests import MOST_ROWS as MOST_LIVE_ROWS
from wixhttp.dev.inspector.masked_edits import UnknownSecret, hidden_parts, parse_fields, unmasked, unmasked_headers
from wixhttp.dev.inspector.request_forms import form_of
from wixhttp.dev.inspector.shown_bodies import MOST_TEXT, hex_dump, shown_body
from wixhttp.dev.traffic.kept_requests import KeptRequest
from wixhttp.dev.traffic.store import RequestStore
from wixhttp.dev.web.context import DevelopmentContext
from wixhttp.dispatch.app import App
from wixhttp.dispatch.site import load_site
from wixhttp.errors import HTTPError, WixDataError
from wixhttp.project.config import load_config

TOKEN = "token-of-this-test"
HOST = "127.0.0.1:8000"
SITE = {
    "backend/http_functions.py": '''
        import logging
        from wixhttp import ok, created, response

        def get_hello(request):
            """Say hello."""
            logging.getLogger("shop").warning("hello is asked")
            return ok(body={"hello": request.query.get("name", "world"), "key": request.headers["x-api-key"]})

        def post_orders(request):
            """Take an order."""
            return created(body={"taken": request.body.text(), "cookie": request.headers["cookie"]})

        def post_bytes(request):
            return response(status=200, body=request.body.buffer(), headers={"Content-Type": request.headers["x-kind"]})

        def get_cookie(request):
            cookie = f"{request.query['name']}={request.query['value']}; Path=/"
            return response(status=200, headers={"Set-Cookie": cookie})

        def get_broken(request):
            raise KeyError("price")
    ''',
    "src/pages/api/contact.py": '''
        from wixhttp.endpoints import Response

        def POST(context):
            """Take the form."""
            return Response(context.request.formData().get("name"))
    ''',
    "data/collections.toml": """
        [books]
        permissions = "private"
        indexes = [{fields = ["author", "-year"]}, {fields = ["isbn"], unique = true}]

        [books.references.genres]
        collection = "genres"
        many = true
        reverse = "books"

        [genres]
        [empty]
    """,
    "backend/data.py": """
        def books_beforeUpdate(item, context):
            if item.get("title") == "refused":
                raise ValueError("this title is refused")
            return item

        def books_beforeInsert(item, context):
            item["hooked"] = True
            return item
    """,
}

_Value = TypeVar("_Value")


@dataclass
class Shown:
    """An answer of the application."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    @property
    def text(self) -> str:
        """The page as text."""
        return self.content.decode()

    @property
    def words(self) -> str:
        """The page as a reader sees it: without tags, white space folded."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())


class Client:
    """A client of the application of a worker, which has a project."""

    def __init__(self, application: DevelopmentApplication) -> None:
        self.application = application
        self.store = application.context.store
        self._loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, _Value]) -> _Value:
        """The outcome of work on the loop of this client."""
        return self._loop.run_until_complete(work)

    def ask(
        self,
        target: str,
        method: str = "GET",
        *,
        body: bytes = b"",
        client: str = "127.0.0.1",
        **headers: Any,
    ) -> Shown:
        """The answer to a request; an underscore in the name of a header is a hyphen."""
        return self.run(self._ask(target, method, body, client, headers))

    async def _ask(self, target: str, method: str, body: bytes, client: str, headers: dict[str, Any]) -> Shown:
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        answer = Shown()

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            else:
                answer.content += message.get("body", b"")

        await self.application(scope_of(target, method, body, client, headers), receive, send)
        return answer

    def post(self, target: str, fields: dict[str, str] | None = None, **headers: str) -> Shown:
        """The answer to a form of the inspector."""
        body = urlencode({"_token": TOKEN, **(fields or {})}).encode()
        kind = "application/x-www-form-urlencoded"
        return self.ask(target, "POST", body=body, content_type=kind, origin=f"http://{HOST}", **headers)

    def follow(self, answer: Shown) -> Shown:
        """The page that an answer leads to."""
        assert answer.status == 303, answer.text
        return self.ask(answer.headers["location"])

    def keep(self, target: str, method: str = "GET", *, body: bytes = b"", **headers: Any) -> KeptRequest:
        """Send a request to the site, and return it as it was kept."""
        self.ask(target, method, body=body, **headers)
        return self.newest()

    def newest(self) -> KeptRequest:
        """The request that was kept last."""
        self.store.flush()
        kept = self.store.get(self.store.page(limit=1)[0].id)
        assert kept is not None
        return kept

    def close(self) -> None:
        """Give back what it holds."""
        self.store.close()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def scope_of(target: str, method: str, body: bytes, client: str, headers: dict[str, str]) -> dict[str, Any]:
    """The ASGI scope of a request."""
    path, _, query = target.partition("?")
    fields = [(b"host", headers.pop("host", HOST).encode())] if headers.get("host") != "" else []
    fields += [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    if body:
        fields.append((b"content-length", str(len(body)).encode()))
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "headers": fields,
        "client": (client, 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip


def make_client(folder: Path) -> Client:
    """A client of a project, whose collections are those of this process."""
    config = load_config(folder, environ={}, flags={"mode": "development"})
    site = load_site(config)
    app = App(site)
    context = DevelopmentContext(config, RequestStore(folder / ".wixhttp"), TOKEN, 1, site=site, app=app)
    return Client(DevelopmentApplication(ASGIApplication(app), context))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = write_project(tmp_path_factory.mktemp("inspected"), SITE)
    made = make_client(folder)
    collections = open_collections(made.application.context.config)
    set_default(collections)
    yield made
    set_default(None)
    collections.store.close()
    made.close()


# --- who may see, and who may change --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "peer"),
    [
        ({"host": "evil.example"}, "127.0.0.1"),
        ({}, "192.0.2.7"),
        ({"x_forwarded_for": "192.0.2.7"}, "127.0.0.1"),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}, "127.0.0.1"),
        ({"origin": "https://evil.example"}, "127.0.0.1"),
    ],
)
@pytest.mark.parametrize("page", ["", "functions", "collections", "requests/events", "requests/1/image/response"])
def test_nobody_else_sees_a_page(client: Client, headers: dict[str, Any], peer: str, page: str) -> None:
    answer = client.ask(f"/_wixhttp/{page}", client=peer, **headers)
    assert answer.status == 403
    assert b"wixhttp" not in answer.content  # nothing that tells what is here


@pytest.mark.parametrize(
    "path",
    [
        "requests/clear", "requests/1/replay", "functions/call", "collections/books/insert", "collections/books/update",
        "collections/books/remove",
    ],
)  # fmt: skip
def test_what_changes_something_takes_a_form_with_the_token_from_our_own_pages_only(client: Client, path: str) -> None:
    before = client.keep("/_functions/hello").id
    body = urlencode({"_token": TOKEN}).encode()
    form: dict[str, Any] = {"content_type": "application/x-www-form-urlencoded"}
    assert client.ask(f"/_wixhttp/{path}", "POST", **form).status == 403
    assert client.ask(f"/_wixhttp/{path}", "POST", body=b"_token=guessed", **form).status == 403
    foreign: dict[str, Any] = {"origin": "http://127.0.0.1:9000", "sec_fetch_site": "same-site"}
    assert client.ask(f"/_wixhttp/{path}", "POST", body=body, **form, **foreign).status == 403
    assert client.ask(f"/_wixhttp/{path}?_token={TOKEN}&item=%7B%7D").status != 303
    assert client.newest().id == before  # nothing was cleared, sent again or kept


def test_requests_to_the_inspector_are_not_kept(client: Client) -> None:
    before = client.keep("/_functions/hello").id
    client.ask("/_wixhttp/")
    client.ask("/_wixhttp/functions")
    assert client.newest().id == before


def test_pages_that_are_not_there_say_so(client: Client) -> None:
    assert client.ask("/_wixhttp/nothing").status == 404
    assert client.ask("/_wixhttp/requests/999999").status == 404
    assert "not kept" in client.ask("/_wixhttp/requests/999999").words
    assert client.ask("/_wixhttp/requests/clear").status in (404, 405)
    assert client.ask("/_wixhttp/requests/events", "HEAD").status in (404, 405)  # a stream without a body has no end
    assert client.ask("/_wixhttp/", "HEAD").content == b""


def test_assets_are_small_and_of_this_server_and_no_script_is_inline() -> None:
    folder = Path(wixhttp.dev.web.__file__).parent
    scripts = list(folder.glob("assets/*.js"))
    assert 0 < sum(path.stat().st_size for path in scripts) <= 20_000
    assert len(list(folder.glob("assets/*.css"))) == 1
    for path in [*folder.glob("assets/*"), *folder.glob("templates/*.html")]:
        text = path.read_text()
        assert re.findall(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", text) == [], path.name
        assert re.findall(r"<script(?![^>]* src=)|<[^>]* (?:on\w+|style)=|javascript:", text) == [], path.name


def test_a_form_that_is_too_large_is_refused(client: Client) -> None:
    answer = client.post("/_wixhttp/collections/books/insert", {"item": "x" * 2_200_000})
    assert answer.status == 413


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_has_what_was_asked_and_filters_it(client: Client) -> None:
    client.keep("/_functions/hello?name=Ada")
    client.keep("/_functions/orders", "POST", body=b"needle in the body")
    client.keep("/_functions/missing")
    page = client.ask("/_wixhttp/")
    assert page.status == 200
    for word in ("/_functions/hello?name=Ada", "get_hello", "201 Created", "404 Not Found"):
        assert word in page.words
    assert "missing" not in client.ask("/_wixhttp/?function=get_hello").words
    found = client.ask("/_wixhttp/?text=NEEDLE")
    assert found.text.count("data-id=") == 1
    assert 'value="NEEDLE"' in found.text
    assert "get_hello</td>" not in client.ask("/_wixhttp/?status=4xx").text
    assert "/_functions/hello" not in re.findall(r"<td.*", client.ask("/_wixhttp/?method=POST").text)
    empty = client.ask("/_wixhttp/?text=nothing-has-this")
    assert "No request passes this filter" in empty.words
    wrong = client.ask("/_wixhttp/?status=abc")
    assert wrong.status == 400
    assert "a status is a code such as 404" in wrong.words


def test_the_list_goes_back_page_by_page(client: Client) -> None:
    for number in range(5):
        client.keep(f"/_functions/hello?page={number}")
    page = client.ask("/_wixhttp/?limit=2")
    assert page.text.count("data-id=") == 2
    older = html.unescape(re.findall(r'id="older" href="([^"]*)"', page.text)[0])
    second = client.ask(older + "&limit=2")
    assert "page=2" in second.text
    assert "page=4" not in second.text
    assert "data-events" not in second.text  # only the newest page grows


def test_clear_forgets_all_requests_and_the_page_says_how_to_send_one(client: Client) -> None:
    client.keep("/_functions/hello")
    page = client.follow(client.post("/_wixhttp/requests/clear"))
    assert "No requests yet" in page.words
    assert f"curl http://{HOST}/_functions/" in page.words
    assert client.store.page() == []


def test_what_others_sent_is_text_on_the_page(client: Client) -> None:
    script = "<script>alert(1)</script>"
    kept = client.keep(
        f"/_functions/orders?{script}", "POST", body=f"</textarea></script>{script}".encode(), x_evil=script, cookie="a"
    )
    for path in ("", f"requests/{kept.id}", f"functions/call?from={kept.id}&answer=1"):
        page = client.ask(f"/_wixhttp/{path}")
        assert page.status == 200
        assert script not in page.text
        assert "alert(1)" in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'self'")


def test_long_and_strange_requests_keep_the_page_whole(client: Client) -> None:
    many: dict[str, Any] = {f"x_{number}": "value" for number in range(100)}
    kept = client.keep(f"/_functions/hello?long={'x' * 6000}&%00%e2%80%ae=1", x_control="caf\xe9\x85\x9f", **many)
    page = client.ask(f"/_wixhttp/requests/{kept.id}")
    assert page.status == 200
    assert "x-99" in page.text
    assert re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", page.text) is None
    rows = client.ask("/_wixhttp/").text
    assert "x" * 400 not in rows


def test_a_page_of_a_thousand_requests_is_made_in_less_than_half_a_second(client: Client) -> None:
    template = client.keep("/_functions/hello?name=Ada", x_api_key="one")
    for _ in range(1000):
        client.store.add(KeptRequest(**{**vars(template), "id": 0}))
    client.store.flush()
    client.ask("/_wixhttp/?limit=1000")
    times = []
    for _ in range(3):
        started = time.process_time()  # of all threads, whatever else the machine does
        page = client.ask("/_wixhttp/?limit=1000")
        times.append(time.process_time() - started)
        assert page.text.count("data-id=") == 1000
    assert min(times) < 0.5
    client.store.clear()


# --- the live list ----------------------------------------------------------------------------------------------------


class Stream:
    """An open event stream of the list. ``events`` are those that came, as id and data."""

    def __init__(self, client: Client, target: str, **headers: str) -> None:
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.sent = asyncio.Event()
        self.left = asyncio.Event()
        scope = scope_of(target, "GET", b"", "127.0.0.1", headers)
        self.task = asyncio.ensure_future(client.application(scope, self._receive, self._send))
        self._is_new = True

    async def _receive(self) -> Any:
        if self._is_new:
            self._is_new = False
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        for block in message.get("body", b"").decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "data" in lines:
                self.events.append((int(lines["id"]), json.loads(lines["data"])))
                self.sent.set()

    async def until(self, count: int) -> None:
        """Wait until the events have told of so many requests."""
        while sum(data["count"] for _, data in self.events) < count:
            self.sent.clear()
            await asyncio.wait_for(self.sent.wait(), 10)

    async def leave(self) -> None:
        """Leave, as a browser that closes the page."""
        self.left.set()
        await asyncio.wait_for(self.task, 10)


def test_new_requests_come_by_the_stream_and_it_goes_on_where_it_was(client: Client) -> None:
    before = client.keep("/_functions/hello").id

    async def work() -> None:
        stream = Stream(client, f"/_wixhttp/requests/events?after={before}")
        await client._ask("/_functions/hello?name=first", "GET", b"", "127.0.0.1", {})
        await stream.until(1)
        last, batch = stream.events[0]
        assert "name=first" in batch["rows"]
        await stream.leave()
        await client._ask("/_functions/hello?name=second", "GET", b"", "127.0.0.1", {})
        again = Stream(client, f"/_wixhttp/requests/events?after={before}", last_event_id=str(last))
        await again.until(1)
        assert [("first" in data["rows"], "second" in data["rows"]) for _, data in again.events] == [(False, True)]
        await again.leave()

    client.run(work())
    assert client.store._listeners == []


def test_the_stream_has_what_passes_the_filter_only(client: Client) -> None:
    before = client.keep("/_functions/hello").id

    async def work() -> None:
        stream = Stream(client, f"/_wixhttp/requests/events?after={before}&method=POST&text=wanted")
        for method, body in (("GET", b""), ("POST", b"other"), ("POST", b"wanted")):
            await client._ask("/_functions/orders", method, body, "127.0.0.1", {})
        await stream.until(1)
        assert [data["count"] for _, data in stream.events] == [1]
        await stream.leave()

    client.run(work())
    assert client.ask("/_wixhttp/requests/events?status=abc").status == 400


def test_a_flood_comes_in_few_batches_with_the_number_of_what_is_left_out(client: Client) -> None:
    template = client.keep("/_functions/hello")

    async def work() -> None:
        stream = Stream(client, f"/_wixhttp/requests/events?after={template.id}")
        started = time.monotonic()
        for _ in range(3000):
            client.store.add(KeptRequest(**{**vars(template), "id": 0}))
            await asyncio.sleep(0)
        await stream.until(900)
        lasted = time.monotonic() - started
        assert len(stream.events) <= 2 + 4 * lasted
        for _, batch in stream.events:
            assert batch["rows"].count("<tr") <= MOST_LIVE_ROWS
            assert batch.get("more", 0) == batch["count"] - batch["rows"].count("<tr")
            assert batch["count"] <= MOST_LIVE_ROWS or batch["show"].startswith("/_wixhttp/?before=")
        await stream.leave()

    client.run(work())
    client.store.clear()


# --- one request ------------------------------------------------------------------------------------------------------


def test_a_request_has_both_sides_its_log_and_what_it_is_copied_as(client: Client) -> None:
    kept = client.keep("/_functions/hello?name=Ada", x_api_key="secret-key", cookie="sid=secret-cookie")
    page = client.ask(f"/_wixhttp/requests/{kept.id}")
    for word in ("200 OK", "get_hello", "hello is asked", "The handler", "curl", "import requests"):
        assert word in page.words
    assert "def test_" in page.words
    assert "secret-cookie" not in page.text
    by_request_id = client.ask(f"/_wixhttp/requests/{kept.request_id}")
    assert f"Requests / {kept.id}" in by_request_id.words


def test_a_failed_request_has_its_traceback(client: Client) -> None:
    kept = client.keep("/_functions/broken")
    assert (kept.status, kept.failure is not None) == (500, True) or client.application.context.app is not None
    page = client.ask(f"/_wixhttp/requests/{kept.id}")
    assert "KeyError" in page.words


def test_a_replay_sends_the_same_and_shows_both_answers(client: Client) -> None:
    kept = client.keep("/_functions/orders", "POST", body=b"once", cookie="sid=secret-cookie")
    page = client.follow(client.post(f"/_wixhttp/requests/{kept.id}/replay"))
    assert "Same answer as before" in page.words
    assert "sid=***" in page.text
    replayed = client.newest()
    assert (replayed.replay_of, replayed.request_body) == (kept.id, b"once")


def test_an_edited_replay_sends_what_was_masked_as_it_was(client: Client) -> None:
    kept = client.keep("/_functions/orders?token=abc", "POST", body=b"one\r\ntwo", cookie="sid=real; theme=dark")
    page = client.ask(f"/_wixhttp/requests/{kept.id}")
    assert "cookie: sid=***; theme=***" in page.text
    fields = {
        "method": "post", "path": "/_functions/orders", "query": "token=***&more=ü 1",
        "headers": f"Host: {HOST}\r\ncookie: sid=***; theme=***\r\nX-New: caf\xe9\r\n", "body": "three\r\ntwo",
    }  # fmt: skip
    page = client.follow(client.post(f"/_wixhttp/requests/{kept.id}/replay", fields))
    assert "The answer differs" in page.words
    replayed = client.newest()
    assert replayed.target == "/_functions/orders?token=abc&more=%C3%BC%201"
    assert replayed.request_body == b"three\r\ntwo"
    headers = dict(replayed.request_headers)
    assert headers["cookie"] == "sid=real; theme=dark"
    assert headers["X-New" if "X-New" in headers else "x-new"] == "caf\xe9"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "NO WORD"}, "A method is one word"),
        ({"path": "no-slash"}, "A path begins with a slash"),
        ({"headers": "no colon"}, "Line 1 of the headers"),
        ({"headers": "cookie: a=***; b=***; c=***"}, "The header cookie has 3 times ***"),
        ({"headers": "X-Snow: ☃"}, "a header is bytes"),
    ],
)
def test_an_edited_replay_that_cannot_be_sent_keeps_what_was_typed(
    client: Client, changes: dict[str, str], said: str
) -> None:
    kept = client.keep("/_functions/orders", "POST", body=b"one", cookie="sid=real")
    typed = {
        "method": "POST",
        "path": "/_functions/orders",
        "query": "",
        "headers": "",
        "body": "typed text",
        **changes,
    }
    page = client.post(f"/_wixhttp/requests/{kept.id}/replay", typed)
    assert page.status == 400
    assert said in page.words
    assert "typed text" in page.text
    for value in changes.values():
        assert value in html.unescape(page.text)


def test_a_body_that_was_not_kept_as_a_whole_is_not_sent_again(client: Client) -> None:
    kept = client.keep("/_functions/orders", "POST", body=b"beginning")
    client.store.add(KeptRequest(**{**vars(kept), "id": 0, "request_size": 5_000_000}))
    cut = client.newest()
    assert "The first 9 of 5 000 000 bytes were kept" in client.ask(f"/_wixhttp/requests/{cut.id}").words
    fields = {"method": "POST", "path": "/_functions/orders", "query": "", "headers": "", "body": ""}
    for typed in ({}, fields):
        page = client.post(f"/_wixhttp/requests/{cut.id}/replay", typed)
        assert page.status == 400
        assert "kept" in page.words
    client.follow(client.post(f"/_wixhttp/requests/{cut.id}/replay", {**fields, "body": "another"}))
    assert client.newest().request_body == b"another"


def test_differences_of_secrets_show_no_secret(client: Client) -> None:
    kept = client.keep("/_functions/cookie?name=one&value=first-secret")
    fields = {"method": "GET", "path": "/_functions/cookie", "query": "name=two&value=second-value", "headers": ""}
    page = client.follow(client.post(f"/_wixhttp/requests/{kept.id}/replay", fields))
    assert "header set-cookie one=***; Path=/ two=***; Path=/" in page.words


def test_a_body_of_bytes_is_replayed_as_it_is_unless_another_is_written(client: Client) -> None:
    body = bytes(range(256))
    kept = client.keep("/_functions/bytes", "POST", body=body, x_kind="image/x-strange")
    page = client.ask(f"/_wixhttp/requests/{kept.id}")
    assert "is no text. It is sent as it is" in page.words
    assert "00000010 10 11 12" in page.words
    fields = {"method": "POST", "path": "/_functions/bytes", "query": "", "headers": "x-kind: text/plain", "body": ""}
    client.post(f"/_wixhttp/requests/{kept.id}/replay", fields)
    assert client.newest().request_body == body
    client.post(f"/_wixhttp/requests/{kept.id}/replay", {**fields, "body": "text"})
    assert client.newest().request_body == b"text"


def test_bodies_are_downloaded_as_files_and_images_shown_in_a_sandbox(client: Client) -> None:
    picture = client.keep("/_functions/bytes", "POST", body=b"\x89PNG\r\n\x1a\n\0\0", x_kind="image/png")
    page = client.ask(f"/_wixhttp/requests/{picture.id}")
    assert f'src="/_wixhttp/requests/{picture.id}/image/response"' in page.text
    image = client.ask(f"/_wixhttp/requests/{picture.id}/image/response")
    assert (image.headers["content-type"], image.content) == ("image/png", picture.response_body)
    assert "sandbox" in image.headers["content-security-policy"]
    assert image.headers["x-content-type-options"] == "nosniff"
    raw = client.ask(f"/_wixhttp/requests/{picture.id}/body/request")
    assert raw.content == picture.request_body
    assert raw.headers["content-type"] == "application/octet-stream"
    assert raw.headers["content-disposition"].startswith("attachment")
    drawing = client.keep("/_functions/bytes", "POST", body=b"<svg onload=alert(1)>", x_kind="image/svg+xml")
    assert client.ask(f"/_wixhttp/requests/{drawing.id}/image/response").status == 404
    assert "<svg onload" not in client.ask(f"/_wixhttp/requests/{drawing.id}").text
    assert client.ask(f"/_wixhttp/requests/{drawing.id}/body/other").status == 404


def test_a_page_of_long_bodies_stays_short(client: Client) -> None:
    body = json.dumps({f"key{number}": "v" * 20 for number in range(10_000)}).encode()
    kept = client.keep(
        "/_functions/bytes", "POST", body=body, x_kind="application/json", content_type="application/json"
    )
    page = client.follow(client.post(f"/_wixhttp/requests/{kept.id}/replay"))
    assert page.status == 200
    assert len(page.content) < 2_000_000
    assert f"wixhttp inspect to-test {client.newest().id}" in page.words


# --- bodies -----------------------------------------------------------------------------------------------------------


def kept_with(body: bytes, kind: str, **changes: Any) -> KeptRequest:
    """A kept request with a body."""
    values: dict[str, Any] = {
        "id": 1, "request_id": "", "time": 0.0, "method": "POST", "target": "/", "http_version": "1.1",
        "scheme": "http", "host": "", "client": "", "request_headers": [("content-type", kind)],
        "request_body": body, "request_size": len(body), "function": "", "status": 200, "response_headers": [],
        "response_body": b"", "response_size": 0, "duration": 0.0,
    }  # fmt: skip
    return KeptRequest(**{**values, **changes})


def test_json_is_a_tree_of_bounded_depth_and_size() -> None:
    deep = b"[" * 10_000 + b"]" * 10_000
    shown = shown_body(kept_with(deep, "application/json"), "request")
    assert shown.kind in ("json", "text")
    assert shown.text.startswith("[[[")
    less_deep = shown_body(kept_with(b"[" * 500 + b"]" * 500, "application/json"), "request")
    assert less_deep.kind == "json"
    assert [row.kind for row in less_deep.tree].count("open") == DEEPEST
    wide = json.dumps({f"key{number}": number for number in range(100_000)}).encode()
    shown = shown_body(kept_with(wide, "application/json", request_size=len(wide)), "request")
    assert len(shown.tree) <= MOST_ROWS + 2
    assert "98 001 more: see the text" in [row.text for row in shown.tree]
    assert len(shown.text) == MOST_TEXT
    numbers = tree_rows(json.loads('{"a": 1e400, "b": 123456789012345678901234567890, "c": null}'), str)
    assert [row.text for row in numbers[1:-1]] == ["Infinity", "123456789012345678901234567890", "null"]


@pytest.mark.parametrize("body", [b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 3000 + b"1" + b"}" * 3000])
def test_deep_json_breaks_no_page(client: Client, body: bytes) -> None:
    kept = client.keep(
        "/_functions/bytes", "POST", body=body, content_type="application/json", x_kind="application/json"
    )
    assert client.ask(f"/_wixhttp/requests/{kept.id}").status == 200
    assert client.follow(client.post(f"/_wixhttp/requests/{kept.id}/replay")).status == 200


def test_forms_and_their_parts_are_fields() -> None:
    shown = shown_body(kept_with(b"name=Ada+L&note=%3Cb%3E&name=2", "application/x-www-form-urlencoded"), "request")
    assert [(each.name, each.value) for each in shown.fields] == [("name", "Ada L"), ("note", "<b>"), ("name", "2")]
    body = (
        b'--x\r\nContent-Disposition: form-data; name="who"\r\n\r\nAda\r\n'
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\nContent-Type: a/b\r\n\r\n'
        b"\x00\xff\r\n--x--\r\n"
    )
    shown = shown_body(kept_with(body, "multipart/form-data; boundary=x"), "request")
    assert [(each.name, each.file, each.size) for each in shown.fields] == [("who", None, 3), ("f", "a.bin", 2)]
    assert shown.fields[1].value.startswith("00000000  00 ff")
    cut = shown_body(kept_with(body[:-9], "multipart/form-data; boundary=x"), "request")
    assert "cannot be read as a form" in cut.notes[0]


@pytest.mark.parametrize("cut", [0, 1])
def test_fields_that_hold_credentials_are_masked_by_their_names(cut: int) -> None:
    urlencoded = b"name=Ada&password=hunter2&access_token=abc&smtp_pass=xyz&token="
    shown = shown_body(
        kept_with(urlencoded, "application/x-www-form-urlencoded", request_size=len(urlencoded) + cut), "request"
    )
    assert [each.value for each in shown.fields] == ([] if cut else ["Ada", "***", "***", "***", ""])
    assert shown.text == "name=Ada&password=***&access_token=***&smtp_pass=***&token="
    part = b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n--x--\r\n'
    shown = shown_body(kept_with(part, "multipart/form-data; boundary=x"), "request")
    assert [(each.name, each.value) for each in shown.fields] == [("password", "***")]


def test_an_answer_that_echoes_a_credential_is_masked_and_the_form_sends_it_as_it_was(client: Client) -> None:
    kept = client.keep("/_functions/orders", "POST", body=b"key: key-of-ada", cookie="sid=0123456789abcdef")
    page = client.ask(f"/_wixhttp/requests/{kept.id}")
    assert "0123456789abcdef" not in page.text
    kept.request_headers.append(("x-api-key", "key-of-ada"))
    form = form_of(kept)
    assert form.body == "key: ***"
    assert "key-of-ada" not in form.headers


def test_bodies_that_are_cut_or_packed_say_so() -> None:
    import gzip

    shown = shown_body(kept_with(b'{"a": 1', "application/json", request_size=5_000_000), "request")
    assert (shown.kind, shown.notes) == ("text", ["The first 7 of 5 000 000 bytes were kept."])
    packed = kept_with(b"", "", response_headers=[("Content-Encoding", "gzip"), ("Content-Type", "application/json")])
    packed.response_body = gzip.compress(b'{"a": 1}')
    packed.response_size = len(packed.response_body)
    shown = shown_body(packed, "response")
    assert (shown.kind, shown.text) == ("json", '{"a": 1}')
    packed.response_body = gzip.compress(b"\0" * 50_000_000)  # which is 50 kB
    packed.response_size = len(packed.response_body)
    assert shown_body(packed, "response").kind == "hex"
    packed.response_body = b"no gzip"
    assert "cannot be unpacked" in shown_body(packed, "response").notes[-1]
    refused = kept_with(b"", "text/plain", request_headers=[("content-length", "300")])
    assert "before its body of 300 bytes was read" in shown_body(refused, "request").notes[0]
    assert hex_dump(b"") == ""


# --- masks in what is edited ------------------------------------------------------------------------------------------


def test_masks_stand_for_the_secrets_in_their_order() -> None:
    real, shown = "a=1; b=22; c=3", "a=***; b=***; c=3"
    assert hidden_parts(shown, real) == ["1", "22"]
    assert unmasked("b=***; x=***", shown, real, "it") == "b=1; x=22"
    assert unmasked(shown, shown, real, "it") == real
    assert unmasked("new", shown, real, "it") == "new"
    assert unmasked("***", "plain", "plain", "it") == "***"
    with pytest.raises(UnknownSecret, match=r"3 times \*\*\*, and was shown with 2"):
        unmasked("*** *** ***", shown, real, "it")
    assert hidden_parts("a=***", "b=1") is None
    assert hidden_parts("***x", "1y") is None
    assert hidden_parts("a***b***c", "a1c") is None


def test_headers_are_compared_by_name_and_place() -> None:
    real = [("X-Key", "one"), ("x-key", "two"), ("Accept", "a")]
    shown = [("X-Key", "***"), ("x-key", "***"), ("Accept", "a")]
    edited = [("Accept", "b"), ("X-Key", "***"), ("X-KEY", "***"), ("New", "***")]
    assert unmasked_headers(edited, shown, real) == [
        ("Accept", "b"), ("X-Key", "one"), ("X-KEY", "two"), ("New", "***"),
    ]  # fmt: skip
    assert parse_fields("A: 1\n\nB:2:3\nC:\n") == [("A", "1"), ("B", "2:3"), ("C", "")]
    with pytest.raises(HTTPError):
        parse_fields("A B: 1")


# --- functions --------------------------------------------------------------------------------------------------------


def test_functions_and_endpoints_are_listed_with_their_place(client: Client) -> None:
    page = client.ask("/_wixhttp/functions")
    assert "GET /_functions/hello Say hello. backend/http_functions.py:5" in page.words
    assert "POST /api/contact Take the form. src/pages/api/contact.py:4" in page.words


def test_a_function_is_called_by_its_form_and_the_answer_is_kept(client: Client) -> None:
    form = client.ask("/_wixhttp/functions/call?method=GET&path=/_functions/hello&function=get_hello")
    assert "Say hello." in form.words
    fields = {
        "method": "GET",
        "path": "/_functions/hello",
        "query": "name=Grace",
        "headers": "X-Api-Key: k",
        "body": "",
    }
    page = client.follow(client.post("/_wixhttp/functions/call", fields))
    assert "200 OK" in page.words
    assert "Grace" in page.text
    kept = client.newest()
    assert (kept.function, kept.replay_of) == ("get_hello", None)
    again = client.ask(f"/_wixhttp/functions/call?from={kept.id}")
    assert "name=Grace" in again.text
    assert "x-api-key: ***" in again.text.lower()
    typed = {**fields, "template": str(kept.id), "headers": "x-api-key: ***", "query": "name=Again"}
    client.post("/_wixhttp/functions/call", typed)
    assert dict(client.newest().request_headers)["x-api-key"] == "k"


def test_an_endpoint_gets_the_form_of_a_page_of_the_site(client: Client) -> None:
    fields = {
        "method": "POST", "path": "/api/contact", "query": "", "body": "name=Ada",
        "headers": "Content-Type: application/x-www-form-urlencoded",
    }  # fmt: skip
    page = client.follow(client.post("/_wixhttp/functions/call", fields))
    assert "200 OK" in page.words
    assert client.newest().response_body == b"Ada"


def test_masks_of_a_request_that_is_kept_no_longer_are_not_sent(client: Client) -> None:
    fields = {"method": "GET", "path": "/_functions/hello", "template": "987654", "headers": "X-Api-Key: ***"}
    page = client.post("/_wixhttp/functions/call", fields)
    assert page.status == 400
    assert "is kept no longer" in page.words


def test_a_call_that_cannot_be_sent_keeps_what_was_typed(client: Client) -> None:
    page = client.post("/_wixhttp/functions/call", {"method": "GET", "path": "nowhere", "headers": "", "body": "typed"})
    assert page.status == 400
    assert "A path begins with a slash" in page.words
    assert "typed" in page.text


# --- collections ------------------------------------------------------------------------------------------------------


def test_looking_makes_no_database(tmp_path: Path) -> None:
    made = make_client(write_project(tmp_path, {"backend/http_functions.py": SITE["backend/http_functions.py"]}))
    assert "No collections yet" in made.ask("/_wixhttp/collections").words
    assert made.ask("/_wixhttp/collections/books").status == 404
    assert not (tmp_path / "data").exists()
    made.close()


@pytest.fixture(scope="module")
def books(client: Client) -> Client:
    """The client, with 10 000 items."""
    assert client.ask("/_wixhttp/collections/books").words.count("No items yet") == 1
    for start in range(0, 10_000, 1000):
        items = [
            {
                "_id": f"b{number:05}", "title": f"Book {number}", "author": f"A{number % 7}", "year": number % 120,
                "isbn": str(number),
            }
            for number in range(start, start + 1000)
        ]  # fmt: skip
        data.bulkInsert("books", items, {"suppressAuth": True, "suppressHooks": True})
    data.insert("genres", {"_id": "novel"})
    return client


def links(page: Shown, rel: str) -> list[str]:
    """The addresses of the links of a page with that relation."""
    return [html.unescape(each) for each in re.findall(rf'href="([^"]*)" rel="{rel}"', page.text)]


def test_collections_are_listed_with_what_is_declared(books: Client) -> None:
    page = books.ask("/_wixhttp/collections")
    assert "books 10 000 author, -year; isbn (unique) genres data/collections.toml" in page.words
    assert "empty not made yet" in page.words or "empty 0" in page.words
    own = books.ask("/_wixhttp/collections/books")
    for word in ("read ADMIN", "many of genres, shown there as books", "10 000 items"):
        assert word in own.words
    assert books.ask("/_wixhttp/collections/Nope").status == 404
    assert books.ask("/_wixhttp/collections/a%00b").status == 404


@pytest.mark.parametrize("sort", ["", "year", "-author", "missing"])
def test_a_collection_is_walked_to_its_end_and_back(books: Client, sort: str) -> None:
    seen: list[str] = []
    page = books.ask("/_wixhttp/collections/books?" + urlencode({"sort": sort, "filter": '{"year": {"$lt": 4}}'}))
    while True:
        ids = re.findall(r"item\?id=(b\d+)", page.text)
        assert 0 < len(ids) <= 50
        seen += ids
        onward = links(page, "next")
        if not onward:
            break
        page = books.ask(onward[0])
    assert len(seen) == len(set(seen)) == 336
    back = list(ids)
    while links(page, "prev"):
        page = books.ask(links(page, "prev")[0])
        back = re.findall(r"item\?id=(b\d+)", page.text) + back
    assert back == seen


def test_cursors_of_long_keys_and_of_items_that_are_gone(books: Client) -> None:
    from wixhttp.data.collections import current

    order = (Order(("title",)),)
    item = {"_id": "long", "title": "x" * 5000}
    text = write_cursor(item, order)
    assert len(text) < 100
    assert read_cursor(current(), "books", text, order) is None
    short = write_cursor({"_id": "b1", "title": "Emma"}, order)
    found = read_cursor(current(), "books", short, order)
    assert found is not None
    assert (found.keys[-1], found.is_before) == ("b1", False)
    assert read_cursor(current(), "books", short, (*order, *order)) is None
    for wrong in ("%", "bm8", "W10", "WzEsMl0", "e30"):
        assert read_cursor(current(), "books", wrong, order) is None
        assert books.ask(f"/_wixhttp/collections/books?at={wrong}").status == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"filter": "{no json"}, "The filter is not JSON"),
        ({"filter": "[" * 5000}, "The filter"),
        ({"filter": '{"n": Infinity}'}, "JSON has no Infinity"),
        ({"filter": '{"year": {"$no": 1}}'}, "$no"),
        ({"sort": "a..b"}, "is no name of a field"),
        ({"sort": "genres"}, "multi-reference field"),
    ],
)
def test_a_wrong_filter_or_sort_is_told_beside_what_was_typed(books: Client, query: dict[str, str], said: str) -> None:
    page = books.ask("/_wixhttp/collections/books?" + urlencode(query))
    assert page.status == 400
    assert said in page.words
    assert query.get("filter", "") in html.unescape(page.text)


def test_an_item_is_inserted_edited_and_deleted_with_hooks(books: Client) -> None:
    assert "New item" in books.ask("/_wixhttp/collections/books/new").words
    item = '{"_id": "emma & co", "title": "Emma", "published": {"$date": "1815-12-23T00:00:00Z"}, "genres": ["novel"]}'
    page = books.follow(books.post("/_wixhttp/collections/books/insert", {"item": item}))
    assert "The item is saved." in page.words
    stored = data.get("books", "emma & co", {"suppressAuth": True})
    assert stored is not None
    assert stored["hooked"] is True
    assert data.isReferenced("books", "genres", "emma & co", "novel", {"suppressAuth": True})
    text = html.unescape(re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.DOTALL)[0])
    assert json.loads(text)["genres"] == ["novel"]
    updated = re.findall(r'name="updated" value="([^"]*)"', page.text)[0]
    fields = {"id": "emma & co", "updated": updated, "item": text.replace('"Emma"', '"Emma, edited"')}
    time.sleep(0.002)  # its _updatedDate, in milliseconds, is another one
    page = books.follow(books.post("/_wixhttp/collections/books/update", fields))
    assert "Emma, edited" in page.text
    stale = books.post("/_wixhttp/collections/books/update", {**fields, "item": text.replace("Emma", "Stale")})
    assert stale.status == 409
    assert "changed by somebody else" in stale.words
    assert "Stale" in stale.text
    page = books.post("/_wixhttp/collections/books/remove", {"id": "emma & co"})
    assert page.headers["location"] == "/_wixhttp/collections/books"
    assert data.get("books", "emma & co", {"suppressAuth": True}) is None
    assert books.post("/_wixhttp/collections/books/remove", {"id": "emma & co"}).status == 404
    assert books.ask("/_wixhttp/collections/books/item?id=emma+%26+co").status == 404


@pytest.mark.parametrize(
    ("action", "item", "said"),
    [
        ("insert", "{no json", "The item is not JSON"),
        ("insert", "[1]", "An item is an object"),
        ("insert", '{"n": NaN}', "JSON has no NaN; write null, or leave the field out"),
        ("insert", '{"n": [-1e999]}', "The item cannot be read: the number -1e999 is too large"),
        ("insert", '{"_id": "b00001"}', "already exists"),
        ("insert", '{"isbn": "7"}', "Duplicated"),
        ("insert", '{"$a": 1}', "cannot begin with"),
        ("insert", "[" * 100_000, "The item"),
        ("update", '{"title": "refused"}', "A hook of the site raised ValueError: this title is refused"),
        ("update", '{"_id": "other"}', "This form changes the item 'b00002'"),
    ],
)
def test_what_is_refused_is_told_on_the_form_with_what_was_typed(
    books: Client, action: str, item: str, said: str
) -> None:
    opened = collection_data.open_item("books", "b00002")
    fields = {"item": item, "id": "b00002" if action == "update" else "", "updated": opened.updated}
    page = books.post(f"/_wixhttp/collections/books/{action}", fields)
    assert page.status >= 400
    assert said in page.words
    assert item in html.unescape(page.text)


def test_a_collection_whose_name_has_a_slash(books: Client) -> None:
    data.insert("Stores/Products", {"_id": "tea"})
    assert 'href="/_wixhttp/collections/Stores%2FProducts"' in books.ask("/_wixhttp/collections").text
    page = books.ask("/_wixhttp/collections/Stores%2FProducts")
    assert 'href="/_wixhttp/collections/Stores%2FProducts/item?id=tea"' in page.text
    assert "tea" in books.ask("/_wixhttp/collections/Stores%2FProducts/item?id=tea").words
    page = books.follow(books.post("/_wixhttp/collections/Stores%2FProducts/insert", {"item": '{"_id": "cup"}'}))
    assert "The item is saved" in page.words


def test_a_table_has_a_column_for_each_field_and_says_how_it_is_sorted(books: Client) -> None:
    page = books.ask("/_wixhttp/collections/books?sort=-year")
    assert 'aria-sort="descending"><a href="/_wixhttp/collections/books?sort=year">year' in page.text
    items: list[dict[str, Any]] = [{"_id": "1", "b": None, "a": {"x": 1}}, {"_id": "2", "b": 1}]
    assert collection_data.columns_of(items) == ["_id", "b", "a", "_createdDate", "_updatedDate", "_owner"]
    with pytest.raises(WixDataError):
        collection_data.parse_sort("$x")
    assert collection_data.parse_filter_text("  ") == EVERYTHING


def test_declarations_that_are_wrong_are_told(tmp_path: Path) -> None:
    files = {
        "backend/http_functions.py": SITE["backend/http_functions.py"],
        "data/collections.toml": "[books]\nx = 1\n",
    }
    made = make_client(write_project(tmp_path, files))
    page = made.ask("/_wixhttp/collections")
    assert page.status == 500
    assert "data/collections.toml:2" in page.words
    assert "data/collections.toml:2" in made.ask("/_wixhttp/collections/books").words
    made.close()


# --- a project that cannot be loaded ----------------------------------------------------------------------------------


def test_without_a_site_requests_are_shown_and_the_other_pages_say_why(tmp_path: Path) -> None:
    folder = write_project(tmp_path, {"backend/http_functions.py": "import nothing_like_this\n"})
    config = load_config(folder, environ={}, flags={"mode": "development"})
    context = DevelopmentContext(config, RequestStore(folder / ".wixhttp"), TOKEN, 1)
    context.failure = {
        "exception": "ModuleNotFoundError",
        "message": "No module named 'nothing_like_this'",
        "place": "",
    }
    made = Client(DevelopmentApplication(ASGIApplication(StandInApp(config, None, still_loading)), context))
    kept = made.keep("/_functions/hello")
    assert kept.status == 503
    assert "/_functions/hello" in made.ask("/_wixhttp/").words
    for path in ("functions", "collections", "functions/call"):
        assert "cannot be loaded" in made.ask(f"/_wixhttp/{path}").words
        assert "nothing_like_this" in made.ask(f"/_wixhttp/{path}").text
    assert made.ask("/_wixhttp/collections/books").status == 409
    made.close()
