"""/api/posts/1 is one post: read, replaced, changed, removed. What the collection refuses answers the middleware."""

from __future__ import annotations

from wixhttp import data as wix_data
from wixhttp.data import items
from wixhttp.endpoints import Request, Response


def GET(params: dict[str, str]) -> Response:
    """The post."""
    post = wix_data.get("posts", params["id"])
    return _missing(params) if post is None else Response.json(post)


def PUT(params: dict[str, str], request: Request) -> Response:
    """Put the post in the body in its place."""
    post = request.json()
    if not isinstance(post, dict) or not isinstance(post.get("title"), str):
        return Response.json({"error": "a post is an object with a title"}, status=400)
    return Response.json(wix_data.update("posts", {**post, "_id": params["id"]}))


def PATCH(params: dict[str, str], request: Request) -> Response:
    """Change the fields in the body; the others stay."""
    changes = request.json()
    if not isinstance(changes, dict) or not isinstance(changes.get("title", ""), str):
        return Response.json({"error": "changes are an object; a title is text"}, status=400)
    patch = items.patch("posts", params["id"])
    for field, value in changes.items():
        patch = patch.setField(field, value)
    return Response.json(patch.run())


def DELETE(params: dict[str, str]) -> Response:
    """Remove the post."""
    removed = wix_data.remove("posts", params["id"])
    return _missing(params) if removed is None else Response(status=204)


def _missing(params: dict[str, str]) -> Response:
    return Response.json({"error": f"there is no post {params['id']}"}, status=404)
