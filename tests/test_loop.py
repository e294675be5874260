"""The event loop of the process, for ``async def`` functions that arrive over WSGI or from a test."""

from __future__ import annotations

import asyncio

import pytest

from wixhttp.loop import BackgroundLoop


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
