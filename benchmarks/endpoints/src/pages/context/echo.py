"""The measured POST as an endpoint, given the whole context."""

from wixhttp.endpoints import Context, Response


def POST(context: Context) -> Response:  # noqa: N802  # the method's own name
    return Response.json(context.request.json())
