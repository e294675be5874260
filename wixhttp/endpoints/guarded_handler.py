"""The call of an endpoint's handler with guards around it, behind the site's middleware: no rewrite leads past them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wixhttp.endpoints.web.response import web_response
from wixhttp.guards import MOST_AT_ONCE, Guard, Guarded, GuardedRequest
from wixhttp.http.request import Request
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
        head = state.head
        velo = Request(head, state.public_url, "", "", head.path.lstrip("/"))
        return GuardedRequest(head, name, velo, state.sent_body)

    def is_slow(state: RequestState) -> bool:
        body = state.received.body
        return not isinstance(body, bytes) or len(body) > MOST_AT_ONCE

    guarded = Guarded(call, guards, seen, checked, is_slow, web_response)
    return guarded.run_async if is_async else guarded.run
