"""Pictures of pages made small: PNG with a palette, written by the standard library alone."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator

_MAGIC = b"\x89PNG\r\n\x1a\n"
_COLORS = 255

Color = bytes
"""Red, green and blue."""


def with_palette(picture: bytes) -> bytes:
    """A PNG of three bytes a pixel, as Chromium makes it, with its most frequent colours; others are those nearest."""
    chunks = list(_chunks(picture))
    head = chunks[0][1]
    width, height = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    assert head[8:] == b"\x08\x02\0\0\0", "8 bits a channel, no alpha, not interlaced"
    rows = _rows(zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT")), width, height)
    pixels = [[row[at : at + 3] for at in range(0, len(row), 3)] for row in rows]
    counts = Counter(pixel for row in pixels for pixel in row)
    palette = [color for color, _ in counts.most_common(_COLORS)]
    places = {color: place for place, color in enumerate(palette)}
    for color in counts:
        if color not in places:
            places[color] = min(range(len(palette)), key=lambda place: _distance(palette[place], color))
    data = b"".join(b"\0" + bytes(places[pixel] for pixel in row) for row in pixels)
    parts = {
        b"IHDR": head[:8] + b"\x08\x03\0\0\0",
        b"PLTE": b"".join(palette),
        b"IDAT": zlib.compress(data, 9),
        b"IEND": b"",
    }
    return _MAGIC + b"".join(_chunk(kind, content) for kind, content in parts.items())


def _distance(one: Color, other: Color) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_MAGIC)
    while at < len(picture):
        size = int.from_bytes(picture[at : at + 4], "big")
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
        at += size + 12


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _rows(data: bytes, width: int, height: int) -> Iterator[bytes]:
    """The rows of pixels, without the filters by which each is written (PNG, 9)."""
    size = 3 * width
    above = bytes(size)
    for number in range(height):
        start = number * (size + 1)
        method, row = data[start], bytearray(data[start + 1 : start + 1 + size])
        for at in range(size if method else 0):
            left = row[at - 3] if at >= 3 else 0
            corner = above[at - 3] if at >= 3 else 0
            row[at] = (row[at] + _predicted(method, left, above[at], corner)) & 255
        above = bytes(row)
        yield above


def _predicted(method: int, left: int, above: int, corner: int) -> int:
    if method == 1:
        return left
    if method == 2:
        return above
    if method == 3:
        return (left + above) // 2
    # Paeth: of the three the one nearest to their plane
    return min((left, above, corner), key=lambda value: abs(left + above - corner - value))
