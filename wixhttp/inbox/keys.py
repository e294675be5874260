"""Keys of an order, and values for which repeats are known (dedup)."""

from __future__ import annotations


def key_text(value: object, name: str) -> str | None:
    """A key as text; ``None`` for ``None`` and for no text. ``name`` begins the message.

    Raises:
        TypeError: it is neither text nor a whole number.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{name} is text, a whole number or None, not {value!r}")
    return str(value)
