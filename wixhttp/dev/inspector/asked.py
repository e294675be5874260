"""A request to a page of the inspector: its path, its parameters and its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, unquote, urlencode

from wixhttp.dev.web.context import DevelopmentContext
from wixhttp.dev.web.guard import TOKEN_FIELD, check_token
from wixhttp.dev.web.pages import PAGE_HEADERS
from wixhttp.dev.web.templates import render
from wixhttp.dispatch.async_stream import Receive, Scope
from wixhttp.errors import HTTPError
from wixhttp.http.forms import FormData, parse_form
from wixhttp.http.response import Response
from wixhttp.http.url import quote_path

from .visible_text import visible

ROOT = "/_wixhttp/"
MOST_FORM = 2_097_152
"""Bytes of a form that is sent to the inspector."""

_LONGEST_PARAMETER = 10_000  # characters


class Asked:
    """A request to the inspector. ``parts`` are the decoded segments of its path below `ROOT`, ``query`` its parameters
    by name; ``form`` is there once `read_form` has been awaited."""

    def __init__(self, context: DevelopmentContext, scope: Scope) -> None:
        self.context = context
        self.scope = scope
        raw = (scope.get("raw_path") or quote_path(scope["path"]).encode()).decode("latin-1")
        self.parts = [unquote(part) for part in raw.removeprefix(ROOT).split("/")]
        pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        self.query = {name: value[:_LONGEST_PARAMETER] for name, value in pairs}
        self.form = FormData()

    def header(self, name: bytes) -> str:
        """The value of a header, named in lower case; "" where it is not there."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), "")

    async def read_form(self, receive: Receive) -> None:
        """Read the form of the request, and check its token.

        Raises:
            HTTPError: 403, another page than ours sent it; 413, it is too large; 400, it is no form.
        """
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise HTTPError(400, "The form is cut.")
            body += message.get("body", b"")
            if len(body) > MOST_FORM:
                raise HTTPError(413, f"A form of the inspector has at most {MOST_FORM:,} bytes.")
            if not message.get("more_body"):
                break
        kind = self.header(b"content-type")
        if body or kind:
            self.form = parse_form(bytes(body), kind)
        check_token(self.scope, self.context.token, self.field(TOKEN_FIELD))

    def field(self, name: str) -> str:
        """The text of a field of the form; "" where it is not there, or a file."""
        value = self.form.get(name, "")
        return value if isinstance(value, str) else ""

    def lines(self, name: str) -> str:
        """The text of a field of several lines, with ends as they are in files: browsers send CR LF."""
        return self.field(name).replace("\r\n", "\n")


def inspector_page(asked: Asked, template: str, status: int = 200, **values: object) -> Response:
    """The answer with a page of the inspector: as `pages.page`, with what cannot be seen written out."""
    context = asked.context
    values.setdefault("section", "")
    values["is_answer_to_form"] = asked.scope["method"] == "POST"  # which is not to be loaded again
    html = render(template, generation=context.generation, token=context.token, **values)
    return Response(status, visible(html), PAGE_HEADERS)


def with_query(path: str, pairs: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
    """A path with those parameters that are not empty."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    query = urlencode([(name, value) for name, value in items if value])
    return f"{path}?{query}" if query else path
