"""The form of API keys, by which one is told from other text and masked, and that of their names and scopes."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Collection

from wixhttp.logs.masking import mask_with
from wixhttp.messages import brief

MARK = "wixhttp_"
"""The beginning of each key, by which scanners of source code find one that was published."""
LENGTH = 43
"""Characters behind the mark: more than 255 bits."""

_ALPHABET = string.ascii_letters + string.digits
_KEY = re.compile(r"wixhttp_[A-Za-z0-9]{43}")
_LONGEST_NAME = 100  # characters, of a scope too
# The characters of a scope (RFC 6749, 3.3).
_IN_SCOPE = frozenset(map(chr, range(0x21, 0x7F))) - {'"', "\\"}


def new_key() -> str:
    """A key that nobody can guess."""
    return MARK + "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))


def is_key(text: str) -> bool:
    """Return whether a text has the form of a key."""
    return _KEY.fullmatch(text) is not None


def without_keys(text: str) -> str:
    """``text`` with all but the mark of each key in it replaced by ``***``."""
    return _KEY.sub(MARK + "***", text) if MARK in text else text


def mask_keys() -> None:
    """Have every key masked in the log, in error pages and in kept requests."""
    mask_with(without_keys)


def checked_name(name: object) -> str:
    """The name of a key.

    Raises:
        ValueError: it is empty, too long, or cannot be printed.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(
            f"the name of a key has 1 to {_LONGEST_NAME} characters that can be printed, not {brief(name)}"
        )
    return name.strip()


def checked_scopes(scopes: Collection[str], name: str = "scopes") -> frozenset[str]:
    """Scopes, each a word of ASCII without quotes and backslashes (RFC 6749, 3.3).

    Raises:
        ValueError: one is not.
    """
    if isinstance(scopes, str) or not isinstance(scopes, Collection):
        raise ValueError(f'{name} are a list of words, such as ["orders:read"], not {brief(scopes)}')
    for scope in scopes:
        if not isinstance(scope, str) or not 0 < len(scope) <= _LONGEST_NAME or not _IN_SCOPE.issuperset(scope):
            raise ValueError(
                f'{name} are words of ASCII without blanks, quotes and backslashes, such as "orders:read", not '
                f"{brief(scope)}"
            )
    return frozenset(scopes)
