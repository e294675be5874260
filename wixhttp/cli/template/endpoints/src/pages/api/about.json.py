"""/api/about.json is static: `wixhttp build` calls GET once, and `wixhttp serve` sends what it gave."""

from wixhttp.endpoints import Response

prerender = True


def GET() -> Response:
    """What this site is."""
    return Response.json({"name": "My site", "version": 1})
