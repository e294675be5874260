"""Failures, through each server interface (spec, 4): the statuses, the problem documents, the log, the limits."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.interfaces import TIMEOUT, Ask, Reply, Served
from wixhttp.logs.formats import JSONFormatter

Serve = Callable[..., Served]

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


def test_an_unknown_function_is_404_and_names_nothing(serve: Serve) -> None:
    problem = serve(OPEN)("opne").problem
    assert (problem["status"], problem["title"]) == (404, "Not Found")
    assert "open" not in problem["detail"]


def test_in_development_404_lists_the_functions_and_the_near_misses(serve: Serve) -> None:
    served = serve(OPEN + "    def get_other(): return ok(1)\n", mode="development")
    assert served("opne").problem["detail"] == (
        "There is no function 'opne'. Did you mean open, aopen? Known functions: aopen, open, other."
    )
    assert "/_functions/<name>" in served("").problem["detail"]


def test_another_method_is_405_with_allow(serve: Serve) -> None:
    reply = serve(OPEN)("open", "PUT")
    assert reply.problem["status"] == 405
    assert reply.header("Allow") == "DELETE, GET, HEAD, POST"


def test_options_without_handler_and_policy_is_405(serve: Serve) -> None:
    reply = serve(OPEN)("open", "OPTIONS", ("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET"))
    assert (reply.status, reply.header("Allow")) == (405, "DELETE, GET, HEAD, POST")
    assert not reply.all("Access-Control-Allow-Origin")


@pytest.mark.parametrize("method", ["BREW", "get", "__class__", "*"])
def test_a_method_that_nobody_knows_is_405(serve: Serve, method: str) -> None:
    assert serve(OPEN)("open", method).problem["status"] == 405


# --- hostile targets and headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    ["x" * 100_000, "/".join("x" * 10_000), "open?" + "q" * 100_000, "%" * 30_000, "%ff" * 30_000, "%00", "\x00",
     "__class__", "get_", "../x", "open/../../etc/passwd", "%2e%2e%2fx", "\xff\xfe"],
    ids=lambda target: target[:12].encode("unicode_escape").decode(),
)  # fmt: skip
def test_the_process_outlives_any_target(serve: Serve, target: str) -> None:
    served = serve(OPEN)
    reply = served(target)
    assert reply.status == (200 if target.startswith("open") else 404)
    assert served("open").status == 200


def test_ten_thousand_segments_are_ten_thousand(serve: Serve) -> None:
    assert serve("def get_x(request): return ok(len(request.path))")("x/" + "a/" * 10_000).json() == 10_000


def test_many_and_enormous_headers_are_read(serve: Serve) -> None:
    served = serve("def get_x(request): return ok([len(request.headers), len(request.headers['x-big'])])")
    headers = [(f"X-{number}", "v") for number in range(1000)]
    assert served("x", "GET", ("X-Big", "b" * 100_000), *headers).json() == [1002, 100_000]


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["open", "aopen"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 413), (100_000, 413)])
def test_a_body_over_the_limit_is_413(serve: Serve, name: str, chunked: bool, size: int, status: int) -> None:
    served = serve(OPEN, max_body=10)
    reply = served(name, "POST", body=b"x" * size, chunked=chunked)
    assert reply.status == status
    assert reply.status == 200 or "larger than 10 bytes" in reply.problem["detail"]


def test_the_limit_is_512_kib_where_none_is_set(serve: Serve) -> None:
    served = serve(OPEN)
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


def test_an_announced_length_over_the_limit_is_413_before_the_body_is_read(serve: Serve) -> None:
    assert serve(OPEN)("open", "POST", body=b"", length="9" * 30).status == 413


@pytest.mark.parametrize("length", ["x", "-1", "1.5", "0x10", "\xb2", "1, 1", "9" * 5000])
def test_a_length_that_is_none_is_400(serve: Serve, length: str) -> None:
    assert serve(OPEN)("open", "POST", body=b"abc", length=length).problem["status"] == 400


def test_a_body_shorter_than_announced_is_400(serve: Serve) -> None:
    served = serve(OPEN)
    assert served("open", "POST", body=b"abc", length="10").problem["status"] == 400


@pytest.mark.parametrize(
    "headers", [(), (("Content-Type", "application/json"),), (("content-type", "Application/JSON; charset=utf-8"),)]
)
@pytest.mark.parametrize("body", [b"", b"{}"])
@pytest.mark.parametrize("chunked", [False, True])
def test_delete_with_body_or_json_is_400(
    serve: Serve, headers: tuple[tuple[str, str], ...], body: bytes, chunked: bool
) -> None:
    strict, loose = serve(OPEN), serve(OPEN, strict_delete=False)
    expected = 400 if body or headers else 200
    assert strict("open", "DELETE", *headers, body=body, chunked=chunked).status == expected
    assert loose("open", "DELETE", *headers, body=body, chunked=chunked).json() == len(body)


def test_delete_with_another_content_type_runs(serve: Serve) -> None:
    assert serve(OPEN)("open", "DELETE", ("Content-Type", "text/plain")).status == 200


def test_a_body_that_does_not_come_is_408(serve: Serve) -> None:
    served = serve(OPEN, body_timeout=0.05)
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


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("statement", RAISES)
def test_a_handler_that_raises_is_500_and_the_process_goes_on(serve: Serve, kind: str, statement: str) -> None:
    served = serve(f"{kind} get_x(request): {statement}\ndef get_open(): return ok(1)")
    for _ in range(2):
        problem = served("x").problem
        assert problem["status"] == 500
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


def test_in_development_the_answer_says_what_was_raised(serve: Serve) -> None:
    served = serve("def get_x(request): raise ValueError('in detail')", mode="development")
    assert served("x").problem["detail"] == "get_x raised ValueError: in detail"


def test_an_http_error_is_its_own_answer(serve: Serve) -> None:
    served = serve("def get_x(request): raise HTTPError(418, 'No coffee.', headers={'X-Pot': 'tea'}, reason='secret')")
    reply = served("x")
    assert (reply.problem["status"], reply.problem["detail"], reply.header("X-Pot")) == (418, "No coffee.", "tea")
    assert b"secret" not in reply.content


def test_an_http_error_that_cannot_be_sent_is_500(serve: Serve) -> None:
    served = serve("def get_x(request): raise HTTPError(400, headers={'X': 'a\\r\\nB: c'})")
    assert served("x").problem["status"] == 500


@pytest.mark.parametrize("value", ["object()", "{'a': [1, b'x']}", "lambda: 1", "{(1, 2): 3}", "{1: {2: range}}"])
def test_what_has_no_form_in_json_is_500(serve: Serve, value: str) -> None:
    assert serve(f"def get_x(request): return ok(body={value})")("x").problem["status"] == 500


def test_the_log_names_type_and_place_of_what_has_no_form(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    serve("def get_x(request): return ok({'body': {'a': [1, {2: b'x'}]}})")("x")
    assert 'body["a"][1]["2"] is of type bytes' in caplog.text


def test_a_value_that_contains_itself_is_500(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve("""
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
        def get_slow(request):
            go.wait(0.3)
            return ok("late")
        def get_open(): return ok(1)
    """, timeout=0.05)  # fmt: skip
    reply = served("slow")
    if served.interface.name == "asgi":
        assert reply.problem["status"] == 504
        assert "get_slow ran past its timeout of 0.05 seconds" in caplog.text
    else:
        assert reply.text == "late"
    assert served("open").status == 200


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


@pytest.mark.parametrize("given", ["a", "x" * 128, "Az09._-"])
def test_a_request_id_is_taken(serve: Serve, given: str) -> None:
    assert serve(OPEN)("open", "GET", ("X-Request-Id", given)).header("X-Request-Id") == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a/b", "\xe4", "a,b"])
def test_a_bad_request_id_is_replaced(serve: Serve, given: str) -> None:
    served = serve(OPEN)
    made = [served("open", "GET", ("X-Request-Id", given)).header("X-Request-Id") for _ in range(2)]
    assert given not in made
    assert len(set(made)) == 2


@pytest.mark.parametrize("target", ["unknown", "/", "/_wixhttp/health/live"])
def test_every_answer_has_a_request_id(serve: Serve, target: str) -> None:
    assert serve(OPEN)(target, "GET", ("X-Request-Id", "me")).header("X-Request-Id") == "me"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"),
     ("00-" + "0" * 32 + "-b7ad6b7169203331-01", None), ("00-abc", None), ("\xff" * 55, None)],
)  # fmt: skip
def test_traceparent_is_in_the_log(serve: Serve, given: str, expected: str | None, log: list[dict[str, Any]]) -> None:
    served = serve("import logging\ndef get_x(request): logging.getLogger('mine').warning('hello'); return ok()")
    assert served("x", "GET", ("traceparent", given)).status == 200
    assert [line.get("trace_id") for line in log if line["logger"] == "mine"] == [expected]


@pytest.mark.parametrize(
    ("host", "status"),
    [("example.com", 200), ("EXAMPLE.com:8080", 200), ("a.example.org", 200), ("a.b.example.org", 200),
     ("example.org", 400), ("evil.com", 400), ("example.com.evil.com", 400), ("evilexample.org", 400)],
)  # fmt: skip
def test_allowed_hosts(serve: Serve, host: str, status: int) -> None:
    served = serve(OPEN, allowed_hosts=["example.com", "*.example.org"])
    assert served("open", "GET", ("Host", host)).status == status


FORWARDED = (
    ("X-Forwarded-For", "6.6.6.6, 203.0.113.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example"),
)
WHO = "def get_x(request): return ok([request.ip, request.baseUrl])"


def test_forwarded_headers_count_as_far_as_proxies_are_trusted(serve: Serve) -> None:
    assert serve(WHO, trusted_proxies=1)("x", "GET", *FORWARDED).json() == [
        "203.0.113.9",
        "https://shop.example/_functions",
    ]
    assert serve(WHO, trusted_proxies=2)("x", "GET", *FORWARDED[:1]).json()[0] == "6.6.6.6"


def test_forwarded_headers_do_not_count_without_trusted_proxies(serve: Serve) -> None:
    assert serve(WHO)("x", "GET", *FORWARDED).json() == ["127.0.0.1", "http://localhost/_functions"]


@pytest.mark.parametrize("what", ["live", "ready"])
@pytest.mark.parametrize(
    ("client", "status"),
    [("127.0.0.1", 200), ("10.0.0.9", 200), ("::1", 200), ("8.8.8.8", 403), ("::ffff:8.8.8.8", 403),
     ("::ffff:10.0.0.1", 200), ("2001:4860:4860::8888", 403), ("nonsense", 403), ("", 200)],
)  # fmt: skip
def test_health_is_for_the_sites_own_network(serve: Serve, what: str, client: str, status: int) -> None:
    assert serve(OPEN)(f"/_wixhttp/health/{what}", client=client).status == status


def test_health_does_not_trust_a_proxy_that_it_does_not_know(serve: Serve) -> None:
    assert serve(OPEN)("/_wixhttp/health/live", "GET", ("X-Forwarded-For", "8.8.8.8")).status == 403


def test_health_may_be_public_or_off(serve: Serve) -> None:
    assert serve(OPEN, health="public")("/_wixhttp/health/live", client="8.8.8.8").json() == {"status": "ok"}
    assert serve(OPEN, health="off")("/_wixhttp/health/live").status == 404


def test_health_on_a_port_of_its_own_is_not_on_the_sites(serve: Serve) -> None:
    served = serve(OPEN, health_port=9999)
    assert served("/_wixhttp/health/live").status == 404
    assert served("open").status == 200
    inner = serve(OPEN, health_port=80)
    # The direct interface has no port: what comes in by it is never for the health pages.
    live, site = (404, 200) if inner.interface.name == "direct" else (200, 404)
    assert inner("/_wixhttp/health/live", client="8.8.8.8").status == live
    assert inner("open").status == site


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/_wixhttp/health/live", "POST", 405),
        ("/_wixhttp/", "GET", 404),
        ("/_wixhttp/health/live", "HEAD", 200),
        ("/_wixhttp/metrics", "GET", 404),
    ],
)
def test_the_reserved_prefix(serve: Serve, target: str, method: str, status: int) -> None:
    assert serve(OPEN).interface.ask(Ask(method, target)).status == status


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


def test_cors_is_off_unless_configured(serve: Serve) -> None:
    reply = serve(PER_FUNCTION)("site", "GET", ("Origin", A))
    assert set(allowed(reply).values()) == {None}
    assert not reply.all("Vary")


def test_a_preflight_is_204(serve: Serve) -> None:
    reply = serve(PER_FUNCTION, cors=SITE)("site", "OPTIONS", ("Origin", A), ASKS)
    assert reply.status == 204
    assert allowed(reply) == {"Allow-Origin": A, "Allow-Methods": "GET, HEAD, OPTIONS", "Allow-Headers": "X-One",
                              "Allow-Credentials": None, "Max-Age": "60"}  # fmt: skip
    assert reply.header("Vary") == "Origin"


def test_an_answer_carries_the_origin_and_vary(serve: Serve) -> None:
    reply = serve(PER_FUNCTION, cors=SITE)("site", "GET", ("Origin", A))
    assert (reply.header("Access-Control-Allow-Origin"), reply.header("Vary")) == (A, "Origin")


@pytest.mark.parametrize("origin", [B, "null", "https://a.example.evil", ""])
def test_an_origin_that_is_not_allowed_gets_nothing_but_vary(serve: Serve, origin: str) -> None:
    served = serve(PER_FUNCTION, cors=SITE)
    for reply in (served("site", "GET", ("Origin", origin)), served("site", "OPTIONS", ("Origin", origin), ASKS)):
        assert set(allowed(reply).values()) == {None}
        assert reply.header("Vary") == "Origin"


def test_without_an_origin_there_is_vary_too(serve: Serve) -> None:
    reply = serve(PER_FUNCTION, cors=SITE)("site")
    assert (reply.header("Vary"), reply.header("Access-Control-Allow-Origin")) == ("Origin", None)


def test_any_origin_needs_no_vary(serve: Serve) -> None:
    reply = serve(PER_FUNCTION, cors={"origins": ["*"], "headers": ["X"]})("site", "GET", ("Origin", B))
    assert (reply.header("Access-Control-Allow-Origin"), reply.header("Vary")) == ("*", None)


def test_errors_carry_the_headers_too(serve: Serve) -> None:
    reply = serve(PER_FUNCTION)("any", "GET", ("Origin", B))
    assert (reply.status, reply.header("Access-Control-Allow-Origin")) == (500, "*")
    served = serve(PER_FUNCTION, cors=SITE)
    assert served("unknown", "GET", ("Origin", A)).header("Access-Control-Allow-Origin") == A
    assert served("site", "PUT", ("Origin", A)).header("Access-Control-Allow-Origin") == A


def test_a_function_has_a_policy_of_its_own(serve: Serve) -> None:
    served = serve(PER_FUNCTION)
    reply = served("own", "OPTIONS", ("Origin", A), ASKS, ("Access-Control-Request-Headers", "X-Two, bad name"))
    assert reply.status == 204
    assert (allowed(reply)["Allow-Credentials"], allowed(reply)["Allow-Headers"]) == ("true", "X-Two")
    assert reply.header("Vary") == "Origin, Access-Control-Request-Headers"
    assert served("own", "GET", ("Origin", A)).header("Access-Control-Allow-Credentials") == "true"
    assert served("own", "POST", ("Origin", A)).header("Access-Control-Allow-Origin") is None


def test_an_options_handler_wins(serve: Serve) -> None:
    reply = serve(PER_FUNCTION, cors=SITE)("handled", "OPTIONS", ("Origin", A), ASKS)
    assert (reply.status, reply.text) == (200, "mine")


def test_a_use_handler_gets_options_that_are_no_preflight(serve: Serve) -> None:
    served = serve(PER_FUNCTION, cors=SITE)
    assert served("used", "OPTIONS").text == "OPTIONS"
    assert served("used", "OPTIONS", ("Origin", A), ASKS).status == 204


def test_options_without_preflight_says_allow(serve: Serve) -> None:
    reply = serve(PER_FUNCTION, cors=SITE)("site", "OPTIONS", ("Origin", A))
    assert (reply.status, reply.header("Allow")) == (204, "GET, HEAD, OPTIONS")


def test_the_handlers_own_header_stands(serve: Serve) -> None:
    reply = serve(PER_FUNCTION, cors=SITE)("mine", "GET", ("Origin", A))
    assert reply.header("Access-Control-Allow-Origin") == "mine"


@pytest.mark.parametrize("host", ["", "a b", "a:b:c", "]", "[::1", "a:999999", "a/b", "a@b"])
def test_a_host_that_is_none_is_400_also_as_the_first(serve: Serve, host: str) -> None:
    served = serve(OPEN, allowed_hosts=["localhost"])
    assert served("open", "GET", ("Host", host)).problem["status"] == 400


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_an_exception_that_cannot_say_what_it_is(serve: Serve, kind: str) -> None:
    served = serve(f"class E(Exception):\n    def __str__(self): return 1 / 0\n{kind} get_x(request): raise E")
    assert served("x").problem["status"] == 500


def test_a_handler_that_cancels_itself_is_answered(serve: Serve) -> None:
    source = (
        "import asyncio\nasync def get_x(request):\n    asyncio.current_task().cancel()\n    await asyncio.sleep(0)"
    )
    assert serve(source)("x").problem["status"] == 500


def test_the_request_id_of_a_handler_is_not_sent_beside_ours(serve: Serve) -> None:
    reply = serve("def get_x(request): return ok(headers={'x-request-id': 'upstream'})")(
        "x", "GET", ("X-Request-Id", "a")
    )
    assert reply.all("x-request-id") == ["a"]


def test_a_base_path_that_is_not_ascii(serve: Serve) -> None:
    served = serve(OPEN, base_path="/é")
    assert served("/%C3%A9/_functions/open").status == 200
