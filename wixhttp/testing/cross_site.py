"""Requests that pass in a test because they come from a page of the site, and that a server refuses from elsewhere."""

from __future__ import annotations

from typing import Protocol

from wixhttp.dispatch.app import App
from wixhttp.endpoints.csrf import WAYS_OUT, is_preflighted, public_origin
from wixhttp.errors import HTTPError
from wixhttp.http.request_head import SAFE_METHODS, Head, PlainHead, RequestHeaders

_SIMPLE_METHODS = ("GET", "HEAD", "POST")  # https://fetch.spec.whatwg.org/#cors-safelisted-method
_PLAIN_HEADERS = frozenset(  # that a browser sends without asking: its own, and those that the Fetch standard lets pass
    "accept accept-language content-language content-length cookie host origin range referer user-agent".split()
)
_ALLOW = "allow it by @cors(origins=[{!r}]) in front of the handler, or by the setting cors."


class Answered(Protocol):
    """The part of an answer that is looked at."""

    @property
    def headers(self) -> RequestHeaders:
        """Its headers."""


class Sender(Protocol):
    """The part of a `TestClient` that is used."""

    app: App

    def send(self, head: Head, body: bytes) -> Answered:
        """The answer to a request."""


def refused_elsewhere(app: App, head: Head) -> str | None:
    """A sentence for a request with the site's own ``Origin`` that is answered 403 from other senders; else ``None``.

    ``None`` too where the handler itself says, by ``@check_origin``, who may send it.
    """
    endpoints = app.site.endpoints
    if endpoints is None or head.method in SAFE_METHODS or is_preflighted(head.header("content-type")):
        return None
    fields = [(name, value) for name, value in head.fields() if name.lower() != "origin"]
    bare = PlainHead(head.method, head.path, head.query, fields, scheme=head.scheme, host=head.host, length=head.length)
    try:
        match = endpoints.find(bare)
        handler = None if match.route is None else match.route.methods.resolve(head.method)
        if handler is None or handler.policy.check_origin is not None:
            return None
        endpoints.select(match, bare, app.config.public_url or "")
    except HTTPError as error:
        if error.status == 403:
            return (
                f"{head.method} {head.path} was sent as from a page of the site, with its Origin. From anywhere else"
                f" the server answers it 403. {WAYS_OUT} @check_origin(True) says that only the site's pages send it."
            )
    return None


def preflight_fault(client: Sender, head: Head, origin: str) -> str | None:
    """A sentence for a request that a browser would not send from a page of ``origin``, because the preflight by which
    it asks first does not allow it; else ``None``."""
    if origin == public_origin(head, client.app.config.public_url or ""):
        return None
    asked = sorted({name.lower() for name, _ in head.fields()} - _PLAIN_HEADERS - {"content-type"})
    kind = head.header("content-type")
    if kind is not None and is_preflighted(kind):
        asked.append("content-type")
    if head.method in _SIMPLE_METHODS and not asked:
        return None
    fields = [("Host", head.host or "localhost"), ("Origin", origin), ("Access-Control-Request-Method", head.method)]
    if asked:
        fields.append(("Access-Control-Request-Headers", ",".join(asked)))
    answer = client.send(
        PlainHead("OPTIONS", head.path, head.query, fields, scheme=head.scheme, host=head.host, client=head.client), b""
    )
    begin = (
        f"a browser would not send this from a page of {origin}: it asks by a preflight first, and the answer allows"
    )
    if not _allows(answer, origin):
        return f"{begin} no such origin; {_ALLOW.format(origin)}"
    if head.method not in _SIMPLE_METHODS and head.method not in _listed(answer, "access-control-allow-methods"):
        return f"{begin} no {head.method}."
    allowed = {name.lower() for name in _listed(answer, "access-control-allow-headers")}
    refused = [] if "*" in allowed else [name for name in asked if name not in allowed]
    return f"{begin} no header {refused[0]!r}; add it to headers of @cors, or of the setting cors." if refused else None


def reading_fault(client: Sender, head: Head, origin: str, answer: Answered) -> str | None:
    """A sentence for an answer that a browser keeps from a page of ``origin``; else ``None``."""
    if _allows(answer, origin) or origin == public_origin(head, client.app.config.public_url or ""):
        return None
    return (
        f"a page of {origin} cannot read this answer: it has no Access-Control-Allow-Origin for it; "
        + _ALLOW.format(origin)
    )


def _allows(answer: Answered, origin: str) -> bool:
    return answer.headers["access-control-allow-origin"] in ("*", origin)


def _listed(answer: Answered, name: str) -> list[str]:
    return [each.strip() for each in (answer.headers[name] or "").split(",")]
