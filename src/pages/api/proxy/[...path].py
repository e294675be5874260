"""/api/proxy/books/1 hands a request on to another service, here the site's own /_functions/books/1.

Where it may lead stands in TARGETS: what a client sends chooses one of them by name, never a host.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from wixhttp.endpoints import URL, Request, Response
from wixhttp.secrets import getSecret

TARGETS = {"books": "BOOKS_URL"}  # name in the path: secret, or variable of .env, with the URL
HANDED_ON = ["Accept", "Content-Type"]  # neither cookies nor credentials


def ALL(params: dict[str, str | None], request: Request, url: URL) -> Response:
    """Every method, to one of the targets."""
    name = (params["path"] or "").partition("/")[0]
    if name not in TARGETS:
        return Response.json({"error": f"there is no target {name!r}"}, status=404)
    target = urlsplit(getSecret(TARGETS[name]))
    connection = (HTTPSConnection if target.scheme == "https" else HTTPConnection)(target.netloc, timeout=10)
    rest = urlsplit(url.href).path.removeprefix(f"/api/proxy/{name}")  # still percent-encoded
    headers = {each: request.headers[each] for each in HANDED_ON if each in request.headers}
    try:
        connection.request(request.method, target.path + rest + url.search, request.bytes() or None, headers)
        answer = connection.getresponse()
        body = answer.read() or None
    except (OSError, HTTPException):
        return Response.json({"error": f"{name} does not answer"}, status=502)
    finally:
        connection.close()
    return Response(body, answer.status, headers={"Content-Type": answer.headers.get_all("Content-Type", [])})
