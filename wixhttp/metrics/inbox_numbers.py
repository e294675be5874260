"""The numbers of deferred work, as its store has them: asked when somebody wants to know, and not for longer than a
client waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from wixhttp.logs.masking import masked

if TYPE_CHECKING:
    from prometheus_client import Metric

    from wixhttp.inbox.stores.contract import Stats

PATIENCE = 2.0  # seconds that a page waits for the numbers
PATIENCE_OF_PROBES = 0.1  # seconds
FRESH = 1.0  # seconds for which numbers are told again

logger = logging.getLogger("wixhttp")


class InboxNumbers:
    """The numbers of an inbox. ``ask`` returns them, and may block; it is called on a thread of its own, one at a time
    (single-flight)."""

    def __init__(self, ask: Callable[[], Stats]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asking: threading.Event | None = None  # set when the question that is under way was answered
        self._stats: Stats | None = None
        self._at = float("-inf")

    def get(self, patience: float = PATIENCE) -> Stats | None:
        """The numbers, as they were a second ago at most; ``None`` where the store does not tell within ``patience``
        seconds."""
        with self._lock:
            if time.monotonic() - self._at <= FRESH:
                return self._stats
            if self._asking is None or self._asking.is_set():
                self._asking = threading.Event()
                threading.Thread(
                    target=self._answer, args=(self._asking,), name="wixhttp-inbox-numbers", daemon=True
                ).start()
            asking = self._asking
        return self._stats if asking.wait(patience) else None

    def _answer(self, asking: threading.Event) -> None:
        try:
            self._stats = self._ask()
        except Exception as error:  # noqa: BLE001  # whatever a database's driver raises
            self._stats = None
            logger.warning("the numbers of the inbox cannot be told: %s", masked(str(error) or type(error).__name__))
        finally:
            self._at = time.monotonic()
            asking.set()

    def metrics(self) -> Iterator[Metric]:
        """The numbers as metrics."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        stats = self.get()
        yield GaugeMetricFamily(
            "wixhttp_inbox_up", "1 where the store told the numbers of the inbox, else 0", 0 if stats is None else 1
        )
        if stats is None:
            return
        jobs = GaugeMetricFamily("wixhttp_inbox_jobs", "Deferred functions and jobs", labels=("state",))
        for state, count in stats.by_state.items():
            jobs.add_metric((state,), count)
        yield jobs
        yield GaugeMetricFamily(
            "wixhttp_inbox_oldest_seconds", "Time for which the oldest job that is due has been waiting",
            stats.oldest_age or 0.0,
        )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """For the probe ``ready``: the age of the oldest job that is due in seconds, ``None`` where none is, and
        the number of dead ones; empty where the store does not tell at once."""
        stats = self.get(PATIENCE_OF_PROBES) or self._stats
        if stats is None:
            return {}
        age = None if stats.oldest_age is None else round(stats.oldest_age, 1)
        return {"inbox": {"oldest_seconds": age, "dead": stats.dead}}
