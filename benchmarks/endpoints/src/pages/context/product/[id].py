"""The measured GET as an endpoint, given the whole context."""

from wixhttp.endpoints import Context, Response


def GET(context: Context) -> Response:  # noqa: N802  # the method's own name
    q = context.url.searchParams.get("q")
    return Response.json({"id": context.params["id"], "q": q, "price": 12.5, "tags": ["a", "b"]})
