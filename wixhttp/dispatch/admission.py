"""Admission of requests: the terms of a handler's calls, the limit of the body (413), ``strict_delete`` (400), and the
slots that bound the requests at once (503, setting ``max_concurrency``).

A slot is taken by a request that runs or waits for a thread. Who waits too long is refused by the queue
(`wixhttp.concurrency.thread_pool`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wixhttp.concurrency.overload import Busy
from wixhttp.errors import HTTPError
from wixhttp.http.body import too_large
from wixhttp.http.request_head import MALFORMED, UNKNOWN, Head
from wixhttp.project.config import Config
from wixhttp.project.function_table import Function, response_of

from .call import Call, Terms

if TYPE_CHECKING:  # a site without guards or endpoints does not load them
    from wixhttp.endpoints.request_state import RequestHandler, RequestState
    from wixhttp.guards import Guard

    from .meter import Meter


NO_SLOT = "more requests at once than max_concurrency allows"


class Admission:
    """The limits of a site, and its slots: one kind for ``def``, which bounds threads, one for ``async def``.
    ``guards`` are those of all HTTP functions that have none of the kind; ``meter`` counts the slots that are taken."""

    def __init__(self, config: Config, guards: tuple[Guard, ...] = (), meter: Meter | None = None) -> None:
        self.config = config
        self.guards = guards
        if meter is None:
            self.def_slots = deque([None] * config.def_concurrency)
            self.async_slots = deque([None] * config.async_concurrency)
        else:
            self.def_slots = meter.slots(config.def_concurrency, "def")
            self.async_slots = meter.slots(config.async_concurrency, "async def")
        self._terms: dict[Function | RequestHandler, Terms] = {}

    def terms(self, handler: Function | RequestHandler) -> Terms:
        """The terms of the calls of a handler of the site, made once."""
        terms = self._terms.get(handler)
        if terms is None:
            config, policy = self.config, handler.policy
            terms = self._terms[handler] = Terms(
                handler,
                config.max_body if policy.max_body is None else policy.max_body,
                config.timeout if policy.timeout is None else policy.timeout,
                policy.cors or config.cors,
                self.def_slots if handler.is_threaded else self.async_slots,
                config.strict_delete and (handler.__class__ is Function or policy.is_velo),
                self._call(handler) if isinstance(handler, Function) else handler.call,
            )
        return terms

    def _call(self, function: Function) -> Callable[[Any], Any]:
        """The call of a function, with its guards around it."""
        if not function.policy.guards and not self.guards:
            return function.call
        from wixhttp.guards import guarded_function, merged

        warns = self.config.mode == "development"
        return guarded_function(
            function.call,
            merged(function.policy.guards, self.guards),
            function.exported_name,
            lambda value: response_of(function.exported_name, value, warns=warns),
            is_async=function.is_async,
            unique_name=function.unique_name,
        )

    def check(self, head: Head, terms: Terms) -> None:
        """Check a request whose body is not read yet.

        Raises:
            HTTPError: 400, its framing is malformed, or a DELETE has a body (``strict_delete``); 413, its body is too
                large; 503, there is no slot.
        """
        length = head.length
        if length:
            if length == MALFORMED:
                raise HTTPError(400, "The header fields, or what they say of the length of the body, are malformed.")
            if length > terms.max_body:
                raise too_large(terms.max_body)
        if head.method == "DELETE" and terms.refuses_delete and (length > 0 or _is_json(head)):
            raise _delete_with_body()
        if not terms.slots:
            raise Busy(NO_SLOT)

    def admit_error_page(self, call: Call, handler: RequestHandler, state: RequestState) -> Call | None:
        """The call of the site's ``500.py`` in place of one that failed; it has its slot already. ``None`` where there
        is no slot."""
        terms = self.terms(handler)
        try:
            terms.slots.pop()
        except IndexError:
            return None
        return Call(call.head, terms, state, state, self.config.cors)


def check_length(call: Call, size: int) -> None:
    """Note the true size of a body whose length was not announced (chunked).

    Raises:
        HTTPError: 400, a DELETE has a body (``strict_delete``).
    """
    if call.head.length == UNKNOWN:
        call.head.length = size
        if size and call.terms.refuses_delete and call.head.method == "DELETE":
            raise _delete_with_body()


def _delete_with_body() -> HTTPError:
    """The error for a DELETE with a body, as on Wix."""
    return HTTPError(400, "A DELETE request has neither a body nor the Content-Type application/json.")


def _is_json(head: Head) -> bool:
    return (head.header("content-type") or "").partition(";")[0].strip().lower() == "application/json"
