"""The books of the sample, in memory."""

from __future__ import annotations

import itertools
from typing import Any

Book = dict[str, Any]

_numbers = itertools.count(4)
_books: dict[str, Book] = {
    "1": {"id": "1", "title": "The Left Hand of Darkness", "author": "Ursula K. Le Guin", "year": 1969},
    "2": {"id": "2", "title": "Solaris", "author": "Stanisław Lem", "year": 1961},
    "3": {"id": "3", "title": "The Dispossessed", "author": "Ursula K. Le Guin", "year": 1974},
}


def find(author: str | None = None) -> list[Book]:
    """The books of an author, or all, in the order in which they were added. A book need not have an author."""
    return [book for book in list(_books.values()) if author is None or book.get("author") == author]


def get(number: str | None) -> Book | None:
    """One book."""
    return _books.get(number or "")


def insert(item: Book) -> Book:
    """Add a book; it gets its id here."""
    number = str(next(_numbers))
    _books[number] = {**item, "id": number}
    return _books[number]


def update(number: str | None, item: Book) -> Book | None:
    """Put ``item`` in the place of a book that is there."""
    if number is None or number not in _books:
        return None
    _books[number] = {**item, "id": number}
    return _books[number]


def remove(number: str | None) -> Book | None:
    """Take a book out; gives it back, or ``None`` where there was none."""
    return _books.pop(number or "", None)
