"""The measured GET as an endpoint, as `async def`."""

from wixhttp.endpoints import URL, Response


async def GET(params: dict[str, str], url: URL) -> Response:  # noqa: N802  # the method's own name
    return Response.json({"id": params["id"], "q": url.searchParams.get("q"), "price": 12.5, "tags": ["a", "b"]})
