"""The number of requests in flight, read from the slots that they have taken: it costs a request nothing."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING

from prometheus_client import Gauge

if TYPE_CHECKING:
    import asyncio

    from prometheus_client import CollectorRegistry

TOLD_EVERY = 0.5
"""Seconds between two looks at the slots, where processes count together."""


class RunningRequests:
    """The requests whose handlers run, or wait for a thread, by the kind of their slots. As work beside requests
    (`wixhttp.dispatch.background_work`) it tells its number to whichever process is asked."""

    def __init__(self, registry: CollectorRegistry, *, is_shared: bool) -> None:
        self._is_shared = is_shared
        self._gauge = Gauge(
            "wixhttp_requests_in_flight", "Requests whose handlers run, or wait for a thread", ("kind",),
            multiprocess_mode="livesum", registry=registry,
        )  # fmt: skip
        self._slots: dict[str, tuple[deque[None], int]] = {}
        self._ended = threading.Event()
        self._pid = 0

    def slots(self, count: int, kind: str) -> deque[None]:
        """So many slots, whose use is counted under ``kind``."""
        made = deque([None] * count)
        self._slots[kind] = made, count
        if not self._is_shared:
            self._gauge.labels(kind).set_function(lambda: count - len(made))
        return made

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin to tell the number, in this process."""
        if self._is_shared and self._pid != os.getpid():
            self._pid = os.getpid()
            self._ended = threading.Event()
            threading.Thread(target=self._tell, args=(self._ended,), name="wixhttp-in-flight", daemon=True).start()

    def begin_stop(self) -> None:
        """Nothing: requests run on."""

    def stop(self, grace: float) -> None:
        """End, with the requests."""
        self._ended.set()

    def _tell(self, ended: threading.Event) -> None:
        told: dict[str, int] = {}
        while True:
            for kind, (slots, count) in self._slots.items():
                taken = count - len(slots)
                if told.get(kind) != taken:
                    self._gauge.labels(kind).set(taken)
                    told[kind] = taken
            if ended.wait(TOLD_EVERY):
                return
