"""The ``X-Forwarded-*`` headers of trusted proxies, read by werkzeug's ProxyFix from plain values."""

from __future__ import annotations

from typing import Any

from werkzeug.middleware.proxy_fix import ProxyFix

from .request_head import Head
from .url import DEFAULT_PORTS

_HEADERS = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix")


def apply_forwarded(head: Head, hops: int) -> None:
    """Put into ``head`` the client's address, scheme, host and prefix that the last ``hops`` proxies vouch for."""
    environ: dict[str, Any] = {
        "REMOTE_ADDR": head.client,
        "wsgi.url_scheme": head.scheme,
        "HTTP_HOST": head.host or "",
        "SERVER_NAME": (head.host or "").partition(":")[0],
        "SERVER_PORT": (head.host or "").partition(":")[2] or DEFAULT_PORTS.get(head.scheme, "80"),
        "SCRIPT_NAME": head.base,
    }
    for name in _HEADERS:
        if (value := head.header(name)) is not None:
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    fix = ProxyFix(
        lambda environ, start_response: [], x_for=hops, x_proto=hops, x_host=hops, x_port=hops, x_prefix=hops
    )
    fix(environ, lambda status, headers, exc_info=None: lambda data: None)
    head.client = environ["REMOTE_ADDR"]
    head.scheme = environ["wsgi.url_scheme"]
    head.host = environ["HTTP_HOST"] or None
    head.base = environ["SCRIPT_NAME"].rstrip("/")
