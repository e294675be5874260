"""The errors of calls on collections that more than one kind of call raises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wixhttp.data.queries.builders import MAX_LIMIT, PagedBuilder
from wixhttp.errors import WixDataError
from wixhttp.messages import brief


class InvalidQuery(WixDataError):
    """A query, an aggregation or a patch was built wrongly: every fault, a line each, raised when it is run.

    ``code`` is that of the first line; ``details`` has ``WDE0020``, as Wix's client says for all of these.
    """

    def __init__(self, what: str, collection: object, errors: Sequence[str]) -> None:
        code, _, first = errors[0].partition(": ")
        super().__init__(code, first)
        self.description = "\n".join([f"Failed to perform {what} on [{collection}].", *errors])
        self.args = (self.description,)

    @property
    def details(self) -> dict[str, Any]:
        """See `WixDataError.details`."""
        made = super().details
        made["applicationError"]["code"] = "WDE0020"
        return made


def check_builder(asked: PagedBuilder, what: str) -> None:
    """Check that a builder was called rightly, when it is run.

    Raises:
        InvalidQuery: it was not; with every fault.
    """
    errors = list(asked.errors)
    collection = getattr(asked, "collection", "")
    if not isinstance(collection, str):
        errors.insert(0, "WDE0001: Collection name must be a string.")
    if asked.size is not None and asked.size > MAX_LIMIT:
        errors.append(f"WDE0036: .limit parameter must be {MAX_LIMIT} at most. [{asked.size}]")
    if errors:
        raise InvalidQuery(what, collection, errors)


class BulkError(WixDataError):
    """Why one item of a bulk call was not written: ``originalIndex`` is its place in the list, ``item`` it or its id.

    It stands in the ``errors`` of the result; what the item's error was is its ``__cause__``.
    """

    name = "BulkError"

    def __init__(self, error: Exception, index: int, item: Any) -> None:
        known = isinstance(error, WixDataError)
        super().__init__(
            error.code if isinstance(error, WixDataError) else "WDE0078",
            error.description if isinstance(error, WixDataError) else f"{type(error).__name__}: {error}",
            status=error.status if isinstance(error, WixDataError) else 400,
            data=error.data if isinstance(error, WixDataError) else None,
            original_index=index,
            item=item,
        )
        if known:
            self.args = error.args
        self.__cause__ = error

    @property
    def originalIndex(self) -> int:
        """The place of the item in the list, from 0."""
        return self.original_index or 0


class HookRecursion(WixDataError):
    """Hooks that call each other without end; neither another hook nor ``onFailure`` holds it up."""


def shown(text: str) -> str:
    """An id for a message: as it is, or as `brief` where that is long or cannot be printed."""
    return text if len(text) <= 80 and text.isprintable() else brief(text)


def no_item(collection: str, item_id: str) -> WixDataError:
    """The error for an item that is not there."""
    return WixDataError("WDE0073", f"Item [{shown(item_id)}] does not exist in collection [{collection}].", status=404)


def item_exists(item_id: str) -> WixDataError:
    """The error for an item that is there already."""
    return WixDataError("WDE0074", f"An item with _id [{shown(item_id)}] already exists.", status=409)


def duplicated(collection: str, item_id: str) -> WixDataError:
    """The error for an item that collides in a unique index."""
    return WixDataError(
        "WDE0123",
        f"Duplicated: item [{shown(item_id)}] has the same values as another one in a unique index of {collection}.",
        status=409,
    )


def condition_not_met(collection: str, item_id: str) -> WixDataError:
    """The error for a write whose ``condition`` the stored item does not meet."""
    return WixDataError(
        "WDE0178",
        f"Item [{shown(item_id)}] of {collection} does not meet the condition; it is not changed.",
        status=409,
    )
