"""The form of a request that is to be sent: filled from a kept request, or empty, and read back.

Secrets are masked in the form. What comes back unchanged is sent as it was, whatever the form could show of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from wixhttp.dev.traffic.kept_requests import KeptRequest, header
from wixhttp.dev.traffic.masks import Masks
from wixhttp.dev.traffic.snippets import HOP_BY_HOP
from wixhttp.errors import HTTPError
from wixhttp.http.response import is_token
from wixhttp.http.url import ascii_target

from .asked import Asked
from .masked_edits import MASK, Fields, format_fields, parse_fields, unmasked, unmasked_headers
from .shown_bodies import readable_text
from .visible_text import is_all_visible, visible

MOST_EDITED = 262_144
"""Bytes of a body that can be edited; a longer one is sent as it is."""


@dataclass
class RequestForm:
    """The fields of the form as they are shown. ``kept_body`` says, where the body cannot be edited, what is sent as
    long as the form has none; ``error`` is what was wrong with the form that was sent."""

    method: str = "GET"
    path: str = ""
    query: str = ""
    headers: str = ""
    body: str = ""
    kept_body: str = ""
    template: int = 0
    error: str = ""


@dataclass
class EditedRequest:
    """The request that a form means."""

    method: str
    target: str
    headers: Fields
    body: bytes


def form_of(kept: KeptRequest) -> RequestForm:
    """The form that a kept request fills."""
    masks = Masks.of(kept)
    path, query = _split(masks.target(kept.target))
    body, kept_body = _shown_body(kept)
    headers = format_fields([(name, visible(value)) for name, value in masks.headers(_own_headers(kept))])
    return RequestForm(kept.method, path, query, headers, body, kept_body, kept.id)


def _own_headers(kept: KeptRequest) -> Fields:
    """The header fields of a request that are not for whatever sends it to write."""
    return [(name, value) for name, value in kept.request_headers if name.lower() not in HOP_BY_HOP - {"host"}]


def _shown_body(kept: KeptRequest) -> tuple[str, str]:
    """The body as text to be edited, and what is said of one that is not."""
    data = kept.request_body
    if kept.is_cut:
        return "", f"The request had {kept.request_size:,} bytes, of which {len(data):,} were kept; write another body."
    if len(data) > MOST_EDITED:
        return "", f"The body of {len(data):,} bytes is sent as it is, unless another one is written here."
    text = _plain_text(kept)
    if text is None:
        return "", f"The body of {len(data):,} bytes is no text. It is sent as it is, unless another is written here."
    return text, ""


def _plain_text(kept: KeptRequest) -> str | None:
    """The body with its secrets masked; ``None`` where a form would not send it back as it is."""
    content_type = header(kept.request_headers, "content-type") or ""
    if readable_text(kept.request_body, "") is None:
        return None
    try:
        text = Masks.of(kept).body(kept.request_body, content_type).decode()
    except UnicodeDecodeError:
        return None
    return text if is_all_visible(text) else None


def sent_form(asked: Asked) -> RequestForm:
    """The form as it was sent, to be shown again."""
    return RequestForm(
        asked.field("method"), asked.field("path"), asked.field("query"), asked.lines("headers"), asked.lines("body"),
    )  # fmt: skip


def edited_request(asked: Asked, kept: KeptRequest | None) -> EditedRequest:
    """The request that the form of a request means, which was filled from ``kept``.

    Raises:
        HTTPError: 400, a field has a value that cannot be sent.
    """
    method = asked.field("method").strip().upper()
    if not is_token(method):
        raise HTTPError(400, f"A method is one word such as GET. It is {method[:40]!r}.")
    path, query = asked.field("path").strip(), asked.field("query").strip().removeprefix("?")
    target = f"{path}?{query}" if query else path
    fields = parse_fields(asked.lines("headers"))
    body = asked.lines("body")
    if kept is None:
        if asked.field("template") not in ("", "0") and MASK in asked.field("headers") + body + target:
            raise HTTPError(409, f"The request that filled this form is kept no longer; write what {MASK} stands for.")
        return EditedRequest(method, _sendable(target), fields, body.encode())
    masks = Masks.of(kept)
    before = masks.target(kept.target)
    if (path, query) == _split(before):
        target = kept.target
    else:
        target = _sendable(unmasked(target, before, kept.target, "The URL"))
    real = _own_headers(kept)
    shown = [(name, visible(value)) for name, value in masks.headers(real)]
    return EditedRequest(method, target, unmasked_headers(fields, shown, real), _edited_body(body, kept))


def _split(target: str) -> tuple[str, str]:
    path, _, query = target.partition("?")
    return path, query


def _sendable(target: str) -> str:
    """A target as it goes over the wire: spaces and other characters than ASCII are percent-encoded."""
    if not target.startswith("/"):
        raise HTTPError(400, f"A path begins with a slash. It is {target[:80]!r}.")
    if any(character < " " or character == "\x7f" for character in target):
        raise HTTPError(400, "A URL has no control characters; write %0A for a line feed.")
    return ascii_target(target.replace(" ", "%20").encode("utf-8", "surrogatepass"))


def _edited_body(edited: str, kept: KeptRequest) -> bytes:
    """The bytes that an edited text means: those of the kept body where it is unchanged."""
    real = kept.request_body
    shown, kept_text = _shown_body(kept)
    if kept.is_cut and not edited:
        raise HTTPError(
            400, "The body was too long to be kept as a whole, so that it cannot be sent again; write another."
        )
    if kept_text:
        return edited.encode() if edited else real
    if edited == shown.replace("\r\n", "\n"):
        return real
    if "\r\n" in shown and "\n" not in shown.replace("\r\n", ""):
        edited = edited.replace("\n", "\r\n")
    return unmasked(edited, shown, real.decode(), "The body").encode()
