"""Changes of single fields of an item, and what they do to it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wixhttp.data.queries.evaluator import equal, whole
from wixhttp.data.queries.tree import FieldPath
from wixhttp.errors import WixDataError
from wixhttp.messages import brief

from .errors import shown

ACTIONS = {
    "SET_FIELD": "setFieldOptions",
    "INCREMENT_FIELD": "incrementFieldOptions",
    "APPEND_TO_ARRAY": "appendToArrayOptions",
    "REMOVE_FROM_ARRAY": "removeFromArrayOptions",
    "REMOVE_FIELD": "",
}
"""The actions of modifications, each with the member that has its value: Wix's names."""


@dataclass(frozen=True)
class Modification:
    """One change of one field; ``action`` is one of `ACTIONS`."""

    action: str
    path: FieldPath
    value: Any = None


def modify(item: dict[str, Any], modifications: Sequence[Modification]) -> None:
    """Make the changes in an item, in order.

    Raises:
        WixDataError: WDE0075, a field holds what cannot be changed so.
    """
    for each in modifications:
        create = each.action not in ("REMOVE_FIELD", "REMOVE_FROM_ARRAY")
        holder = _holder(item, each.path, create=create)
        if holder is not None:
            _CHANGES[each.action](holder, each)


class _Place:
    """A member of an object, or an element of an array."""

    def __init__(self, holder: Any, path: FieldPath) -> None:
        self._holder = holder
        self._key: Any = path[-1]
        if isinstance(holder, list):
            place = whole(path[-1])
            if place is None or place > len(holder):
                raise _cannot(path, holder, f"its elements are 0 to {len(holder) - 1}, and {len(holder)} is the next")
            self._key = place
        elif not isinstance(holder, dict):
            raise _cannot(path, holder, "only objects and arrays have fields")

    def get(self) -> Any:
        if isinstance(self._holder, list):
            return self._holder[self._key] if self._key < len(self._holder) else None
        return self._holder.get(self._key)

    def set(self, value: Any) -> None:
        if isinstance(self._holder, list) and self._key == len(self._holder):
            self._holder.append(value)
        else:
            self._holder[self._key] = value

    def remove(self) -> None:
        if isinstance(self._holder, dict):
            self._holder.pop(self._key, None)
        elif self._key < len(self._holder):
            del self._holder[self._key]


def _holder(item: dict[str, Any], path: FieldPath, *, create: bool) -> _Place | None:
    holder: Any = item
    for depth in range(1, len(path)):
        place = _Place(holder, path[:depth])
        holder = place.get()
        if holder is None:
            if not create:
                return None
            holder = {}
            place.set(holder)
    return _Place(holder, path)


def _own(value: Any) -> Any:
    """A value for one item: what is changed in the item later must not change the modification, which is made again."""
    return copy.deepcopy(value)


def _increment(place: _Place, each: Modification) -> None:
    value = place.get()
    if value is None:
        value = 0
    if not is_number(value):
        raise _cannot(each.path, value, "incrementField adds to a number; set it with setField")
    total = value + each.value
    if isinstance(total, float) and not math.isfinite(total):
        raise _cannot(each.path, value, "the sum is not finite")
    place.set(total)


def _append(place: _Place, each: Modification) -> None:
    value = place.get()
    if value is None:
        place.set([_own(each.value)])
    elif isinstance(value, list):
        value.append(_own(each.value))
    else:
        raise _cannot(each.path, value, "appendToArray adds to an array; set it with setField")


def _remove_from(place: _Place, each: Modification) -> None:
    value = place.get()
    if value is None:
        return
    if not isinstance(value, list):
        raise _cannot(each.path, value, "removeFromArray takes from an array; set it with setField")
    for index, element in enumerate(value):
        if equal(element, each.value):
            del value[index]
            return


_CHANGES: Mapping[str, Callable[[_Place, Modification], None]] = {
    "SET_FIELD": lambda place, each: place.set(_own(each.value)),
    "INCREMENT_FIELD": _increment,
    "APPEND_TO_ARRAY": _append,
    "REMOVE_FROM_ARRAY": _remove_from,
    "REMOVE_FIELD": lambda place, each: place.remove(),
}


def is_number(value: Any) -> bool:
    """Return whether a value is one that numbers are added to."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cannot(path: FieldPath, value: Any, rule: str) -> WixDataError:
    return WixDataError(
        "WDE0075", f"{shown('.'.join(path))} cannot be changed: {brief(value)} ({type(value).__name__}): {rule}."
    )
