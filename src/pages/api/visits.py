"""/api/visits counts the visits of one visitor, in a session."""

from __future__ import annotations

from wixhttp.endpoints import AsyncContext, Response


async def GET(context: AsyncContext) -> Response:
    """Count this visit."""
    visits = (await context.session.get("visits") or 0) + 1
    await context.session.set("visits", visits)
    return Response.json({"visits": visits})


async def DELETE(context: AsyncContext) -> Response:
    """Forget them."""
    await context.session.destroy()
    return Response(status=204)
