"""The work in Falcon, over WSGI."""

import falcon


class Product:
    def on_get(self, request: falcon.Request, response: falcon.Response, product_id: str) -> None:
        response.media = {"id": product_id, "q": request.get_param("q"), "price": 12.5, "tags": ["a", "b"]}


class Echo:
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        response.media = request.get_media()


application = falcon.App()
application.add_route("/_functions/product/{product_id}", Product())
application.add_route("/_functions/echo", Echo())
