"""The measured POST as an endpoint, as `async def`."""

from wixhttp.endpoints import AsyncRequest, Response


async def POST(request: AsyncRequest) -> Response:  # noqa: N802  # the method's own name
    return Response.json(await request.json())
