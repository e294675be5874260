"""Rate limits: the guard that counts requests, and its decorator.

The windows are those of `limits`, fixed ones: each begins with the first request of a client, and counts exactly. The
headers are those of draft-ietf-httpapi-ratelimit-headers, of its revisions since 08.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from limits import RateLimitItem, parse_many

from wixhttp.errors import HTTPError
from wixhttp.guards import ADDRESS_RATE, RATE, GuardedRequest, made_key
from wixhttp.http.policy import note_guard
from wixhttp.http.response import Response
from wixhttp.measurements import counted
from wixhttp.messages import nearest
from wixhttp.project.setting_parsers import parse_rates
from wixhttp.project.signatures import is_async_callable
from wixhttp.public_calls import explained, named

from .counters import PATIENCE, counters_in_use
from .exemption import Exemption
from .rate_fields import RateFields, with_fields

F = TypeVar("F", bound=Callable[..., Any])
KeyFunction = Callable[[Any], object]
_KINDS = ("address", "key")


class Rate:
    """One number of requests in a time, of an ``item`` of `limits`. ``name`` is that of its policy in headers."""

    __slots__ = ("amount", "name", "policy", "seconds", "text")

    def __init__(self, item: RateLimitItem, text: str, kind: str) -> None:
        self.text = text
        self.amount = item.amount
        self.seconds = item.get_expiry()
        self.name = f'"{kind}-{self.seconds}"'
        self.policy = f"{self.name};q={self.amount};w={self.seconds}"


class RateGuard:
    """Counts the requests of one client, and refuses those past a limit (429). ``kind`` says who is one client:
    ``address``, ``key``, or ``client``, by a function of the user's.

    ``scope`` are the handlers that are counted together; ``""``: each by itself.
    """

    blocks_leaving = False

    def __init__(self, text: str, kind: str, key: KeyFunction | None = None, scope: str = "") -> None:
        self.place = ADDRESS_RATE if kind == "address" else RATE
        self.kind = kind
        self._rates = [Rate(item, each, kind) for item, each in zip(parse_many(text), text.split(";"), strict=True)]
        self._policies = ", ".join(rate.policy for rate in self._rates)
        self._key = key
        self._scope = scope

    @property
    def blocks(self) -> bool:
        """Return whether the counters may wait for another host."""
        return counters_in_use().blocks

    def check(self, request: GuardedRequest) -> Response | None:
        """Count a request.

        Raises:
            HTTPError: 429, it is one too many.
        """
        client = self._client_of(request)
        place = f"{self._scope or request.unique_name}|{self.kind}"
        counters = counters_in_use()
        state: RateFields | None = request.kept.get(RateFields)
        if state is None:
            state = request.kept[RateFields] = RateFields(PATIENCE)
        state.policies.append(self._policies)
        for rate in self._rates:
            began = time.monotonic()
            number, left = counters.hit(f"{place}|{rate.text}|{client}", rate.seconds, state.patience)
            state.patience -= time.monotonic() - began
            left = max(math.ceil(left), 1)
            state.left.append(f"{rate.name};r={max(rate.amount - number, 0)};t={left}")
            if number > rate.amount:
                counted("rate_limited", function=request.name, by=self.kind)
                raise HTTPError(
                    429,
                    f"Too many requests. Try again in {left} second{'s' * (left != 1)}.",
                    headers={"Retry-After": str(left), **state.fields()},
                    reason=f"more than {rate.text} of one {self.kind}",
                )
        return None

    def _client_of(self, request: GuardedRequest) -> str:
        if self.kind == "key":
            shown = request.notes.api_key
            return "" if shown is None else shown.name
        if self._key is not None:
            named = made_key(self._key, request, f"{request.name}: key= of @rate_limit")
            if named is not None:
                return f"={named}"
        return client_group(request.head.client)

    def leave(self, request: GuardedRequest, response: Response) -> Response:
        """Say in the headers how much is left."""
        state: RateFields | None = request.kept.pop(RateFields, None)
        return response if state is None else with_fields(response, state.fields())

    def fail(self, request: GuardedRequest, error: BaseException) -> None:
        """Say it in the headers of an error that is an answer, too."""
        state: RateFields | None = request.kept.pop(RateFields, None)
        if state is not None and isinstance(error, HTTPError):
            request.notes.error_fields = state.fields()


_TRANSLATED = tuple(ipaddress.IPv6Network(text) for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
"""The networks in which an address of IPv4 has one of IPv6: mapped (RFC 4291, 2.5.5.2), and translated, by SIIT
(RFC 2765, 2.1) or NAT64 (RFC 6052, 2.1)."""


@functools.lru_cache(4096)
def client_group(client: str) -> str:
    """The clients that count as one with an address: itself, or the network /64 of IPv6, which one client has. In that
    of link-local addresses are many.

    >>> client_group("203.0.113.9"), client_group("2001:db8::1"), client_group("64:ff9b::203.0.113.9")
    ('203.0.113.9', '2001:db8::/64', '203.0.113.9')
    """
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:  # a socket of this machine has none
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if any(address in network for network in _TRANSLATED):
        return str(ipaddress.IPv4Address(address.packed[-4:]))
    if address.is_link_local:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def site_rate_guard(text: str) -> RateGuard:
    """The guard that counts the requests of an address to all functions and endpoints that have none of the kind."""
    return RateGuard(parse_rates(text, "rate_limit"), "address", scope="*")


@explained('rate_limit("100/minute")')
def rate_limit(limit: str | None, /, *, key: Literal["address", "key"] | KeyFunction = "address") -> Callable[[F], F]:
    """A decorator that limits how often one client may ask a function or an endpoint: ``@rate_limit("100/minute")``,
    ``@rate_limit("10/second;100/minute")``. Past it a request is answered 429, with ``Retry-After``.

    ``key`` says who is one client: ``"address"``, the client's address, of IPv6 its network /64, instead of the setting
    ``rate_limit``; ``"key"``, the API key that `require_key` has asked for; or a function of the request, which returns
    text or a whole number, or ``None`` or no text for the address. The latter two count beside the setting. The
    function takes the request of a ``def``, also for an ``async def``, and must not wait for anything.

    ``@rate_limit(None)`` exempts it from the setting.

    Raises:
        ValueError: what is no limit, or another ``key``, at once.
        TypeError: written without parentheses.
    """
    if limit is None:
        if key != "address":
            raise ValueError("@rate_limit(None) exempts from the setting rate_limit, and takes no key; leave it out")
        return functools.partial(note_guard, Exemption(ADDRESS_RATE))
    text = parse_rates(limit, "@rate_limit")
    if isinstance(key, str):
        if key not in _KINDS:
            raise ValueError(
                f'key of @rate_limit is "address", "key" or a function, not {key!r}; {nearest(key, _KINDS)}'
            )
        return functools.partial(note_guard, RateGuard(text, key))
    if not callable(key) or is_async_callable(key):
        raise ValueError(f'key of @rate_limit is "address", "key" or a function that is no async def, not {named(key)}')
    return functools.partial(note_guard, RateGuard(text, "client", key))
