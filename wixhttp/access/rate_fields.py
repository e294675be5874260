"""The header fields that tell a client of its rate limits (draft-ietf-httpapi-ratelimit-headers, since revision 08)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from wixhttp.http.response import Response

POLICY, LEFT = "RateLimit-Policy", "RateLimit"


class RateFields:
    """The fields of one answer: items of the lists that they are, of all limits that the request was counted for.
    ``patience`` are the seconds for which it may still wait for counters."""

    __slots__ = ("left", "patience", "policies")

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.policies: list[str] = []
        self.left: list[str] = []

    def fields(self) -> dict[str, str]:
        """The fields by name."""
        return {POLICY: ", ".join(self.policies), LEFT: ", ".join(self.left)}


def with_fields(response: Response, fields: Mapping[str, str]) -> Response:
    """A response with these fields, unless its handler has set its own. A copy: a handler may return the same one to
    many requests."""
    headers = response.headers
    if any(name.lower() == LEFT.lower() for name in headers):
        return response
    if response.__class__ is Response:
        return Response(response.status, response.body, {**headers, **fields})
    copied = copy.copy(response)
    copied.headers = headers
    for name, value in fields.items():
        copied.headers[name] = value
    return copied
