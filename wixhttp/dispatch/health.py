"""Health probes: ``/_wixhttp/health/live`` and ``/_wixhttp/health/ready``, under the one prefix that is reserved.

The dispatcher hands them what comes by that prefix, or by the port of the setting ``health_port``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from wixhttp.errors import HTTPError
from wixhttp.http.proxy_headers import client_address
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response
from wixhttp.project.config import Config

RESERVED = "/_wixhttp"
_LIVE, _READY = f"{RESERVED}/health/live", f"{RESERVED}/health/ready"
_NOT_STORED = {"Cache-Control": "no-store"}


def answer_health(head: Head, config: Config, is_ready: Callable[[], bool] | None = None) -> Response:
    """The answer to a probe. A site that runs is loaded, and so ready, unless ``is_ready`` returns false.

    Raises:
        HTTPError: 503 where it is not ready; 404 for another path, or where the pages are off or on a port of their
            own; 403 to the public, unless it is let in; 405 for another method.
    """
    is_elsewhere = config.health_port is not None and head.port != config.health_port
    if config.health == "off" or is_elsewhere or head.path not in (_LIVE, _READY):
        raise HTTPError(404, "There is nothing here.")
    if config.health == "private" and config.health_port is None and not _is_private(head, config.trusted_proxies):
        raise HTTPError(403, "This is for the site's own network (setting health).")
    if head.method not in ("GET", "HEAD"):
        raise HTTPError(405, "This answers GET.", headers={"Allow": "GET, HEAD"})
    if head.path == _READY and is_ready is not None and not is_ready():
        raise HTTPError(503, "The database does not answer.", headers={**_NOT_STORED, "Retry-After": "1"})
    return Response(200, {"status": "ok"}, dict(_NOT_STORED))


def _is_private(head: Head, trusted_proxies: int) -> bool:
    """Return whether a request is from this machine or its network. False behind a proxy that is not trusted, or does
    not say for whom it asks: the address is then the proxy's."""
    forwarded = head.header("x-forwarded-for")
    if not trusted_proxies and (forwarded or head.header("forwarded")):
        return False
    if forwarded and client_address(forwarded, trusted_proxies) is None:
        return False
    try:
        address = ipaddress.ip_address(head.client) if head.client else None
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address  # a peer by IPv4 on a socket for both
    return address is None or address.is_private
