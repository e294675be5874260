"""The reports of streams that end in an error after their first bytes: it is too late for a page, and they are kept."""

from __future__ import annotations

from functools import partial

from wixhttp.asgi import ASGIApplication
from wixhttp.context import current_request
from wixhttp.dispatch.stream_chunks import StreamBroken

from .page import ErrorPage


async def report_broken_stream(site: ASGIApplication, broken: StreamBroken) -> None:
    """Have the ``on_failure`` of a site, where it is an `ErrorPage`, report a stream that broke off."""
    page = site.app.on_failure
    if isinstance(page, ErrorPage) and broken.__cause__ is not None:
        await site.disk.in_thread(partial(page.report, current_request.get(), broken.__cause__))
