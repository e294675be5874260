"""/api/data.json is static: ``wixhttp build`` makes a file of it."""

from __future__ import annotations

import platform

from wixhttp.endpoints import Response

prerender = True


def GET() -> Response:
    """Facts that were true when the site was built."""
    return Response.json({"name": "the sample site", "python": platform.python_version()})
