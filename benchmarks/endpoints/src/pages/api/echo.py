"""The measured POST as an endpoint, given what it reads by name."""

from wixhttp.endpoints import Request, Response


def POST(request: Request) -> Response:  # noqa: N802  # the method's own name
    return Response.json(request.json())
