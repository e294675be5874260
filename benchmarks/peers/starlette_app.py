"""The work in Starlette. `get_wait` and `get_large` are those of `load.py`."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def get_product(request: Request) -> JSONResponse:
    product_id, q = request.path_params["product_id"], request.query_params["q"]
    return JSONResponse({"id": product_id, "q": q, "price": 12.5, "tags": ["a", "b"]})


async def get_product_async(request: Request) -> JSONResponse:
    product_id, q = request.path_params["product_id"], request.query_params["q"]
    return JSONResponse({"id": product_id, "q": q, "price": 12.5, "tags": ["a", "b"]})


async def post_echo(request: Request) -> JSONResponse:
    return JSONResponse(await request.json())


async def get_wait(request: Request) -> JSONResponse:
    await asyncio.sleep(0.1)
    return JSONResponse({"seconds": 0.1})


def get_large(request: Request) -> Response:
    return Response(b"x" * 5_000_000)


application = Starlette(
    routes=[
        Route("/_functions/product/{product_id}", get_product),
        Route("/_functions/productasync/{product_id}", get_product_async),
        Route("/_functions/echoasync", post_echo, methods=["POST"]),
        Route("/_functions/wait", get_wait),
        Route("/_functions/large", get_large),
    ]
)
