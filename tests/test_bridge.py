"""The sync/async bridge and the thread pool: what waits for what, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.interfaces import Served
from wixhttp.concurrency.bridge import Bridge, WaitGroup
from wixhttp.dispatch.call import Call

Serve = Callable[..., Served]

JSON = ("Content-Type", "application/json")


def test_what_waits_for_threads_is_called_once() -> None:
    working, calls = WaitGroup(), []
    working.begin()
    working.begin()
    working.when_done(lambda: calls.append(1))
    working.end()
    assert calls == []
    for _ in range(3):
        working.end()
        working.begin()
    assert calls == [1]


def test_a_thread_that_cannot_start_is_an_error_and_ends_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ended: list[int] = []

    async def ask() -> None:
        bridge = Bridge(2)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            await bridge.in_thread(lambda: 1, lambda: ended.append(1))
        monkeypatch.undo()
        assert await bridge.in_thread(lambda: 2) == 2
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert await asyncio.gather(*(bridge.in_thread(lambda: 3) for _ in range(5))) == [3] * 5  # by the one there is

    asyncio.run(ask())
    assert ended == [1]


def test_a_request_that_goes_on_after_its_answer_gives_one_slot_back(serve: Serve) -> None:
    served = serve(
        {
            "src/middleware.py": """
                import asyncio
                from wixhttp.endpoints import Response
                tasks = []
                async def onRequest(context, next):
                    if context.url.pathname == "/early":
                        tasks.append(asyncio.ensure_future(next()))
                        return Response("early")
                    if context.url.pathname == "/wait":
                        await asyncio.gather(*tasks)
                    return await next()
            """,
            "src/pages/early.py": """
                async def GET(rewrite):
                    await rewrite("/thread")
                    await rewrite("/thread")
                    return await rewrite("/thread")
            """,
            "src/pages/thread.py": "from wixhttp.endpoints import Response\ndef GET(): return Response('x')\n",
            "src/pages/wait.py": "from wixhttp.endpoints import Response\nasync def GET(): return Response('x')\n",
        },
        max_concurrency=4,
    )
    before = len(served.app.admission.def_slots), len(served.app.admission.async_slots)
    for _ in range(5):
        assert served("/early").text == "early"
    assert served("/wait").text == "x"
    assert (len(served.app.admission.def_slots), len(served.app.admission.async_slots)) == before


def test_a_call_that_has_ended_is_not_kept(serve: Serve) -> None:
    """It ran long enough to be seen by the thread that looks for late handlers, twice a second."""
    served = serve("import time\nfrom wixhttp import ok\ndef get_slow(request):\n    time.sleep(1)\n    return ok()\n")
    assert served("slow").status == 200

    def is_kept() -> bool:
        return any(isinstance(each, Call) and each.head.path.endswith("/slow") for each in gc.get_objects())

    deadline = time.monotonic() + 60
    while is_kept() and time.monotonic() < deadline:  # its thread may still be ending
        gc.collect()
    assert not is_kept()


HANDLERS = """
from wixhttp import HTTPError
from wixhttp.endpoints import Response
KIND GET(): return Response("x")
KIND POST(): raise HTTPError(409, "taken")
KIND PUT(): raise ValueError("broken")
KIND PATCH(cookies):
    cookies.set("a", "1")
    return Response(None, 204)
"""


@pytest.fixture
def without_collector() -> Iterator[None]:
    """The collector is off, and the log, which would keep exceptions for the test."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()  # what other tests left is not looked at a hundred times
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("middleware", ["", "def", "async def"])
def test_requests_leave_no_cycles_behind(serve: Serve, middleware: str) -> None:
    wait = "await " if "async" in middleware else ""
    files: dict[str, Any] = {
        "src/pages/d.py": HANDLERS.replace("KIND", "def"),
        "src/pages/a.py": HANDLERS.replace("KIND", "async def"),
        **({"src/middleware.py": f"{middleware} onRequest(c, next): return {wait}next()"} if middleware else {}),
    }
    served = serve(files)
    for target in ("/d", "/a", "/none"):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            for _ in range(3):
                served(target, method, JSON)
            gc.collect()
            for _ in range(20):
                served(target, method, JSON)
            # A cycle of each request would be 25 objects, twenty times; the last one may still be ending in its thread.
            assert gc.collect() / 20 < 5, (target, method)
