"""/api/posts lists posts, and takes new ones."""

from __future__ import annotations

from urllib.parse import quote

from wixhttp.data import aio as wix_data
from wixhttp.endpoints import URL, AsyncRequest, Response


async def GET(url: URL) -> Response:
    """The newest posts first: all, with ?q= those with that text in their title, with ?tag= those with that tag."""
    query = wix_data.query("posts").descending("_createdDate")
    if text := url.searchParams.get("q"):
        query = query.contains("title", text)
    if tag := url.searchParams.get("tag"):
        query = query.eq("tags", tag)
    return Response.json({"items": (await query.find()).items})


async def POST(request: AsyncRequest) -> Response:
    """Add the post in the body; 201 with where it is now."""
    post = await request.json()
    if not isinstance(post, dict) or not isinstance(post.get("title"), str):
        return Response.json({"error": "a post is an object with a title"}, status=400)
    made = await wix_data.insert("posts", post)
    return Response.json(made, status=201, headers={"Location": f"/api/posts/{quote(made['_id'], safe='')}"})
