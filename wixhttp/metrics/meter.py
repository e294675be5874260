"""The meter of a site: what is counted, under which names and labels, and the page that shows it.

No label holds a client's own text. Functions, schemes and jobs are those of the site, methods those of RFC 9110 and
RFC 5789, and whatever else a client may ask for is ``unknown`` or ``other``.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from wixhttp.dispatch.health import RESERVED
from wixhttp.dispatch.meter import AccessLines
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response

from .running_requests import RunningRequests
from .worker_files import count_worker, is_of_workers, shared_folder

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class EventCounter(NamedTuple):
    """A counter of events: its name, its help, and the labels of the event that it has; ``implied`` are labels with the
    value that all events of the kind have."""

    name: str
    text: str
    labels: tuple[str, ...]
    implied: tuple[tuple[str, str], ...] = ()


_LIMITS = "limits_hit", "Requests past a limit: body, time, concurrency or rate", ("limit",)
EVENTS: dict[str, tuple[EventCounter, ...]] = {
    "handler_error": (EventCounter("handler_errors", "Handlers that raised, or gave no valid answer", ("function",)),),
    "limit_hit": (EventCounter(*_LIMITS),),
    "rate_limited": (
        EventCounter(*_LIMITS, (("limit", "rate"),)),
        EventCounter("rate_limited", "Requests past a rate limit", ("function", "by")),
    ),
    "rate_limit_storage_failed": (
        EventCounter("rate_limit_storage_failures", "Failures of the storage of rate limits", ()),
    ),
    "key_refused": (EventCounter("keys_refused", "Requests refused for their API key", ("reason",)),),
    "refusal": (EventCounter("refusals", "Requests that are not well-formed, or too much, for any site", ("status",)),),
    "webhook_verification": (EventCounter("webhook_verifications", "Verifications of senders", ("scheme", "result")),),
    "once": (EventCounter("once", "Requests to functions that run once only", ("result",)),),
    "job_accepted": (EventCounter("jobs_accepted", "Jobs stored, or stored before", ("name", "result")),),
    "job_run": (EventCounter("job_runs", "Runs of jobs that ended", ("name", "outcome")),),
}
"""By the events of `wixhttp.measurements`, what counts them."""


class SiteMeter:
    """The meter of a site. ``inbox`` returns the metrics of deferred work, when the page is asked for; ``running`` is
    work beside requests, to be started in each process."""

    def __init__(self, inbox: Callable[[], Iterator[Metric]] | None = None) -> None:
        self.folder = shared_folder()
        self._inbox = inbox
        self._own = CollectorRegistry()
        by_request = ("function", "method")
        self._requests = self._counter("requests", "Answered requests", (*by_request, "status"))
        self._duration = Histogram(
            "wixhttp_request_duration_seconds", "Time from a request's head to the end of its answer", by_request,
            buckets=BUCKETS, registry=self._own,
        )  # fmt: skip
        self._received = self._counter("request_body_bytes", "Bytes of bodies that handlers were given", ("function",))
        self._sent = self._counter("response_body_bytes", "Bytes of the bodies of answers", ("function",))
        self.running = RunningRequests(self._own, is_shared=self.folder is not None)
        if self.folder is None or not is_of_workers(self.folder):
            count_worker(self._own)
        counters: dict[str, Counter] = {}
        self._events: dict[str, list[tuple[Counter, EventCounter]]] = {}
        for event, kinds in EVENTS.items():
            self._events[event] = []
            for kind in kinds:
                if kind.name not in counters:
                    counters[kind.name] = self._counter(kind.name, kind.text, kind.labels)
                self._events[event].append((counters[kind.name], kind))
        self._children: dict[tuple[str, str, int], tuple[Callable[..., None], ...]] = {}

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"wixhttp_{name}", text, labels, registry=self._own)

    # --- counting ---

    def slots(self, count: int, kind: str) -> deque[None]:
        """See `wixhttp.dispatch.meter.Meter`."""
        return self.running.slots(count, kind)

    def watching(self, access: AccessLines | None) -> AccessLines:
        """See `wixhttp.dispatch.meter.Meter`."""
        return _Watcher(self, access)

    def count_request(self, head: Head, status: int, started: float, bytes_out: int) -> None:
        """Count an answered request; ``started`` is a time of ``time.perf_counter``."""
        seconds = time.perf_counter() - started
        key = head.function, head.method, status
        request, duration, received, sent = self._children.get(key) or self._of(head, status)
        request()
        duration(seconds)
        # The dispatcher notes a deadline once the body was read, and the handler has its slot.
        if (length := head.length) > 0 and hasattr(head, "deadline"):
            received(length)
        if bytes_out:
            sent(bytes_out)

    def _of(self, head: Head, status: int) -> tuple[Callable[..., None], ...]:
        method = head.method if head.method in METHODS else "other"
        function = head.function or ("/_wixhttp" if head.path.startswith(RESERVED) else "unknown")
        found = (
            self._requests.labels(function, method, str(status)).inc, self._duration.labels(function, method).observe,
            self._received.labels(function).inc, self._sent.labels(function).inc,
        )  # fmt: skip
        if head.function and method != "other":  # else there is no end of what clients may send
            self._children[head.function, method, status] = found
        return found

    def count_event(self, event: str, labels: dict[str, str]) -> None:
        """Count an event of `wixhttp.measurements`."""
        for counter, kind in self._events.get(event, ()):
            given = {**labels, **dict(kind.implied)}
            child = counter.labels(*(given.get(name, "") for name in kind.labels)) if kind.labels else counter
            child.inc()

    # --- showing ---

    def page(self, accept: str) -> Response:
        """See `wixhttp.dispatch.meter.Meter`."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is none
            encode, content_type = choose_encoder("")
        shown = CollectorRegistry()
        shown.register(_Everything(self))
        return Response(200, encode(shown), {"Content-Type": content_type, "Cache-Control": "no-store"})

    def collect(self) -> Iterator[Metric]:
        """All metrics of the server: those of this page, and those that the project's own files have made."""
        if self.folder is None:
            for metric in self._own.collect():  # as in the files, which have no times of creation
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
                yield metric
            yield from REGISTRY.collect()
        else:
            found = MultiProcessCollector(None, self.folder).collect()  # type: ignore[no-untyped-call]
            yield from sorted(found, key=lambda metric: metric.name)
        yield build_info()
        if self._inbox is not None:
            yield from self._inbox()


def build_info() -> Metric:
    """The versions of wixhttp and Python, as labels of a metric that is always 1."""
    family = GaugeMetricFamily("wixhttp_build_info", "Versions", labels=("version", "python"))
    family.add_metric((importlib.metadata.version("wixhttp"), platform.python_version()), 1)
    return family


class _Everything(Collector):
    def __init__(self, meter: SiteMeter) -> None:
        self._meter = meter

    def collect(self) -> Iterator[Metric]:
        return self._meter.collect()

    def describe(self) -> list[Metric]:
        """Nothing: names are not compared, which would collect twice."""
        return []


class _Watcher:
    """The access lines of a site that is measured."""

    def __init__(self, meter: SiteMeter, access: AccessLines | None) -> None:
        self._count = meter.count_request
        self._line = access.line if access is not None else None

    def line(self, head: Head, status: int, started: float, bytes_out: int) -> None:
        self._count(head, status, started, bytes_out)
        if self._line is not None:
            self._line(head, status, started, bytes_out)
