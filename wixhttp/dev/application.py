"""The application of a worker of the development server: the site, recorded, and the pages below ``/_wixhttp/``."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from wixhttp.asgi import ASGIApplication
from wixhttp.concurrency.strayed import end_strayed
from wixhttp.dispatch.app import App
from wixhttp.dispatch.async_stream import Message, Receive, Scope, Send
from wixhttp.dispatch.call import Call
from wixhttp.dispatch.health import RESERVED
from wixhttp.dispatch.site import Site
from wixhttp.errors import HTTPError
from wixhttp.http.encoding import Encoded
from wixhttp.http.problem import error_response, problem_response
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response
from wixhttp.logs.access_log import AccessLog
from wixhttp.project.config import Config
from wixhttp.project.function_table import FunctionTable

from .failures.broken_streams import report_broken_stream
from .handover import is_event_stream, note_event_stream
from .live import LIVE, serve_live
from .traffic.recorder import Recorder
from .web.context import DevelopmentContext
from .web.guard import refusal
from .web.pages import ASSETS, HIDING_HEADERS, send_response, serve_asset
from .web.templates import are_installed

NO_PAGES = "The pages of wixhttp dev need Jinja2; run: pip install 'wixhttp[dev]'"

_PROBES = f"{RESERVED}/health/", f"{RESERVED}/metrics"
_STILL_LOADING = "The project is still being loaded; try again in a moment."
_LOADING_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>Still loading</title></head>
<body><main><h1>Still loading</h1><p>The code of this project takes its time to be imported. This page asks again each
second; the terminal says more.</p></main></body></html>
"""


class StandInApp(App):
    """The dispatcher in place of that of a site which is not loaded: ``answer`` gives the answer to every request, but
    for the health probes, which say that it is not ready."""

    def __init__(self, config: Config, access: AccessLog | None, answer: Callable[[Head], Response]) -> None:
        nothing = FunctionTable()
        super().__init__(Site(config, nothing, nothing), access, lambda: False)
        self._answer = answer

    def begin(self, head: Head) -> Call | Encoded:
        """The answer to any request."""
        head.request_id = self._ids.choose(head.header("x-request-id"))
        if head.path.startswith(RESERVED):
            return self._begin_general(head)
        return self._answered(head, self._answer(head), None)


def still_loading(head: Head) -> Response:
    """The answer while the project's code is imported for longer than requests wait."""
    headers = {"Retry-After": "1", "Cache-Control": "no-store"}
    if "text/html" in (head.header("accept") or ""):
        return Response(503, _LOADING_PAGE, {**headers, "Content-Type": "text/html; charset=utf-8"})
    return problem_response(503, _STILL_LOADING, head.request_id, headers)


class DevelopmentApplication:
    """The ASGI application in front: requests for the project are recorded and answered by ``site``, those below
    ``/_wixhttp/`` by the pages, for whom may see them."""

    def __init__(self, site: ASGIApplication, context: DevelopmentContext) -> None:
        self.site = site
        self.context = context
        reads_first = context.site is None  # what stands in for the site reads no body
        self._pid = os.getpid()
        self.recorder = context.application = Recorder(
            site, context.store, reads_first=reads_first,
            on_answer=self._note_answer, on_broken=partial(report_broken_stream, site),
        )  # fmt: skip
        self._inspector: Any = None
        if are_installed():
            from .inspector.application import Inspector

            self._inspector = Inspector(context)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self.site(scope, receive, send)
        path = scope["path"]
        if path.startswith(f"{RESERVED}/") and not path.startswith(_PROBES):
            return self._answer_page(path, scope, receive, send)
        return self.recorder(scope, receive, send)

    def _note_answer(self, scope: Scope, message: Message) -> None:
        """Look at the message that begins an answer."""
        end_strayed(self._pid)
        if is_event_stream(message):
            note_event_stream(scope)

    async def _answer_page(self, path: str, scope: Scope, receive: Receive, sends: Send) -> None:
        """Answer with one of the development server's own pages."""
        context = self.context

        def send(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                self._note_answer(scope, message)
            return sends(message)

        refused = refusal(scope, context.config)
        if refused is not None:
            await send_response(scope, send, refused)
        elif path == LIVE:
            await serve_live(context.generation, context.failure is None, scope, receive, send)
        elif path.startswith(ASSETS):
            await serve_asset(scope, receive, send)
        elif self._inspector is not None:
            await self._inspector(scope, receive, send)
        else:
            error = HTTPError(501, NO_PAGES, headers=HIDING_HEADERS)
            await send_response(scope, send, error_response(error, ""))
