"""Failures, through each server interface (spec, 4): the statuses, the problem documents, the log, the limits."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.interfaces import (
    TIMEOUT,
    WAYS,
    ASGIInterface,
    Ask,
    Reply,
    Served,
    ServedAlike,
    load_app,
    write_project,
)
from wixhttp.logs.formats import JSONFormatter

Serve = Callable[..., Served]


@pytest.fixture(params=[True, False], ids=["short", "general"])
def has_short_path(request: pytest.FixtureRequest) -> bool:
    """Each request goes the short way, where it can, and the general one."""
    return bool(request.param)


OPEN = """
    def get_open(): return ok(1)
    def post_open(request): return ok(len(request.body.buffer()))
    def delete_open(request): return ok(len(request.body.buffer()))
    async def post_aopen(request): return ok(len(await request.body.buffer()))
"""


class Lines(logging.Handler):
    """The log as lines of JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self.setFormatter(JSONFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def log() -> Iterator[list[dict[str, Any]]]:
    handler = Lines()
    logger = logging.getLogger()
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


def meanwhile(work: Callable[[], Reply]) -> tuple[threading.Thread, list[Reply]]:
    """``work`` on a thread of its own, begun."""
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(work()))
    thread.start()
    return thread, replies


# --- 404 and 405 -----------------------------------------------------------------------------------------------------


def test_an_unknown_function_is_404_and_names_nothing(serve_alike: Serve) -> None:
    problem = serve_alike(OPEN)("opne").problem
    assert (problem["status"], problem["title"]) == (404, "Not Found")
    assert "open" not in problem["detail"]


def test_in_development_404_lists_the_functions_and_the_near_misses(serve_alike: Serve) -> None:
    served = serve_alike(OPEN + "    def get_other(): return ok(1)\n", mode="development")
    assert served("opne").problem["detail"] == (
        "There is no function 'opne'. Did you mean open, aopen? Known functions: aopen, open, other."
    )
    assert "/_functions/<name>" in served("").problem["detail"]


def test_another_method_is_405_with_allow(serve_alike: Serve) -> None:
    reply = serve_alike(OPEN)("open", "PUT")
    assert reply.problem["status"] == 405
    assert reply.header("Allow") == "DELETE, GET, HEAD, POST"


def test_options_without_handler_and_policy_is_405(serve_alike: Serve) -> None:
    reply = serve_alike(OPEN)(
        "open", "OPTIONS", ("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")
    )
    assert (reply.status, reply.header("Allow")) == (405, "DELETE, GET, HEAD, POST")
    assert not reply.all("Access-Control-Allow-Origin")


def test_a_method_that_nobody_knows_is_405(serve_alike: Serve) -> None:
    served = serve_alike(OPEN)
    for method in ("BREW", "get", "__class__", "*"):
        assert served("open", method).problem["status"] == 405, method


# --- hostile targets and headers -------------------------------------------------------------------------------------


def test_the_process_outlives_any_target(serve_alike: Serve) -> None:
    served = serve_alike(OPEN)
    for target in (
        "x" * 100_000, "/".join("x" * 10_000), "open?" + "q" * 100_000, "%" * 30_000, "%ff" * 30_000, "%00", "\x00",
        "__class__", "get_", "../x", "open/../../etc/passwd", "%2e%2e%2fx", "\xff\xfe",
    ):  # fmt: skip
        assert served(target).status == (200 if target.startswith("open") else 404), target[:12]
        assert served("open").status == 200


def test_ten_thousand_segments_are_ten_thousand(serve_alike: Serve) -> None:
    assert serve_alike("def get_x(request): return ok(len(request.path))")("x/" + "a/" * 10_000).json() == 10_000


def test_many_and_enormous_headers_are_read(serve_alike: Serve) -> None:
    served = serve_alike("def get_x(request): return ok([len(request.headers), len(request.headers['x-big'])])")
    headers = [(f"X-{number}", "v") for number in range(1000)]
    assert served("x", "GET", ("X-Big", "b" * 100_000), *headers).json() == [1002, 100_000]


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_a_body_over_the_limit_is_413(serve_alike: Serve) -> None:
    served = serve_alike(OPEN, max_body=10)
    for name, chunked, size in product(("open", "aopen"), (False, True), (10, 11, 100_000)):
        reply = served(name, "POST", body=b"x" * size, chunked=chunked)
        assert reply.status == (200 if size == 10 else 413), (name, chunked, size)
        assert reply.status == 200 or "larger than 10 bytes" in reply.problem["detail"]


def test_the_limit_is_512_kib_where_none_is_set(serve_alike: Serve) -> None:
    served = serve_alike(OPEN)
    assert served("open", "POST", body=b"x" * 524_288).json() == 524_288
    assert served("open", "POST", body=b"x" * 524_289).status == 413


def test_a_function_has_a_limit_of_its_own(serve: Serve) -> None:
    served = serve("""
        ran = []
        @limits(max_body="1KB")
        def post_small(request): ran.append(1); return ok()
        @limits(max_body=2_000_000)
        def post_large(request): return ok(len(request.body.buffer()))
    """)
    assert served("small", "POST", body=b"x" * 1025).status == 413
    assert served("small", "POST", body=b"x" * 1025, chunked=True).status == 413
    assert served.state["ran"] == []
    assert served("large", "POST", body=b"x" * 1_500_000).json() == 1_500_000


def test_an_announced_length_over_the_limit_is_413_before_the_body_is_read(serve_alike: Serve) -> None:
    assert serve_alike(OPEN)("open", "POST", body=b"", length="9" * 30).status == 413


def test_a_length_that_is_none_is_400(serve_alike: Serve) -> None:
    served = serve_alike(OPEN)
    for length in ("x", "-1", "1.5", "0x10", "\xb2", "1, 1", "9" * 5000):
        assert served("open", "POST", body=b"abc", length=length).problem["status"] == 400, length


def test_a_body_shorter_than_announced_is_400(serve: Serve) -> None:
    served = serve(OPEN)
    assert served("open", "POST", body=b"abc", length="10").problem["status"] == 400


def test_delete_with_body_or_json_is_400(serve_alike: Serve) -> None:
    strict, loose = serve_alike(OPEN), serve_alike(OPEN, strict_delete=False)
    kinds = [(), (("Content-Type", "application/json"),), (("content-type", "Application/JSON; charset=utf-8"),)]
    for headers, body, chunked in product(kinds, (b"", b"{}"), (False, True)):
        expected = 400 if body or headers else 200
        assert strict("open", "DELETE", *headers, body=body, chunked=chunked).status == expected, (headers, body)
        assert loose("open", "DELETE", *headers, body=body, chunked=chunked).json() == len(body)


def test_delete_with_another_content_type_runs(serve_alike: Serve) -> None:
    assert serve_alike(OPEN)("open", "DELETE", ("Content-Type", "text/plain")).status == 200


def test_a_body_that_does_not_come_is_408(serve: Serve) -> None:
    served = serve(OPEN, body_timeout=0.5)
    if served.interface.name != "direct":  # which is given its body whole
        assert served("open", "POST", body=b"abc", length="10", stalls=True).problem["status"] == 408
    assert served("open", "POST", body=b"abc").json() == 3


# --- handlers that fail ----------------------------------------------------------------------------------------------

RAISES = [
    "raise ValueError('secret path /etc')",
    "1 / 0",
    "import sys; sys.exit(3)",
    "raise SystemExit",
    "raise GeneratorExit",
    "import asyncio; raise asyncio.CancelledError",
    "raise StopIteration",
    "raise BaseException('x')",
    "raise RecursionError",
    "raise MemoryError",
    "raise TimeoutError",
]


def test_a_handler_that_raises_is_500_and_the_process_goes_on(serve_alike: Serve) -> None:
    lines = [
        f"{kind} get_{name}{number}(request): {statement}"
        for name, kind in (("sync", "def"), ("async", "async def"))
        for number, statement in enumerate(RAISES)
    ]
    served = serve_alike("\n".join([*lines, "def get_open(): return ok(1)"]))
    for name, number in product(("sync", "async"), range(len(RAISES))):
        for _ in range(2):
            problem = served(f"{name}{number}").problem
            assert problem["status"] == 500, (name, RAISES[number])
            assert "secret" not in str(problem)
        assert served("open").status == 200


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_the_traceback_is_logged_once_with_the_request_id(serve: Serve, kind: str, log: list[dict[str, Any]]) -> None:
    served = serve(f"{kind} get_x(request):\n    raise ValueError('in detail')")
    reply = served("x", "GET", ("X-Request-Id", "my-id.1_A"))
    errors = [line for line in log if line["severity"] == "ERROR"]
    assert len(errors) == 1
    assert errors[0]["request_id"] == reply.header("X-Request-Id") == "my-id.1_A"
    assert errors[0]["function"] == "get_x"
    assert "ValueError: in detail" in errors[0]["exception"]
    assert "http_functions.py" in errors[0]["exception"]
    assert "blocking.py" not in errors[0]["exception"]


def test_in_development_the_answer_says_what_was_raised(serve_alike: Serve) -> None:
    served = serve_alike("def get_x(request): raise ValueError('in detail')", mode="development")
    assert served("x").problem["detail"] == "get_x raised ValueError: in detail"


def test_an_http_error_is_its_own_answer(serve_alike: Serve) -> None:
    served = serve_alike(
        "def get_x(request): raise HTTPError(418, 'No coffee.', headers={'X-Pot': 'tea'}, reason='secret')"
    )
    reply = served("x")
    assert (reply.problem["status"], reply.problem["detail"], reply.header("X-Pot")) == (418, "No coffee.", "tea")
    assert b"secret" not in reply.content


def test_an_http_error_that_cannot_be_sent_is_500(serve_alike: Serve) -> None:
    served = serve_alike("def get_x(request): raise HTTPError(400, headers={'X': 'a\\r\\nB: c'})")
    assert served("x").problem["status"] == 500


def test_what_has_no_form_in_json_is_500(serve_alike: Serve) -> None:
    values = ["object()", "{'a': [1, b'x']}", "lambda: 1", "{(1, 2): 3}", "{1: {2: range}}"]
    served = serve_alike("\n".join(f"def get_x{n}(request): return ok(body={value})" for n, value in enumerate(values)))
    for n, value in enumerate(values):
        assert served(f"x{n}").problem["status"] == 500, value


def test_the_log_names_type_and_place_of_what_has_no_form(serve_alike: Serve, caplog: pytest.LogCaptureFixture) -> None:
    serve_alike("def get_x(request): return ok({'body': {'a': [1, {2: b'x'}]}})")("x")
    assert 'body["a"][1]["2"] is of type bytes' in caplog.text


def test_a_value_that_contains_itself_is_500(serve_alike: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve_alike("""
        def get_x(request):
            value = {"a": 2**70}
            value["self"] = value
            return ok(body=value)
    """)
    assert served("x").problem["status"] == 500
    assert 'body["self"]["self"]["self"]... is of type dict: it contains itself' in caplog.text


# --- time and numbers ------------------------------------------------------------------------------------------------


def test_an_async_handler_past_its_time_is_504_and_cancelled(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve("""
        import asyncio, threading
        cancelled = threading.Event()
        async def get_slow(request):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise
        @limits(timeout=60)
        async def get_patient(request):
            await asyncio.sleep(0.1)
            return ok(1)
    """, timeout=0.05)  # fmt: skip
    assert served("slow").problem["status"] == 504
    assert served.state["cancelled"].wait(TIMEOUT)
    assert "get_slow ran past its timeout of 0.05 seconds" in caplog.text
    assert served("patient").status == 200


def test_a_def_past_its_time_is_504_where_it_can_be_answered(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve("""
        import threading
        go = threading.Event()
        @limits(timeout=0.05)
        def get_slow(request):
            go.wait(0.5)
            return ok("late")
        def get_open(): return ok(1)
    """)
    reply = served("slow")
    if served.interface.name == "asgi":
        assert reply.problem["status"] == 504
        assert "get_slow ran past its timeout of 0.05 seconds" in caplog.text
    else:
        assert reply.text == "late"
    assert served("open").status == 200


QUEUED = """
    import threading
    go, inside, begun = threading.Event(), threading.Event(), []
    @limits(timeout=0)
    def get_held():
        inside.set()
        go.wait(20)
        return ok("x")
    def get_next():
        begun.append(1)
        return ok("x")
"""
QUEUED_PAGES = {
    "backend/http_functions.py": "from wixhttp import *\n" + dedent(QUEUED),
    "src/pages/x.py": dedent("""
        from backend.http_functions import get_held, get_next
        from wixhttp import limits
        from wixhttp.endpoints import Response
        @limits(timeout=0)
        def GET(): return get_held() and Response("x")
        def POST(): return get_next() and Response("x")
        async def PUT(): raise ValueError("broken")
    """),
}
JSON = ("Content-Type", "application/json")


def test_no_free_thread_is_503_in_time_and_nothing_is_begun(tmp_path: Path) -> None:
    """Only ASGI has a queue of its own: the other two interfaces run a ``def`` in the thread that calls them."""
    app = load_app(write_project(tmp_path, QUEUED), threads=1, queue_timeout=0.5)
    with closing(ASGIInterface(app)) as interface:
        served = Served(interface)
        slots = len(app.admission.def_slots)
        thread, replies = meanwhile(lambda: served("held"))
        assert served.state["inside"].wait(TIMEOUT)
        refused = served("next")
        assert (refused.problem["status"], refused.header("Retry-After")) == (503, "1")
        assert len(app.admission.def_slots) == slots - 1
        served.state["go"].set()
        thread.join(TIMEOUT)
        assert (replies[0].status, served.state["begun"]) == (200, [])
        assert served("next").status == 200
        assert served.state["begun"] == [1]


def test_no_free_thread_behind_async_middleware_is_503_in_time(serve: Serve) -> None:
    mixed = "async def onRequest(context, next): return await next()"
    served = serve({**QUEUED_PAGES, "src/middleware.py": mixed}, threads=1, queue_timeout=0.5)
    thread, replies = meanwhile(lambda: served("/x"))
    assert served.state["inside"].wait(TIMEOUT)
    refused = served("/x", "POST", JSON)
    assert (refused.problem["status"], refused.header("Retry-After")) == (503, "1")
    served.state["go"].set()
    thread.join(TIMEOUT)
    assert (replies[0].status, served.state["begun"]) == (200, [])


def test_error_page_that_finds_no_thread_leaves_the_error_as_it_is(tmp_path: Path) -> None:
    """The handler was begun: a 503 would say that it was not."""
    page = "from wixhttp.endpoints import Response\ndef ALL(): return Response('sorry')\n"
    app = load_app(write_project(tmp_path, {**QUEUED_PAGES, "src/pages/500.py": page}), threads=1, queue_timeout=0.5)
    with closing(ASGIInterface(app)) as interface:
        served = Served(interface)
        assert served("/x", "PUT", JSON).text == "sorry"
        thread, _ = meanwhile(lambda: served("held"))
        assert served.state["inside"].wait(TIMEOUT)
        assert served("/x", "PUT", JSON).problem["status"] == 500
        served.state["go"].set()
        thread.join(TIMEOUT)
        assert served("/x", "PUT", JSON).text == "sorry"


def test_time_of_a_handler_counts_from_when_it_begins(tmp_path: Path) -> None:
    text = """
        import threading, time
        def get_slow(request):
            time.sleep(0.3)
            return ok(1)
    """
    app = load_app(write_project(tmp_path, text), threads=1, timeout=1.5, queue_timeout=20)
    with closing(ASGIInterface(app)) as interface:
        served = Served(interface)
        waiting = [meanwhile(lambda: served("slow")) for _ in range(6)]
        for thread, _ in waiting:
            thread.join(TIMEOUT)
        assert [replies[0].status for _, replies in waiting] == [200] * 6  # the last one waited for 1.5 seconds


def told(log: list[dict[str, Any]], request_id: str) -> tuple[list[str], dict[str, Any]]:
    """The messages of a request beside its access line, and what that says."""
    found = [line for line in log if line.get("request_id") == request_id]
    [access] = [line for line in found if line["logger"] == "wixhttp.access"]
    return [line["message"] for line in found if line is not access], access


LATE = """
    import asyncio, time
    def get_open(): return ok(1)
    async def get_first():
        await asyncio.sleep(0)
        return ok(1)
    @limits(timeout=0.05)
    async def get_late(): await asyncio.sleep(30)
    @limits(timeout=0.05)
    async def get_slow():
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.05)
    @limits(timeout=0.05)
    async def get_stream():
        async def chunks():
            await asyncio.sleep(30)
            yield b"x"
        return ok(body=chunks())
    @limits(timeout=0.05)
    def get_threaded():
        def chunks():
            time.sleep(0.3)
            yield b"x"
        return ok(body=chunks())
    async def get_half():
        async def chunks():
            yield b"four"
            raise ValueError("half-way")
        return ok(body=chunks())
    def get_cut():
        def chunks():
            yield b"four"
            yield b"four"
            raise ValueError("half-way")
        return ok(body=chunks())
    async def get_endless():
        async def chunks():
            while True:
                yield b"four"
                await asyncio.sleep(0.01)
        return ok(body=chunks())
"""


def test_the_lines_of_a_late_answer_are_its_own(
    serve: Serve, log: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """Many requests share a timer, and the one that started it is none of those that it ends."""
    caplog.set_level(logging.INFO, "wixhttp.access")
    served = serve(LATE, timeout=10)
    served("first", "GET", ("X-Request-Id", "first"))
    for name in ("late", "late", "slow", "slow", "stream", "stream", "threaded", "threaded"):
        late = f"{name}-{len(log)}"
        reply = served(name, "GET", ("X-Request-Id", late))
        if name == "threaded" and served.interface.name != "asgi":
            assert reply.text == "x"  # a thread that draws itself cannot be stopped
            continue
        assert reply.problem["request_id"] == late
        assert reply.status == 504
        if served.interface.name == "direct":
            continue  # it has no access log
        messages, access = told(log, late)
        assert len([each for each in messages if f"get_{name} ran past its timeout" in each]) == 1
        assert (access["function"], access["status"]) == (f"get_{name}", 504)
        assert access["bytes_out"] == len(reply.content) > 0


def test_the_access_line_of_a_stream_that_is_cut_counts_what_was_sent(
    serve: Serve, log: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wixhttp.access")
    served = serve(LATE)
    for name, leave_after, size in (("half", None, 4), ("cut", None, 8), ("endless", 2, 8)):
        reply = served(name, "GET", ("X-Request-Id", name), leave_after=leave_after)
        assert (reply.status, len(reply.content)) == (200, size)
        if served.interface.name != "direct":
            _, access = told(log, name)
            assert (access["function"], access["status"], access["bytes_out"]) == (f"get_{name}", 200, size)


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_past_max_concurrency_is_503_at_once(serve: Serve, kind: str) -> None:
    wait = "await asyncio.to_thread(go.wait, 20)" if kind == "async def" else "go.wait(20)"
    served = serve(f"""
        import asyncio, threading
        go, inside = threading.Event(), threading.Event()
        {kind} get_slow(request):
            inside.set()
            {wait}
            return ok("done")
    """, max_concurrency=1)  # fmt: skip
    thread, replies = meanwhile(lambda: served("slow"))
    assert served.state["inside"].wait(TIMEOUT)
    refused = served("slow")
    assert (refused.problem["status"], refused.header("Retry-After")) == (503, "1")
    served.state["go"].set()
    thread.join(TIMEOUT)
    assert replies[0].text == "done"
    assert [served("slow").status for _ in range(3)] == [200, 200, 200]


# --- ids, hosts, proxies, health -------------------------------------------------------------------------------------


def test_a_request_id_is_taken(serve_alike: Callable[..., ServedAlike]) -> None:
    served = serve_alike(OPEN)
    for given in ("a", "x" * 128, "Az09._-"):
        for target in ("open", "unknown", "/", "/_wixhttp/health/live"):
            for reply in served.each(target, "GET", ("X-Request-Id", given)):
                assert reply.header("X-Request-Id") == given


def test_a_bad_request_id_is_replaced(serve_alike: Callable[..., ServedAlike]) -> None:
    served = serve_alike(OPEN)
    for given in ("", "x" * 129, "a b", "a/b", "\xe4", "a,b"):
        replies = [reply for _ in range(2) for reply in served.each("open", "GET", ("X-Request-Id", given))]
        made = {reply.header("X-Request-Id") for reply in replies}
        assert given not in made
        assert len(made) == len(replies)


def test_traceparent_is_in_the_log(serve_alike: Serve, log: list[dict[str, Any]]) -> None:
    served = serve_alike("import logging\ndef get_x(request): logging.getLogger('mine').warning('hello'); return ok()")
    for given, expected in (
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", None), ("00-abc", None), ("\xff" * 55, None),
    ):  # fmt: skip
        log.clear()
        assert served("x", "GET", ("traceparent", given)).status == 200
        assert [line.get("trace_id") for line in log if line["logger"] == "mine"] == [expected] * WAYS


def test_allowed_hosts(serve_alike: Serve) -> None:
    served = serve_alike(OPEN, allowed_hosts=["example.com", "*.example.org"])
    for host, status in (
        ("example.com", 200), ("EXAMPLE.com:8080", 200), ("a.example.org", 200), ("a.b.example.org", 200),
        ("example.org", 400), ("evil.com", 400), ("example.com.evil.com", 400), ("evilexample.org", 400),
    ):  # fmt: skip
        assert served("open", "GET", ("Host", host)).status == status, host


FORWARDED = (
    ("X-Forwarded-For", "6.6.6.6, 203.0.113.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example"),
)
WHO = "def get_x(request): return ok([request.ip, request.baseUrl])"


def test_forwarded_headers_count_as_far_as_proxies_are_trusted(serve_alike: Serve) -> None:
    assert serve_alike(WHO, trusted_proxies=1)("x", "GET", *FORWARDED).json() == [
        "203.0.113.9",
        "https://shop.example/_functions",
    ]
    assert serve_alike(WHO, trusted_proxies=2)("x", "GET", *FORWARDED[:1]).json()[0] == "6.6.6.6"


def test_the_url_behind_a_proxy(serve_alike: Serve) -> None:
    served = serve_alike(SEES, trusted_proxies=1)
    said: dict[str, str]
    for scheme, host, said, url in (
        ("https", "site", {"Port": "443"}, "https://site"), ("http", "site", {"Port": "80"}, "http://site"),
        ("https", "site", {"Port": "80"}, "https://site:80"), ("http", "site", {"Port": "443"}, "http://site:443"),
        ("https", "site:8080", {"Port": "443"}, "https://site"), ("https", "site", {"Port": "8443"}, "https://site:8443"),
        ("https", "[::1]:81", {"Port": "443"}, "https://[::1]"), ("https", "[::1]", {"Port": "444"}, "https://[::1]:444"),
        ("https", "site", {"Port": ""}, "https://site"), ("https", "site", {"Port": "1, 443"}, "https://site"),
        ("https", "a", {"Host": "shop.example"}, "https://shop.example"),
        ("https", "a", {"Host": "shop.example:443"}, "https://shop.example"),
        ("http", "a", {"Host": "shop.example:443"}, "http://shop.example:443"),
        ("https", "a", {"Host": "evil.example, shop.example:8443"}, "https://shop.example:8443"),
        ("https", "a", {"Host": "shop.example:8080", "Port": "443"}, "https://shop.example"),
        ("https", "a", {"Host": ""}, "https://a"), ("https", "a:443", {}, "https://a"),
        ("ftp", "a", {}, "http://a"), ("javascript", "a", {}, "http://a"), ("http, https", "a", {}, "https://a"),
        ("HTTPS", "a", {"Prefix": "/p/"}, "https://a/p"), ("https", "a", {"Prefix": "//evil"}, "https://a"),
        ("https", "a", {"Prefix": "p"}, "https://a"), ("https", "a", {"Prefix": "/a;b"}, "https://a"),
        ("https", "a", {"Prefix": "/a b\xe9"}, "https://a"), ("https", "a", {"Prefix": "/x, /y"}, "https://a/y"),
    ):  # fmt: skip
        headers = [("Host", host), ("X-Forwarded-Proto", scheme), *((f"X-Forwarded-{key}", said[key]) for key in said)]
        assert served("x?q=1", "GET", *headers).json()[:2] == [f"{url}/_functions/x?q=1", f"{url}/_functions"]
        assert served("/api/x?q=1", "GET", *headers).json()[0] == f"{url}/api/x?q=1"


def test_a_host_that_a_proxy_says_is_checked(serve_alike: Serve) -> None:
    served = serve_alike(SEES, trusted_proxies=1, allowed_hosts=["h", "a"])
    wrong = ["user@h", "user:word@h", "a b", "a/b", "h:x", "h:99999", "a,b@c", "\xe9", "[x]", "http://h", "-@"]
    for said in ("other.example", *wrong, *(f"h, {host}" for host in wrong)):
        assert served("x", "GET", ("X-Forwarded-Host", said)).problem["status"] == 400, said
    for port in ("x", "99999", "443@evil", "-1"):
        assert served("x", "GET", ("Host", "h"), ("X-Forwarded-Port", port)).problem["status"] == 400


ADDRESSES = {
    "203.0.113.9": "203.0.113.9", "203.0.113.9:1024": "203.0.113.9", "2001:db8::1": "2001:db8::1",
    "2001:DB8::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "[2001:db8::1]:8080": "2001:db8::1",
    '"[2001:db8::1]"': "2001:db8::1", '"[2001:db8::1]:8080"': "2001:db8::1", "fe80::1%eth0": "fe80::1",
    "[fe80::1%25eth0]:80": "fe80::1", "::ffff:203.0.113.9": "203.0.113.9", " \t203.0.113.9 ": "203.0.113.9",
    '"203.0.113.9"': "203.0.113.9", "6.6.6.6, 203.0.113.9:1": "203.0.113.9",
    **dict.fromkeys([
        "unknown", "", " ", ",", "203.0.113.9,", "_hidden", "_SEVKISEK", "203.0.113", "203.0.113.999", "203.0.113.9:x",
        "203.0.113.9:123456", "[::1", "[::1]x", "[::1]:x", "[]", "::1]", "a\tb", "\xe9", '"', '""', "1" * 5000, "%",
        ":", "::x", "203.0.113.9 evil", "for=203.0.113.9", "localhost", "[203.0.113.9", "0x7f.1", "127.1",
    ]),
}  # fmt: skip


def test_the_address_that_a_proxy_says(serve_alike: Serve) -> None:
    served = serve_alike(WHO, trusted_proxies=1)
    for said, address in ADDRESSES.items():
        header = ("X-Forwarded-For", said)
        assert served("x", "GET", header).json()[0] == (address or "127.0.0.1"), said  # else it is the proxy's
        if said.strip() and address is None:  # who is asked for is not known, so it may be anybody
            assert served("/_wixhttp/health/live", "GET", header).status == 403, said


def test_forwarded_headers_do_not_count_without_trusted_proxies(serve_alike: Serve) -> None:
    assert serve_alike(WHO)("x", "GET", *FORWARDED).json() == ["127.0.0.1", "http://localhost/_functions"]


def test_health_is_for_the_sites_own_network(serve_alike: Serve) -> None:
    served = serve_alike(OPEN)
    for client, status in (
        ("127.0.0.1", 200), ("10.0.0.9", 200), ("::1", 200), ("8.8.8.8", 403), ("::ffff:8.8.8.8", 403),
        ("::ffff:10.0.0.1", 200), ("2001:4860:4860::8888", 403), ("nonsense", 403), ("", 200),
    ):  # fmt: skip
        for what in ("live", "ready"):
            assert served(f"/_wixhttp/health/{what}", client=client).status == status, client


def test_health_does_not_trust_a_proxy_that_it_does_not_know(serve_alike: Serve) -> None:
    assert serve_alike(OPEN)("/_wixhttp/health/live", "GET", ("X-Forwarded-For", "8.8.8.8")).status == 403


@pytest.mark.parametrize("trusted", [0, 1])
@pytest.mark.parametrize(
    "header",
    [
        ("X-Forwarded-For", ""), ("Forwarded", "for=8.8.8.8"), ("Via", "1.1 x"), ("X-Real-IP", "8.8.8.8"),
        ("CF-Connecting-IP", "8.8.8.8"), ("X-Forwarded-Proto", "https"),
    ],
)  # fmt: skip
def test_health_is_closed_behind_a_proxy_that_does_not_say_for_whom_it_asks(
    serve_alike: Serve, header: tuple[str, str], trusted: int
) -> None:
    served = serve_alike(OPEN, trusted_proxies=trusted)
    assert served("/_wixhttp/health/live", "GET", header).status == 403
    if header[0] != "X-Forwarded-For":
        told = served("/_wixhttp/health/live", "GET", ("X-Forwarded-For", "10.0.0.1"), header)
        assert told.status == (200 if trusted else 403)


def test_health_may_be_public_or_off(serve_alike: Serve) -> None:
    assert serve_alike(OPEN, health="public")("/_wixhttp/health/live", client="8.8.8.8").json() == {"status": "ok"}
    assert serve_alike(OPEN, health="off")("/_wixhttp/health/live").status == 404


def test_health_on_a_port_of_its_own_is_not_on_the_sites(serve: Serve) -> None:
    served = serve(OPEN, health_port=9999)
    assert served("/_wixhttp/health/live").status == 404
    assert served("open").status == 200
    inner = serve(OPEN, health_port=80)
    # The direct interface has no port: what comes in by it is never for the health pages.
    live, site = (404, 200) if inner.interface.name == "direct" else (200, 404)
    assert inner("/_wixhttp/health/live", client="8.8.8.8").status == live
    assert inner("open").status == site


def test_the_reserved_prefix(serve_alike: Serve) -> None:
    served = serve_alike(OPEN)
    assert served("/_wixhttp/health/live", "POST").status == 405
    assert served("/_wixhttp/health/live", "HEAD").status == 200
    assert served("/_wixhttp/").status == served("/_wixhttp/metrics").status == 404


# --- CORS ------------------------------------------------------------------------------------------------------------

A, B = "https://a.example", "https://b.example"
ASKS = ("Access-Control-Request-Method", "GET")
SITE = {"origins": [A], "headers": ["X-One"], "max_age": 60}
PER_FUNCTION = """
    @cors(origins=["https://a.example"], credentials=True)
    def get_own(request): return ok(1)
    def post_own(request): return ok(2)
    def get_site(request): return ok(3)
    @cors(origins="*")
    def get_any(request): raise ValueError
    def get_mine(request): return ok(headers={"access-control-allow-origin": "mine"})
    def get_handled(request): return ok(4)
    def options_handled(request): return ok("mine")
    def use_used(request): return ok(request.method)
"""


def allowed(reply: Reply) -> dict[str, str | None]:
    return {name: reply.header("Access-Control-" + name) for name in
            ("Allow-Origin", "Allow-Methods", "Allow-Headers", "Allow-Credentials", "Max-Age")}  # fmt: skip


def test_cors_is_off_unless_configured(serve_alike: Serve) -> None:
    reply = serve_alike(PER_FUNCTION)("site", "GET", ("Origin", A))
    assert set(allowed(reply).values()) == {None}
    assert not reply.all("Vary")


def test_a_preflight_is_204(serve_alike: Serve) -> None:
    reply = serve_alike(PER_FUNCTION, cors=SITE)("site", "OPTIONS", ("Origin", A), ASKS)
    assert reply.status == 204
    assert allowed(reply) == {"Allow-Origin": A, "Allow-Methods": "GET, HEAD, OPTIONS", "Allow-Headers": "X-One",
                              "Allow-Credentials": None, "Max-Age": "60"}  # fmt: skip
    assert reply.header("Vary") == "Origin"


def test_an_answer_carries_the_origin_and_vary(serve_alike: Serve) -> None:
    reply = serve_alike(PER_FUNCTION, cors=SITE)("site", "GET", ("Origin", A))
    assert (reply.header("Access-Control-Allow-Origin"), reply.header("Vary")) == (A, "Origin")


def test_an_origin_that_is_not_allowed_gets_nothing_but_vary(serve_alike: Serve) -> None:
    served = serve_alike(PER_FUNCTION, cors=SITE)
    for origin in (B, "null", "https://a.example.evil", ""):
        for reply in (served("site", "GET", ("Origin", origin)), served("site", "OPTIONS", ("Origin", origin), ASKS)):
            assert set(allowed(reply).values()) == {None}, origin
            assert reply.header("Vary") == "Origin"


def test_without_an_origin_there_is_vary_too(serve_alike: Serve) -> None:
    reply = serve_alike(PER_FUNCTION, cors=SITE)("site")
    assert (reply.header("Vary"), reply.header("Access-Control-Allow-Origin")) == ("Origin", None)


def test_any_origin_needs_no_vary(serve_alike: Serve) -> None:
    reply = serve_alike(PER_FUNCTION, cors={"origins": ["*"], "headers": ["X"]})("site", "GET", ("Origin", B))
    assert (reply.header("Access-Control-Allow-Origin"), reply.header("Vary")) == ("*", None)


def test_errors_carry_the_headers_too(serve_alike: Serve) -> None:
    reply = serve_alike(PER_FUNCTION)("any", "GET", ("Origin", B))
    assert (reply.status, reply.header("Access-Control-Allow-Origin")) == (500, "*")
    served = serve_alike(PER_FUNCTION, cors=SITE)
    assert served("unknown", "GET", ("Origin", A)).header("Access-Control-Allow-Origin") == A
    assert served("site", "PUT", ("Origin", A)).header("Access-Control-Allow-Origin") == A


def test_a_function_has_a_policy_of_its_own(serve_alike: Serve) -> None:
    served = serve_alike(PER_FUNCTION)
    reply = served("own", "OPTIONS", ("Origin", A), ASKS, ("Access-Control-Request-Headers", "X-Two, bad name"))
    assert reply.status == 204
    assert (allowed(reply)["Allow-Credentials"], allowed(reply)["Allow-Headers"]) == ("true", "X-Two")
    assert reply.header("Vary") == "Origin, Access-Control-Request-Headers"
    assert served("own", "GET", ("Origin", A)).header("Access-Control-Allow-Credentials") == "true"
    assert served("own", "POST", ("Origin", A)).header("Access-Control-Allow-Origin") is None


def test_an_options_handler_wins(serve_alike: Serve) -> None:
    reply = serve_alike(PER_FUNCTION, cors=SITE)("handled", "OPTIONS", ("Origin", A), ASKS)
    assert (reply.status, reply.text) == (200, "mine")


def test_a_use_handler_gets_options_that_are_no_preflight(serve_alike: Serve) -> None:
    served = serve_alike(PER_FUNCTION, cors=SITE)
    assert served("used", "OPTIONS").text == "OPTIONS"
    assert served("used", "OPTIONS", ("Origin", A), ASKS).status == 204


def test_options_without_preflight_says_allow(serve_alike: Serve) -> None:
    reply = serve_alike(PER_FUNCTION, cors=SITE)("site", "OPTIONS", ("Origin", A))
    assert (reply.status, reply.header("Allow")) == (204, "GET, HEAD, OPTIONS")


def test_the_handlers_own_header_stands(serve_alike: Serve) -> None:
    reply = serve_alike(PER_FUNCTION, cors=SITE)("mine", "GET", ("Origin", A))
    assert reply.header("Access-Control-Allow-Origin") == "mine"


def test_a_host_that_is_none_is_400(serve_alike: Serve) -> None:
    served = serve_alike(OPEN, allowed_hosts=["localhost"])
    for host in ("", "a b", "a:b:c", "]", "[::1", "a:999999", "a/b", "a@b"):
        assert served("open", "GET", ("Host", host)).problem["status"] == 400, host


# --- the forms of a request target (RFC 9112, 3.2) -------------------------------------------------------------------

SEES = {
    "backend/http_functions.py": """
        from wixhttp import ok
        def use_x(request):
            return ok([request.url, request.baseUrl, request.headers["host"], list(request.path), request.query])
    """,
    "src/pages/api/x.py": "from wixhttp.endpoints import Response\ndef ALL(url, request): "
    "return Response.json([url.href, request.url, request.headers['host']])",
}


def send(served: Served, target: str, method: str = "GET", *headers: tuple[str, str]) -> Reply:
    """The reply to a request for any target, a path or not."""
    return served.ask(Ask(method, target, headers))


def test_the_authority_of_an_absolute_target_is_the_host(serve_alike: Serve) -> None:
    served, host = serve_alike(SEES), ("Host", "evil.example")
    for scheme in ("http", "HTTP", "https"):  # whether the connection is secure is not for the client to say
        assert send(served, f"{scheme}://shop.example:81/_functions/x/a%2Fb?q=1", "GET", host).json() == [
            "http://shop.example:81/_functions/x/a%2Fb?q=1", "http://shop.example:81/_functions", "shop.example:81",
            ["a/b"], {"q": "1"},
        ]  # fmt: skip
        assert send(served, f"{scheme}://[::1]/api/x?q=1", "GET", host).json() == [
            "http://[::1]/api/x?q=1", "http://[::1]/api/x?q=1", "[::1]",
        ]  # fmt: skip
    assert send(served, "http://shop.example").status == send(served, "http://shop.example?q").status == 404


def test_allowed_hosts_are_compared_with_the_authority(serve_alike: Serve) -> None:
    served = serve_alike(SEES, allowed_hosts=["shop.example"])
    for path in ("/_functions/x", "/api/x"):
        assert send(served, f"http://shop.example{path}", "GET", ("Host", "evil.example")).status == 200
        assert send(served, f"http://evil.example{path}", "GET", ("Host", "shop.example")).status == 400


def test_a_target_that_is_neither_path_nor_url_is_400(serve_alike: Serve) -> None:
    served = serve_alike(SEES)
    for target in (
     "http:///", "http://", "http://?q", "http://user@h/", "http://user:word@h/", "http://h:99999/", "http://h:x/",
     "http://[::1/", "http://[x]/", "http://a,b/", "http://a;b/", "http://a\\b/", "ftp://h/", "file:///", "ws://h/",
     "javascript://h/", "://h/", "http:/h/", "http:h", "h:80", "h", "_functions/x", "\\_functions\\x", "\xe9://h/",
    ):  # fmt: skip
        for path, method in product(("", "/_functions/x", "/api/x"), ("GET", "POST", "OPTIONS")):
            assert send(served, target + path, method).problem["status"] == 400, target + path


def test_a_request_with_several_hosts_is_400_in_absolute_form_too(serve: Serve) -> None:
    hosts = (("Host", "localhost"), ("Host", "other.example"))
    served = serve(SEES)
    if served.interface.name != "direct":  # which has one Host
        assert send(served, "http://localhost/_functions/x", "GET", *hosts).status == 400


def test_options_of_the_whole_server(serve_alike: Serve) -> None:
    served = serve_alike(SEES)
    reply = send(served, "*", "OPTIONS")
    assert (reply.status, reply.header("Allow")) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
    assert send(served, "*").problem["status"] == 400
    assert send(serve_alike(OPEN, allowed_hosts=["a"]), "*", "OPTIONS").status == 400


# --- methods that are refused ----------------------------------------------------------------------------------------

EVERYWHERE = {
    "backend/http_functions.py": "from wixhttp import *\ndef use_x(request): return ok(1)\ndef get_g(): return ok(1)",
    "src/pages/a.py": "from wixhttp.endpoints import Response\ndef ALL(): return Response('x')",
    "src/pages/g.py": "from wixhttp.endpoints import Response\ndef GET(): return Response('x')\n"
    "def TRACE(): return Response('x')\ndef CONNECT(): return Response('x')",
    "src/pages/[...rest].py": "from wixhttp.endpoints import Response\ndef ALL(): return Response('x')",
}
MIDDLEWARE = "def onRequest(context, next): return next() if context.request.method != 'TRACE' else 1 / 0"
ALL_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


@pytest.mark.parametrize("middleware", [None, MIDDLEWARE, MIDDLEWARE.replace("def", "async def", 1)])
def test_methods_that_reach_no_code_of_the_site(serve_alike: Serve, middleware: str | None) -> None:
    files = {**EVERYWHERE, "src/pages/404.py": EVERYWHERE["src/pages/a.py"]}
    if middleware is not None:
        files["src/middleware.py"] = middleware
    served = serve_alike(files, cors={"origins": ["*"]}, trailing_slash="never")
    allowed = {
        "/_functions/x": ALL_METHODS, "/_functions/g": "GET, HEAD, OPTIONS", "/a": ALL_METHODS, "/a/": ALL_METHODS,
        "/g": "GET, HEAD, OPTIONS", "/any/where": ALL_METHODS, "localhost:80": ALL_METHODS, "*": ALL_METHODS,
        "http://localhost/a": ALL_METHODS, "/_wixhttp/health/live": "GET, HEAD",
    }  # fmt: skip
    for method in ("TRACE", "CONNECT", "TRACK", "trace", "Track"):
        for target, allow in allowed.items():
            reply = send(served, target, method, ("Content-Type", "application/json"))
            assert (reply.status, reply.header("Allow")) == (405, allow), (method, target)
        assert send(served, "/_functions/none", method).status == 404
        for target in ("/_functions/x", "/a"):  # not offered to a preflight either
            asked = (("Origin", A), ("Access-Control-Request-Method", method))
            reply = send(served, target, "OPTIONS", *asked)
            offered = (reply.header("Access-Control-Allow-Methods") or "") + (reply.header("Allow") or "")
            assert method.upper() not in offered


def test_other_methods_reach_what_answers_every_method(serve_alike: Serve) -> None:
    served = serve_alike(EVERYWHERE)
    targets = {"/_functions/x": 200, "/a": 200, "/_functions/g": 405, "/g": 405}
    for method in ("PROPFIND", "BREW", "QUERY", "TRAC", "TRACES"):
        for target, status in targets.items():
            assert send(served, target, method, ("Content-Type", "application/json")).status == status, method


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_an_exception_that_cannot_say_what_it_is(serve_alike: Serve, kind: str) -> None:
    served = serve_alike(f"class E(Exception):\n    def __str__(self): return 1 / 0\n{kind} get_x(request): raise E")
    assert served("x").problem["status"] == 500


def test_a_handler_that_cancels_itself_is_answered(serve: Serve) -> None:
    source = (
        "import asyncio\nasync def get_x(request):\n    asyncio.current_task().cancel()\n    await asyncio.sleep(0)"
    )
    assert serve(source)("x").problem["status"] == 500


def test_the_request_id_of_a_handler_is_not_sent_beside_ours(serve_alike: Serve) -> None:
    reply = serve_alike("def get_x(request): return ok(headers={'x-request-id': 'upstream'})")(
        "x", "GET", ("X-Request-Id", "a")
    )
    assert reply.all("x-request-id") == ["a"]


def test_a_base_path_that_is_not_ascii(serve_alike: Serve) -> None:
    served = serve_alike(OPEN, base_path="/é")
    assert served("/%C3%A9/_functions/open").status == 200
