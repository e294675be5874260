"""The data hooks of the sample site: what is done to items on their way into a collection."""

from __future__ import annotations

from typing import Any

from wixhttp.data import HookContext

Item = dict[str, Any]


def books_beforeInsert(item: Item, context: HookContext) -> Item:
    """See to it that a book has a title, without spaces around it."""
    title = item.get("title")
    if not isinstance(title, str) or not title.strip():
        raise ValueError("a book has a title")
    item["title"] = title.strip()
    return item


books_beforeUpdate = books_beforeInsert
