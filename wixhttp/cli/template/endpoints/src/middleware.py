"""The middleware in front of every endpoint: it may answer by itself, or change the response."""

from collections.abc import Callable

from wixhttp.endpoints import Context, Response


def onRequest(context: Context, next: Callable[[], Response]) -> Response:
    """Forbid browsers to guess types."""
    response = next()
    response.headers.set("X-Content-Type-Options", "nosniff")
    return response
