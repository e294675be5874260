"""The answers that are kept of deliveries: status, header fields and body, as they were sent."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from wixhttp.http.encoding import encode
from wixhttp.http.response import Response

MOST = 1_048_576
"""Bytes of a body that is kept."""

_AGAIN = (408, 425, 429)  # statuses that ask a client to send the same again, beside those of 500 and more


def asks_for_another(response: Response) -> bool:
    """Return whether an answer asks its client to send the same again."""
    return response.status >= 500 or response.status in _AGAIN


class RepeatedResponse(Response):
    """A response whose headers are those that were sent: none is added for its body."""

    __slots__ = ()
    implied_type = ""


class KeptAnswer:
    """An answer. ``body`` is ``None`` where it cannot be kept: it was streamed, or longer than `MOST`."""

    __slots__ = ("_fields", "body", "status")

    def __init__(self, status: int, fields: list[list[str]], body: bytes | None) -> None:
        self.status = status
        self.body = body
        self._fields = fields

    @classmethod
    def of(cls, response: Response) -> KeptAnswer:
        """The answer that a response is. A stream is not drawn.

        Raises:
            EncodeError: its body has no form on the wire.
        """
        encoded = encode(response, "GET")
        is_streamed = encoded.stream is not None and encoded.status not in (204, 304)
        if is_streamed or len(encoded.data) > MOST:
            return cls(encoded.status, [], None)
        fields = [[name, value] for name, value in encoded.fields if name.lower() != "content-length"]
        return cls(encoded.status, fields, encoded.data)

    @classmethod
    def of_fields(cls, fields: dict[str, Any]) -> KeptAnswer:
        """The answer of what `fields` gave."""
        body = fields["body"]
        return cls(fields["status"], fields["fields"], None if body is None else b64decode(body))

    def fields(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        body = None if self.body is None else b64encode(self.body).decode()
        return {"body": body, "fields": self._fields, "status": self.status}

    def response(self) -> Response:
        """The response that is sent again: of a body that was not kept, the status alone."""
        headers: dict[str, list[str]] = {}
        for name, value in self._fields:
            headers.setdefault(name, []).append(value)
        return RepeatedResponse(self.status, self.body or None, headers)
