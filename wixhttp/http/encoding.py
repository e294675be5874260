"""The encoding of a response: status, header fields, and a body in bytes or in chunks.

Pure functions, but for the iterator that a streamed body is. JSON is printed as JavaScript prints it: compact, and not
escaped beyond what JSON asks for. orjson prints; the standard library prints what orjson cannot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any, TypeGuard

import orjson

from wixhttp.errors import EncodeError

from .json_codec import encode_json
from .response import Response, header_fields

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
BYTES_TYPE = "application/octet-stream"
READ_SIZE = 65_536  # bytes read from a file at once

HeaderFields = list[tuple[str, str]]
Stream = Iterator[Any] | AsyncIterator[Any]


class Encoded:
    """An answer ready to be sent: ``status``, ``fields`` (pairs of str), and its body: ``data`` in bytes, or, where
    ``stream`` is not ``None``, chunks to be turned into bytes by ``chunk_bytes`` and closed by ``close_stream``."""

    __slots__ = ("data", "fields", "status", "stream")

    def __init__(self, status: int, fields: HeaderFields, data: bytes, stream: Stream | None = None) -> None:
        self.status = status
        self.fields = fields
        self.data = data
        self.stream = stream

    @property
    def status_line(self) -> str:
        """``"200 OK"``: the code and its reason phrase."""
        return STATUS_LINES.get(self.status) or f"{self.status} Unknown"


def encode(response: Response, method: str) -> Encoded:
    """Encode ``response`` to a request by ``method``: status, header fields, and body in bytes or chunks.

    HEAD, 204 and 304 carry no body (RFC 9110, 6.4.1); the length of a HEAD answer is that of its GET.

    Raises:
        EncodeError: the body has no form on the wire.
        ValueError: a header cannot be sent.
    """
    status, body = response._status, response.body
    headers = response._headers
    fields = list(header_fields(headers)) if headers else []
    stream: Stream | None = None
    if body.__class__ is dict or body.__class__ is list:
        data, kind = encode_json(body), JSON_TYPE
    elif body.__class__ is bytes:
        data, kind = body, BYTES_TYPE
    elif body is None:
        data, kind = b"", ""
    elif isinstance(body, str):
        data, kind = _encode_text(body)
    elif isinstance(body, bytes | bytearray | memoryview):
        data, kind = bytes(body), BYTES_TYPE
    elif (stream := as_stream(body)) is not None:
        data, kind = b"", BYTES_TYPE
    else:
        data, kind = encode_json(body), JSON_TYPE
    if status == 204 or status == 304:
        return Encoded(status, [field for field in fields if field[0].lower() != "content-type"], b"", _ended(stream))
    kind = kind if response.implied_type is None else response.implied_type
    if kind and not (fields and _has_type(fields)):
        fields.append(("Content-Type", kind))
    if stream is None:
        fields.append(("Content-Length", str(len(data))))
    elif response.length is not None:
        fields.append(("Content-Length", str(response.length)))
    if method == "HEAD":
        return Encoded(status, fields, b"", _ended(stream))
    return Encoded(status, fields, data, stream)


class _Ended:
    """A stream that is sent to nobody: it yields nothing, and closes what it stands for."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise StopIteration

    def close(self) -> Any:
        return close_stream(self.stream)


def _ended(stream: Stream | None) -> Stream | None:
    return None if stream is None else _Ended(stream)


def _has_type(fields: HeaderFields) -> bool:
    return any(name == "Content-Type" or name.lower() == "content-type" for name, _ in fields)


def _encode_text(text: str) -> tuple[bytes, str]:
    if not text:
        return b"", ""  # Wix sends no type with an empty text
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8; JavaScript sends U+FFFD
        data = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    if text.lstrip(" \t\r\n")[:1] in ("{", "["):
        try:
            orjson.loads(data)
            return data, JSON_TYPE
        except orjson.JSONDecodeError:
            pass
    return data, TEXT_TYPE


# --- streams ---------------------------------------------------------------------------------------------------------


class _FileChunks:
    """A file, read piece by piece."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if chunk := self.file.read(READ_SIZE):
            return chunk
        raise StopIteration

    def close(self) -> None:
        close = getattr(self.file, "close", None)
        if close is not None:
            close()


def as_stream(body: Any) -> Stream | None:
    """The chunks of an iterator, an asynchronous iterator or a file; ``None`` for what is none of them."""
    if callable(getattr(body, "read", None)):
        return _FileChunks(body)
    if is_async_stream(body) or (hasattr(body, "__next__") and hasattr(body, "__iter__")):
        return body  # type: ignore[no-any-return]  # just seen
    return None


def is_async_stream(body: object) -> TypeGuard[AsyncIterator[Any]]:
    """Return whether ``body`` is an asynchronous iterator."""
    return hasattr(body, "__anext__") and hasattr(body, "__aiter__")


def chunk_bytes(chunk: Any) -> bytes:
    """The bytes of one chunk of a stream.

    Raises:
        EncodeError: for a chunk that is neither bytes nor str.
    """
    if chunk.__class__ is bytes:
        return chunk
    if isinstance(chunk, str):
        return _encode_text(chunk)[0]
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(chunk)
    raise EncodeError("a chunk of a streamed body", type(chunk).__name__, "yield bytes or str")


def close_stream(stream: Stream) -> Any:
    """Close an iterator that can be closed; for an asynchronous one the awaitable that closes it, or ``None``."""
    close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
    return None if close is None else close()
