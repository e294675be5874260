"""Text made fit for a log: secrets masked, control and line-breaking characters escaped."""

from __future__ import annotations

import re
from collections.abc import Callable

_masks: list[Callable[[str], str]] = []
_PASSWORD = re.compile(r"(://[^/@\s:]*:)\S*@|([?&](?:ssl)?password=)[^&\s\"]*")
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029",
}  # fmt: skip


def mask_with(mask: Callable[[str], str]) -> None:
    """Have every line pass through ``mask`` before it is written. Called by `wixhttp.secrets`."""
    if mask not in _masks:
        _masks.append(mask)


def masked(text: str) -> str:
    """``text`` without the secrets that are known."""
    for mask in _masks:
        text = mask(text)
    return text


def escaped(text: str) -> str:
    """``text`` with its control and line-breaking characters written out.

    >>> escaped("a\\r\\nb")
    'a\\\\r\\\\nb'
    """
    return text if text.isprintable() else text.translate(_CONTROLS)


def masked_url(text: str) -> str:
    """``text`` with ``***`` for the password of a URL in it.

    >>> masked_url("postgresql://ada:p@ss@host/db?sslpassword=word&x=1")
    'postgresql://ada:***@host/db?sslpassword=***&x=1'
    """
    return _PASSWORD.sub(lambda match: f"{match[1]}***@" if match[1] else f"{match[2]}***", text)
