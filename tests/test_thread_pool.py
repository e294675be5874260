"""The thread pool: each thread begins what waits, though the others block, and none of it is forgotten."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.interfaces import TIMEOUT
from wixhttp.concurrency.event_loop import ValueOrError
from wixhttp.concurrency.overload import Busy
from wixhttp.concurrency.thread_pool import MOST_RESULTS, ThreadPool, WorkItem


def on_a_loop(scenario: Callable[[ThreadPool], Awaitable[Any]], size: int) -> Any:
    """The result of a scenario with a pool of ``size`` threads, on an event loop of its own."""

    async def run() -> Any:
        return await asyncio.wait_for(scenario(ThreadPool(size, asyncio.get_running_loop())), TIMEOUT)

    return asyncio.run(run())


def submitted(pool: ThreadPool, work: Callable[[], Any], queue_timeout: float = 0) -> asyncio.Future[ValueOrError]:
    """The future of work that was handed to the pool."""
    waiter: asyncio.Future[ValueOrError] = pool.loop.create_future()
    pool.submit(WorkItem(work, waiter, contextvars.copy_context(), queue_timeout=queue_timeout))
    return waiter


def test_all_threads_begin_though_each_blocks() -> None:
    met = threading.Barrier(8)

    async def scenario(pool: ThreadPool) -> list[ValueOrError]:
        return await asyncio.gather(*[submitted(pool, lambda: met.wait(TIMEOUT)) for _ in range(8)])

    assert {error for _, error in on_a_loop(scenario, 8)} == {None}


def test_what_waits_behind_work_that_blocks_is_done_by_another_thread() -> None:
    free = threading.Event()

    async def scenario(pool: ThreadPool) -> list[ValueOrError]:
        slow = submitted(pool, lambda: free.wait(TIMEOUT))
        quick = await asyncio.gather(*[submitted(pool, lambda: 1) for _ in range(100)])
        free.set()
        return [*quick, await slow]

    assert on_a_loop(scenario, 2) == [(1, None)] * 100 + [(True, None)]


def test_each_of_many_is_done_once_in_whatever_order_threads_come() -> None:
    pauses = (0, 0, 0.0001, 0, 0.001, 0, 0)

    async def scenario(pool: ThreadPool) -> list[int]:
        done: list[int] = []

        def work(number: int) -> None:
            if pause := pauses[number % len(pauses)]:
                time.sleep(pause)  # lets go of the interpreter's lock
            done.append(number)

        waiters = []
        for number in range(3000):
            waiters.append(submitted(pool, lambda number=number: work(number)))  # type: ignore[misc]  # its default
            if number % 11 == 0:
                await asyncio.sleep(0)
        await asyncio.gather(*waiters)
        return sorted(done)

    assert on_a_loop(scenario, 5) == list(range(3000))


def test_what_is_withdrawn_holds_up_nothing_that_comes_after() -> None:
    free = threading.Event()

    async def scenario(pool: ThreadPool) -> tuple[ValueOrError, ValueOrError]:
        slow = submitted(pool, lambda: free.wait(TIMEOUT))
        refused = await submitted(pool, lambda: 1, queue_timeout=0.01)
        free.set()
        await slow
        return refused, await submitted(pool, lambda: 2)

    (_, error), done = on_a_loop(scenario, 1)
    assert isinstance(error, Busy)
    assert done == (2, None)


@pytest.mark.parametrize(("is_large", "most"), [(True, 3), (False, 2 * (3 + MOST_RESULTS))])
def test_threads_are_not_ahead_of_the_loop(is_large: bool, most: int) -> None:
    begun: list[int] = []
    taken: list[int] = []
    ahead: list[int] = []

    def work() -> None:
        begun.append(1)
        ahead.append(len(begun) - len(taken))

    async def task(pool: ThreadPool) -> None:
        await submitted(pool, work)
        taken.append(1)

    async def scenario() -> None:
        pool = ThreadPool(3, asyncio.get_running_loop(), lambda value: is_large)
        await asyncio.wait_for(asyncio.gather(*[task(pool) for _ in range(2000)]), TIMEOUT)

    asyncio.run(scenario())
    assert len(taken) == 2000
    assert max(ahead) <= most
