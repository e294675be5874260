"""Bodies for a page: as a JSON tree, form fields, parts, text, an image or a hex dump, each of a bounded size."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field

from wixhttp.dev.traffic.kept_requests import KeptRequest, header
from wixhttp.dev.traffic.masks import MASK, Masks, is_secret_parameter
from wixhttp.errors import HTTPError, InvalidJSON
from wixhttp.http.charsets import decode_text
from wixhttp.http.forms import FormData, parse_form
from wixhttp.http.json_codec import decode_json

from .json_tree import TreeRow, tree_rows
from .visible_text import cut_and_counted

IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"})
"""Types that a page shows as images: those that run no script. SVG is text."""

MOST_TEXT = 65_536
"""Characters of a body that a page shows."""

_MOST_HEX = 4_096  # bytes of a dump
_MOST_FIELDS = 200  # of a form
_MOST_VALUE = 4_000  # characters of one of them
_MOST_UNPACKED = 1_048_576  # bytes that a compressed body is unpacked to
_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 47}  # window bits, with which zlib reads the header
_JSON_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json|text/json", re.IGNORECASE)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass
class ShownField:
    """A field of a form or a part of a multipart body; of a file ``file`` is its name, ``type`` what it was sent as."""

    name: str
    value: str
    file: str | None = None
    type: str = ""
    size: int = 0


@dataclass
class ShownBody:
    """A body as a page shows it. ``side`` is ``request`` or ``response``; ``kind`` is empty, json, form, text, image or
    hex; ``size`` the true size in bytes, ``kept`` how many there are. ``notes`` say what is not as it was sent."""

    side: str
    content_type: str
    size: int
    kept: int
    kind: str = "empty"
    notes: list[str] = field(default_factory=list)
    tree: list[TreeRow] = field(default_factory=list)
    fields: list[ShownField] = field(default_factory=list)
    text: str = ""


def shown_body(kept: KeptRequest, side: str) -> ShownBody:
    """One body of a kept request, ``request`` or ``response``, as its page shows it."""
    is_request = side == "request"
    fields = kept.request_headers if is_request else kept.response_headers
    data = kept.request_body if is_request else kept.response_body
    size = kept.request_size if is_request else kept.response_size
    body = ShownBody(side, header(fields, "content-type") or "", size, len(data))
    if not data:
        announced = header(fields, "content-length") or ""
        if is_request and announced.strip("0") and not size:
            body.notes.append(f"It was answered before its body of {announced} bytes was read.")
        return body
    is_whole = size <= len(data)
    if not is_whole:
        body.notes.append(f"The first {len(data):,} of {size:,} bytes were kept.".replace(",", " "))
    coding = (header(fields, "content-encoding") or "").strip().lower()
    if coding in _CODINGS:
        data, is_whole = _unpacked(data, _CODINGS[coding], body, is_whole)
    _show(body, data, is_whole, Masks.of(kept))
    return body


def _show(body: ShownBody, data: bytes, is_whole: bool, masks: Masks) -> None:
    """Show bytes by their content type, else by what they look like."""
    essence = body.content_type.partition(";")[0].strip().lower()
    if essence in IMAGE_TYPES and is_whole:
        body.kind = "image"
        return
    if is_whole and essence in ("application/x-www-form-urlencoded", "multipart/form-data"):
        try:
            form = parse_form(data, body.content_type)
        except HTTPError as error:
            body.notes.append(f"It cannot be read as a form: {error.detail}")
        else:
            body.kind = "form"
            _show_form(body, form, masks)
            if essence.startswith("multipart"):
                return
    text = readable_text(data, body.content_type)
    if text is None:
        body.kind = "hex"
        body.text = hex_dump(masks.body(data[:_MOST_HEX]))
        if len(data) > _MOST_HEX:
            body.notes.append(f"The dump has the first {_MOST_HEX:,} bytes.".replace(",", " "))
        return
    if body.kind == "empty":
        body.kind = "text"
        if is_whole and (_JSON_TYPE.fullmatch(essence) or text.lstrip()[:1] in ("{", "[")):
            _show_json(body, data, masks, is_meant=bool(_JSON_TYPE.fullmatch(essence)))
    if essence == "application/x-www-form-urlencoded":
        text = masks.body(text.encode(), essence).decode()
    _show_text(body, text, masks)


def _show_text(body: ShownBody, text: str, masks: Masks) -> None:
    if len(text) > MOST_TEXT:
        body.notes.append(f"The text has the first {MOST_TEXT:,} of {len(text):,} characters.".replace(",", " "))
    body.text = masks.text(text[: MOST_TEXT + 1_000])[:MOST_TEXT]


def _show_json(body: ShownBody, data: bytes, masks: Masks, *, is_meant: bool) -> None:
    try:
        value = decode_json(data)
    except InvalidJSON as error:
        if is_meant:
            body.notes.append(f"It cannot be read as JSON: {error}")
        return
    if isinstance(value, dict | list):
        body.kind = "json"
        body.tree = tree_rows(value, masks.text)


def _show_form(body: ShownBody, form: FormData, masks: Masks) -> None:
    for name, value in list(form)[:_MOST_FIELDS]:
        if isinstance(value, str):
            text = MASK if value and is_secret_parameter(name) else masks.text(value)
            body.fields.append(
                ShownField(
                    masks.text(name), cut_and_counted(text, _MOST_VALUE), size=len(value.encode("utf-8", "replace"))
                )
            )
        else:
            content = value.bytes()
            readable = readable_text(content, value.type)
            shown = (
                hex_dump(masks.body(content[:256]))
                if readable is None
                else cut_and_counted(masks.text(readable), _MOST_VALUE)
            )
            body.fields.append(ShownField(masks.text(name), shown, value.name, value.type, value.size))
    if len(form) > _MOST_FIELDS:
        body.notes.append(f"These are the first {_MOST_FIELDS} of {len(form)} fields.")


def _unpacked(data: bytes, bits: int, body: ShownBody, is_whole: bool) -> tuple[bytes, bool]:
    unpacker = zlib.decompressobj(bits)
    try:
        unpacked = unpacker.decompress(data, _MOST_UNPACKED)
    except zlib.error:
        body.notes.append("It cannot be unpacked as its Content-Encoding says.")
        return data, is_whole
    body.notes.append(f"It is shown unpacked; it was sent with {len(data):,} bytes.".replace(",", " "))
    return unpacked, is_whole and not unpacker.unconsumed_tail


def readable_text(data: bytes, content_type: str) -> str | None:
    """The text of a body; ``None`` where it is none: of another type, and no UTF-8, or with controls."""
    if content_type.lower().startswith("text/") and b"\x00" not in data:
        return decode_text(data, content_type)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        # What was cut may end inside a character.
        if error.start < len(data) - 3 or error.reason != "unexpected end of data":
            return None
        text = data[: error.start].decode("utf-8")
    return None if _CONTROLS.search(text) else text


def hex_dump(data: bytes) -> str:
    """Bytes as lines of offset, sixteen values and their ASCII characters.

    >>> hex_dump(b"\\x00ab")
    '00000000  00 61 62                                          .ab'
    """
    lines = []
    for start in range(0, len(data), 16):
        part = data[start : start + 16]
        values = " ".join(f"{byte:02x}" for byte in part)
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {values:<48}  {letters}")
    return "\n".join(lines)
