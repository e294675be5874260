"""Wix's custom backend APIs on a server of one's own: HTTP functions, endpoints and collections, as on Wix.

The quick start. ``backend/http_functions.py``::

    from wixhttp import ok, notFound


    def get_product(request):
        if request.path[0] == "42":
            return ok({"body": {"id": "42", "q": request.query["q"]}})
        return notFound()

``wixhttp serve`` answers ``http://localhost:8080/_functions/product/42?q=1``.

The modules: ``wixhttp.endpoints`` (files that are routes: Response, sequence, paginate, adapt), ``wixhttp.data``
(collections: ``from wixhttp import data as wix_data``; ``wixhttp.data.aio`` for ``async def``, ``wixhttp.data.items``
as in ``@wix/data``), ``wixhttp.auth`` (getTokenInfo, require, elevate, fetchWithAuth), ``wixhttp.access`` (require_key,
rate_limit), ``wixhttp.webhooks`` (verified, verify, once), ``wixhttp.inbox`` (deferred, job, enqueue, scheduled),
``wixhttp.fetch`` (fetch, getJSON, postJSON: requests to other servers), ``wixhttp.secrets`` (getSecret),
``wixhttp.testing`` (fake requests and contexts, a client and collections for tests), ``wixhttp.errors`` (the exception
tree), ``wixhttp.wsgi`` and ``wixhttp.asgi`` (the application for any server).
"""

from typing import TYPE_CHECKING

from wixhttp.http.policy import check_origin, cors, limits
from wixhttp.http.request import AsyncRequest, Request
from wixhttp.http.response import Response, badRequest, created, forbidden, notFound, ok, response, serverError
from wixhttp.http.stringify import stringify
from wixhttp.public_calls import elsewhere

from .errors import (
    ConfigError,
    EncodeError,
    HTTPError,
    InvalidJSON,
    ProjectError,
    SecretNotFound,
    ValidationError,
    WixHTTPError,
)

__version__ = "0.1.0"

__all__ = [
    # answers
    "ok",
    "created",
    "badRequest",
    "forbidden",
    "notFound",
    "serverError",
    "response",
    "Response",
    # requests
    "Request",
    "AsyncRequest",
    # per function
    "limits",
    "cors",
    "check_origin",
    # JSON
    "stringify",
    # errors
    "WixHTTPError",
    "HTTPError",
    "InvalidJSON",
    "ValidationError",
    "EncodeError",
    "ProjectError",
    "ConfigError",
    "SecretNotFound",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of this module

    def __getattr__(name):
        raise elsewhere(__name__, name)
