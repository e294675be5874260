"""/api/callback?code=...&state=... is where the provider sends the browser back."""

from __future__ import annotations

import hmac

from wixhttp.endpoints import Context, Response


def GET(context: Context) -> Response:
    """Sign in whoever began it in this browser, and go on to a page of the site."""
    cookies, asked = context.cookies, context.url.searchParams
    code, state, begun = asked.get("code"), asked.get("state"), cookies.get("state")
    if not state or begun is None or not hmac.compare_digest(begun.value.encode(), state.encode()):
        return Response.json({"error": "this sign-in was not begun here"}, status=403)
    cookies.delete("state", path="/api/callback")
    if not code:
        return Response.json({"error": "the provider gave no code"}, status=400)
    is_https = context.url.protocol == "https:"
    cookies.set("token", _token_for(code), path="/", httpOnly=True, sameSite="lax", secure=is_https, maxAge=3600)
    return context.redirect("/", 303)


def _token_for(code: str) -> str:
    # Stands for a POST to the provider with the code and the client's secret, which gives a token that it can check.
    return f"token-for-{code}"
