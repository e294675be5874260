"""The check of who may see the pages of `wixhttp dev` and the details of errors, and of who may change something.

The pages show source code, values and requests. They are for the developer: for a peer on this machine, or one that the
setting ``dev_allow`` names; by a name of this server, since a page of another site can make its own name resolve to
127.0.0.1 (DNS rebinding); and not through a tunnel or a proxy, whose requests come from this machine as well.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
from urllib.parse import urlsplit

from wixhttp.dispatch.allowed_hosts import is_allowed
from wixhttp.dispatch.async_stream import Scope
from wixhttp.errors import HTTPError
from wixhttp.http.problem import error_response
from wixhttp.http.response import Response
from wixhttp.project.config import Config

TOKEN_FIELD = "_token"  # noqa: S105  # the name of the form field, not its value
TOKEN_HEADER = "X-Wixhttp-Token"  # noqa: S105  # as above

_OWN_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
_WILDCARDS = frozenset(("0.0.0.0", "::", ""))  # noqa: S104  # names that no browser asks for
_FORWARDED = frozenset((b"forwarded", b"via", b"x-real-ip", b"cf-connecting-ip", b"true-client-ip"))

logger = logging.getLogger("wixhttp")


def why_hidden(scope: Scope, config: Config) -> str:
    """The reason for which a request may not see the pages, with the way out, for the log; "" where it may."""
    peer = _peer(scope)
    if not _is_allowed_address(peer, config.dev_allow):
        if peer is None or not (peer.is_loopback or peer == _own_address(scope)):
            return f"the peer {_shown(scope)} is not this machine; add its address or network to the setting dev_allow"
        forwarded = _forwarding_header(scope)
        if forwarded:
            return (
                f"the request has the header {forwarded!r}, so it came through a proxy or a tunnel; to show them to "
                "everybody who uses that, add '127.0.0.1' and the tunnel's host name to the setting dev_allow"
            )
    hosts = _values(scope, b"host")
    name = _name_of(hosts[0]) if len(hosts) == 1 else ""
    if not _is_own_name(name, scope, config):
        return f"the host {', '.join(hosts)!r} is no name of this server; add it to the setting dev_allow"
    return _why_cross_site(scope, config)


def refusal(scope: Scope, config: Config) -> Response | None:
    """The neutral answer to a request for a page that its client may not see, with the reason in the log; ``None``
    where it may see it."""
    reason = why_hidden(scope, config)
    if not reason:
        return None
    logger.warning("The pages of wixhttp dev are not shown: %s", reason)
    return error_response(HTTPError(403, "This page is not shown here; the log of the server has the reason."), "")


def check_token(scope: Scope, token: str, given: str = "") -> None:
    """Check that a request which changes something was sent by one of our own pages. ``given`` is the value of its
    form's field `TOKEN_FIELD`; where it is empty the header `TOKEN_HEADER` counts.

    Raises:
        HTTPError: 403, the token is missing or wrong, or the request comes from a page of another origin.
    """
    sent = given or "".join(_values(scope, TOKEN_HEADER.lower().encode()))
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), token.encode()):
        raise HTTPError(
            403, "The page is out of date; load it again.", reason="the token of a form is missing or wrong"
        )
    origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
    host = "".join(_values(scope, b"host")).lower()
    if any(origin.lower().partition("://")[2] != host for origin in origins) or set(sites) - {"same-origin"}:
        raise HTTPError(403, "Only the pages of this server may do that.", reason=f"sent by a page of {origins!r}")


def _why_cross_site(scope: Scope, config: Config) -> str:
    """The reason for which a page of another site may not have this answer: it could embed it, or read it by CORS.

    A link that is followed to this server is fine: nothing of the page is visible from where it started.
    """
    for origin in _values(scope, b"origin"):
        try:
            name = (urlsplit(origin).hostname or "").lower()
        except ValueError:
            name = ""
        if not _is_own_name(name, scope, config):
            return f"it was asked by a page of {origin!r}; add its host name to the setting dev_allow"
    is_cross = "cross-site" in _values(scope, b"sec-fetch-site")
    if is_cross and _values(scope, b"sec-fetch-mode") + _values(scope, b"sec-fetch-dest") != ["navigate", "document"]:
        return "it was embedded by a page of another site"
    return ""


# --- addresses and names ---------------------------------------------------------------------------------------------

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _peer(scope: Scope) -> _Address | None:
    client = scope.get("client")
    return _address(client[0]) if client else None


def _own_address(scope: Scope) -> _Address | None:
    """The address that a connection was made to. A peer that has it is this machine, in its own network."""
    server = scope.get("server")
    return _address(str(server[0])) if server else None


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address  # a peer by IPv4 on a socket for both


def _is_allowed_address(address: _Address | None, allowed: tuple[str, ...]) -> bool:
    if address is None:
        return False
    for entry in allowed:
        try:
            if address in ipaddress.ip_network(entry):
                return True
        except ValueError:  # a name
            continue
    return False


def _is_own_name(name: str, scope: Scope, config: Config) -> bool:
    """Return whether a host, without its port and brackets, is one of this server's."""
    if not name:
        return False
    server = scope.get("server")
    own = {config.host.lower().strip("[]"), str(server[0]).lower() if server else ""} - _WILDCARDS
    if name in _OWN_NAMES or name in own:
        return True
    address = _address(name)
    return is_allowed(name, config.dev_allow) if address is None else _is_allowed_address(address, config.dev_allow)


def _name_of(host: str) -> str:
    """The name or address of a Host header, in lower case, without port and brackets."""
    host = host.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _forwarding_header(scope: Scope) -> str:
    for name, _ in scope["headers"]:
        if name in _FORWARDED or name.startswith(b"x-forwarded-"):
            return str(name.decode("latin-1"))
    return ""


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _shown(scope: Scope) -> str:
    client = scope.get("client")
    return repr(client[0] if client else "of a Unix socket")
