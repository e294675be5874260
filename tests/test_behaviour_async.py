"""Streams, the event loop and contexts, through each server interface (spec, 3 and 5)."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from tests.interfaces import TIMEOUT, ASGIInterface, Served, forget_projects, load_app, write_project

ROOT = Path(__file__).parents[1]
Serve = Callable[..., Served]


@pytest.fixture(params=[True, False], ids=["short", "general"])
def has_short_path(request: pytest.FixtureRequest) -> bool:
    """Each request goes the short way, where it can, and the general one."""
    return bool(request.param)


STREAMS = """
    import asyncio, threading
    closed = threading.Event()
    GUARD = {"sync": lambda: None}

    def sync_chunks(fail=None, at=2):
        try:
            for number in range(1000):
                if number == at and fail is not None:
                    raise fail
                yield f"{number},"
        finally:
            closed.set()

    async def async_chunks(fail=None, at=2):
        try:
            for number in range(1000):
                if number == at and fail is not None:
                    raise fail
                await asyncio.sleep(0)
                yield f"{number},"
        finally:
            closed.set()

    class File:
        def __init__(self): self.left = 3
        def read(self, size):
            self.left -= 1
            return b"x" * size if self.left > 0 else b""
        def close(self): closed.set()

    class Rows:
        def __init__(self): self.left = 3
        def __aiter__(self): return self
        async def __anext__(self):
            self.left -= 1
            if self.left < 0: raise StopAsyncIteration
            return b"row"
        async def aclose(self): closed.set()

    def get_sync(request): return ok(body=sync_chunks())
    async def get_syncasync(request): return ok(body=sync_chunks())
    def get_async(request): return ok(body=async_chunks())
    async def get_asyncasync(request): return ok(body=async_chunks())
    def get_file(request): return ok(body=File())
    async def get_rows(request): return ok(body=Rows())
    def get_broken(request): return ok(body=sync_chunks(ValueError("half-way")))
    async def get_abroken(request): return ok(body=async_chunks(ValueError("half-way")))
    def get_exit(request): return ok(body=sync_chunks(SystemExit(1)))
    def get_atonce(request): return ok(body=sync_chunks(ValueError("at once"), 0))
    async def get_aatonce(request): return ok(body=async_chunks(ValueError("at once"), 0))
    def get_exitatonce(request): return ok(body=sync_chunks(SystemExit(1), 0))
    def get_httperror(request): return ok(body=sync_chunks(HTTPError(404, "Gone."), 0))
    def get_wrong(request): return ok(body=iter([1]))
    def get_nothing(request): return ok(body=iter([]))
    def get_none(request): return ok(body=iter([b"a", None, b"b"]))
    def get_nobody(request): return response(status=204, body=sync_chunks())
    def get_noclose(request): return ok(body=iter(["a", b"b"]))
    def get_open(): return ok(1)
"""
WHOLE = "".join(f"{number}," for number in range(1000)).encode()


def closes(served: Served) -> bool:
    """Return whether the stream was closed, or is in time; and begin anew."""
    closed: threading.Event = served.state["closed"]
    has_closed = closed.wait(TIMEOUT)
    closed.clear()
    return has_closed


def test_a_stream_is_sent_whole_and_closed_at_its_end(serve: Serve) -> None:
    served = serve(STREAMS)
    for name, content in (
        ("sync", WHOLE), ("syncasync", WHOLE), ("async", WHOLE), ("asyncasync", WHOLE), ("file", b"x" * 131_072),
        ("rows", b"row" * 3),
    ):  # fmt: skip
        reply = served(name)
        assert (reply.status, reply.content, reply.broken) == (200, content, None), name
        assert reply.header("Content-Type") == "application/octet-stream"
        assert not reply.all("Content-Length")
        assert closes(served), name


def test_a_stream_is_closed_when_the_client_leaves(serve: Serve) -> None:
    served = serve(STREAMS)
    for name in ("sync", "syncasync", "async", "asyncasync"):
        reply = served(name, leave_after=3)
        assert reply.content.startswith(b"0,1,2,"), name
        assert closes(served), name
        assert served("open").status == 200


def test_a_stream_that_fails_half_way_breaks_off(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve(STREAMS)
    for name in ("broken", "abroken", "exit"):
        reply = served(name)
        assert (reply.status, reply.content) == (200, b"0,1,"), name
        assert reply.broken is not None
        assert caplog.text.count(f"the stream of get_{name} broke off") == 1
        assert closes(served), name
        assert served("open").status == 200


def test_a_stream_that_fails_at_once_is_an_answer(serve_alike: Serve) -> None:
    served = serve_alike(STREAMS)
    for name, status in {"atonce": 500, "aatonce": 500, "exitatonce": 500, "httperror": 404, "wrong": 500}.items():
        assert served(name).problem["status"] == status, name
        assert served("open").status == 200


def test_the_chunks_of_a_stream(serve_alike: Serve) -> None:
    served = serve_alike(STREAMS)
    assert served("none").broken is not None  # None is no end
    assert (served("nothing").status, served("nothing").content) == (200, b"")
    assert served("noclose").content == b"ab"


def test_a_stream_that_nobody_reads_is_closed(serve: Serve) -> None:
    served = serve(STREAMS)
    for name, method in (("file", "HEAD"), ("rows", "HEAD"), ("nobody", "GET")):
        assert served(name, method).content == b""
        if name != "nobody":  # a generator that was never begun has nothing to close
            assert closes(served), name


# --- the event loop --------------------------------------------------------------------------------------------------

LOOP = """
    import asyncio, threading
    loops, done = set(), threading.Event()
    async def get_loop(request):
        loops.add(id(asyncio.get_running_loop()))
        return ok(len(loops))
    async def helper(): return ok(id(asyncio.get_running_loop()) in loops)
    def get_awaited(request): return helper()
    async def get_task(request):
        async def later():
            await asyncio.sleep(0.05)
            done.set()
            print("the task is done")
        asyncio.create_task(later())
        return ok("answered" if not done.is_set() else "waited")
    def get_thread(request): return ok(threading.current_thread() is threading.main_thread())
"""


def test_all_async_handlers_share_one_loop(serve: Serve) -> None:
    served = serve(LOOP)
    assert [served("loop").json() for _ in range(3)] == [1, 1, 1]
    assert served("awaited").json() is True


def test_a_task_goes_on_after_the_answer(serve: Serve) -> None:
    served = serve(LOOP)
    assert served("task").text == "answered"
    assert served.state["done"].wait(TIMEOUT)


def test_a_task_is_waited_for_when_the_server_stops(tmp_path: Path) -> None:
    with closing(ASGIInterface(load_app(write_project(tmp_path, LOOP)))) as interface:
        served = Served(interface)
        assert served("task").text == "answered"
        interface.stop()
        assert served.state["done"].is_set()


@pytest.mark.parametrize("name", ["direct", "wsgi"])  # their loop is that of the process
def test_a_task_is_waited_for_when_the_process_ends(tmp_path: Path, name: str) -> None:
    write_project(tmp_path, LOOP)
    program = """
        import sys
        from pathlib import Path
        from tests.interfaces import INTERFACES, Served, load_app
        print(Served(INTERFACES[sys.argv[1]](load_app(Path(sys.argv[2]))))("task").text)
    """
    process = subprocess.run(
        [sys.executable, "-c", dedent(program), name, str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert process.stderr == ""
    assert sorted(process.stdout.splitlines()) == ["answered", "the task is done"]  # in either order: of two threads


# --- contexts --------------------------------------------------------------------------------------------------------

CONTEXT = """
    import asyncio, contextvars, threading
    from wixhttp.context import current_request as current
    mine = contextvars.ContextVar("mine", default=None)

    def seen(request):
        before = mine.get()
        mine.set(request.functionName)
        return [current.get().request_id, before]

    def get_def(request): return ok(seen(request))
    async def get_async(request): return ok(seen(request))
    async def get_task(request): return ok(await asyncio.create_task(asyncio.to_thread(seen, request)))
    async def get_gathered(request):
        async def look(): return current.get().request_id
        return ok((await asyncio.gather(look(), look()))[:1] + [mine.get()])
    def get_stream(request):
        def chunks():
            yield current.get().request_id
        return ok(body=chunks())
    async def get_astream(request):
        async def chunks():
            yield current.get().request_id
        return ok(body=chunks())
"""


def test_the_request_is_in_the_context_and_contexts_do_not_mix(serve: Serve) -> None:
    served = serve(CONTEXT)
    for name in ("def", "async", "task", "gathered"):
        for given in ("one", "two"):
            assert served(name, "GET", ("X-Request-Id", given)).json() == [given, None], name
    for name in ("stream", "astream"):
        assert served(name, "GET", ("X-Request-Id", "mine")).text == "mine", name


VARIABLES = """
import asyncio, threading
from contextvars import ContextVar
mine = ContextVar("mine", default="unset")
reset, closed = [], threading.Event()

def end(token):
    try:
        mine.reset(token)
        reset.append(mine.get())
    finally:
        closed.set()

def chunks(token):
    try:
        yield mine.get()
        mine.set("later")
        yield " " + mine.get()
    finally:
        end(token)

async def achunks(token):
    try:
        await asyncio.sleep(0)
        yield mine.get()
        mine.set("later")
        await asyncio.sleep(0)
        yield " " + mine.get()
    finally:
        await asyncio.sleep(0)
        end(token)

def get_dd(): return ok(body=chunks(mine.set("early")))
def get_da(): return ok(body=achunks(mine.set("early")))
async def get_ad(): return ok(body=chunks(mine.set("early")))
async def get_aa():
    token = mine.set("early")
    await asyncio.sleep(0)
    return ok(body=achunks(token))
def get_hidden():
    return get_aa()
"""
PAGES = {
    f"src/pages/{name}.py": f"""
from backend import http_functions as site
from wixhttp.endpoints import Response
{kind} GET(): return Response(site.{stream}(site.mine.set("early")))
"""
    for name, kind, stream in (
        ("dd", "def", "chunks"), ("da", "def", "achunks"),
        ("ad", "async def", "chunks"), ("aa", "async def", "achunks"),
    )
}  # fmt: skip
COMPRESSES = """
from wixhttp.endpoints import Response
def wrapped(chunks):
    try:
        for chunk in chunks:
            yield chunk.upper()
    finally:
        chunks.close()
async def awrapped(chunks):
    try:
        async for chunk in chunks:
            yield chunk.upper()
    finally:
        await chunks.aclose()
KIND onRequest(context, next):
    response = WAIT next()
    response.body = (awrapped if hasattr(response.body, "__anext__") else wrapped)(response.body)
    return response
"""


def _ends_in_its_context(served: Served, target: str, text: str) -> None:
    for leave_after in (None, 1):
        content = served(target, leave_after=leave_after).text
        assert content == text if leave_after is None else text.startswith(content)
        assert closes(served), target
        assert served.state["reset"] == ["unset"]
        served.state["reset"].clear()


def test_a_stream_is_drawn_and_closed_in_the_context_of_its_handler(serve: Serve) -> None:
    served = serve(VARIABLES)
    for name in ("dd", "da", "ad", "aa", "hidden"):
        _ends_in_its_context(served, name, "early later")


@pytest.mark.parametrize("middleware", ["def", "async def"])
def test_a_stream_behind_middleware_is_drawn_and_closed_in_the_context_of_its_handler(
    serve: Serve, middleware: str
) -> None:
    plain = f"{middleware} onRequest(context, next): return {'await ' if 'async' in middleware else ''}next()"
    wraps = COMPRESSES.replace("KIND", middleware).replace("WAIT", "await" if "async" in middleware else "")
    files = {"backend/http_functions.py": "from wixhttp import *\n" + VARIABLES, **PAGES}
    for text, expected in ((plain, "early later"), (wraps, "EARLY LATER")):
        forget_projects()
        served = serve({**files, "src/middleware.py": text})
        for name in ("dd", "da", "ad", "aa"):
            _ends_in_its_context(served, f"/{name}", expected)


def test_nothing_that_goes_on_keeps_the_context_of_a_request(serve: Serve) -> None:
    """Neither a timer that other requests share, nor a thread or a loop that this one was the first to need."""
    served = serve("""
        import asyncio, contextvars, weakref
        mine = contextvars.ContextVar("mine")
        kept = []
        class Large: pass
        def put():
            large = Large()
            kept.append(weakref.ref(large))
            mine.set(large)
        def get_def():
            put()
            return ok(1)
        async def post_async(request):
            await request.body.buffer()
            put()
            await asyncio.sleep(0.001)
            return ok(1)
        async def get_stream():
            put()
            def chunks(): yield b"x"
            return ok(body=chunks())
    """)
    for name, details in (("def", {}), ("async", {"method": "POST", "body": b"xy"}), ("stream", {})):
        assert served(name, **details).status == 200  # type: ignore[arg-type]
    patience = time.monotonic() + TIMEOUT
    while any(reference() is not None for reference in served.state["kept"]):  # a thread may still be ending its part
        gc.collect()
        assert time.monotonic() < patience
    assert len(served.state["kept"]) == 3


def test_many_requests_at_once_keep_to_themselves(serve: Serve) -> None:
    served = serve(
        "def get_x(request): return ok(request.path[0])\nasync def get_y(request): return ok(request.path[0])"
    )
    wrong: list[str] = []

    def work(worker: int) -> None:
        for number in range(20):
            for name in "xy":
                text = served(f"{name}/{worker}.{number}").text
                wrong.extend([text] if text != f"{worker}.{number}" else [])

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert wrong == []
    assert not any(thread.is_alive() for thread in threads)
