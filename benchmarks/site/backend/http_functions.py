"""The measured work as HTTP functions: a small JSON answer from path and query, and an echo of a JSON body.

`get_wait` and `get_large` are those of `load.py`.
"""

import asyncio

from wixhttp import AsyncRequest, Request, Response, ok


def get_product(request: Request) -> Response:
    return ok({"body": {"id": request.path[0], "q": request.query["q"], "price": 12.5, "tags": ["a", "b"]}})


async def get_productasync(request: AsyncRequest) -> Response:
    return ok({"body": {"id": request.path[0], "q": request.query["q"], "price": 12.5, "tags": ["a", "b"]}})


def post_echo(request: Request) -> Response:
    return ok({"body": request.body.json()})


async def post_echoasync(request: AsyncRequest) -> Response:
    return ok({"body": await request.body.json()})


async def get_wait(request: AsyncRequest) -> Response:
    await asyncio.sleep(0.1)
    return ok({"body": {"seconds": 0.1}})


def get_large(request: Request) -> Response:
    return ok({"body": b"x" * 5_000_000})
