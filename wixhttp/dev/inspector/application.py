"""The inspector: an ASGI application with the pages below ``/_wixhttp/``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from wixhttp.dev.web.context import DevelopmentContext
from wixhttp.dev.web.guard import refusal
from wixhttp.dev.web.pages import send_response
from wixhttp.dispatch.async_stream import Receive, Scope, Send
from wixhttp.errors import HTTPError
from wixhttp.http.response import Response

from . import collection_pages, function_pages, inbox_pages, request_list, request_page, schedule_pages, webhook_pages
from .asked import Asked, inspector_page
from .live_requests import LiveRequests

logger = logging.getLogger("wixhttp")

Blocking = Callable[[Asked], Response]
Awaited = Callable[[Asked], Awaitable[Response]]

# By method and path; "*" is any segment. Those of the first table run on threads.
_PAGES: dict[tuple[str, ...], Blocking] = {
    ("GET", ""): request_list.show_requests,
    ("POST", "requests", "clear"): request_list.clear_requests,
    ("GET", "requests", "*"): request_page.show_request,
    ("GET", "requests", "*", "body", "*"): request_page.send_body,
    ("GET", "requests", "*", "image", "*"): request_page.send_image,
    ("GET", "functions"): function_pages.show_functions,
    ("GET", "functions", "call"): function_pages.show_call,
    ("GET", "collections"): collection_pages.show_collections,
    ("GET", "collections", "*"): collection_pages.show_items,
    ("GET", "collections", "*", "item"): collection_pages.show_item,
    ("GET", "collections", "*", "new"): collection_pages.show_new_item,
    ("POST", "collections", "*", "insert"): collection_pages.insert_item,
    ("POST", "collections", "*", "update"): collection_pages.update_item,
    ("POST", "collections", "*", "remove"): collection_pages.remove_item,
    ("GET", "inbox"): inbox_pages.show_inbox,
    ("POST", "inbox", "retry-dead"): inbox_pages.retry_dead,
    ("GET", "inbox", "*"): inbox_pages.show_job,
    ("POST", "inbox", "*", "retry"): inbox_pages.retry_job,
    ("POST", "inbox", "*", "cancel"): inbox_pages.cancel_job,
    ("GET", "jobs"): schedule_pages.show_jobs,
    ("POST", "jobs", "run"): schedule_pages.run_now,
    ("GET", "webhooks"): webhook_pages.show_webhooks,
}
_CALLS: dict[tuple[str, ...], Awaited] = {
    ("POST", "requests", "*", "replay"): request_page.replay_request,
    ("POST", "functions", "call"): function_pages.call_function,
}
_EVENTS = ("GET", "requests", "events")
_ROUTES: list[tuple[str, ...]] = [_EVENTS, *_PAGES, *_CALLS]
_SECTIONS = ("functions", "collections", "inbox", "jobs", "webhooks")  # those with a list of their own
_THREADS = 4  # of a worker: pages that are made at once


class Inspector:
    """The pages of one worker of the development server. Only those that `wixhttp.dev.web.guard` lets see them do."""

    def __init__(self, context: DevelopmentContext) -> None:
        self.context = context
        self._threads = ThreadPoolExecutor(_THREADS, "wixhttp-inspector")
        self._live = LiveRequests(context.store, self._threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = refusal(scope, self.context.config)
        if refused is not None:
            await send_response(scope, send, refused)
            return
        asked = Asked(self.context, scope)
        try:
            route = _route(scope["method"], asked.parts)
            if route == _EVENTS:
                await self._live.stream(asked, receive, send)
                return
            response = await self._answer(route, asked, receive)
        except HTTPError as error:
            response = _problem_page(asked, error.status, error.detail)
        except Exception:
            logger.exception("A page of the inspector failed")
            response = _problem_page(asked, 500, "This page of the inspector failed; the log has the traceback.")
        await send_response(scope, send, response)

    async def _answer(self, route: tuple[str, ...], asked: Asked, receive: Receive) -> Response:
        if route[0] == "POST":
            await asked.read_form(receive)
        call = _CALLS.get(route)
        if call is not None:
            return await call(asked)
        return await asyncio.get_running_loop().run_in_executor(self._threads, _PAGES[route], asked)


def _route(method: str, parts: list[str]) -> tuple[str, ...]:
    """The route of a request.

    Raises:
        HTTPError: 404, there is no such page; 405, it is not asked for by that method.
    """
    if len(parts) > 1 and not parts[-1]:
        parts = parts[:-1]
    asked = "GET" if method == "HEAD" else method
    allowed = []
    for route in _ROUTES:
        if len(route) == len(parts) + 1 and all(
            each in ("*", part) for each, part in zip(route[1:], parts, strict=True)
        ):
            if route[0] == asked and (route != _EVENTS or method == "GET"):
                return route
            allowed.append(route[0])
    if allowed:
        raise HTTPError(405, f"This address is asked for by {' or '.join(allowed)}.")
    raise HTTPError(404, "There is no such page.")


def _problem_page(asked: Asked, status: int, text: str) -> Response:
    section = asked.parts[0] if asked.parts[0] in _SECTIONS else ""
    return inspector_page(
        asked,
        "problem.html",
        status,
        section=section,
        code=status,
        phrase=request_list.status_phrase(status),
        text=text,
    )
