"""/api/users/1 is one person of the collection ``people``."""

from __future__ import annotations

from wixhttp import data as wix_data
from wixhttp.endpoints import Response


def GET(params: dict[str, str]) -> Response:
    """The person whose id is in the path."""
    person = wix_data.get("people", params["id"])
    if person is None:
        return Response.json({"error": f"there is no user {params['id']}"}, status=404)
    return Response.json(person)
