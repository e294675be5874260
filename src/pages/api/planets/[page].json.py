"""/api/planets/1.json and so on: static, a long list in pages."""

from __future__ import annotations

from typing import Any

from wixhttp.endpoints import Response, paginate

prerender = True

PLANETS = ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"]


def getStaticPaths() -> list[dict[str, Any]]:
    """A path for every three planets."""
    return paginate(PLANETS, pageSize=3)


def GET(props: dict[str, Any]) -> Response:
    """One page, with the URLs of those beside it."""
    page = props["page"]
    return Response.json({"planets": page.data, "pages": page.lastPage, "prev": page.url.prev, "next": page.url.next})
