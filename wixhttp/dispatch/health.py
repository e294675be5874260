"""Health probes, ``/_wixhttp/health/live`` and ``/_wixhttp/health/ready``, and who may read them and
``/_wixhttp/metrics``, under the one prefix that is reserved.

The dispatcher hands them what comes by that prefix, or by the port of the setting ``health_port``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Protocol

from wixhttp.errors import HTTPError
from wixhttp.http.proxy_headers import client_address
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response
from wixhttp.project.config import Config

RESERVED = "/_wixhttp"
_LIVE, _READY, _METRICS = f"{RESERVED}/health/live", f"{RESERVED}/health/ready", f"{RESERVED}/metrics"
_OF_PROXIES = (
    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via", "x-real-ip", "true-client-ip",
    "cf-connecting-ip",
)  # fmt: skip
"""Headers that proxies add, whatever they say."""
_NOT_STORED = {"Cache-Control": "no-store"}


class ReadinessProbe(Protocol):
    """The state of what a site needs. Neither of both blocks."""

    def __call__(self) -> bool:
        """Return whether it answers."""

    def facts(self) -> dict[str, Any]:
        """More about it, for the answer of the probe."""


def answer_health(
    head: Head,
    config: Config,
    is_ready: Callable[[], bool] | ReadinessProbe | None = None,
    *,
    has_metrics: bool = False,
) -> Response | None:
    """The answer to a probe; ``None`` where the client is to be shown metrics. A site that runs is loaded, and so
    ready, unless ``is_ready`` returns false. ``has_metrics``: there are some.

    Raises:
        HTTPError: 503 where it is not ready; 404 for another path, or where the pages are off or on a port of their
            own; 403 to the public, unless it is let in; 405 for another method.
    """
    is_elsewhere = config.health_port is not None and head.port != config.health_port
    if config.health == "off" or is_elsewhere or head.path not in (_LIVE, _READY, _METRICS):
        raise HTTPError(404, "There is nothing here.", reason=_reason_of_metrics(head, config, is_elsewhere))
    if config.health == "private" and config.health_port is None and not _is_private(head, config.trusted_proxies):
        raise HTTPError(403, "This is for the site's own network (setting health).")
    if head.path == _METRICS and not has_metrics:
        raise HTTPError(404, "There is nothing here.", reason="metrics are off; set metrics = true")
    if head.method not in ("GET", "HEAD"):
        raise HTTPError(405, "This answers GET.", headers={"Allow": "GET, HEAD"})
    if head.path == _METRICS:
        return None
    facts: dict[str, Any] = {}
    if head.path == _READY and is_ready is not None:
        if not is_ready():
            raise HTTPError(503, "The database does not answer.", headers={**_NOT_STORED, "Retry-After": "1"})
        facts = getattr(is_ready, "facts", dict)()
    return Response(200, {"status": "ok", **facts}, dict(_NOT_STORED))


def _reason_of_metrics(head: Head, config: Config, is_elsewhere: bool) -> str:
    """The reason for a 404, for the log: of metrics it is a setting."""
    if head.path != _METRICS:
        return ""
    return f"metrics are on port {config.health_port} (setting health_port)" if is_elsewhere else 'health = "off"'


def _is_private(head: Head, trusted_proxies: int) -> bool:
    """Return whether a request is from this machine or its network. False behind a proxy that is not trusted, or does
    not say in X-Forwarded-For for whom it asks: the address is then the proxy's. One that adds no header is not seen.
    """
    is_told = trusted_proxies > 0 and client_address(head.header("x-forwarded-for"), trusted_proxies) is not None
    if not is_told and any(head.header(name) is not None for name in _OF_PROXIES):
        return False
    try:
        address = ipaddress.ip_address(head.client) if head.client else None
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address  # a peer by IPv4 on a socket for both
    return address is None or address.is_private
