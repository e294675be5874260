"""The ``X-Forwarded-*`` headers, as far as trusted proxies vouch for them: each proxy appends what it saw."""

from __future__ import annotations

import ipaddress

from .request_head import Head
from .url import DEFAULT_PORTS

_IN_PREFIX = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/%-._~!$&'()*+,=:@"  # RFC 3986, 3.3, without ";"
)


def apply_forwarded(head: Head, hops: int) -> None:
    """Put into ``head`` the client's address, scheme, host and prefix that the last ``hops`` proxies vouch for.

    What says nothing (``unknown``, no address, another scheme than http and https) is passed over. A host is whatever
    was said, to be checked like a Host header, but without the port that is its scheme's own.
    """
    if (address := client_address(head.header("x-forwarded-for"), hops)) is not None:
        head.client = address
    scheme = _said(head, "x-forwarded-proto", hops).lower()
    if scheme in DEFAULT_PORTS:
        head.scheme = scheme
    host = _said(head, "x-forwarded-host", hops) or head.host or ""
    if (port := _said(head, "x-forwarded-port", hops)) and host:
        host = f"{_without_port(host)}:{port}"
    head.host = host.removesuffix(":" + DEFAULT_PORTS.get(head.scheme, "")) or None
    prefix = _said(head, "x-forwarded-prefix", hops).rstrip("/")
    if prefix[:1] == "/" and prefix[:2] != "//" and _IN_PREFIX.issuperset(prefix):
        head.base = prefix


def client_address(forwarded: str | None, hops: int) -> str | None:
    """The address that the last but ``hops`` - 1 of the proxies saw, without port and zone; ``None`` where it is not
    said, or is no address.

    >>> client_address("6.6.6.6, 203.0.113.9:1024", 1), client_address('"[2001:DB8::1%eth0]:8080"', 1)
    ('203.0.113.9', '2001:db8::1')
    >>> client_address("unknown", 1), client_address("203.0.113.9", 2), client_address(None, 1)
    (None, None, None)
    """
    text = _nth_last(forwarded, hops)
    if text[:1] == "[":
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not _is_port(port.removeprefix(":"))):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if port and not _is_port(port):
            return None
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)  # a peer by IPv4 on a socket for both


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


def _said(head: Head, name: str, hops: int) -> str:
    return _nth_last(head.header(name), hops)


def _nth_last(value: str | None, hops: int) -> str:
    """The ``hops``-th last of the values of a list, without quotes; "" for none."""
    values = value.rsplit(",", hops) if value else []
    text = values[-hops].strip(" \t") if len(values) >= hops else ""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host
