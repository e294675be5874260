"""The stream of new requests for a page that shows the list: server-sent events with rows of its table.

A page under load gets at most four batches a second, of at most fifty rows, and the number of those in between.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

from wixhttp.dev.traffic.kept_requests import KeptSummary, RequestFilters
from wixhttp.dev.traffic.store import MOST_REQUESTS, RequestStore
from wixhttp.dev.web.pages import HIDING_HEADERS
from wixhttp.dev.web.templates import render
from wixhttp.dispatch.async_stream import Receive, Send
from wixhttp.errors import HTTPError

from .asked import ROOT, Asked, with_query
from .request_list import filters_of, listed_rows, number
from .visible_text import visible

MOST_ROWS = 50
"""Rows of one batch."""

PAUSE = 0.25
"""Seconds between two batches."""

_SIGN_OF_LIFE = 15.0  # seconds without an event until a comment is sent, by which a lost connection is seen
_RECONNECT = 500  # milliseconds that a page waits before it connects again


class LiveRequests:
    """The open streams of a worker. ``threads`` read the store and render rows."""

    def __init__(self, store: RequestStore, threads: Executor) -> None:
        self._store = store
        self._threads = threads

    async def stream(self, asked: Asked, receive: Receive, send: Send) -> None:
        """Send rows as requests come in, until the client leaves.

        Raises:
            HTTPError: 400, a filter is malformed.
        """
        loop = asyncio.get_running_loop()
        filters = filters_of(asked)
        given = asked.header(b"last-event-id") or asked.query.get("after", "")
        last = number(given) or 0
        news = asyncio.Event()

        def tell(found: list[KeptSummary]) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(news.set)

        unsubscribe = self._store.subscribe(tell)
        left = asyncio.ensure_future(_left(receive))
        try:
            batch = await loop.run_in_executor(self._threads, self._batch, filters, last)
            headers = {**HIDING_HEADERS, "Content-Type": "text/event-stream; charset=utf-8"}
            fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": fields})
            await send({"type": "http.response.body", "body": f"retry: {_RECONNECT}\n\n".encode(), "more_body": True})
            while True:
                if batch is not None:
                    last, event = batch
                    await send({"type": "http.response.body", "body": event, "more_body": True})
                    await asyncio.wait([left], timeout=PAUSE)
                elif not news.is_set():
                    told = asyncio.ensure_future(news.wait())
                    await asyncio.wait([left, told], timeout=_SIGN_OF_LIFE, return_when=asyncio.FIRST_COMPLETED)
                    told.cancel()
                    if not news.is_set() and not left.done():
                        await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
                        continue
                if left.done():
                    break
                news.clear()
                batch = await loop.run_in_executor(self._threads, self._batch, filters, last)
        except ValueError as error:
            raise HTTPError(400, str(error)) from None
        finally:
            unsubscribe()
            left.cancel()

    def _batch(self, filters: RequestFilters, last: int) -> tuple[int, bytes] | None:
        """The id of the newest request behind ``last`` and the event with its rows; ``None`` where there is none."""
        found = self._store.page(filters, after_id=last, limit=MOST_ROWS + 1)
        if not found:
            return None
        total = len(found)
        if total > MOST_ROWS:
            if last and not any(filters):
                total = min(found[0].id - last, MOST_REQUESTS)  # ids have no gaps
            else:
                total = len(self._store.page(filters, after_id=last, limit=MOST_REQUESTS))
            found = found[:MOST_ROWS]
        data: dict[str, Any] = {
            "count": total,
            "rows": visible(render("_request_rows.html", rows=listed_rows(found))),
        }
        if total > len(found):
            data["more"] = total - len(found)
            data["show"] = with_query(ROOT, {**filters._asdict(), "before": str(found[-1].id)})
        newest = found[0].id
        return newest, f"id: {newest}\nevent: requests\ndata: {json.dumps(data)}\n\n".encode()


async def _left(receive: Receive) -> None:
    """Return once the client has left."""
    while (await receive())["type"] == "http.request":
        pass
