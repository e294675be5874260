"""Text made fit for a log: secrets masked, control and line-breaking characters escaped."""

from __future__ import annotations

import re
from collections.abc import Callable

_masks: list[Callable[[str], str]] = []
_USER = re.compile("[^/@:]*")  # the name of a user in front of the password
_PORT = re.compile(r"[0-9]{1,5}[/?#]")  # behind the name of a host
_PARAMETER = re.compile(r"([?&](?:ssl)?password=)[^&\s\"]*")
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
    pieces = re.split(r"(\s)", text)
    return _PARAMETER.sub(r"\1***", "".join(map(_without_password, pieces)))


def _without_password(word: str) -> str:
    """A word with ``***`` for what stands between the user's name of its first URL that has one and the last ``@``."""
    last = word.rfind("@")
    start = word.find("://")
    while 0 <= start < last:
        user = _USER.match(word, start + len("://"))
        end = user.end() if user else start
        if word[end : end + 1] == ":" and end < last and not _PORT.match(word, end + 1):
            return f"{word[: end + 1]}***{word[last:]}"
        start = word.find("://", end)
    return word
