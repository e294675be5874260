"""The people of the sample: a list stands where a real site would ask its database."""

from __future__ import annotations

from typing import Any

PEOPLE: list[dict[str, Any]] = [
    {"firstName": "Ada", "lastName": "Lovelace", "born": 1815},
    {"firstName": "Grace", "lastName": "Hopper", "born": 1906},
    {"firstName": "John", "lastName": "Doe", "born": None},
]


def find_people(first: str | None, last: str | None) -> list[dict[str, Any]]:
    """Everybody of that first and last name."""
    return [person for person in PEOPLE if person["firstName"] == first and person["lastName"] == last]
