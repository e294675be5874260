"""The check of the Host header (RFC 9110, 7.2; setting ``allowed_hosts``): 400 for one that is malformed or unknown."""

from __future__ import annotations

import ipaddress
import re

from wixhttp.errors import HTTPError

_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


def check_host(host: str | None, allowed: tuple[str, ...]) -> None:
    """Check a Host header, ``None`` for none or several. ``allowed`` are names; ``*`` is any name, and ``*.name`` or
    ``.name`` each one below it. Where it is empty every host is served.

    Raises:
        HTTPError: 400, it is no host, or not one of these.
    """
    if host is None or not is_host(host):
        raise HTTPError(400, "A request has one Host header, with a host and perhaps a port.")
    if allowed and not is_allowed(host, allowed):
        raise HTTPError(400, "This host is not served here.", reason=f"host {host!r} is not in allowed_hosts")


def is_host(host: str) -> bool:
    """Return whether a text is a name or an address, and perhaps a port.

    >>> is_host("example.com:8080"), is_host("[::1]"), is_host("example.com:99999"), is_host("a b")
    (True, True, False, False)
    """
    if not _HOST.fullmatch(host):
        return False
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    if port and int(port) > 65535:
        return False
    if name.startswith("["):
        try:
            ipaddress.IPv6Address(name[1:-1])
        except ValueError:
            return False
    return True


def is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a host, with or without a port, is one of ``allowed``.

    >>> is_allowed("www.Example.com:8080", (".example.com",)), is_allowed("example.org", ("example.com",))
    (True, False)
    """
    name = host.lower()
    name = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() and ":" in name else name
    for pattern in allowed:
        if pattern in ("*", name):
            return True
        suffix = pattern.removeprefix("*")
        if suffix.startswith(".") and name.endswith(suffix) and len(name) > len(suffix):
            return True
    return False
