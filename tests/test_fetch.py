"""`wixhttp.fetch`, against a server on loopback: what is sent, what comes back, in time, no secret in an error."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from tests.interfaces import Served, write_project
from tests.servers import free_port
from tests.test_imports import loaded_by
from wixhttp.endpoints import URL, URLSearchParams
from wixhttp.errors import HTTPError, MisuseWarning
from wixhttp.fetch import FetchError, FetchResponse, FetchTimeout, UnexpectedAnswer, fetch, getJSON, postJSON, transport
from wixhttp.testing import TestClient

WAIT = 30.0  # seconds until a wait is a failure
SECRETS = ("hunter22", "s3cret")


class Asked(BaseHTTPRequestHandler):
    """A request to the other server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        other: Other = cast(Any, self.server).other
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        other.asked.append(copy.copy(self))  # this one takes the next request of its connection, too
        answer = other.answers.get(self.path.partition("?")[0], (404, {}, b"none"))
        if callable(answer):
            answer(self)
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_GET  # noqa: N815 - the server's names

    def log_message(self, *arguments: object) -> None:
        pass


class Other:
    """Another server: ``answers`` by path, ``asked`` what it was asked, ``connections`` their number."""

    def __init__(self) -> None:
        other = self

        class Server(ThreadingHTTPServer):
            def get_request(self) -> Any:
                other.connections += 1
                return super().get_request()

            def handle_error(self, *arguments: object) -> None:
                """Clients that have had enough are no error."""

        self.answers: dict[str, Any] = {}
        self.asked: list[Asked] = []
        self.connections = 0
        self.server = Server(("127.0.0.1", 0), Asked)
        cast(Any, self.server).other = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, path: str, body: bytes | Callable[[Asked], None], status: int = 200, **headers: Any) -> str:
        self.answers[path] = body if callable(body) else (status, headers, body)
        return self.url + path

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Other]:
    other = Other()
    yield other
    other.close()


@pytest.fixture
def other(shared: Other) -> Other:
    shared.answers.clear()
    shared.asked.clear()
    return shared


@pytest.fixture
def echo(other: Other) -> str:
    return other.answer("/echo", b'{"a":[1,"\xc3\xbc"]}', 201, **{"Content-Type": "application/json", "X-One": "1"})


def of_type(kind: str) -> dict[str, Any]:
    return {"Content-Type": kind}


def run(handler: Any) -> Any:
    return asyncio.run(handler())


# --- values and promises ---------------------------------------------------------------------------------------------


def test_the_response_in_a_def(echo: str) -> None:
    answer = fetch(echo, {"method": "post", "body": "x"})
    assert (answer.ok, answer.status, answer.statusText) == (True, 201, "Created")
    assert (answer.url, answer.redirected) == (echo, False)
    assert answer.headers["x-one"] == answer.headers["X-One"] == answer.headers.get("x-ONE") == "1"
    assert answer.headers["x-none"] is None
    assert not answer.bodyUsed
    assert answer.json() == {"a": [1, "ü"]}
    assert answer.bodyUsed
    assert answer.text() == '{"a":[1,"ü"]}'
    assert answer.bytes() == answer.arrayBuffer() == answer.buffer() == b'{"a":[1,"\xc3\xbc"]}'


def test_the_response_in_an_async_def(echo: str) -> None:
    async def handler() -> list[Any]:
        answer = await fetch(echo, {"method": "post", "body": "x"})
        return [answer.ok, await answer.json(), await answer.text(), await answer.bytes(), await answer.arrayBuffer()]

    text = '{"a":[1,"ü"]}'
    assert run(handler) == [True, {"a": [1, "ü"]}, text, text.encode(), text.encode()]


def test_values_of_json(echo: str, other: Other) -> None:
    async def handler() -> list[Any]:
        return list(await asyncio.gather(getJSON(echo), postJSON(echo, {"q": 1})))

    assert run(handler) == [{"a": [1, "ü"]}] * 2
    assert getJSON(echo, {"method": "post"}) == postJSON(echo, None) == {"a": [1, "ü"]}
    assert [each.command for each in other.asked[2:]] == ["GET", "POST"]
    assert {each.headers["Accept"] for each in other.asked} == {"application/json"}
    assert (other.asked[3].headers["Content-Type"], other.asked[3].body) == ("application/json", b"null")
    postJSON(echo, "text", {"headers": {"accept": "text/json", "content-type": "text/json"}})
    assert (other.asked[4].headers["Accept"], other.asked[4].headers["Content-Type"]) == ("text/json", "text/json")
    assert other.asked[4].body == b'"text"'


def test_it_begins_when_it_is_called_and_does_not_block_the_loop(other: Other) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(asked: Asked) -> None:
        begun.set()
        assert go_on.wait(WAIT)
        asked.send_response(204)
        asked.end_headers()

    url = other.answer("/slow", slowly)

    async def handler() -> FetchResponse:
        promise = fetch(url)  # not awaited yet
        assert await asyncio.to_thread(begun.wait, WAIT)
        go_on.set()
        return await promise

    assert run(handler).status == 204


def test_a_missing_await_says_what_to_write(echo: str) -> None:
    async def handler() -> None:
        promise: Any = fetch(echo)
        with pytest.raises(
            AttributeError, match=r"gives a promise: write await fetch\(\.\.\.\), and \(await \.\.\.\)\.ok"
        ):
            _ = promise.ok
        with pytest.raises(AttributeError, match=r"has no .then in Python: write value = await fetch\(\.\.\.\)"):
            promise.then(print)
        with pytest.raises(TypeError, match=r"write await fetch\(\.\.\.\)"):
            bool(promise)
        value = (await promise).json()
        with pytest.raises(TypeError, match=r"write await response\.json\(\)"):
            value["a"]
        assert (await value)["a"][0] == 1
        promise = getJSON(echo)
        with pytest.raises(TypeError, match=r"write await getJSON\(\.\.\.\)"):
            promise["a"]
        await promise

    run(handler)


def test_attributes_of_requests_say_their_names_here(echo: str) -> None:
    answer: Any = fetch(echo)
    with pytest.raises(AttributeError, match=r"write response\.status"):
        _ = answer.status_code
    assert not hasattr(answer, "cookies")


# --- what is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        ("ü", "ü".encode(), "text/plain;charset=UTF-8"),
        (b"\x00\xff", b"\x00\xff", None),
        ({"a": [1]}, b'{"a":[1]}', "application/json"),
        ([1, None], b"[1,null]", "application/json"),
        (URLSearchParams({"a": "1 2"}), b"a=1+2", "application/x-www-form-urlencoded;charset=UTF-8"),
    ],
)
def test_bodies(echo: str, other: Other, body: Any, sent: bytes, kind: str | None) -> None:
    fetch(echo, {"method": "post", "body": body})
    fetch(echo, method="put", body=body, headers={"content-type": "x/y", "X-Key": 5})
    first, second = other.asked
    assert (first.command, first.body, first.headers["Content-Type"]) == ("POST", sent, kind)
    assert (second.command, second.body, second.headers["Content-Type"]) == ("PUT", sent, "x/y")
    assert second.headers["X-Key"] == "5"


def test_keywords_win_over_options_and_a_url_may_be_an_object(echo: str, other: Other) -> None:
    fetch(URL(echo), {"method": "PUT", "headers": {"A": "1"}}, method="delete")
    assert (other.asked[0].command, other.asked[0].headers["A"]) == ("DELETE", "1")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"methd": "post"}, TypeError, "no option 'methd'; did you mean 'method'"),
        ({"json": {}}, TypeError, "write body="),
        ({"method": 5}, ValueError, "method is a name"),
        ({"method": "PO ST"}, ValueError, "method is a name"),
        ({"body": "x"}, TypeError, "a GET request has no body"),
        ({"method": "post", "body": 5}, TypeError, "body is a str, bytes, a dict"),
        ({"timeout": 0}, ValueError, "seconds above 0"),
        ({"timeout": "1"}, ValueError, "seconds above 0"),
        ({"redirect": "no"}, ValueError, "follow, manual, error"),
        ({"size": -1}, ValueError, "bytes above 0"),
        ({"headers": {"a b": "1"}}, ValueError, "a header's name"),
        ({"headers": {"Authorization": "hunter22\n"}}, ValueError, "header 'Authorization', of type str, cannot"),
        ("post", TypeError, "options of fetch are a dict"),
    ],
)
def test_options_that_cannot_be(echo: str, other: Other, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        fetch(echo, options)
    assert "hunter22" not in str(caught.value)
    assert other.asked == []


def test_options_without_an_effect_are_told(echo: str) -> None:
    with pytest.warns(MisuseWarning, match="no use for 'cache'"):
        fetch(echo, {"cache": "no-store"})
    with pytest.warns(MisuseWarning, match="in seconds: 5000 are 83 minutes; write 5"):
        fetch(echo, {"timeout": 5000})


# --- what comes back -------------------------------------------------------------------------------------------------


def test_every_status_is_a_response_and_getjson_wants_success(other: Other) -> None:
    url = other.answer("/gone", b'{"why":1}', 410)
    answer = fetch(url)
    assert (answer.ok, answer.status, answer.json()) == (False, 410, {"why": 1})
    calls: list[Callable[[str], Any]] = [getJSON, lambda url: postJSON(url, {})]
    for call in calls:
        with pytest.raises(UnexpectedAnswer, match=r"http://127.0.0.1:\d+ answered 410 Gone") as caught:
            call(url)
        assert caught.value.response.json() == {"why": 1}


def test_what_is_no_json(other: Other) -> None:
    url = other.answer("/page", b"<html>", **of_type("text/html"))
    with pytest.raises(UnexpectedAnswer, match=r"is no JSON .*, of type text/html: b'<html>'") as caught:
        fetch(url).json()
    assert isinstance(caught.value, ValueError)
    assert caught.value.response.text() == "<html>"

    async def handler() -> Any:
        return await (await fetch(url)).json()

    with pytest.raises(UnexpectedAnswer):
        run(handler)


def test_text_has_the_charset_of_its_type(other: Other) -> None:
    assert fetch(other.answer("/t", b"\xfc", **of_type("text/plain; charset=iso-8859-1"))).text() == "ü"


def test_the_size_of_an_answer_is_bounded(other: Other) -> None:
    url = other.answer("/large", b"x" * 1001)
    assert len(fetch(url, size=1001).bytes()) == 1001
    with pytest.raises(FetchError, match="too long: at most 1000 bytes are read"):
        fetch(url, {"size": 1000})


def test_redirects(other: Other) -> None:
    there = other.answer("/there", b"there")
    away = other.answer("/away", b"", 302, Location="/there")
    answer = fetch(away, {"method": "post", "body": "x"})
    assert (answer.text(), answer.url, answer.redirected) == ("there", there, True)
    assert [each.command for each in other.asked] == ["POST", "GET"]
    answer = fetch(away, redirect="manual")
    assert (answer.status, answer.headers["location"], answer.redirected) == (302, "/there", False)
    with pytest.raises(FetchError, match="answered 302, a redirect"):
        fetch(away, redirect="error")
    with pytest.raises(FetchError, match="more than 20 redirects"):
        fetch(other.answer("/round", b"", 307, Location="/round"))
    with pytest.raises(FetchError, match="neither http nor https"):
        fetch(other.answer("/out", b"", 307, Location="file:///etc/passwd"))


def test_credentials_of_a_header_stay_with_their_host(other: Other) -> None:
    second = Other()
    try:
        second.answer("/there", b"")
        headers = {"Authorization": "Bearer s3cret"}
        fetch(other.answer("/away", b"", 307, Location=second.url + "/there"), headers=headers)
        assert other.asked[0].headers["Authorization"] == "Bearer s3cret"
        assert second.asked[0].headers["Authorization"] is None
    finally:
        second.close()


def test_nothing_is_kept_between_requests_and_no_netrc_is_read(
    other: Other, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password hunter22\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    url = other.answer("/cookie", b"", 200, **{"Set-Cookie": "visitor=ada; Path=/"})
    away = other.answer("/away", b"", 307, Location="/cookie")
    for each in (url, url, away):
        fetch(each)
    fetch(url.replace("http://", "http://eve:own@"))
    assert [each.headers["Cookie"] for each in other.asked] == [None] * 5
    assert [each.headers["Authorization"] for each in other.asked] == [None] * 4 + ["Basic ZXZlOm93bg=="]


# --- failures --------------------------------------------------------------------------------------------------------


def test_failures_name_host_and_cause_and_no_secret(other: Other) -> None:
    closed = free_port()

    def cut(asked: Asked) -> None:
        asked.send_response(200)
        asked.send_header("Content-Length", "10")
        asked.end_headers()
        asked.wfile.write(b"x")
        asked.close_connection = True

    port = other.server.server_port
    cases = {
        f"http://ada:hunter22@127.0.0.1:{closed}/s3cret?key=s3cret": rf"GET http://127.0.0.1:{closed} failed: "
        r"Connection refused \(ConnectionRefusedError\)",
        f"https://127.0.0.1:{port}/s3cret": rf"GET https://127.0.0.1:{port} failed: .*SSL",
        other.answer("/cut", cut) + "?key=s3cret": "failed: IncompleteRead",
    }
    for url, message in cases.items():
        with pytest.raises(FetchError, match=message) as caught:
            fetch(url)
        error: BaseException | None = caught.value
        assert isinstance(error, HTTPError)
        assert error.status == 502
        while error is not None:  # what a traceback prints
            assert not any(secret in str(error) for secret in SECRETS)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com/s3cret", "absolute URL such as .* not one of the scheme 'ftp' and the host 'example.com'"),
        ("/s3cret", "absolute URL such as .* not one of the scheme '' and the host None"),
        ("http://ada:hunter22@[::1/s3cret", "the host of this one cannot be read: look at its brackets"),
        ("http://ada:hunter22@127.0.0.1:99999/s3cret", "the port of this one, with the host '127.0.0.1', is no number"),
    ],
)
def test_a_url_that_cannot_be_asked_is_the_fault_of_the_code(url: str, message: str) -> None:
    for function in (fetch, getJSON):
        with pytest.raises(ValueError, match=message) as caught:
            function(url)
        assert not isinstance(caught.value, HTTPError)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert not any(secret in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize("phase", ["nothing", "head", "body"])
def test_the_time_limit_is_for_the_whole_of_it(other: Other, phase: str) -> None:
    """A server that sends one byte after the other, too: each of them is in time, all of them are not."""
    over = threading.Event()

    def trickle(asked: Asked) -> None:
        if phase == "nothing":
            over.wait(WAIT)
            return
        asked.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"X: " if phase == "head" else b"Content-Length: 100000\r\n\r\n"))
        while not over.wait(0.02):
            asked.wfile.write(b"x")

    url = other.answer("/trickle", trickle)
    began = time.monotonic()
    try:
        with pytest.raises(FetchTimeout, match=r"did not answer in time: its timeout is 0\.3 seconds") as caught:
            fetch(url, timeout=0.3)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.status == 504
    finally:
        over.set()
    assert 0.25 < time.monotonic() - began < WAIT / 2


def wait_for(event: threading.Event) -> None:
    event.wait(WAIT)


HANDLERS = """
    import asyncio, time
    from wixhttp import *
    from wixhttp.fetch import FetchTimeout, fetch, getJSON

    @limits(timeout=3)
    def post_late(request):
        try:
            return ok(fetch(request.body.text()).text())
        except FetchTimeout as error:
            return response(status=299, body=str(error))

    @limits(timeout=3)
    async def post_lateAwaited(request):
        try:
            return ok((await fetch(await request.body.text(), timeout=50)).text())
        except FetchTimeout as error:
            return response(status=299, body=str(error))

    def post_uncaught(request):
        return ok(getJSON(request.body.text()))

    async def post_uncaughtAwaited(request):
        return ok(await getJSON(await request.body.text()))

    def post_traced(request):
        return ok(fetch(request.body.text(), headers=request.headers["x-own"] and {"x-request-id": "own"}).text())

    async def post_tracedAwaited(request):
        headers = request.headers["x-own"] and {"x-request-id": "own"}
        return ok(await (await fetch(await request.body.text(), headers=headers)).text())

    @limits(timeout=0.5)
    def post_streamed(request):
        url = request.body.text()

        def chunks():
            yield "a"
            time.sleep(0.6)
            yield fetch(url).text()

        return ok(chunks())
"""


def test_a_function_can_answer_where_another_server_is_late(serve: Callable[..., Served], other: Other) -> None:
    over = threading.Event()
    url = other.answer("/never", lambda asked: wait_for(over))
    served = serve(HANDLERS)
    try:
        with ThreadPoolExecutor(2) as clients:
            asked = [clients.submit(served, name, "POST", body=url.encode()) for name in ("late", "lateAwaited")]
        for answer in (each.result() for each in asked):
            assert answer.status == 299
            found = re.search(r"([\d.]+) seconds were left of the function's own timeout", answer.text)
            assert found is not None, answer.text
            assert float(found[1]) <= 2.7  # a tenth is kept for its answer
    finally:
        over.set()


def test_a_stream_has_its_own_time(serve: Callable[..., Served], other: Other) -> None:
    assert serve(HANDLERS)("streamed", "POST", body=other.answer("/b", b"b").encode()).text == "ab"


@pytest.mark.parametrize("name", ["uncaught", "uncaughtAwaited"])
def test_a_failure_that_nobody_catches_is_a_bad_gateway(
    serve: Callable[..., Served], other: Other, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    answer = serve(HANDLERS)(name, "POST", body=other.answer("/s3cret", b"", 500).encode())
    assert answer.status == 502
    assert answer.problem["detail"] == "Another server that this needs did not answer as it should."
    [line] = [each.getMessage() for each in caplog.records if "answered 500" in each.getMessage()]
    assert f"GET {other.url} answered 500" in line
    assert "s3cret" not in line


@pytest.mark.parametrize("name", ["traced", "tracedAwaited"])
def test_the_request_that_is_handled_can_be_traced(serve: Callable[..., Served], other: Other, name: str) -> None:
    url, served = other.answer("/there", b"there"), serve(HANDLERS)
    trace = "0af7651916cd43dd8448eb211c80319c"
    parent = f"00-{trace}-b7ad6b7169203331-01"
    given = (("X-Request-Id", "id-1"), ("traceparent", parent), ("tracestate", "a=1"))
    assert served(name, "POST", *given, body=url.encode()).text == "there"
    assert served(name, "POST", *given, ("X-Own", "1"), body=url.encode()).text == "there"
    assert (
        served(name, "POST", ("X-Request-Id", "id-2"), ("traceparent", "00-x-y-z"), body=url.encode()).text == "there"
    )
    first, second, third = (each.headers for each in other.asked)
    assert (first["X-Request-Id"], second["X-Request-Id"], third["X-Request-Id"]) == ("id-1", "own", "id-2")
    version, same, own, flags = first["traceparent"].split("-")
    assert (version, same, flags) == ("00", trace, "01")
    assert own not in ("b7ad6b7169203331", "0" * 16, second["traceparent"].split("-")[2])
    assert len(own) == 16
    assert first["tracestate"] == "a=1"
    assert (third["traceparent"], third["tracestate"]) == (None, None)


def test_outside_of_a_request_there_is_no_id(echo: str, other: Other) -> None:
    fetch(echo)
    assert (other.asked[0].headers["X-Request-Id"], other.asked[0].headers["traceparent"]) == (None, None)


# --- connections -----------------------------------------------------------------------------------------------------


def test_a_connection_is_used_again_by_any_thread(other: Other, echo: str) -> None:
    fetch(echo)
    before = other.connections
    for _ in range(3):
        fetch(echo)
        thread = threading.Thread(target=fetch, args=(echo,))
        thread.start()
        thread.join(WAIT)
        run(lambda: _await(fetch(echo)))
    assert other.connections == before


async def _await(promise: Any) -> Any:
    return await promise


@pytest.mark.parametrize(("method", "is_again"), [("GET", True), ("DELETE", True), ("POST", False), ("PATCH", False)])
def test_a_connection_that_was_closed_meanwhile(other: Other, method: str, is_again: bool) -> None:
    """A request that may be sent twice is; another fails, since the server may have done it."""
    url = other.answer("/ok", b"ok")
    fetch(url)
    cuts = iter([True])

    def cut_once(asked: Asked) -> None:
        if next(cuts, False):
            asked.close_connection = True
            asked.connection.shutdown(socket.SHUT_RDWR)
        else:
            asked.send_response(204)
            asked.end_headers()

    url = other.answer("/cut", cut_once)
    other.asked.clear()
    if is_again:
        assert fetch(url, {"method": method}).status == 204
    else:
        with pytest.raises(FetchError, match=r"failed: (RemoteDisconnected|Connection)"):
            fetch(url, {"method": method})
    assert len(other.asked) == 1 + is_again


def test_a_fork_has_connections_of_its_own(other: Other, echo: str) -> None:
    code = f"""
import os, sys
from wixhttp.fetch import fetch
fetch({echo!r})
child = os.fork()
if not child:
    os._exit(0 if fetch({echo!r}).ok else 1)
assert os.waitpid(child, 0)[1] == 0
assert fetch({echo!r}).ok
"""
    before = other.connections
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=WAIT)
    assert (other.connections - before, len(other.asked)) == (2, 3)


# --- loading, and the test kit ---------------------------------------------------------------------------------------


def test_requests_is_loaded_with_the_module_since_the_first_request_would_hold_the_loop() -> None:
    loaded = loaded_by("import wixhttp.fetch")
    assert {"requests", "urllib3", "asyncio", "wixhttp.data"} & loaded == {"requests", "urllib3"}


def test_without_requests_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["requests"] = None
from wixhttp.errors import ConfigError
from wixhttp.fetch import fetch
try:
    fetch("http://127.0.0.1/")
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=WAIT)
    assert done.stdout == "fetch needs requests; run: pip install 'wixhttp[fetch]'\n"


def test_the_client_sees_what_functions_raise(other: Other, tmp_path: Path) -> None:
    client = TestClient(write_project(tmp_path, HANDLERS))
    answer = client.post("uncaught", text=other.answer("/json", json.dumps({"a": 1}).encode()))
    assert answer.json() == {"a": 1}
    assert client.post("uncaught", text=other.url + "/none").status_code == 502


def test_a_deadline_ends_no_connection_of_a_later_request(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines: list[transport._FetchDeadline] = []
    make = transport._FetchDeadline.__init__

    def noted(self: transport._FetchDeadline, seconds: float) -> None:
        deadlines.append(self)
        make(self, seconds)

    monkeypatch.setattr(transport._FetchDeadline, "__init__", noted)

    def late(asked: Asked) -> None:
        if len(deadlines) > 1:
            deadlines[0].end()  # the timer of the first request, while the second one is under way
        asked.send_response(200)
        asked.send_header("Content-Length", "1")
        asked.end_headers()
        asked.wfile.write(b"x")

    url = other.answer("/late", late)
    assert [fetch(url, method="post").text() for _ in range(2)] == ["x", "x"]  # a POST is not sent again
    assert deadlines[0].connection is deadlines[1].connection is not None
