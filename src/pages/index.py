"""/ is the sample's first page: what a browser can look at."""

from __future__ import annotations

from wixhttp.endpoints import Response

PATHS = ["/api/users/1", "/api/posts", "/rss.xml", "/api/data.json", "/api/logo.png", "/api/posts.csv", "/api/visits"]


def GET() -> Response:
    """An HTML page with links."""
    links = "".join(f'<li><a href="{path}">{path}</a>\n' for path in PATHS)
    page = f"<!doctype html>\n<title>wixhttp</title>\n<h1>It runs</h1>\n<ul>\n{links}</ul>\n"
    return Response(page, headers={"Content-Type": "text/html;charset=UTF-8"})
