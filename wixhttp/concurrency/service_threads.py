"""Threads for calls of services that wait for other hosts or a database: the check of a token, a fetch, the guards of a
handler. They run no handlers."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from .event_loop import background

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from .begun_calls import BegunCall

THREADS = 32
"""Calls at once of each kind, in each process."""

_Result = TypeVar("_Result")


def is_awaited() -> bool:
    """Return whether an event loop runs here: the calling function is an ``async def``."""
    return "asyncio" in sys.modules and background.would_stand_still()


@functools.lru_cache(maxsize=3)
def _threads(pid: int, kind: str) -> ThreadPoolExecutor:
    """The threads of a process: they do not live on in a fork."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(THREADS, f"wixhttp-{kind}")


def begin_on_thread(
    said: str, call: Callable[[], _Result], kind: Literal["fetch", "verification", "guards"], *, reads: bool = False
) -> BegunCall[_Result]:
    """The promise of ``call``, which begins on a thread, in this context. ``said`` and ``reads`` are those of a
    `BegunCall`.

    Each kind has a thread pool of its own, of 32 threads: slow hosts that are fetched from do not keep tokens from
    being verified. The setting ``threads`` does not bound them.
    """
    from .begun_calls import BegunCall, run_in_pool  # not for sites without an async def

    return BegunCall(said, lambda *where: run_in_pool(_threads(os.getpid(), kind), call, *where), reads=reads)
