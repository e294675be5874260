"""A call: one request that a handler is to answer, complete once it is made."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from wixhttp.http.cors import Cors
from wixhttp.http.request_head import Head
from wixhttp.project.function_table import Function

if TYPE_CHECKING:  # a site without endpoints does not load them
    from wixhttp.endpoints.request_state import RequestHandler, RequestState


class Call:
    """One request and the ``function`` that answers it: an HTTP function, which takes a `Request` or `AsyncRequest`; or
    the handler of an endpoint, which takes the ``state``. ``state`` is ``None`` for an HTTP function.

    The server interface reads at most ``max_body`` bytes of body, and stops the call after ``timeout`` seconds (0 for
    none). ``cors`` is the policy of the answer, or ``None``. ``refuses_body``: a DELETE under ``strict_delete``.
    ``slots`` are those of which the call takes one (`admission`). ``error_page`` is the call of the site's ``500.py``,
    once that answers in its place.
    """

    __slots__ = (
        "cors", "error_page", "function", "head", "max_body", "refuses_body", "request", "slots", "state", "timeout",
    )  # fmt: skip

    def __init__(
        self,
        head: Head,
        function: Function | RequestHandler,
        request: Any,
        state: RequestState | None,
        cors: Cors | None,
        max_body: int,
        timeout: float,
        slots: deque[None],
        refuses_body: bool = False,
    ) -> None:
        self.head = head
        self.function = function
        self.request = request
        self.state = state
        self.cors = cors
        self.max_body = max_body
        self.timeout = timeout
        self.slots = slots
        self.refuses_body = refuses_body
        self.error_page: Call | None = None

    def run(self) -> Any:
        """Call the user's function: its value, or an awaitable of one."""
        return self.function.call(self.request)
