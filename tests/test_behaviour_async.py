"""Streams, the event loop and contexts, through each server interface (spec, 3 and 5)."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from tests.interfaces import TIMEOUT, ASGIInterface, Served, load_app, write_project

ROOT = Path(__file__).parents[1]
Serve = Callable[..., Served]

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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sync", WHOLE),
        ("syncasync", WHOLE),
        ("async", WHOLE),
        ("asyncasync", WHOLE),
        ("file", b"x" * 131_072),
        ("rows", b"row" * 3),
    ],
)
def test_a_stream_is_sent_whole_and_closed_at_its_end(serve: Serve, name: str, content: bytes) -> None:
    served = serve(STREAMS)
    reply = served(name)
    assert (reply.status, reply.content, reply.broken) == (200, content, None)
    assert reply.header("Content-Type") == "application/octet-stream"
    assert not reply.all("Content-Length")
    assert served.state["closed"].wait(TIMEOUT)


@pytest.mark.parametrize("name", ["sync", "syncasync", "async", "asyncasync"])
def test_a_stream_is_closed_when_the_client_leaves(serve: Serve, name: str) -> None:
    served = serve(STREAMS)
    reply = served(name, leave_after=3)
    assert reply.content.startswith(b"0,1,2,")
    assert served.state["closed"].wait(TIMEOUT)
    assert served("open").status == 200


@pytest.mark.parametrize("name", ["broken", "abroken", "exit"])
def test_a_stream_that_fails_half_way_breaks_off(serve: Serve, name: str, caplog: pytest.LogCaptureFixture) -> None:
    served = serve(STREAMS)
    reply = served(name)
    assert (reply.status, reply.content) == (200, b"0,1,")
    assert reply.broken is not None
    assert caplog.text.count(f"the stream of get_{name} broke off") == 1
    assert served.state["closed"].wait(TIMEOUT)
    assert served("open").status == 200


@pytest.mark.parametrize(
    ("name", "status"), [("atonce", 500), ("aatonce", 500), ("exitatonce", 500), ("httperror", 404), ("wrong", 500)]
)
def test_a_stream_that_fails_at_once_is_an_answer(serve: Serve, name: str, status: int) -> None:
    served = serve(STREAMS)
    assert served(name).problem["status"] == status
    assert served("open").status == 200


def test_none_is_no_end_of_a_stream(serve: Serve) -> None:
    assert serve(STREAMS)("none").broken is not None


def test_a_stream_of_nothing_is_an_empty_answer(serve: Serve) -> None:
    reply = serve(STREAMS)("nothing")
    assert (reply.status, reply.content) == (200, b"")


def test_an_iterator_that_cannot_be_closed_is_sent(serve: Serve) -> None:
    assert serve(STREAMS)("noclose").content == b"ab"


@pytest.mark.parametrize(("name", "method"), [("file", "HEAD"), ("rows", "HEAD"), ("nobody", "GET")])
def test_a_stream_that_nobody_reads_is_closed(serve: Serve, name: str, method: str) -> None:
    served = serve(STREAMS)
    assert served(name, method).content == b""
    if name != "nobody":  # a generator that was never begun has nothing to close
        assert served.state["closed"].wait(TIMEOUT)


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
    assert (process.stdout, process.stderr) == ("answered\nthe task is done\n", "")


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


@pytest.mark.parametrize("name", ["def", "async", "task", "gathered"])
def test_the_request_is_in_the_context_and_contexts_do_not_mix(serve: Serve, name: str) -> None:
    served = serve(CONTEXT)
    for given in ("one", "two"):
        assert served(name, "GET", ("X-Request-Id", given)).json() == [given, None]


@pytest.mark.parametrize("name", ["stream", "astream"])
def test_the_request_is_in_the_context_of_a_stream(serve: Serve, name: str) -> None:
    assert serve(CONTEXT)(name, "GET", ("X-Request-Id", "mine")).text == "mine"


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
