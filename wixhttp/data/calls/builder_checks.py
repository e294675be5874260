"""The check of a builder for wrong calls, made when it is run."""

from __future__ import annotations

from wixhttp.data.queries.builders import MAX_LIMIT, PagedBuilder

from .errors import InvalidQuery


def check_built(asked: PagedBuilder, what: str) -> None:
    """Raises InvalidQuery where a builder was called wrongly."""
    errors = list(asked.errors)
    collection = getattr(asked, "collection", "")
    if not isinstance(collection, str):
        errors.insert(0, "WDE0001: Collection name must be a string.")
    if asked.size is not None and asked.size > MAX_LIMIT:
        errors.append(f"WDE0036: .limit parameter must be {MAX_LIMIT} at most. [{asked.size}]")
    if errors:
        raise InvalidQuery(what, collection, errors)
