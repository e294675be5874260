"""The call of an endpoint's handler with guards around it, behind the site's middleware: no rewrite leads past them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wixhttp.endpoints.web.response import web_response
from wixhttp.guards import Guard, Guarded, GuardedRequest
from wixhttp.http.request import Request, set_body
from wixhttp.http.response import Response

from .request_state import RequestState


def guarded_handler(
    call: Callable[[RequestState], Any],
    guards: tuple[Guard, ...],
    name: str,
    checked: Callable[[Any], Response],
    is_async: bool,
) -> Callable[[RequestState], Any]:
    """The call of a handler with its guards around it. ``checked`` returns what is a response, and raises else."""
    if not guards:
        return call

    def seen(state: RequestState) -> GuardedRequest:
        # The head and the URL are those that the client has sent and signed, also of a request that was rewritten.
        head = state.head
        request = Request(head, state.public_url, "", "", head.path.lstrip("/"))
        taken = state.content.clone().take()
        set_body(request, taken if isinstance(taken, bytes) else taken.read())
        return GuardedRequest(head, name, request._body.buffer(), request)

    def seen_blocks(state: RequestState) -> bool:
        return state.is_rewritten or not isinstance(state.body, bytes)  # it may be in a file

    guarded = Guarded(call, guards, seen, checked, seen_blocks, web_response)
    return guarded.run_async if is_async else guarded.run
