"""The list of kept requests: a page, and its rows as they are sent to pages that are open."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

from wixhttp.dev.traffic.kept_requests import KeptSummary, RequestFilters
from wixhttp.dev.traffic.masks import shown_target
from wixhttp.dev.web.pages import redirect
from wixhttp.http.response import Response

from .asked import ROOT, Asked, inspector_page, with_query
from .visible_text import cut_to

PAGE_SIZE = 100
"""Requests of a page, unless its address says another number."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
STATUSES = ("2xx", "3xx", "4xx", "5xx")

_MOST = 1_000  # requests of a page
_LONGEST_TARGET = 300  # characters in a row


class ListedRequest(NamedTuple):
    """A row of the list: texts as they are shown. ``level`` is the class of the status, 2 for 200."""

    id: int
    moment: str
    day: str
    method: str
    target: str
    function: str
    status: int
    phrase: str
    level: int
    duration: float
    request_size: int
    response_size: int
    has_failure: bool
    replay_of: int | None


def listed_rows(summaries: Iterable[KeptSummary]) -> list[ListedRequest]:
    """The rows of kept requests."""
    return [
        ListedRequest(
            each.id,
            clock(each.time),
            time.strftime("%Y-%m-%d", time.localtime(each.time)),
            each.method,
            cut_to(shown_target(each.target), _LONGEST_TARGET),
            each.function,
            each.status,
            status_phrase(each.status),
            each.status // 100,
            each.duration,
            each.request_size,
            each.response_size,
            each.has_failure,
            each.replay_of,
        )
        for each in summaries
    ]


def clock(moment: float) -> str:
    """A time of the day of this machine: ``14:03:22.170``."""
    return f"{time.strftime('%H:%M:%S', time.localtime(moment))}.{int(moment * 1000) % 1000:03d}"


def status_phrase(status: int) -> str:
    """The phrase of a status, ``Not Found``; "" for one that has none."""
    if status == 499:  # of the access log
        return "Client left"
    known = HTTPStatus._value2member_map_.get(status)
    return known.phrase if isinstance(known, HTTPStatus) else ""


def filters_of(asked: Asked) -> RequestFilters:
    """The filters that the parameters of an address name."""
    given = asked.query.get
    return RequestFilters(
        given("function", "").strip(), given("status", "").strip(), given("method", "").strip(),
        given("text", "").strip(),
    )  # fmt: skip


def number(text: str) -> int | None:
    """The whole number of a parameter; ``None`` where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def show_requests(asked: Asked) -> Response:
    """The page with the list: the newest requests, or those before or after an id."""
    store, filters = asked.context.store, filters_of(asked)
    before = number(asked.query.get("before", ""))
    size = min(max(number(asked.query.get("limit", "")) or PAGE_SIZE, 1), _MOST)
    problem = ""
    found: list[KeptSummary] = []
    store.flush()  # under load requests wait for a second
    try:
        found = store.page(filters, before_id=before, limit=size + 1)
    except ValueError as error:
        problem = str(error)
    rows = listed_rows(found[:size])
    chosen = filters._asdict()
    is_newest = before is None and not problem
    last = rows[0].id if rows else 0
    events = [*chosen.items(), ("after", str(last))] if rows else list(chosen.items())
    return inspector_page(
        asked,
        "requests.html",
        400 if problem else 200,
        section="requests",
        rows=rows,
        filters=filters,
        is_filtered=any(filters),
        problem=problem,
        store_problem=store.problem,
        methods=METHODS,
        statuses=STATUSES,
        functions=store.functions(),
        is_newest=is_newest,
        events=with_query(f"{ROOT}requests/events", events) if is_newest else "",
        newest=with_query(ROOT, chosen),
        older=with_query(ROOT, {**chosen, "before": str(rows[-1].id)}) if len(found) > size else "",
        origin=f"http://{asked.header(b'host')}",
        example=_example(asked),
    )


def _example(asked: Asked) -> str:
    """The path of a function of the site, for the page that has no requests yet."""
    site = asked.context.site
    base = asked.context.config.base_path
    for function in site.functions if site is not None else ():
        return f"{base}/_functions/{function.name}"
    return f"{base}/"


def clear_requests(asked: Asked) -> Response:
    """Forget all requests."""
    asked.context.store.clear()
    return redirect(ROOT)
