"""A call: one request that a handler is to answer, complete once it is made."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from wixhttp.http.cors import Cors
from wixhttp.http.encoding import Encoded
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response
from wixhttp.project.function_table import Function

if TYPE_CHECKING:  # a site without endpoints does not load them
    from wixhttp.endpoints.request_state import RequestHandler, RequestState


class Terms:
    """The limits, slots and CORS policy of every call of one handler, decided when the site is loaded: by its
    decorators (`wixhttp.http.policy`), else by the settings.

    ``max_body`` is in bytes, ``timeout`` in seconds (0 for none), ``cors`` the policy of its answers. ``slots`` are
    those of which a call takes one. ``refuses_delete``: a DELETE has no body (``strict_delete``). ``call`` is that of
    the handler, with its guards around it where it has some.
    """

    __slots__ = ("call", "cors", "function", "max_body", "refuses_delete", "slots", "timeout")

    def __init__(
        self,
        function: Function | RequestHandler,
        max_body: int,
        timeout: float,
        cors: Cors | None,
        slots: deque[None],
        refuses_delete: bool,
        call: Callable[[Any], Any],
    ) -> None:
        self.function = function
        self.max_body = max_body
        self.timeout = timeout
        self.cors = cors
        self.slots = slots
        self.refuses_delete = refuses_delete
        self.call = call


class Call:
    """One request and the ``function`` that answers it: an HTTP function, which takes a `Request` or `AsyncRequest`; or
    the handler of an endpoint, which takes the ``state``. ``state`` is ``None`` for an HTTP function.

    The server interface reads at most ``max_body`` bytes of body, and stops the call after ``timeout`` seconds (0 for
    none). ``slots`` are those of which the call takes one. All three are those of its ``terms``. ``cors`` is the policy
    of the answer, or ``None``. ``error_page`` is the call of the site's ``500.py``, once that answers in its place; of
    the latter ``failure`` is the response where it cannot begin. ``late_answer`` is the 504 that was sent while an
    ``async def`` was still ending. ``context`` is that of the handler, once it runs.
    """

    __slots__ = (
        "context", "cors", "error_page", "failure", "function", "head", "late_answer", "max_body", "request", "slots",
        "state", "terms", "timeout",
    )  # fmt: skip

    def __init__(self, head: Head, terms: Terms, request: Any, state: RequestState | None, cors: Cors | None) -> None:
        self.head = head
        self.terms = terms
        self.function = terms.function
        self.request = request
        self.state = state
        self.cors = cors
        self.max_body = terms.max_body
        self.timeout = terms.timeout
        self.slots = terms.slots
        self.context: Context | None = None
        self.error_page: Call | None = None
        self.failure: Response | None = None
        self.late_answer: Encoded | None = None

    def new_context(self) -> Context:
        """Make the context in which the handler is to run, and return it. What runs a call stays outside of it."""
        self.context = context = copy_context()
        return context

    @property
    def stream_context(self) -> Context:
        """The context in which the stream of the answer is drawn and closed: that of the handler that made it."""
        answering = self.error_page or self
        context = answering.state.stream_context if answering.state is not None else None
        return context or answering.context or answering.new_context()

    def run(self) -> Any:
        """Call the user's function: its value, or an awaitable of one."""
        self.head.deadline = self.timeout and time.monotonic() + self.timeout  # for calls that it makes itself
        return self.terms.call(self.request)
