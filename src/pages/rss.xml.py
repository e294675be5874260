"""/rss.xml is the feed of the posts, the newest first."""

from __future__ import annotations

from email.utils import format_datetime
from xml.sax.saxutils import escape

from wixhttp import data as wix_data
from wixhttp.endpoints import URL, Response

FEED = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel>
<title>The sample's posts</title>
<link>{home}</link>
<description>What is new here</description>
{items}</channel></rss>
"""
ITEM = "<item><title>{title}</title><link>{link}</link><guid>{link}</guid><pubDate>{date}</pubDate></item>\n"


def GET(url: URL) -> Response:
    """The last twenty posts as RSS 2.0."""
    posts = wix_data.query("posts").descending("_createdDate").limit(20).find().items
    items = "".join(
        ITEM.format(
            title=escape(post["title"]),
            link=escape(URL(f"/api/posts/{post['_id']}", url).href),
            date=format_datetime(post["_createdDate"], usegmt=True),
        )
        for post in posts
    )
    return Response(FEED.format(home=url.origin, items=items), headers={"Content-Type": "application/rss+xml"})
