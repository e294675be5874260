"""Edited text whose secrets were masked on the page: what was not changed is sent as it was, not as it was shown.

A page shows ``***`` for each secret. In the text that comes back each ``***`` stands for the secret that stood there,
by its order, as long as there are as many as before.
"""

from __future__ import annotations

from collections.abc import Sequence

from wixhttp.errors import HTTPError
from wixhttp.http.response import is_token

MASK = "***"

Fields = list[tuple[str, str]]


class UnknownSecret(HTTPError):
    """An edited text has another number of masks than what was shown, so that it is not clear what they stand for."""

    def __init__(self, what: str, shown: int, given: int) -> None:
        super().__init__(
            400,
            f"{what} has {given} times {MASK}, and was shown with {shown}: each stands for a secret in its order. "
            "Leave them as they are, or write what is to be sent in their place.",
        )


def unmasked(edited: str, shown: str, real: str, what: str) -> str:
    """The text that ``edited`` means, where ``real`` was shown as ``shown``.

    Raises:
        UnknownSecret: it has masks, but not as many as were shown.
    """
    if edited == shown:
        return real
    if shown == real or MASK not in edited:
        return edited
    secrets = hidden_parts(shown, real)
    pieces = edited.split(MASK)
    if secrets is None or len(pieces) != len(secrets) + 1:
        raise UnknownSecret(what, shown.count(MASK), len(pieces) - 1)
    return pieces[0] + "".join(secret + piece for secret, piece in zip(secrets, pieces[1:], strict=True))


def hidden_parts(shown: str, real: str) -> list[str] | None:
    """The parts of ``real`` that each `MASK` of ``shown`` stands for, in order; ``None`` where the texts do not fit.

    >>> hidden_parts("a=***; b=***.", "a=1; b=2.")
    ['1', '2']
    """
    first, *pieces = shown.split(MASK)
    if not real.startswith(first):
        return None
    found, position = [], len(first)
    for number, piece in enumerate(pieces, 1):
        if number == len(pieces):
            end = len(real) - len(piece)
            if end < position or not real.endswith(piece):
                return None
        elif piece:
            end = real.find(piece, position)
            if end < 0:
                return None
        else:
            end = position
        found.append(real[position:end])
        position = end + len(piece)
    return found


def unmasked_headers(edited: Fields, shown: Sequence[tuple[str, str]], real: Sequence[tuple[str, str]]) -> Fields:
    """The header fields that edited ones mean: each is compared with the one of its name that has its place among them.

    Raises:
        UnknownSecret: a field has masks, but not as many as were shown.
    """
    left: dict[str, list[tuple[str, str]]] = {}
    for (name, seen), (_, value) in zip(shown, real, strict=True):
        left.setdefault(name.lower(), []).append((seen, value))
    found = []
    for name, value in edited:
        candidates = left.get(name.lower(), [])
        same = next((pair for pair in candidates if pair[0] == value), None)
        pair = same or (candidates[0] if candidates else None)
        if pair is not None:
            candidates.remove(pair)
            value = unmasked(value, *pair, what=f"The header {name}")
        found.append((name, value))
    return found


def parse_fields(text: str) -> Fields:
    """The header fields of lines ``Name: value``; empty lines are passed over.

    Raises:
        HTTPError: 400, a line has another form.
    """
    fields = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not is_token(name):
            raise HTTPError(400, f"Line {number} of the headers is not of the form Name: value. It is {line[:80]!r}.")
        try:
            value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise HTTPError(
                400, f"Line {number} of the headers has {value[error.start]!r}, and a header is bytes; encode it."
            ) from None
        fields.append((name, value))
    return fields


def format_fields(fields: Sequence[tuple[str, str]]) -> str:
    """Header fields as lines that `parse_fields` reads."""
    return "".join(f"{name}: {value}\n" for name, value in fields)
