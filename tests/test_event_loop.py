"""The event loop of the process, for ``async def`` functions that arrive over WSGI or from a test."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from wixhttp.concurrency.event_loop import BackgroundLoop
from wixhttp.concurrency.slow_steps import SLOW, SlowSteps


def raise_(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_callback_that_would_end_the_process_ends_nothing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    background = BackgroundLoop()

    async def schedule() -> asyncio.AbstractEventLoop:
        asyncio.get_running_loop().call_soon(raise_, error)
        return asyncio.get_running_loop()

    async def running() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    loop, _ = background.run(schedule, 20)
    assert background.run(running, 20) == (loop, None)
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    background.stop()


def test_what_is_to_be_stopped_first_finds_its_tasks_running_and_fails_nobody() -> None:
    background = BackgroundLoop()
    background.grace = 0.0
    tasks: list[asyncio.Task[None]] = []
    seen = []

    async def begin() -> None:
        tasks.append(asyncio.ensure_future(asyncio.sleep(3600)))

    def stop() -> None:
        seen.append(tasks[0].done())
        raise_(ValueError("the next is stopped all the same"))

    background.stop_first(stop)
    background.stop_first(stop)
    background.run(begin, 20)
    background.stop()
    background.stop()
    assert (seen, tasks[0].cancelled()) == ([False, False], True)
    loop = tasks[0].get_loop()
    while loop.is_running():
        time.sleep(0.001)
    loop.close()


def test_greenlets_that_need_the_loop_at_once_do_not_stop_each_other() -> None:
    # As in a gevent worker: the module was imported before the patches.
    program = """
        from wixhttp.concurrency.event_loop import BackgroundLoop

        background = BackgroundLoop()
        import gevent.monkey

        gevent.monkey.patch_all()

        async def answer():
            return 1

        greenlets = [gevent.spawn(background.run, answer) for _ in range(8)]
        gevent.joinall(greenlets)
        print([each.value for each in greenlets] == [(1, None)] * 8)
    """
    command = [sys.executable, "-W", "ignore", "-c", dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "True\n", done.stderr


def test_a_step_that_imports_is_slow_once_and_not_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "slow_to_import.py").write_text(f"import time\ntime.sleep({2 * SLOW})\n")
    monkeypatch.syspath_prepend(tmp_path)

    async def step() -> None:
        if "slow_to_import" in sys.modules:
            time.sleep(2 * SLOW)  # noqa: ASYNC251  # what is told of
        importlib.import_module("slow_to_import")

    steps = SlowSteps()
    told = []
    for _ in range(2):
        asyncio.run(steps.timed(step()))
        told.append(len(caplog.records))
    del sys.modules["slow_to_import"]
    assert told == [0, 1]
