"""Problem documents (RFC 9457): the body of every error that the runtime itself answers. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from wixhttp.errors import HTTPError

from .request_head import NO_NOTES, Head
from .response import Response

PROBLEM_TYPE = "application/problem+json"


def problem(status: int, detail: str = "", request_id: str = "", *, title: str | None = None) -> dict[str, Any]:
    """A problem document: type, title, status, and detail and request_id, each unless it is empty.

    ``title`` is the phrase of the status where it is ``None``, and ``"Error"`` for a status that has none.

    >>> problem(404, "Nothing is here.", "a-1")
    {'type': 'about:blank', 'title': 'Not Found', 'status': 404, 'detail': 'Nothing is here.', 'request_id': 'a-1'}
    """
    if title is None:
        title = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    if request_id:
        body["request_id"] = request_id
    return body


def problem_response(status: int, detail: str, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The response that carries a problem document.

    Raises:
        ValueError: a header cannot be sent.
    """
    return Response(status, problem(status, detail, request_id), {"Content-Type": PROBLEM_TYPE, **(headers or {})})


def error_response(error: HTTPError, request_id: str, head: Head | None = None) -> Response:
    """The response that an HTTP error is: its status, detail, extensions and headers. Its reason is for the log alone.
    ``head`` is that of the request, on which guards may have noted fields that the error has not.

    Raises:
        ValueError: a header of the error cannot be sent.
    """
    headers: Mapping[str, str] = error.headers
    if noted := getattr(head, "notes", NO_NOTES).error_fields:
        own = {name.lower() for name in headers}
        headers = {**headers, **{name: value for name, value in noted.items() if name.lower() not in own}}
    response = problem_response(error.status, error.detail, request_id, headers)
    if error.extensions:
        response.body.update(error.extensions)
    return response
