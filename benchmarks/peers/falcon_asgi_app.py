"""The work in Falcon, over ASGI."""

import falcon.asgi


class Product:
    async def on_get(self, request: falcon.asgi.Request, response: falcon.asgi.Response, product_id: str) -> None:
        response.media = {"id": product_id, "q": request.get_param("q"), "price": 12.5, "tags": ["a", "b"]}


class Echo:
    async def on_post(self, request: falcon.asgi.Request, response: falcon.asgi.Response) -> None:
        response.media = await request.get_media()


application = falcon.asgi.App()
application.add_route("/_functions/product/{product_id}", Product())
application.add_route("/_functions/echo", Echo())
