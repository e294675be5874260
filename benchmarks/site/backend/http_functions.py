"""The measured work as HTTP functions: a small JSON answer from path and query, and an echo of a JSON body."""

from wixhttp import AsyncRequest, Request, Response, ok


def get_product(request: Request) -> Response:
    return ok({"body": {"id": request.path[0], "q": request.query["q"], "price": 12.5, "tags": ["a", "b"]}})


async def get_productasync(request: AsyncRequest) -> Response:
    return ok({"body": {"id": request.path[0], "q": request.query["q"], "price": 12.5, "tags": ["a", "b"]}})


def post_echo(request: Request) -> Response:
    return ok({"body": request.body.json()})
