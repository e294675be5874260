"""/api/logo.png is an image, made of bytes; ?color=ff8800 gives it another color."""

from __future__ import annotations

import re
import struct
import zlib

from wixhttp.endpoints import URL, Response

SIZE = 64  # pixels
COLOR = re.compile(r"[0-9a-fA-F]{6}")


def GET(url: URL) -> Response:
    """A square of one color."""
    color = url.searchParams.get("color") or "116dff"
    if not COLOR.fullmatch(color):
        return Response("color is six hexadecimal digits", status=400)
    headers = {"Content-Type": "image/png", "Cache-Control": "public, max-age=3600"}
    return Response(_png(bytes.fromhex(color)), headers=headers)


def _png(color: bytes) -> bytes:
    rows = (b"\x00" + color * SIZE) * SIZE  # 0: this row is not filtered
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)  # 8 bits for each of red, green and blue
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
