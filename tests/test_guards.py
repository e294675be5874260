"""Guards: in front of each kind of handler they let pass, answer or refuse, and are told how it ended, once."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.interfaces import ASGIInterface, Served, load_app, write_project
from wixhttp.access import ApiKey
from wixhttp.endpoints import Response as WebResponse
from wixhttp.errors import HTTPError, ProjectError
from wixhttp.guards import KEY, ONCE, RATE, SENDER, GuardedRequest, NotYet, Passage, merged
from wixhttp.http.policy import note_guard
from wixhttp.http.request import Request
from wixhttp.http.request_head import PlainHead
from wixhttp.http.response import Response
from wixhttp.testing import (
    TestClient,
    call_endpoint,
    fake_async_context,
    fake_async_request,
    fake_context,
    fake_request,
)
from wixhttp.testing.plugin import advice
from wixhttp.webhooks import Webhook

Serve = Callable[..., Served]

RECORDER = """
import asyncio, sys, threading, time
from wixhttp import HTTPError, ok, response
from wixhttp.guards import KEY, ONCE, SENDER, NotYet
from wixhttp.http.policy import note_guard
from wixhttp.http.response import Response

seen = []  # of all guards, in their order
released, begun = threading.Event(), threading.Event()

class Recorder:
    def __init__(self, place, blocks):
        self.place, self.blocks, self.blocks_leaving = place, blocks, blocks

    def check(self, request):
        said = request.request.headers["x-guard"] or ""
        seen.append((self.place, "check", request.method if hasattr(request, "method") else request.head.method))
        if said == f"refuse {self.place}":
            raise HTTPError(403, "Not you.")
        if said == f"answer {self.place}":
            return Response(202, "instead")
        if said == f"wait {self.place}" and len(seen) < 3 * self.place // 10:
            raise NotYet(0.001)
        if said == f"forever {self.place}":
            raise NotYet(0.05)
        request.notes.api_key = request.body.decode()
        return None

    def leave(self, request, answer):
        seen.append((self.place, "leave", answer.status))
        answer.headers["X-Left"] = f"{answer.headers.get('X-Left') or ''}{self.place},"
        return answer

    def fail(self, request, error):
        seen.append((self.place, "fail", type(error).__name__))
        released.set()

def recorded(*places, blocks):
    def decorate(function):
        for place in places:
            function = note_guard(Recorder(place, blocks), function)
        return function
    return decorate
"""

HANDLERS = """
from .recorder import *

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND post_plain(request):
    return ok({"key": request.api_key})

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND get_plain(request): return ok("hello")

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND post_raises(request): raise HTTPError(409, "taken")

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND post_breaks(request): raise ValueError("broken")

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND post_nothing(request): pass

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND post_streams(request): return ok(iter(["a", "b"]))
"""
RETURNS_AWAITABLE = """

def awaitable(function):
    async def answer(request):
        await asyncio.sleep(0)
        return function(request)
    @functools.wraps(function)
    def call(request):
        return answer(request)
    return call
"""
PAGE = """
from backend.recorder import *
from wixhttp.endpoints import Response as WebResponse

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND POST(request, rewrite):
    return WebResponse.json({"key": request.api_key})

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND GET(): return WebResponse("hello")

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND PUT(): raise HTTPError(409, "taken")

@recorded(KEY, SENDER, blocks=BLOCKS)
KIND PATCH(): return None
"""


def handlers(kind: str, blocks: bool) -> str:
    source = HANDLERS
    if kind == "awaitable":
        source = "import functools\nfrom .recorder import *\n" + RETURNS_AWAITABLE + HANDLERS
        source = source.replace("KIND", "def").replace("def post_", "@awaitable\ndef post_")
        source = source.replace("blocks=BLOCKS)\n@awaitable", "blocks=BLOCKS)\n@awaitable")
    return source.replace("KIND", kind).replace("BLOCKS", str(blocks))


@pytest.fixture(params=[False, True], ids=["plain", "blocking"])
def blocks(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=["def", "async def", "awaitable"])
def functions(serve: Serve, request: pytest.FixtureRequest, blocks: bool) -> Served:
    return serve(
        {"backend/recorder.py": RECORDER, "backend/http_functions.py": handlers(request.param, blocks)}, timeout=5
    )


def steps(served: Served) -> list[tuple[int, str, Any]]:
    """The steps that the guards saw since the last call."""
    import sys

    seen = sys.modules["backend.recorder"].seen
    taken = list(seen)
    seen.clear()
    return taken


PASSED = [(SENDER, "check", "POST"), (KEY, "check", "POST")]


@pytest.mark.parametrize("has_short_path", [True, False])
def test_guards_run_in_the_order_of_their_places_and_see_the_body(functions: Served) -> None:
    reply = functions("plain", "POST", body=b"k1")
    assert (reply.status, reply.json()) == (200, {"key": "k1"})
    assert reply.header("X-Left") == "30,20,"
    assert steps(functions) == [*PASSED, (KEY, "leave", 200), (SENDER, "leave", 200)]
    head = functions("plain", "HEAD")
    assert (head.status, head.content, head.header("X-Left")) == (200, b"", "30,20,")
    assert steps(functions)[0] == (SENDER, "check", "HEAD")


def test_a_guard_refuses_or_answers_in_place_of_the_handler(functions: Served) -> None:
    assert functions("plain", "POST", ("X-Guard", "refuse 20")).status == 403
    assert steps(functions) == PASSED[:1]
    assert functions("plain", "POST", ("X-Guard", "refuse 30")).status == 403
    assert steps(functions) == [*PASSED, (SENDER, "fail", "HTTPError")]
    reply = functions("plain", "POST", ("X-Guard", "answer 20"))
    assert (reply.status, reply.text) == (202, "instead")
    assert steps(functions) == [PASSED[0], (SENDER, "leave", 202)]


def test_guards_are_told_once_of_what_the_handler_raised(functions: Served, caplog: pytest.LogCaptureFixture) -> None:
    for name, status, kind in (
        ("raises", 409, "HTTPError"),
        ("breaks", 500, "ValueError"),
        ("nothing", 500, "WrongAnswer"),
    ):
        assert functions(name, "POST").status == status
        assert steps(functions) == [*PASSED, (KEY, "fail", kind), (SENDER, "fail", kind)]


def test_guards_leave_a_stream_before_it_is_drawn(functions: Served) -> None:
    reply = functions("streams", "POST")
    assert (reply.status, reply.text) == (200, "ab")
    assert steps(functions)[2:] == [(KEY, "leave", 200), (SENDER, "leave", 200)]


def test_a_guard_is_called_again_after_a_while_and_no_longer_than_the_time_of_the_handler(functions: Served) -> None:
    assert functions("plain", "POST", ("X-Guard", "wait 30")).status == 200
    taken = steps(functions)
    assert [step for step in taken if step[0] == SENDER] == [(SENDER, "check", "POST"), (SENDER, "leave", 200)]
    assert len([step for step in taken if step == (KEY, "check", "POST")]) > 2
    functions.app.admission.terms(functions.app.site.functions.find("plain")["POST"]).timeout = 0.1  # type: ignore[index]
    assert functions("plain", "POST", ("X-Guard", "forever 30")).status == 504
    assert steps(functions)[-1][:2] == (SENDER, "fail")


# --- cancelled, late, and many at once --------------------------------------------------------------------------------

SLOW = """
from .recorder import *

@recorded(KEY, blocks=True)
async def post_sleeps(request):
    begun.set()
    await asyncio.sleep(60)
    return ok()

@recorded(KEY, blocks=True)
def post_blocks(request):
    released.wait(60)
    return ok()

def late(function):
    async def answer(request):
        return ok()
    def call(request):
        begun.set()
        released.wait(60)
        return answer(request)
    call.__wrapped__ = function
    return call

@recorded(KEY, blocks=True)
@late
def post_late(request): pass

class Stuck(Recorder):
    def check(self, request):
        begun.set()
        assert released.wait(60)
        return super().check(request)

    def fail(self, request, error):
        super().fail(request, error)
        failed.set()

failed = threading.Event()

async def post_stuck(request):
    raise AssertionError("never run")
note_guard(Stuck(KEY, True), post_stuck)
"""


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Served]:
    folder = write_project(tmp_path / "site", {"backend/recorder.py": RECORDER, "backend/http_functions.py": SLOW})
    interface = ASGIInterface(load_app(folder, timeout=0.3))
    yield Served(interface)
    interface.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def told(served: Served) -> list[tuple[int, str, Any]]:
    """The steps that the guards see next."""
    found: list[tuple[int, str, Any]] = []

    def is_told() -> bool:
        gc.collect()
        found.extend(steps(served))
        return bool(found)

    wait_for(is_told)
    return found


def test_guards_of_an_async_def_are_told_of_its_cancellation(slow: Served) -> None:
    assert slow("sleeps", "POST").status == 504
    assert slow.state["released"].wait(60)
    assert steps(slow) == [(KEY, "check", "POST"), (KEY, "fail", "CancelledError")]


def test_guards_of_a_def_that_is_overdue_are_left_when_it_ends(slow: Served) -> None:
    assert slow("blocks", "POST").status == 504
    assert steps(slow) == [(KEY, "check", "POST")]
    slow.state["released"].set()
    assert told(slow) == [(KEY, "leave", 200)]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_guards_of_an_awaitable_that_came_too_late_are_told(slow: Served) -> None:
    assert slow("late", "POST").status == 504
    steps(slow)
    slow.state["released"].set()
    assert told(slow) == [(KEY, "fail", "TimeoutError")]


def test_a_guard_whose_request_is_cancelled_while_it_checks_is_told_once_it_has_let_it_pass(
    slow: Served, caplog: pytest.LogCaptureFixture
) -> None:
    asking = threading.Thread(target=slow, args=("stuck", "POST"))
    asking.start()
    wait_for(lambda: "ran past its timeout" in caplog.text)
    assert steps(slow) == []
    slow.state["released"].set()
    asking.join()
    assert slow.state["failed"].is_set()
    assert steps(slow) == [(KEY, "check", "POST"), (KEY, "fail", "CancelledError")]


class Once:
    """A guard that lets one request pass at a time."""

    place, blocks, blocks_leaving = ONCE, True, True

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def check(self, request: GuardedRequest) -> Response | None:
        if not self.lock.acquire(blocking=False):
            raise NotYet(0.005)
        return None

    def leave(self, request: GuardedRequest, response: Response) -> Response:
        self.lock.release()
        return response

    def fail(self, request: GuardedRequest, error: BaseException) -> None:
        self.lock.release()


def test_more_requests_than_threads_wait_for_one_another(tmp_path: Path) -> None:
    source = """
        import asyncio
        from wixhttp import ok
        from wixhttp.http.policy import note_guard
        from tests.test_guards import Once

        async def get_one(request):
            await asyncio.sleep(0.001)
            return ok()
        note_guard(Once(), get_one)
    """
    interface = ASGIInterface(load_app(write_project(tmp_path / "site", source), timeout=60))
    served = Served(interface)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(served("one").status)) for _ in range(50)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    interface.close()
    assert statuses == [200] * 50


# --- endpoints --------------------------------------------------------------------------------------------------------

MIDDLEWARE = """
{kind} onRequest(context, next):
    if context.url.pathname == "/read":
        {await_} context.request.text()
    if context.url.pathname in ("/read", "/by-rewrite"):
        return {await_} next("/page")
    return {await_} next()
"""


@pytest.fixture(params=["", "def", "async def"], ids=["alone", "def middleware", "async middleware"])
def middleware(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["def", "async def"])
def pages(serve: Serve, request: pytest.FixtureRequest, blocks: bool, middleware: str) -> Served:
    files = {
        "backend/recorder.py": RECORDER,
        "backend/http_functions.py": "from .recorder import *\ndef get_x(): return ok()\n",
        "src/pages/page.py": PAGE.replace("KIND", request.param).replace("BLOCKS", str(blocks)),
    }
    if middleware:
        await_ = "await" if "async" in middleware else ""
        files["src/middleware.py"] = MIDDLEWARE.format(kind=middleware, await_=await_)
    return serve(files)


JSON = ("Content-Type", "application/json")


def test_guards_of_endpoints_stand_behind_middleware(pages: Served, middleware: str) -> None:
    reply = pages("/page", "POST", JSON, body=b"k2")
    assert (reply.status, reply.json(), reply.header("X-Left")) == (200, {"key": "k2"}, "30,20,")
    assert steps(pages) == [*PASSED, (KEY, "leave", 200), (SENDER, "leave", 200)]
    assert pages("/page", "PUT", JSON).status == 409
    assert steps(pages)[2:] == [(KEY, "fail", "HTTPError"), (SENDER, "fail", "HTTPError")]
    assert pages("/page", "PATCH", JSON).status == 500
    assert steps(pages)[2:] == [(KEY, "fail", "WrongAnswer"), (SENDER, "fail", "WrongAnswer")]
    assert pages("/page", "POST", JSON, ("X-Guard", "refuse 30")).status == 403
    assert pages("/page", "POST", JSON, ("X-Guard", "answer 30")).text == "instead"
    assert pages("/page", "HEAD").header("X-Left") == "30,20,"
    steps(pages)
    if middleware:
        for path in ("/by-rewrite", "/read"):
            assert pages(path, "POST", JSON, ("X-Guard", "refuse 20"), body=b"k3").status == 403
            reply = pages(path, "POST", JSON, body=b"k3")
            assert (reply.status, reply.json()) == (200, {"key": "k3"})


def test_a_long_body_is_seen_whole(serve: Serve) -> None:
    page = PAGE.replace("KIND", "async def").replace("BLOCKS", "False")
    served = serve({"backend/recorder.py": RECORDER, "src/pages/page.py": page}, max_body="5MB")
    body = b"x" * 3_000_000
    assert served("/page", "POST", JSON, body=body).json() == {"key": body.decode()}


def test_guards_on_static_endpoints_are_refused_when_they_are_loaded(tmp_path: Path) -> None:
    page = "prerender = True\n" + PAGE.replace("KIND", "def").replace("BLOCKS", "False")
    folder = write_project(tmp_path / "site", {"backend/recorder.py": RECORDER, "src/pages/page.py": page})
    with pytest.raises(ProjectError, match=r"page.py is static .* the decorators of GET"):
        load_app(folder, mode="production")


# --- the way of one request -------------------------------------------------------------------------------------------


class Plain:
    blocks_leaving = False
    blocks = False

    def __init__(self, place: int, error: Exception | None = None) -> None:
        self.place = place
        self.error = error
        self.failed = 0

    def check(self, request: GuardedRequest) -> Response | None:
        return None

    def leave(self, request: GuardedRequest, response: Response) -> Response:
        if self.error is not None:
            raise self.error
        return response

    def fail(self, request: GuardedRequest, error: BaseException) -> None:
        self.failed += 1
        if self.error is not None:
            raise self.error


def guarded_request() -> GuardedRequest:
    head = PlainHead("GET", "/")
    return GuardedRequest(head, "get_x", Request(head, "", "", "x", ""), lambda: b"")


def test_a_guard_that_fails_does_not_keep_others_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Plain(SENDER), Plain(KEY, HTTPError(503, "away"))
    passage = Passage((first, second), guarded_request(), blocks=False)
    assert passage.enter() is None
    with pytest.raises(HTTPError, match="away"):
        passage.leave(Response())
    passage.fail(ValueError())
    passage.fail(ValueError())
    assert (first.failed, second.failed) == (1, 1)
    assert "get_x: a guard failed: away" in caplog.text


def test_a_request_that_is_over_enters_no_guard() -> None:
    """As where an ``async def`` is cancelled before a thread is free for its guards."""
    guard = Plain(SENDER)
    passage = Passage((guard,), guarded_request(), blocks=True)
    passage.fail(ValueError())
    assert passage.enter() is None
    passage.fail(ValueError())
    assert guard.failed == 0


def test_guards_of_the_site_stand_where_a_handler_has_none_of_the_kind() -> None:
    own, of_site = [Plain(RATE), Plain(SENDER)], [Plain(RATE), Plain(KEY)]
    assert merged(own, of_site) == (own[1], of_site[1], own[0])


def test_two_decorators_of_one_kind_are_refused() -> None:
    def handler() -> None: ...

    note_guard(Plain(KEY), handler)
    with pytest.raises(TypeError, match="two decorators of one kind"):
        note_guard(Plain(KEY), handler)


@pytest.fixture
def without_collector() -> Iterator[None]:
    """The collector is off, and the log, which would keep exceptions for the test."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("without_collector")
def test_guarded_requests_leave_no_cycles_behind(functions: Served) -> None:
    for name in ("plain", "raises", "breaks"):
        for said in ("", "refuse 30", "answer 30"):
            for _ in range(3):
                functions(name, "POST", ("X-Guard", said))
            gc.collect()
            for _ in range(20):
                functions(name, "POST", ("X-Guard", said))
            assert gc.collect() / 20 < 5, (name, said)


def test_the_loop_is_not_blocked_by_a_guard_that_blocks() -> None:
    class Slow(Plain):
        blocks = True

        def check(self, request: GuardedRequest) -> Response | None:
            assert entered.acquire(timeout=60)
            return None

    entered = threading.Semaphore(0)
    passage = Passage((Slow(KEY),), guarded_request(), blocks=True)

    async def ask() -> object:
        checking = asyncio.ensure_future(passage.step(passage.enter))
        await asyncio.sleep(0)
        entered.release()  # by the loop, which goes on
        return await checking

    assert asyncio.run(ask()) is None


# --- the test kit -----------------------------------------------------------------------------------------------------


def noted(request: Any) -> tuple[Any, ...]:
    webhook, key = request.webhook, request.api_key
    return webhook and webhook.id, key and (key.name, sorted(key.scopes)), request.attempt, request.deferredId


def test_fake_requests_have_what_decorators_note() -> None:
    makers: list[Callable[..., Any]] = [
        lambda **notes: fake_request("a", "POST", **notes),
        lambda **notes: fake_async_request("a", "POST", **notes),
        lambda **notes: fake_context("/a", "POST", **notes).request,
        lambda **notes: fake_async_context("/a", "POST", **notes).request,
    ]
    for make in makers:
        assert noted(make()) == (None, None, 1, None)
        assert noted(make(webhook={"id": "evt_1"}, api_key="zapier")) == ("evt_1", ("zapier", []), 1, None)
        objects = make(webhook=Webhook("evt_2"), api_key=ApiKey("ci", {"write"}), attempt=3, deferred_id="d-1")
        assert noted(objects) == ("evt_2", ("ci", ["write"]), 3, "d-1")
        with pytest.raises(TypeError, match="evnt"):
            make(webhook={"evnt": "a"})
        with pytest.raises(ValueError, match="attempt is 1"):
            make(attempt=0)
        with pytest.raises(TypeError, match=r"webhook is a Webhook or a dict of its fields.*, not 'evt_1'"):
            make(webhook="evt_1")
        with pytest.raises(TypeError, match=r"api_key is the name of one.*, not {'name': 'ci'}"):
            make(api_key={"name": "ci"})
        with pytest.raises(TypeError, match="deferred_id is a text, not 7"):
            make(deferred_id=7)


def test_a_direct_call_without_what_decorators_note_says_how_to_give_it() -> None:
    def post_x(request: Any) -> Any:
        return request.webhook.event

    def get_x(request: Any) -> Any:
        return request.api_key.name, request.other.name

    for handler, words in ((post_x, "request.webhook is None: .* webhook={"), (get_x, "request.api_key is None: ")):
        with pytest.raises(AttributeError) as failed:
            handler(fake_request("x"))
        assert re.match(words, advice(failed.value))
    nothing: Any = None
    for name in ("webhook", "event"):
        with pytest.raises(AttributeError) as failed:
            getattr(nothing, name)
        assert advice(failed.value) == ""
    assert advice(ValueError()) == ""


def test_a_handler_that_is_called_alone_has_no_guards() -> None:
    def POST(request: Any) -> WebResponse:  # noqa: N802
        return WebResponse(request.webhook.id)

    note_guard(Plain(SENDER, ValueError("never called")), POST)
    assert call_endpoint(POST, "/hook", webhook={"id": "evt_1"}).text() == "evt_1"


@pytest.mark.parametrize("target", ["function", "endpoint"])
def test_a_long_body_is_not_read_by_guards_on_the_event_loop(tmp_path: Path, target: str) -> None:
    source = """
        import threading
        from wixhttp import ok
        from wixhttp.guards import KEY, CheckGuard
        from wixhttp.http.policy import note_guard

        threads = []

        class Reader(CheckGuard):
            place, blocks = KEY, False

            def check(self, request):
                threads.append(threading.get_ident())
                assert len(request.body) == int(request.head.header("x-length"))

        async def NAME(request):
            threads.append(threading.get_ident())
            return ANSWER

        NAME = note_guard(Reader(), NAME)
        """
    if target == "function":
        files = {"backend/http_functions.py": source.replace("NAME", "post_it").replace("ANSWER", "ok(str(threads))")}
    else:
        text = "from wixhttp.endpoints import Response\n" + dedent(source)
        files = {"src/pages/it.py": text.replace("NAME", "POST").replace("ANSWER", "Response(str(threads))")}
    interface = ASGIInterface(load_app(write_project(tmp_path, files), max_body="1MB"))
    try:
        served = Served(interface)
        url = "it" if target == "function" else "/it"
        kind = ("Content-Type", "application/json")
        served(url, "POST", kind, ("X-Length", "300000"), body=b"x" * 300_000)
        reply = served(url, "POST", kind, ("X-Length", "10"), body=b"x" * 10)
        checked, handled, checked_short, handled_short = json.loads(reply.text)
        assert checked != handled == handled_short == checked_short
    finally:
        interface.close()


# --- what a decorator of the user's hides ----------------------------------------------------------------------------

SITE_OF_DECORATORS = """
import functools, types
from wixhttp import limits, ok
from wixhttp.access import require_key

TABLE = {}

def bare(function):
    return lambda *arguments: function(*arguments)

def wrapping(function):
    @functools.wraps(function)
    def call(*arguments): return function(*arguments)
    return call

def wrapping_other(function):
    @functools.wraps(ok)
    def call(*arguments): return function(*arguments)
    return call

def keeping(function):
    TABLE["it"] = function
    return lambda request: TABLE["it"](request)

def copying(function):
    return types.FunctionType(function.__code__, globals())

def piped(*functions):
    return lambda request: functions[-1](request)

class Kept:
    __slots__ = ("function",)
    def __init__(self, function): self.function = function
    def __call__(self, request): return self.function(request)

class Updated:
    def __init__(self, function): functools.update_wrapper(self, function)
    def __call__(self, request): return self.__wrapped__(request)

class Called:
    @require_key()
    def __call__(self, request): return ok()

class Hidden:
    @bare
    @require_key()
    def __call__(self, request): return ok()

class Methods:
    @require_key()
    def method(self, request): return ok()
    @require_key()
    @staticmethod
    def static(request): return ok()
    @require_key()
    @classmethod
    def of_class(cls, request): return ok()
    def open(self, request): return ok()

@require_key()
def _helper(request): return ok()

"""
GUARDED = "@require_key()\nKIND NAME(request): return ok()\n"
HIDDEN = {
    "a bare decorator": f"@bare\n{GUARDED}",
    "a bare one above another": f"@wrapping\n@bare\n@wrapping\n{GUARDED}",
    "a bare one above and below": "@bare\n@require_key()\n@bare\nKIND NAME(request): return ok()\n",
    "wraps of another function": f"@wrapping_other\n{GUARDED}",
    "a table of functions": f"@keeping\n{GUARDED}",
    "a copy of the code": f"@copying\n{GUARDED}",
    "a pipe": f"@piped\n{GUARDED}",
    "an object": f"@Kept\n{GUARDED}",
    "a partial of a bare one": "NAME = functools.partial(bare(_helper))\n",
    "a bare one around a partial": "NAME = bare(functools.partial(_helper))\n",
    "a bare one around a method": "NAME = bare(Methods().method)\n",
    "a hidden method of an object": "NAME = Hidden()\n",
    "a later definition": f"{GUARDED}KIND NAME(request): return ok()\n",
    "a later name": f"{GUARDED}NAME = Methods().open\n",
    "a table of functions in another file": "from backend.lib import NAME\n__all__ = ['NAME']\n",
    "another name for a table of functions": "@keeping\n@require_key()\nKIND _it(request): return ok()\nNAME = _it\n",
    "a guard that came late": (
        "_late = limits(timeout=9)(wrapping(Methods().open))\nNAME = wrapping(_late)\nrequire_key()(_late)\n"
    ),
}
RUNNING = {
    "no other decorator": GUARDED,
    "a decorator that wraps": f"@wrapping\n{GUARDED}",
    "many that wrap": f"@wrapping\n{GUARDED.replace('KIND', '@wrapping%KIND')}".replace("%", chr(10)),
    "a bare one below": GUARDED.replace("KIND", "@bare\nKIND"),
    "an object that tells what it wraps": f"@Updated\n{GUARDED}",
    "another name": "NAME = _helper\n",
    "a partial": "NAME = functools.partial(functools.partial(_helper))\n",
    "a method": "NAME = Methods().method\n",
    "a static method": "NAME = Methods.static\n",
    "a class method": "NAME = Methods.of_class\n",
    "an object that is called": "NAME = Called()\n",
    "an object that hides, guarded anew": "NAME = require_key()(Hidden())\n",
    "a guard that came late": "_late = wrapping(Methods().open)\nNAME = wrapping(_late)\nrequire_key()(_late)\n",
    "a bare one, guarded anew": f"@require_key()\n@bare\n{GUARDED}",
}


def write_guarded(folder: Path, text: str, kind: str, place: str) -> Path:
    name, file = ("post_it", "backend/http_functions.py") if place == "function" else ("POST", "src/pages/it.py")
    library = f"@keeping\n{GUARDED}" if "import NAME" in text else ""
    files = {file: text, "backend/lib.py": library}
    return write_project(
        folder,
        {key: SITE_OF_DECORATORS + each.replace("NAME", name).replace("KIND", kind) for key, each in files.items()},
    )


@pytest.mark.parametrize("place", ["function", "endpoint"])
@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("way", HIDDEN)
def test_a_guard_that_a_decorator_hides_is_an_error_when_the_site_is_loaded(
    tmp_path: Path, way: str, kind: str, place: str
) -> None:
    with pytest.raises(ProjectError, match=r"^(backend|src)/.*\.py:\d+: \w+: decorators that guard it .* do not run: "):
        load_app(write_guarded(tmp_path, HIDDEN[way], kind, place))


@pytest.mark.parametrize("place", ["function", "endpoint"])
@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("way", RUNNING)
def test_a_guard_runs_wherever_it_stands(tmp_path: Path, way: str, kind: str, place: str) -> None:
    client = TestClient(load_app(write_guarded(tmp_path, RUNNING[way], kind, place)))
    assert client.post("/_functions/it" if place == "function" else "/it").status_code == 401


@pytest.mark.parametrize(
    "text",
    [
        "_helper = _helper\ndef NAME(request): return ok()\n",
        "def NAME(request): return ok()\nget_other = _helper\n",
        "@bare\n@require_key()\ndef _other(request): return ok()\ndef NAME(request): return _helper(request)\n",
        "def _made():\n    def NAME(request): return super\n    return NAME\nNAME = _made()\n",
        "NAME = require_key(None)(bare(_helper))\n",
        "NAME = Methods().open\nput_it = Methods().method\n",
    ],
)
def test_a_function_that_guards_nothing_may_stand_beside_guarded_ones(tmp_path: Path, text: str) -> None:
    load_app(write_guarded(tmp_path, text, "def", "function"))


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("def NAME(request): return _helper(request)\n", True),
        ("NAME = lambda request: _helper(request)\n", True),
        ("def NAME(request): return _helper(request)  # wixhttp: ignore[not-served]\n", False),
        ("NAME = _helper\ndef put_it(request): return _helper(request)\n", False),
        ("def NAME(request): return ok()\n", False),
    ],
)
def test_a_helper_with_guards_that_code_calls_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, is_told: bool
) -> None:
    load_app(write_guarded(tmp_path, text, "def", "function"))
    assert ("the decorators that guard _helper do not run where code calls it" in caplog.text) == is_told


def test_a_guard_in_front_of_middleware_is_an_error(tmp_path: Path) -> None:
    text = "from wixhttp.access import require_key\n@require_key()\ndef onRequest(context, next): return next()\n"
    files = {"src/middleware.py": text, "src/pages/it.py": "def GET(): return None\n"}
    with pytest.raises(ProjectError, match=r"do not run in front of onRequest; .* set api_keys = true"):
        load_app(write_project(tmp_path, files))
