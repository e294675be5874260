"""/api/login sends a browser to a provider of identities, which sends it back to /api/callback."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from urllib.parse import urlencode

from wixhttp.endpoints import URL, Cookies, Response

PROVIDER = "https://id.example.com/authorize"


def GET(url: URL, cookies: Cookies, redirect: Callable[..., Response]) -> Response:
    """Begin a sign-in: ``state`` ties the answer of the provider to this browser."""
    state = secrets.token_urlsafe()
    is_https = url.protocol == "https:"
    cookies.set("state", state, path="/api/callback", httpOnly=True, sameSite="lax", secure=is_https, maxAge=600)
    query = {
        "response_type": "code",
        "client_id": "sample",
        "state": state,
        "redirect_uri": url.origin + "/api/callback",
    }
    return redirect(f"{PROVIDER}?{urlencode(query)}")
