"""The ids of items: text of 1 to 512 characters."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from wixhttp.data.queries.values import UNWRITABLE
from wixhttp.errors import WixDataError
from wixhttp.messages import brief

MAX_ID = 512


def new_id() -> str:
    """An id that no item has."""
    return str(uuid.uuid4())


def is_id(value: object) -> bool:
    """Return whether an item can have this id."""
    return isinstance(value, str) and 0 < len(value) <= MAX_ID and not UNWRITABLE.search(value)


def checked_id(value: object) -> str:
    """An id as plain text.

    Raises:
        WixDataError: WDE0002, it is no text.
    """
    if not isinstance(value, str):
        raise WixDataError("WDE0002", f"ItemId must be a string. It is {brief(value)}.")
    return str.__str__(value)  # what a member of an Enum holds, whose str() is its name


def written_id(item: Mapping[str, Any], action: str) -> str | None:
    """The id that an item to be written has, or ``None``.

    Raises:
        WixDataError: WDE0007, it is no id.
    """
    if "_id" not in item:
        return None
    value = item["_id"]
    if not isinstance(value, str) or not value:
        name = {"insert": "Inserted", "save": "Saved"}.get(action, "Updated")
        raise WixDataError(
            "WDE0007", f"Invalid {action}. {name} object must have a string _id property. [{brief(value)}]"
        )
    if not is_id(value):
        raise WixDataError(
            "WDE0007",
            f"Invalid {action}. An _id has {MAX_ID} characters at most, no NUL and no lone surrogate. [{brief(value)}]",
        )
    return str.__str__(value)


def reference_ids(value: object, code: str) -> list[str]:
    """The ids of a reference: an id, an item, or a list of these; each once.

    Raises:
        WixDataError: with ``code``, it is something else.
    """
    found: dict[str, None] = {}
    for each in value if isinstance(value, list | tuple) else [value]:
        item_id = each.get("_id") if isinstance(each, Mapping) else each
        if not isinstance(item_id, str) or not is_id(item_id):
            raise WixDataError(code, f"A reference is an item with an _id, or an _id, not {brief(each)}.")
        found[str.__str__(item_id)] = None
    return list(found)
