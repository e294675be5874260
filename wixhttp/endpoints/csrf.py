"""Protection from cross-site request forgery (CSRF): forms are taken from the site's own pages only.

Browsers send forms across sites without asking, and the visitor's cookies with them. What they ask for before (any
other Content-Type) is left to CORS. The settings are ``check_origin`` and ``public_url``; the decorator is
``@check_origin``.
"""

from __future__ import annotations

from wixhttp.errors import HTTPError
from wixhttp.http.request_head import Head
from wixhttp.http.url import DEFAULT_PORTS

_FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


def public_origin(head: Head, public_url: str) -> str:
    """Scheme and host of the site: ``public_url``, or, where that is empty, those that the request names, in lower case
    and without the scheme's default port."""
    if public_url:
        return public_url
    host = (head.host or "localhost").lower().rstrip(":")
    return f"{head.scheme}://{host.removesuffix(':' + DEFAULT_PORTS.get(head.scheme, ''))}"


def check_origin(head: Head, public_url: str) -> None:
    """Check that a form, or a request without a Content-Type, comes from the site's `public_origin`.

    Raises:
        HTTPError: 403, it comes from another site, or does not say from where.
    """
    kind = head.header("content-type")
    if kind and kind.partition(";")[0].strip().lower() not in _FORM_TYPES:
        return
    own, given = public_origin(head, public_url), head.header("origin")
    if given is None or given.lower() != own:
        raise HTTPError(
            403,
            "Forms and requests without a Content-Type are taken from the site's own pages only.",
            reason=f"the header Origin is {given!r}, not {own!r} (settings check_origin, public_url)",
        )
