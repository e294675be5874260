"""HTTP endpoints: files that are routes. ``src/pages/api/users/[id].py`` answers ``/api/users/17``::

    from wixhttp.endpoints import Response


    def GET(params, url):
        return Response.json({"id": params["id"], "full": url.searchParams.get("full")})


    async def POST(request, locals):
        data = await request.json()
        return Response.json(data, status=201)

A handler is named for its method, or ``ALL``, and takes the whole context or members of it by name.
"""

from .adapter import adapt
from .context import AsyncContext, Context
from .cookies import Cookie, Cookies
from .entries import Page, paginate
from .forms import AsyncFormFile, FormData, FormFile
from .headers import Headers
from .middleware import sequence
from .requests import AsyncRequest, Request
from .responses import Response
from .urls import URL, URLSearchParams

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
