"""Middleware in front of every handler below ``src/pages``."""

from __future__ import annotations

import time
from collections.abc import Callable

from wixhttp.endpoints import Context, Response, sequence
from wixhttp.errors import WixDataError


def timing(context: Context, next: Callable[[], Response]) -> Response:
    """Say in a header how long the answer took, which browsers show; not in that of a file that is being built."""
    started = time.perf_counter()
    response = next()
    if not context.isPrerendered:
        response.headers.append("Server-Timing", f"handler;dur={1000 * (time.perf_counter() - started):.1f}")
    return response


def refusals(context: Context, next: Callable[[], Response]) -> Response:
    """Turn what a collection refuses into an answer with Wix's status, so that no handler has to catch it."""
    try:
        return next()
    except WixDataError as error:
        return Response.json({"error": error}, status=error.status)


onRequest = sequence(timing, refusals)
