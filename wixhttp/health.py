"""What probes ask: ``/_wixhttp/health/live`` and ``/_wixhttp/health/ready``, under the one prefix that is reserved."""

from __future__ import annotations

import ipaddress

from .config import Config
from .errors import HTTPError
from .head import Head
from .response import Response

RESERVED = "/_wixhttp"
_PAGES = (f"{RESERVED}/health/live", f"{RESERVED}/health/ready")


def is_for_health(head: Head, config: Config) -> bool:
    """Whether a request is answered by this room: by its path, or by the port that it came in by."""
    return head.path.startswith(RESERVED) or (config.health_port is not None and head.port == config.health_port)


def answer_health(head: Head, config: Config) -> Response:
    """The answer to a probe: a site that runs is loaded, and so is ready.

    Raises:
        HTTPError: 404 for another path, or where the pages are off or on a port of their own; 403 to the public, unless
            it is let in; 405 for another method.
    """
    is_elsewhere = config.health_port is not None and head.port != config.health_port
    if config.health == "off" or is_elsewhere or head.path not in _PAGES:
        raise HTTPError(404, "There is nothing here.")
    if config.health == "private" and config.health_port is None and not _is_private(head, config.trusted_proxies):
        raise HTTPError(403, "This is for the site's own network (setting health).")
    if head.method not in ("GET", "HEAD"):
        raise HTTPError(405, "This answers GET.", headers={"Allow": "GET, HEAD"})
    return Response(200, {"status": "ok"}, {"Cache-Control": "no-store"})


def _is_private(head: Head, trusted_proxies: int) -> bool:
    """Whether a request is from this machine or its network. Behind a proxy that is not trusted, nobody knows."""
    if not trusted_proxies and (head.header("x-forwarded-for") or head.header("forwarded")):
        return False
    try:
        address = ipaddress.ip_address(head.client) if head.client else None
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address  # a peer by IPv4 on a socket for both
    return address is None or address.is_private
