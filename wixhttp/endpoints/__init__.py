"""HTTP endpoints: files that are routes. ``src/pages/api/users/[id].py`` answers ``/api/users/17``::

    from wixhttp.endpoints import Response


    def GET(params, url):
        return Response.json({"id": params["id"], "full": url.searchParams.get("full")})


    async def POST(request, locals):
        data = await request.json()
        return Response.json(data, status=201)

A handler is named for its method, or ``ALL``, and takes the whole context or members of it by name.
"""

from wixhttp.endpoints.static.static_paths import Page, paginate
from wixhttp.endpoints.web.cookies import Cookie, Cookies
from wixhttp.endpoints.web.headers import Headers
from wixhttp.endpoints.web.request import AsyncRequest, Request
from wixhttp.endpoints.web.response import Response
from wixhttp.endpoints.web.url import URL, URLSearchParams
from wixhttp.http.forms import AsyncFormFile, FormData, FormFile

from .adapter import adapt
from .context import AsyncContext, Context
from .middleware import sequence

__all__ = [
    "URL",
    "AsyncContext",
    "AsyncFormFile",
    "AsyncRequest",
    "Context",
    "Cookie",
    "Cookies",
    "FormData",
    "FormFile",
    "Headers",
    "Page",
    "Request",
    "Response",
    "URLSearchParams",
    "adapt",
    "paginate",
    "sequence",
]
