"""The methods that are refused everywhere, and those that one name or route answers: 405 with ``Allow``, OPTIONS, and
CORS preflights.

Decided here once, for HTTP functions, endpoints and rewrites. HEAD needs no decision: the tables of functions and of
endpoints have it beside GET, and `encoding` leaves the body of its answer out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from wixhttp.errors import HTTPError

from .cors import Cors
from .request_head import Head
from .response import Response

SERVED_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""The methods that have a name of their own among functions and endpoints, sorted (RFC 9110, 9.3; RFC 5789)."""
_REFUSED = frozenset({"CONNECT", "TRACE", "TRACK"})

_Handler_co = TypeVar("_Handler_co", covariant=True)


def is_refused(method: str) -> bool:
    """Return whether a method reaches no handler, no middleware and no page, but is answered 405: one that asks for a
    tunnel, or for the request itself, credentials included, to be sent back. Browsers send none of them (Fetch,
    "forbidden method").

    >>> is_refused("TRACE"), is_refused("track"), is_refused("BREW")
    (True, True, False)
    """
    return method.upper() in _REFUSED


class MethodTable(Protocol[_Handler_co]):
    """The handlers of one name or route by method. Each has a ``policy``."""

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods that are answered, sorted."""

    def resolve(self, method: str) -> _Handler_co | None:
        """The handler of a method, or ``None``."""

    def __contains__(self, method: object) -> bool: ...


def cors_of(methods: MethodTable[Any], method: str | None, site: Cors | None) -> Cors | None:
    """The CORS policy of the handler of a method. Where the method is ``None`` or has no handler, the first policy that
    any handler has; ``site`` where none has one."""
    found = methods.resolve(method) if method else None
    for candidate in [found] if found else [methods.resolve(name) for name in methods.allowed]:
        if candidate is not None and candidate.policy.cors is not None:
            policy: Cors = candidate.policy.cors
            return policy
    return site


def not_allowed(methods: MethodTable[Any], cors: Cors | None) -> HTTPError:
    """The error for a method that is not answered: 405. ``Allow`` has OPTIONS too where there is a CORS policy, by
    which preflights are answered (`answer_options`)."""
    return method_not_allowed(methods.allowed if cors is None else sorted({*methods.allowed, "OPTIONS"}))


def method_not_allowed(allow: Iterable[str]) -> HTTPError:
    """The error 405 with an ``Allow`` of these methods."""
    return HTTPError(405, "This is not answered by this method.", headers={"Allow": ", ".join(allow)})


def answer_options(head: Head, methods: MethodTable[Any], site: Cors | None) -> tuple[Response, Cors | None] | None:
    """The answer to OPTIONS for what has a CORS policy (``site`` is that of the site), and the policy whose headers
    are still to be added to it: ``None`` for a preflight, whose answer has them.

    ``None`` where a handler is to answer: one of its own for OPTIONS; or one for every method, unless the request is a
    preflight.
    """
    if "OPTIONS" in methods:
        return None
    asked = head.header("access-control-request-method")
    cors = cors_of(methods, asked, site)
    is_preflight = asked is not None and head.header("origin") is not None
    if cors is None or (not is_preflight and methods.resolve("OPTIONS") is not None):
        return None
    allowed = sorted({*methods.allowed, "OPTIONS"})
    response = Response(204, None, {"Allow": ", ".join(allowed)})
    if not is_preflight:
        return response, cors
    response.headers.update(
        cors.preflight_headers(head.header("origin"), head.header("access-control-request-headers"), allowed)
    )
    return response, None
