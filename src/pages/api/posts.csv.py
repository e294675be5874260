"""/api/posts.csv is all posts as a file to download."""

from __future__ import annotations

import csv
import io

from wixhttp import data as wix_data
from wixhttp.endpoints import Response


def GET() -> Response:
    """A table that a browser saves as posts.csv."""
    table = io.StringIO()
    writer = csv.DictWriter(table, ["_id", "title", "text"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(wix_data.query("posts").ascending("_createdDate").limit(1000).find().items)
    headers = {"Content-Type": "text/csv;charset=UTF-8", "Content-Disposition": 'attachment; filename="posts.csv"'}
    return Response(table.getvalue(), headers=headers)
