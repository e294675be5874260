"""The measured GET as an endpoint, given what it reads by name."""

from wixhttp.endpoints import URL, Response


def GET(params: dict[str, str], url: URL) -> Response:  # noqa: N802  # the method's own name
    return Response.json({"id": params["id"], "q": url.searchParams.get("q"), "price": 12.5, "tags": ["a", "b"]})
