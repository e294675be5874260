"""The work with werkzeug's Request and Response."""

import json

from werkzeug import Request, Response


@Request.application
def application(request: Request) -> Response:
    segments = request.path.split("/")
    route = request.method, segments[2]
    if route == ("GET", "product"):
        answer = {"id": segments[3], "q": request.args["q"], "price": 12.5, "tags": ["a", "b"]}
    elif route == ("POST", "echo"):
        answer = request.get_json()
    else:
        return Response(status=404)
    return Response(json.dumps(answer, separators=(",", ":")), mimetype="application/json")
