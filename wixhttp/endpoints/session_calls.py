"""The calls of an ``async def`` on a session that is not loaded yet: they are done in their order, once it is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar

from wixhttp.concurrency.begun_calls import BegunCall, Settle

from .session_store import SessionState, Threads

_Value = TypeVar("_Value")


class SessionCalls:
    """The calls on one session, which ``threads`` load at the first of them."""

    def __init__(self, state: SessionState, threads: Threads) -> None:
        self._state = state
        self._threads = threads
        self._waiting: deque[tuple[Callable[[SessionState], Any], Settle]] = deque()
        self._changes: list[BegunCall[Any]] = []
        self._loading: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """The number of calls that wait."""
        return len(self._waiting)

    def add(self, said: str, call: Callable[[SessionState], _Value], *, reads: bool) -> BegunCall[_Value]:
        """The promise of one more, which is done behind the others."""

        def start(loop: asyncio.AbstractEventLoop, context: Context, settle: Settle) -> None:
            self._waiting.append((call, settle))
            if self._loading is None:
                self._loading = loop.create_task(self._load())

        promise: BegunCall[_Value] = BegunCall(said, start, reads=reads)
        if not reads:
            self._changes.append(promise)
        return promise

    async def _load(self) -> None:
        failure: BaseException | None = None
        try:
            await self._threads.in_thread(self._state.load)
        except BaseException as error:
            failure = error
            if not isinstance(error, Exception):  # cancelled, at the end of the process
                raise
        finally:
            self._loading = None
            while self._waiting:
                self._do(*self._waiting.popleft(), failure)
            del self, failure  # breaks the reference cycles error -> traceback -> frame -> promise

    def _do(self, call: Callable[[SessionState], Any], settle: Settle, failure: BaseException | None) -> None:
        if failure is not None:
            settle(None, failure)
            return
        try:
            value = call(self._state)
        except Exception as error:  # noqa: BLE001  # its promise's
            settle(None, error)
        else:
            settle(value, None)
        finally:
            del self, call, settle  # as above

    async def settled(self) -> None:
        """Wait for all of them.

        Raises:
            Exception: of a change that nobody awaited: the session must not be saved without it in silence.
        """
        while self._loading is not None:
            await asyncio.wait([self._loading])
        changes, self._changes = self._changes, []
        failed = [promise for promise in changes if not promise.is_awaited and promise.error is not None]
        try:
            if failed:
                await failed[0]
        finally:
            del self, changes, failed  # as above
