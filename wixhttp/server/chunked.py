"""The chunked transfer coding (RFC 9112, 7.1), decoded strictly and within bounds."""

from __future__ import annotations

from wixhttp.http.response import TOKEN_CHARACTERS

LINE = 4096
"""Bytes of the line before a chunk: its size, and extensions, which are ignored."""

TRAILERS = 8192
"""Bytes of all trailer fields; they are checked, and ignored."""

SMALL, FEW = 64, 16_384
"""A body may have `FEW` chunks, and beyond them one for each `SMALL` bytes: smaller ones are work without data."""

_DIGITS = frozenset(b"0123456789abcdefABCDEF")
_MOST_DIGITS = 12  # of a size: below 2**48
_TOKEN = frozenset("".join(TOKEN_CHARACTERS).encode())
_CONTROLS = frozenset(range(32)) - {9} | {127}
# Fields that frame, route or authorize a request must stand in its head (RFC 9110, 6.5.1).
_NO_TRAILERS = frozenset(
    b"authorization connection content-encoding content-length content-range content-type cookie expect host "
    b"proxy-authorization te trailer transfer-encoding upgrade".split()
)


class BadChunk(ValueError):
    """A body that breaks the rules of the coding, or its bounds. Its text is for the log."""


class ChunkedBody:
    """Takes a chunked body apart as it arrives: `feed` returns its data, ``rest`` is what follows its end.

    ``rest`` is ``None`` until the body has ended.

    >>> body = ChunkedBody()
    >>> body.feed(b"5\\r\\nhello\\r\\n0\\r\\n"), body.rest
    (b'hello', None)
    >>> body.feed(b"\\r\\nGET /"), body.rest
    (b'', b'GET /')
    """

    __slots__ = ("_chunks", "_held", "_left", "_trailers", "rest", "size")

    def __init__(self) -> None:
        self.rest: bytes | None = None
        self.size = 0  # bytes of data
        self._held = b""  # a line that has not ended yet
        self._left = -1  # bytes of the current chunk that are missing, then the CRLF behind it; -1 before a size
        self._chunks = 0
        self._trailers = -1  # bytes of the trailer section so far; -1 before it

    def feed(self, data: bytes) -> bytes:
        """Take what arrived, and return the data in it.

        Raises:
            BadChunk: it is malformed, or beyond a bound.
        """
        if self._held:
            data, self._held = self._held + data, b""
        parts: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self._left > 0:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                self.size += len(part)
            elif self._left == 0:
                if data[at : at + 2] != b"\r\n":
                    if data[at : at + 2] != b"\r":
                        raise BadChunk("no CRLF behind the data of a chunk")
                    break
                at += 2
                self._left = -1
            else:
                line_end = data.find(b"\n", at, at + LINE)
                if line_end < 0:
                    self._check_begun(data[at : at + LINE])
                    break
                if data[line_end - 1] != 13 or line_end == at:
                    raise BadChunk("a line that does not end in CRLF")
                line = data[at : line_end - 1]
                at = line_end + 1
                if self._trailers < 0:
                    self._begin_chunk(line)
                elif line:
                    self._check_trailer(line)
                else:
                    self.rest = data[at:]
                    return b"".join(parts)
        self._held = data[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _check_begun(self, line: bytes) -> None:
        """Refuse the beginning of a line that no end can make good."""
        if len(line) >= LINE:
            raise BadChunk("a line before a chunk, or a trailer field, is too long")
        if self._trailers < 0:
            size = line.partition(b";")[0].rstrip(b" \t\r")
            if line and not _is_size(size):
                raise BadChunk("the size of a chunk is not a hexadecimal number below 2**48")

    def _begin_chunk(self, line: bytes) -> None:
        size, semicolon, extensions = line.partition(b";")
        digits = size.rstrip(b" \t") if semicolon else size
        if not _is_size(digits):
            raise BadChunk("the size of a chunk is not a hexadecimal number below 2**48")
        if not _CONTROLS.isdisjoint(extensions):
            raise BadChunk("an extension of a chunk holds a control character")
        self._chunks += 1
        if self._chunks > FEW + self.size // SMALL:
            raise BadChunk(f"{self._chunks} chunks for {self.size} bytes")
        number = int(digits, 16)
        if number:
            self._left = number
        else:
            self._trailers = 0

    def _check_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        name, colon, value = line.partition(b":")
        if self._trailers > TRAILERS:
            raise BadChunk("the trailer fields are too long")
        if not colon or not name or not _TOKEN.issuperset(name) or not _CONTROLS.isdisjoint(value):
            raise BadChunk("a trailer field is malformed")
        if name.lower() in _NO_TRAILERS:
            raise BadChunk(f"{name!r} may not be a trailer field")


def _is_size(digits: bytes) -> bool:
    return 0 < len(digits) <= _MOST_DIGITS and _DIGITS.issuperset(digits)
