"""HTTP functions as endpoints, by `adapt`: files that ``wixhttp migrate`` writes call the old functions through it.

# src/pages/api/product/[...path].py
from wixhttp.endpoints import adapt

from backend.http_functions import get_product

GET = adapt(get_product)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any

from wixhttp.endpoints.routing.paths import encode as encode_path
from wixhttp.endpoints.routing.paths import normalize
from wixhttp.endpoints.web.response import Response, web_response
from wixhttp.http.policy import copy_policy
from wixhttp.http.request import AsyncRequest as VeloAsyncRequest
from wixhttp.http.request import Request as VeloRequest
from wixhttp.http.request import set_body
from wixhttp.http.request_head import Head, PlainHead
from wixhttp.project.function_table import response_of
from wixhttp.project.signatures import accepting, is_async_callable

from .request_state import RequestState

_REST = "/[..."
_SHIFTS = re.compile(r"\\|/\.|%(?:25|2[eE]|5[cC])")  # a path without these has the segments that the router sees


def adapt(function: Callable[..., Any]) -> Callable[..., Any]:
    """The handler of an endpoint that calls an HTTP function: that takes a request of ``wix-http-functions``, and
    returns as there. The route of its file ends with a rest: ``product/[...path].py``.

    Velo's rules hold for it: forms are taken from everywhere, a DELETE has no body, and the limits and the CORS policy
    that were noted on the function.

    Raises:
        ProjectError: the function takes more than the request.
    """
    name = getattr(function, "__name__", "")  # a partial has none
    call = accepting(name or repr(function), function, 1, "an HTTP function takes the request, or nothing")
    if is_async_callable(function):

        @functools.wraps(function, updated=())
        async def handle_async(context: Any) -> Response:
            state = context._state
            if isinstance(state.body, bytes) and not state.is_rewritten:
                request = _request(VeloAsyncRequest, state)
            else:  # the body may be in a file
                request = await state.in_thread(lambda: _request(VeloAsyncRequest, state))
            return _web(state, name, await call(request))

        handler: Callable[..., Any] = handle_async
    else:

        @functools.wraps(function, updated=())
        def handle(context: Any) -> Response:
            state = context._state
            value = call(_request(VeloRequest, state))
            return _web(state, name, state.wait(lambda: value) if isinstance(value, Awaitable) else value)

        handler = handle
    copy_policy(function, handler, is_velo=True, check_origin=False)
    return handler


def _web(state: RequestState, name: str, value: Any) -> Response:
    warns = state.endpoints.config.mode == "development"
    return web_response(response_of(name or state.head.function, value, warns=warns))


def _request(kind: type[VeloRequest] | type[VeloAsyncRequest], state: RequestState) -> VeloRequest | VeloAsyncRequest:
    """The request for the function. Its name is the segment of the route before the rest."""
    assert state.route is not None  # noqa: S101  # the function is the handler of a route
    mount, name, count = _place(state.route.pattern.text, state.endpoints.prefix)
    head = _rewritten(state) if state.is_rewritten else state.visible_head
    rest = _behind(head.path, state.path, count)
    request = kind(head, state.public_url, mount, name, rest)
    set_body(request, _body(state))
    return request


@functools.lru_cache(maxsize=1024)
def _place(route: str, prefix: str) -> tuple[str, str, int]:
    """The raw mount of a function and its name, and how many segments they are."""
    mount, _, name = route.partition(_REST)[0].rpartition("/")
    mount = prefix + mount
    return encode_path(mount) if mount else "", name, (mount + "/" + name).count("/")


def _body(state: RequestState) -> bytes:
    """The whole body. A middleware in front reads a ``clone()`` of it, as for any handler.

    Raises:
        BodyAlreadyUsed: it was read.
    """
    taken = state.content.clone().take()
    return taken if isinstance(taken, bytes) else taken.read()


def _behind(raw: str, path: str, count: int) -> str:
    """The segments of a raw path behind the first ``count``, as they were sent, since Velo decodes them once.

    Where they are not those of the path that router and middleware saw (dot segments, backslashes, in any encoding),
    those of the latter: the function must not get a path that a middleware would have refused.
    """
    parts = [part for part in raw.split("/") if part]
    if raw != path and _SHIFTS.search(raw):
        seen = [part for part in path.split("/") if part]
        if [normalize("/" + part)[1:] for part in parts] != seen:
            parts = [part for part in encode_path(path).split("/") if part]
    return "/".join(parts[count:])


def _rewritten(state: RequestState) -> Head:
    head = state.visible_head
    made = PlainHead(
        head.method, encode_path(state.path), state.query, head.fields(),
        scheme=head.scheme, host=head.host, client=head.client, length=head.length,
    )  # fmt: skip
    made.request_id, made.base = head.request_id, head.base
    return made
