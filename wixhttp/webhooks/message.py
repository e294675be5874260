"""A request as its sender has signed it: header fields, URL and the exact bytes of the body."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wixhttp.errors import InvalidJSON
from wixhttp.http.json_codec import decode_json
from wixhttp.messages import brief

from .refusals import HEADERS, UnverifiedSender

LONGEST_FIELD = 8192
"""Characters of a header field that is read: those of senders have a few hundred."""


class SignedMessage:
    """A request whose sender is to be verified. ``url`` is the whole public URL, query included."""

    __slots__ = ("body", "fields", "method", "url")

    def __init__(self, method: str, url: str, fields: Iterable[tuple[str, str]], body: bytes) -> None:
        self.method = method
        self.url = url
        self.fields = list(fields)
        self.body = body

    def values(self, name: str) -> list[str]:
        """The values of a header field, in any case, as often as it was sent."""
        lower = name.lower()
        return [value for key, value in self.fields if key.lower() == lower]

    def optional(self, name: str) -> str | None:
        """The value of a header field, ``None`` where it is not sent.

        Raises:
            UnverifiedSender: it is sent twice, empty, too long, or holds other characters than printable ASCII.
        """
        values = self.values(name)
        if not values:
            return None
        value = values[0]
        if len(values) > 1:
            raise UnverifiedSender(HEADERS, f"the header {name} is sent {len(values)} times; a sender sends it once")
        if not value:
            raise UnverifiedSender(HEADERS, f"the header {name} is empty")
        if len(value) > LONGEST_FIELD:
            rule = f"the header {name} has {len(value)} characters, more than {LONGEST_FIELD}"
            raise UnverifiedSender(HEADERS, rule)
        if not (value.isascii() and value.isprintable()):
            rule = f"the header {name} holds other characters than printable ASCII: {brief(value)}"
            raise UnverifiedSender(HEADERS, rule)
        return value

    def single(self, name: str) -> str | None:
        """The value of a header field that names one thing, such as an id. Raises as `optional`, and where it has a
        comma: by it some servers join a header that is sent twice."""
        value = self.optional(name)
        if value is not None and "," in value:
            raise UnverifiedSender(HEADERS, f"the header {name} has a comma, as one that is sent twice: {brief(value)}")
        return value

    def required(self, name: str) -> str:
        """The value of a header field. Raises as `optional`, and where it is not sent."""
        value = self.optional(name)
        if value is None:
            raise UnverifiedSender(HEADERS, f"the header {name} is missing")
        return value

    @property
    def content_type(self) -> str:
        """The media type of the body in lower case, without its parameters; ``""`` for none."""
        values = self.values("content-type")
        return values[0].partition(";")[0].strip().lower() if len(values) == 1 else ""

    def json(self) -> Any:
        """The value that the body holds as JSON; ``None`` where it holds none."""
        try:
            return decode_json(self.body)
        except InvalidJSON:
            return None


def member(value: Any, path: str) -> str | None:
    """The text at a path of names in a JSON value: ``"event.type"``. ``None`` where there is none."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None
