"""Admission of requests: the limit of the body (413), ``strict_delete`` (400), and the slots that bound the requests at
once (503, setting ``max_concurrency``)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from wixhttp.errors import HTTPError
from wixhttp.http.body import too_large
from wixhttp.http.cors import Cors
from wixhttp.http.request_head import MALFORMED, UNKNOWN, Head
from wixhttp.project.config import Config
from wixhttp.project.function_table import Function

from .call import Call

if TYPE_CHECKING:  # a site without endpoints does not load them
    from wixhttp.endpoints.request_state import RequestHandler, RequestState

RETRY_AFTER = "1"  # seconds, with every 503


class Admission:
    """The limits of a site, and its slots: one kind for ``def``, which bounds threads, one for ``async def``."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.def_slots = deque([None] * config.def_concurrency)
        self.async_slots = deque([None] * config.async_concurrency)

    def admit(
        self,
        head: Head,
        function: Function | RequestHandler,
        request: Any,
        state: RequestState | None,
        cors: Cors | None,
        is_velo: bool,
    ) -> Call:
        """The call of a request whose body is not read yet. ``is_velo``: the rules of Velo hold for it.

        Raises:
            HTTPError: 400, its framing is malformed, or a DELETE has a body (``strict_delete``); 413, its body is too
                large; 503, there is no slot.
        """
        config, policy = self.config, function.policy
        max_body = config.max_body if policy.max_body is None else policy.max_body
        length = head.length
        if length:
            if length == MALFORMED:
                raise HTTPError(400, "The header fields, or what they say of the length of the body, are malformed.")
            if length > max_body:
                raise too_large(max_body)
        refuses_body = is_velo and head.method == "DELETE" and config.strict_delete
        if refuses_body and (length > 0 or _is_json(head)):
            raise _delete_with_body()
        slots = self.def_slots if function.is_threaded else self.async_slots
        if not slots:
            raise busy()
        timeout = config.timeout if policy.timeout is None else policy.timeout
        return Call(head, function, request, state, cors, max_body, timeout, slots, refuses_body)

    def admit_error_page(self, call: Call, handler: RequestHandler, state: RequestState) -> Call | None:
        """The call of the site's ``500.py`` in place of one that failed; it has its slot already. ``None`` where there
        is no slot."""
        config = self.config
        slots = self.def_slots if handler.is_threaded else self.async_slots
        try:
            slots.pop()
        except IndexError:
            return None
        timeout = config.timeout if handler.policy.timeout is None else handler.policy.timeout
        return Call(call.head, handler, state, state, config.cors, call.max_body, timeout, slots)


def check_length(call: Call, size: int) -> None:
    """Note the true size of a body whose length was not announced (chunked).

    Raises:
        HTTPError: 400, a DELETE has a body (``strict_delete``).
    """
    if call.head.length == UNKNOWN:
        call.head.length = size
        if size and call.refuses_body:
            raise _delete_with_body()


def _delete_with_body() -> HTTPError:
    """The error for a DELETE with a body, as on Wix."""
    return HTTPError(400, "A DELETE request has neither a body nor the Content-Type application/json.")


def busy() -> HTTPError:
    """The error for more requests at once than there are slots: 503."""
    return HTTPError(
        503,
        "Too many requests at once; try again.",
        headers={"Retry-After": RETRY_AFTER},
        reason="more requests at once than max_concurrency allows",
    )


def _is_json(head: Head) -> bool:
    return (head.header("content-type") or "").partition(";")[0].strip().lower() == "application/json"
