"""Characters that a page would not show, or that would change the order of what it shows, written out."""

from __future__ import annotations

import re

# Controls but for tab, line feed and carriage return; marks that turn the direction of text; lone surrogates, which no
# page can hold. In JSON the escape says the same as the character, so that an item can be edited as it is shown.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """``text`` with each of these characters as an escape.

    >>> visible("a\\x00b\\u202ec")
    'a\\\\u0000b\\\\u202ec'
    """
    return _UNSEEN.sub(_escape, text)


def is_all_visible(text: str) -> bool:
    """Return whether a page shows a text as it is, so that a form which holds it sends it back unchanged."""
    return _UNSEEN.search(text) is None and "\r" not in text.replace("\r\n", "\n")


def cut_to(text: str, most: int) -> str:
    """A text, of one longer than ``most`` its beginning.

    >>> cut_to("abcd", 4), cut_to("abcd", 3)
    ('abcd', 'abc…')
    """
    return text if len(text) <= most else text[:most] + "…"


def cut_and_counted(text: str, most: int) -> str:
    """As `cut_to`, with the number of characters that are left out.

    >>> cut_and_counted("abcd", 3)
    'abc… 1 more characters'
    """
    return text if len(text) <= most else f"{text[:most]}… {len(text) - most} more characters"


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
