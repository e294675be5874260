"""Promises: calls of an ``async def`` begin when they are made, and say so where ``await`` is forgotten."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import INTERFACES, TIMEOUT, Reply, Served, load_app, write_project
from wixhttp import data as wix_data
from wixhttp.auth import elevate
from wixhttp.concurrency.begun_calls import BegunCall
from wixhttp.concurrency.bridge import Bridge
from wixhttp.concurrency.event_loop import begun, begun_on
from wixhttp.data import aio
from wixhttp.data.calls.access import Collections
from wixhttp.data.calls.hooks import Hooks
from wixhttp.data.collections import override, set_default
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.endpoints.session_calls import SessionCalls
from wixhttp.endpoints.session_store import SessionState
from wixhttp.endpoints.web.cookies import Cookies
from wixhttp.errors import MisuseWarning, WixDataError
from wixhttp.promises import Known, Promise, Reading

HERE = Path(__file__)


class Gate:
    """A hook that waits on its thread until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, item: Any) -> Any:
        self.begun.set()
        assert self.go.wait(TIMEOUT)
        if item.get("fails"):
            raise ValueError("the hook refuses it")
        return item

    async def entered(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, TIMEOUT)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.go.set()


@pytest.fixture
def collections(gate: Gate) -> Iterator[Collections]:
    made = Collections(MemoryStore(), hooks=Hooks.of({"slow_beforeInsert": gate}))
    with override(made):
        yield made


async def all_ended() -> None:
    """Return when no call runs any more."""
    while running := begun_on(asyncio.get_running_loop()):
        await asyncio.wait(running)


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what a thread does right after it has handed over its result."""
    end = time.monotonic() + TIMEOUT
    while not is_so() and time.monotonic() < end:
        gc.collect()
        time.sleep(0.001)


WRITES: list[Callable[[], Promise[Any]]] = [
    lambda: aio.insert("books", {"_id": "1"}),
    lambda: aio.save("books", {"_id": "1"}),
    lambda: aio.bulkInsert("books", [{"_id": "1"}]),
    lambda: aio.items.insert("books", {"_id": "1"}),
    lambda: aio.items.bulkSave("books", [{"_id": "1"}]),
    lambda: elevate(aio.insert)("books", {"_id": "1"}),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_write_begins_when_it_is_called(collections: Collections, write: Callable[[], Any]) -> None:
    async def main() -> int:
        write()
        await all_ended()
        count: int = await aio.query("books").count()
        return count

    assert asyncio.run(main()) == 1


def test_changes_of_items_begin_too(collections: Collections) -> None:
    async def main() -> dict[str, Any] | None:
        await aio.insert("books", {"_id": "1", "n": 1})
        aio.items.patch("books", "1").incrementField("n", 1).run()
        await all_ended()
        aio.items.patch("books", "1", [{"fieldPath": "n", "action": "INCREMENT_FIELD",
                                        "incrementFieldOptions": {"value": 1}}])  # fmt: skip
        await all_ended()
        aio.items.bulkPatch("books", ["1"]).incrementField("n", 1).run()
        await all_ended()
        return await aio.get("books", "1")

    assert (asyncio.run(main()) or {})["n"] == 4


def test_a_promise_is_awaited_in_every_way(collections: Collections) -> None:
    async def main() -> None:
        promise = aio.insert("books", {"_id": "1"})
        assert (await promise)["_id"] == "1"
        assert (await promise)["_id"] == "1", "twice"
        count = aio.query("books").count
        assert list(await asyncio.gather(count(), count(), aio.get("books", "2"))) == [1, 1, None]
        assert await asyncio.wait_for(count(), TIMEOUT) == 1
        assert await asyncio.create_task(count()) == 1
        assert await asyncio.ensure_future(count()) == 1
        assert await asyncio.shield(count()) == 1
        done, _ = await asyncio.wait([asyncio.ensure_future(count()), asyncio.ensure_future(count())])
        assert [each.result() for each in done] == [1, 1]

    asyncio.run(main())


PROMISES: list[tuple[str, Callable[[], Promise[Any]]]] = [
    ("of a value", lambda: Known("get()", 7)),
    ("of a reading", lambda: Reading("json()", lambda: asyncio.sleep(0.01, 7))),
    ("of a call", lambda: aio.query("books").count()),
]


@pytest.mark.parametrize(("kind", "make"), PROMISES)
def test_tasks_of_one_promise_get_its_value_each(
    collections: Collections, kind: str, make: Callable[[], Promise[Any]]
) -> None:
    collections.store.create("books")
    value = 0 if kind == "of a call" else 7

    async def main() -> None:
        promise = make()
        assert list(await asyncio.gather(promise)) == [value]
        assert list(await asyncio.gather(promise)) == [value]
        assert [await asyncio.wait_for(promise, TIMEOUT) for _ in range(2)] == [value] * 2
        tasks = [asyncio.ensure_future(promise) for _ in range(2)]
        assert await asyncio.gather(*tasks) == [value] * 2

    asyncio.run(main())


def test_a_promise_is_awaited_again_behind_a_time_limit(collections: Collections, gate: Gate) -> None:
    async def main() -> None:
        promise = aio.insert("slow", {"_id": "1"})
        for _ in range(2):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(promise, 0.01)
        gate.go.set()
        assert [each["_id"] for each in await asyncio.gather(promise)] == ["1"]

    asyncio.run(main())


def test_what_ends_behind_its_loop_is_forgotten_and_its_error_told(
    collections: Collections, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        aio.insert("slow", {"_id": "1", "fails": True})
        await gate.entered()

    asyncio.run(main())
    gate.go.set()
    until(lambda: bool(caplog.records))
    assert not begun
    assert "insert(...) of" in caplog.text
    assert "nothing awaited it: " in caplog.text


def test_a_promise_made_where_no_loop_runs_begins_when_it_is_awaited(collections: Collections) -> None:
    promise = aio.insert("books", {"_id": "1"})
    assert not begun
    assert asyncio.run(promise)["_id"] == "1"
    with pytest.warns(MisuseWarning, match=r"insert\(\.\.\.\) does nothing in a def") as warned:
        aio.insert("books", {"_id": "2"})
    assert warned[0].filename == str(HERE)
    assert collections.store.get("books", ["2"]) == {}


def test_neither_cancelling_nor_a_time_limit_cuts_a_write(collections: Collections, gate: Gate) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(aio.insert("slow", {"_id": "1"}))
        await gate.entered()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.insert("slow", {"_id": "2"}), 0.01)
        gate.go.set()
        await all_ended()
        assert await aio.query("slow").count() == 2

    asyncio.run(main())


def test_an_error_that_nobody_awaits_is_logged_once(
    collections: Collections, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)

    async def main() -> None:
        await aio.insert("books", {"_id": "1"})
        aio.insert("books", {"_id": "1"})
        await all_ended()
        await asyncio.to_thread(until, lambda: len(caplog.records) == 1)
        kept = aio.insert("books", {"_id": "1"})
        await all_ended()
        gc.collect()
        assert len(caplog.records) == 1, "it may still be awaited"
        del kept
        with pytest.raises(WixDataError):
            await aio.insert("books", {"_id": "1"})
        results = await asyncio.gather(*[aio.insert("books", {"_id": "1"})] * 2, return_exceptions=True)
        assert [type(each) for each in results] == [WixDataError] * 2
        task = asyncio.ensure_future(aio.insert("slow", {"_id": "x", "fails": True}))
        await gate.entered()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del task
        gate.go.set()
        await all_ended()

    asyncio.run(main())
    until(lambda: len(caplog.records) == 3)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 3
    assert all("insert(...) of" in each and str(HERE) in each for each in said)
    assert all("nothing awaited it: " in each for each in said)


READS: list[tuple[str, Callable[[], Promise[Any]]]] = [
    ("get(...)", lambda: aio.get("books", "1")),
    ("count(...)", lambda: aio.items.count("books")),
    ("distinct(...)", lambda: aio.items.distinct("books", "a")),
    ("find()", lambda: aio.query("books").eq("a", 1).find()),
    ("count()", lambda: aio.query("books").count()),
    ("distinct(...)", lambda: aio.items.query("books").distinct("a")),
    ("run()", lambda: aio.aggregate("books").count().run()),
    ("request.body.json()", lambda: Reading("request.body.json()", dict)),
]


@pytest.mark.parametrize(("said", "read"), READS)
def test_a_value_that_nobody_awaits_is_warned_of_at_its_line(
    collections: Collections, said: str, read: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        collections.store.create("books")
        read()
        await all_ended()
        await asyncio.to_thread(until, lambda: len(warned) > 0)

    with pytest.warns(MisuseWarning) as warned:
        asyncio.run(main())
    messages = [str(each.message) for each in warned] + [each.getMessage() for each in caplog.records]
    assert len(messages) == 1
    assert said in messages[0]
    assert warned[0].filename == str(HERE)


USES: list[Callable[[Any], Any]] = [
    lambda p: p["a"],
    lambda p: p.items,
    lambda p: p.then(print),
    lambda p: p.catch(print),
    bool,
    lambda p: p or {},
    lambda p: p == "a",
    lambda p: p != "a",
    lambda p: p < 1,
    lambda p: p + 1,
    lambda p: 1 + p,
    lambda p: "a" + p,
    lambda p: "a" in p,
    lambda p: f"{p}",
    str,
    len,
    list,
    int,
    lambda p: p.__setitem__("a", 1),
]


@pytest.mark.parametrize("use", USES)
def test_to_use_a_promise_as_its_value_names_the_missing_await(use: Callable[[Any], Any]) -> None:
    promise = Reading[Any]("request.body.json()", dict)
    with pytest.raises((TypeError, AttributeError), match=r"await request\.body\.json\(\)"):
        use(promise)
    assert repr(promise) == "<Promise of request.body.json()>"
    assert {promise: 1}[promise] == 1
    other = Reading[Any]("x", dict)
    assert promise != other
    promise.close()
    other.close()


async def await_it() -> None:
    with pytest.raises(WixDataError):
        await aio.get("books", 5)  # type: ignore[arg-type]  # on purpose


async def await_it_in_a_task() -> None:
    with pytest.raises(WixDataError):
        await asyncio.ensure_future(aio.get("books", 5))  # type: ignore[arg-type]  # on purpose


async def leave_it_to_the_session() -> None:
    calls = SessionCalls(SessionState(Cookies(), 60), Bridge(2))
    calls.add("session.set(...)", lambda state: state.set("a", object()), reads=False)
    with pytest.raises(ValueError, match="object"):
        await calls.settled()


async def forget_it_in_a_session() -> None:
    calls = SessionCalls(SessionState(Cookies(), 60), Bridge(2))
    calls.add("session.get(...)", lambda state: state.set("a", object()), reads=True)
    await all_ended()


@pytest.mark.parametrize("main", [await_it, await_it_in_a_task, leave_it_to_the_session, forget_it_in_a_session])
def test_the_error_of_a_promise_leaves_no_reference_cycle(collections: Collections, main: Callable[[], Any]) -> None:
    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
        end = time.monotonic() + TIMEOUT
        while [each for each in gc.get_objects() if isinstance(each, BegunCall)] and time.monotonic() < end:
            time.sleep(0.01)
        assert not [each for each in gc.get_objects() if isinstance(each, BegunCall)]
    finally:
        gc.enable()


# --- sessions --------------------------------------------------------------------------------------------------------

SESSIONS = {
    "src/pages/set.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            values = []
            session.set("list", values)
            values.append("later")
            session.set("a", 1)
            session.set("a", 2)
            session.set("b", 1)
            session.delete("b")
            seen = await session.get("a")
            session.set("c", seen)
            return Response.json(seen)
    """,
    "src/pages/get.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            return Response.json({key: await session.get(key) for key in sorted(await session.keys())})
    """,
    "src/pages/end.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            session.destroy()
            return Response(None)
    """,
    "src/pages/truth.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            return Response("member" if session.get("user") else "guest")
    """,
    "src/pages/lost.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            user = session.get("user")
            return Response("ok")
    """,
    "src/pages/wrong.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            session.set("a", object())
            return Response("ok")
    """,
    "src/pages/large.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            session.set("a", "x" * 70_000)
            return Response("ok")
    """,
    "src/pages/insert.py": """
        from wixhttp.data import aio
        from wixhttp.endpoints import Response
        async def GET(url):
            aio.insert("books", {"_id": url.searchParams.get("id")})
            return Response("ok")
    """,
}


MIDDLEWARE = {
    "none": {},
    "def": {"src/middleware.py": "def onRequest(context, next):\n    return next()\n"},
    "async": {"src/middleware.py": "async def onRequest(context, next):\n    return await next()\n"},
}


@pytest.fixture(params=list(MIDDLEWARE))
def visit(request: pytest.FixtureRequest, serve: Callable[..., Served]) -> Iterator[Callable[[str], Reply]]:
    """A browser at the endpoints, through every interface, behind middleware of either kind and without."""
    set_default(Collections(MemoryStore()))
    served = serve(SESSIONS | MIDDLEWARE[request.param])
    cookies: dict[str, str] = {}

    def get(target: str) -> Reply:
        reply = served(target, "GET", *[("Cookie", "; ".join(cookies.values()))] * bool(cookies))
        for field in reply.all("Set-Cookie"):
            cookies["session"] = field.partition(";")[0]
        return reply

    yield get
    set_default(None)


def test_what_is_set_without_await_is_kept(visit: Callable[[str], Reply]) -> None:
    assert visit("/set").json() == 2
    assert visit("/get").json() == {"a": 2, "c": 2, "list": []}
    assert visit("/set").json() == 2, "of a session that is in the store"
    assert visit("/end").status == 200
    assert visit("/get").json() == {}


def test_an_insert_without_await_is_kept(visit: Callable[[str], Reply], caplog: pytest.LogCaptureFixture) -> None:
    assert visit("/insert?id=1").status == 200
    assert visit("/insert?id=1").status == 200, "its error is nobody's"
    until(lambda: any(each.levelno == logging.ERROR for each in caplog.records))
    assert wix_data.query("books").count() == 1
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "insert(...) of" in record.getMessage()
    assert "insert.py, line 5 failed" in record.getMessage()


@pytest.mark.parametrize(("path", "status"), [("/wrong", 500), ("/large", 413)])
def test_a_change_that_cannot_be_kept_is_no_success(
    visit: Callable[[str], Reply], path: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    reply = visit(path)
    assert (reply.status, reply.all("Set-Cookie")) == (status, [])
    gc.collect()
    assert len(caplog.records) - sum(each.name == "wixhttp.access" for each in caplog.records) == 1


def test_the_truth_of_a_promise_is_an_error(visit: Callable[[str], Reply], caplog: pytest.LogCaptureFixture) -> None:
    assert visit("/truth").status == 500
    assert "write await session.get(...)" in caplog.text


def test_a_value_of_the_session_that_nobody_awaits(visit: Callable[[str], Reply]) -> None:
    with pytest.warns(MisuseWarning, match=r"the value of session\.get\(\.\.\.\) is lost") as warned:
        visit("/lost")
    assert (Path(warned[0].filename).name, warned[0].lineno) == ("lost.py", 4)


STEPS = {
    "src/pages/log_in.py": """
        from wixhttp.endpoints import Response
        def GET(session):
            return Response.json(session.get("user"))
    """,
    "src/pages/switch.py": """
        from wixhttp.endpoints import Response
        def GET(session):
            session.set("user", "bob")
            return Response(None)
    """,
    "src/pages/who.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            return Response.json(await session.get("user"))
    """,
    "src/pages/behind.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            session.set("user", "eve")
            return Response(None)
    """,
    "src/pages/stream.py": """
        from wixhttp.endpoints import Response
        async def GET(session):
            async def rows():
                yield "before"
                session.set("user", "ada")
                yield "after"
            return Response(rows())
    """,
    "src/middleware.py": """
        from wixhttp.endpoints import sequence
        async def begin(context, next):
            if context.url.pathname == "/log_in":
                context.session.set("user", "ada")
            if context.url.pathname == "/switch":
                context.session.destroy()
            return await next()
        def end(context, next):
            response = next()
            if context.url.pathname == "/behind":
                response.headers.set("X-User", str(context.session.get("user")))
            return response
        onRequest = sequence(begin, end)
    """,
}


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[Callable[..., Reply]]:
    """Endpoints and middleware of both kinds; ``cookie`` is that of a reply before."""
    set_default(Collections(MemoryStore()))
    with closing(INTERFACES["asgi"](load_app(write_project(tmp_path, STEPS)))) as interface:
        served = Served(interface)

        def get(target: str, before: Reply | None = None) -> Reply:
            fields = [] if before is None else [("Cookie", before.all("Set-Cookie")[0].partition(";")[0])]
            return served(target, "GET", *fields)

        yield get
    set_default(None)


def test_a_def_does_not_overtake_the_calls_on_the_session(steps: Callable[..., Reply]) -> None:
    logged_in = steps("/log_in")
    assert logged_in.json() == "ada"
    assert steps("/who", logged_in).json() == "ada"
    switched = steps("/switch", logged_in)
    assert steps("/who", switched).json() == "bob"
    assert steps("/behind").all("X-User") == ["eve"]


def test_a_change_in_a_stream_is_refused_where_it_is_made(
    steps: Callable[..., Reply], caplog: pytest.LogCaptureFixture
) -> None:
    assert "after" not in steps("/stream").text
    assert "HeadersSent" in caplog.text
    assert "nothing awaited it" not in caplog.text


# --- calls that block ------------------------------------------------------------------------------------------------

BLOCKING = """
    import asyncio
    from wixhttp import data as wix_data
    from wixhttp.data import aio, items
    async def get_find(request): return ok(body=wix_data.query("books").count())
    async def get_awaited(request): return ok(body=(await wix_data.query("books").find()).items)
    async def get_insert(request): return ok(body=items.insert("books", {"_id": "1"}))
    async def get_thread(request): return ok(body=await asyncio.to_thread(wix_data.query("books").count))
    async def get_aio(request): return ok(body=await aio.query("books").count())
    def get_plain(request): return ok(body=wix_data.query("books").count())
"""


@pytest.fixture
def blocking(serve: Callable[..., Served]) -> Iterator[Served]:
    collections = Collections(MemoryStore())
    collections.store.create("books")
    set_default(collections)
    yield serve(BLOCKING, mode="development")
    set_default(None)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("find", r"count\(\) of a collection blocks .*write from wixhttp\.data import aio as wix_data, and await it"),
        ("awaited", r"find\(\) of a collection blocks"),
        ("insert", r"insert\(\) of a collection blocks .*write from wixhttp\.data\.aio import items, and await it"),
    ],
)
def test_a_call_that_blocks_the_loop_is_warned_of_at_its_line(blocking: Served, name: str, said: str) -> None:
    with pytest.warns(MisuseWarning, match=said) as warned:
        reply = blocking(name)
    assert Path(warned[0].filename).name == "http_functions.py"
    if name == "awaited":
        assert (
            "in an async def the calls on collections are those of aio: from wixhttp.data import aio as wix_data"
            in (reply.problem["detail"])
        )


@pytest.mark.parametrize("name", ["thread", "aio", "plain"])
def test_calls_that_do_not_block_are_not_warned_of(blocking: Served, name: str) -> None:
    assert blocking(name).json() == 0


SLOW = """
    import asyncio
    import time
    async def get_slow(request):
        await asyncio.sleep(0)
        time.sleep(0.15)
        await asyncio.sleep(0)
        return ok()
    async def get_last(request):
        time.sleep(0.15)
        return ok()
    async def get_raises(request):
        time.sleep(0.15)
        raise ValueError("on purpose")
"""


@pytest.mark.parametrize(("name", "place"), [("slow", ", line 8"), ("last", ""), ("raises", "")])
def test_a_step_that_holds_the_loop_is_told_of_once_in_development(
    tmp_path: Path, name: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(INTERFACES["asgi"](load_app(write_project(tmp_path, SLOW), mode="development"))) as interface:
        for _ in range(2):
            assert Served(interface)(name).status == (500 if name == "raises" else 200)
    said = [each.getMessage() for each in caplog.records if "held the event loop" in each.getMessage()]
    assert len(said) == 1
    assert f"get_{name} held the event loop for" in said[0]
    assert place in said[0]
