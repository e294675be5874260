"""The answer where no file of ``src/pages`` has one. Its status is 404 by itself."""

from __future__ import annotations

from wixhttp.endpoints import URL, Response


def GET(url: URL) -> Response:
    """A neutral sentence, as JSON."""
    return Response.json({"error": f"there is nothing at {url.pathname}"})
