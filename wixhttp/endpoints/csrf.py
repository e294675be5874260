"""Protection from cross-site request forgery (CSRF): forms are taken from the site's own pages only.

Browsers send some requests across sites without asking, and the visitor's cookies with them: forms, and whatever
scripts send with the Content-Type of a form or without one (CORS-safelisted, https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
Before any other Content-Type they ask by a preflight, which is left to CORS. The settings are ``check_origin`` and
``public_url``; the decorator is ``@check_origin``.
"""

from __future__ import annotations

from wixhttp.errors import HTTPError
from wixhttp.http.request_head import Head
from wixhttp.http.response import is_token
from wixhttp.http.url import DEFAULT_PORTS

_FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
WAYS_OUT = (
    "Other senders, such as webhooks: send Content-Type: application/json, or take their forms by @check_origin(False)"
    " in front of the handler."
)
"""The ways in which a request of another sender than a page of the site is let through."""

_WHITE_SPACE = "\t\n\r "


def public_origin(head: Head, public_url: str) -> str:
    """Scheme and host of the site: ``public_url``, or, where that is empty, those that the request names, in lower case
    and without the scheme's default port."""
    if public_url:
        return public_url
    host = (head.host or "localhost").lower().rstrip(":")
    return f"{head.scheme}://{host.removesuffix(':' + DEFAULT_PORTS.get(head.scheme, ''))}"


def is_preflighted(content_type: str | None) -> bool:
    """Return whether a browser asks by a preflight before it sends this Content-Type to another site.

    False too for one that is missing or cannot be read as one type (MIME Sniffing, 4.4: empty, no ``type/subtype``,
    several): nobody vouches for how a browser came to send it.

    >>> is_preflighted("application/json"), is_preflighted("Text/Plain;x"), is_preflighted(";x"), is_preflighted(None)
    (True, False, False, False)
    """
    essence = (content_type or "").partition(";")[0].strip(_WHITE_SPACE).lower()
    kind, _, subtype = essence.partition("/")
    return is_token(kind) and is_token(subtype) and essence not in _FORM_TYPES


def check_origin(head: Head, public_url: str, *, names_ways: bool = False) -> None:
    """Check that a request that browsers send without a preflight comes from the site's `public_origin`.

    Raises:
        HTTPError: 403, it comes from another site, or does not say from where. With ``names_ways``, in development, its
            detail names the ways out, which its reason does always.
    """
    if is_preflighted(head.header("content-type")):
        return
    own, given = public_origin(head, public_url), head.header("origin")
    if given is None or given.lower() != own:
        rule = "Forms, and requests without a Content-Type of their own, are taken from the site's own pages only."
        raise HTTPError(
            403,
            f"{rule} {WAYS_OUT}" if names_ways else rule,
            reason=f"the header Origin is {given!r}, not {own!r} (settings check_origin, public_url). {WAYS_OUT}",
        )
