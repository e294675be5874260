"""The options of a call: Wix's names, checked, and their meaning in each of the two APIs.

Velo's API (``wix-data``) may lift permissions by ``suppressAuth`` and counts unless told otherwise; that of
``@wix/data`` knows `wixhttp.auth.elevate` instead, and counts when it is told to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from wixhttp.data.queries.builders import MAX_LIMIT, Filter, Include
from wixhttp.data.queries.filters import parse_filter
from wixhttp.data.queries.tree import EVERYTHING, FieldPath, Tree, parse_path
from wixhttp.data.stores.contract import Transaction
from wixhttp.errors import WixDataError
from wixhttp.messages import brief


@runtime_checkable
class CarriedJob(Protocol):
    """A job that a write of collections stores in its own transaction, by the option ``enqueue``."""

    @property
    def order(self) -> str:
        """Its place among the jobs of a write, which are stored in the order of this text: what they lock is then
        locked by all writes in one order."""

    def add_to(self, transaction: Transaction) -> None:
        """Store the job. It is called again where the transaction is."""

    def after_commit(self) -> None:
        """Learn that what `add_to` did the last time is on disk."""


@dataclass(frozen=True)
class Options:
    """The checked options of one call. ``is_velo`` says whose defaults hold."""

    values: Mapping[str, Any] = field(default_factory=dict)
    is_velo: bool = True

    @property
    def suppresses_auth(self) -> bool:
        """Return whether the permissions of collections do not matter; only Velo's API can ask for it."""
        return self.is_velo and self.values.get("suppressAuth") is True

    @property
    def suppresses_hooks(self) -> bool:
        """Return whether no hook runs."""
        return self.values.get("suppressHooks") is True

    @property
    def counts(self) -> bool:
        """Return whether a result has the total of what is selected."""
        default = self.is_velo and not self.values.get("omitTotalCount")
        asked = self.values.get("returnTotalCount")
        return default if asked is None else bool(asked)

    @property
    def saves_references(self) -> bool:
        """Return whether references to many items may stand in a written item."""
        return self.values.get("saveReferences") is True

    @property
    def overrides(self) -> bool:
        """Return whether an insert replaces the item that has the same ``_id``."""
        return self.values.get("overrideExisting") is True

    @property
    def carried(self) -> tuple[CarriedJob, ...]:
        """The jobs that the write stores, in the same commit."""
        given = self.values.get("enqueue")
        return () if given is None else tuple(given) if isinstance(given, list | tuple) else (given,)

    @property
    def condition(self) -> Tree:
        """The condition that a stored item must meet to be written."""
        return _tree(self.values.get("condition"))

    @property
    def filter(self) -> Tree:
        """The filter of a count or of distinct values."""
        return _tree(self.values.get("filter"))

    @property
    def fields(self) -> tuple[FieldPath, ...]:
        """The paths that a read is limited to; empty: all."""
        return tuple(parse_path(name) for name in self.values.get("fields") or ())

    @property
    def includes(self) -> tuple[Include, ...]:
        """The references that are replaced by their items."""
        return tuple(
            Include(each) if isinstance(each, str) else Include(each["field"], each.get("limit", Include.limit))
            for each in self.values.get("includeReferences") or ()
        )

    @property
    def descending(self) -> bool:
        """Return whether ``order`` is from the last to the first."""
        return str(self.values.get("order") or "asc").lower() == "desc"

    @property
    def skip(self) -> int:
        """The number of results to leave out."""
        return int(self.values.get("skip") or 0)

    @property
    def limit(self) -> int | None:
        """The largest number of results; ``None``: the default."""
        return self.values.get("limit")


_COMMON = "suppressAuth suppressHooks consistentRead appOptions language showDrafts"
_COUNTED = f"{_COMMON} omitTotalCount returnTotalCount"

KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: tuple(keys.split())
        for name, keys in {
            "get": f"{_COMMON} fields includeReferences includeFieldGroups",
            "find": _COUNTED,
            "aggregate": _COUNTED,
            "count": f"{_COMMON} filter",
            "distinct": f"{_COUNTED} filter order skip limit",
            "queryReferenced": f"{_COUNTED} order skip limit",
            "queryReferencedItems": f"{_COUNTED} order skip limit",
            "insert": f"{_COMMON} saveReferences enqueue",
            "update": f"{_COMMON} saveReferences condition enqueue",
            "save": f"{_COMMON} saveReferences enqueue",
            "remove": f"{_COMMON} condition enqueue",
            "patch": f"{_COMMON} condition enqueue",
            "bulkInsert": f"{_COMMON} saveReferences overrideExisting enqueue",
            "bulkUpdate": f"{_COMMON} saveReferences condition enqueue",
            "bulkSave": f"{_COMMON} saveReferences enqueue",
            "bulkRemove": f"{_COMMON} condition enqueue",
            "bulkPatch": f"{_COMMON} condition",
            "truncate": _COMMON,
            "isReferenced": _COMMON,
            "insertReference": _COMMON,
            "removeReference": _COMMON,
            "replaceReferences": _COMMON,
        }.items()
    }
)
"""The options that each function takes."""


def parse_options(
    function: str,
    options: Mapping[str, Any] | None,
    keywords: Mapping[str, Any] | None = None,
    *,
    is_velo: bool = True,
) -> Options:
    """The options of a call of ``function``; what is among ``keywords`` wins. ``None`` as a value is not given.

    Raises:
        WixDataError: WDE0018, they are no dict, one is unknown, or its value is of the wrong type; a filter that is
            wrong has its own code.
    """
    if options is not None and not isinstance(options, Mapping):
        raise WixDataError("WDE0018", f"The options of {function} are a dict or None, not {brief(options)}.")
    values = {**(options or {}), **(keywords or {})}
    allowed = KNOWN[function]
    for key, value in values.items():
        if key not in allowed:
            raise WixDataError("WDE0018", f"{key!r} is no option of {function}; its options are {', '.join(allowed)}.")
        rule, test = _RULES.get(key, _BOOLEAN)
        if value is not None and not test(value):
            raise WixDataError("WDE0018", f"The option {key!r} of {function} is {rule}, not {brief(value)}.")
    return Options(values, is_velo)


def _tree(condition: Any) -> Tree:
    """The tree of a condition, a filter or its JSON form.

    Raises:
        WixDataError: it has an error.
    """
    if condition is None:
        return EVERYTHING
    if not isinstance(condition, Filter):
        return parse_filter(condition)
    if condition.errors:
        code, _, text = condition.errors[0].partition(": ")
        raise WixDataError(code, text)
    return condition.tree


def _is_whole(least: int, most: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _are_fields(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_field, value))


def _is_field(value: Any) -> bool:
    try:
        parse_path(value)
    except ValueError:
        return False
    return True


def _are_includes(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        _is_field(each)
        if isinstance(each, str)
        else isinstance(each, Mapping)
        and set(each) <= {"field", "limit"}
        and _is_field(each.get("field"))
        and _is_whole(1, MAX_LIMIT)(each.get("limit", 1))
        for each in value
    )


_Rule = tuple[str, Callable[[Any], bool]]
_BOOLEAN: _Rule = ("True or False", lambda value: isinstance(value, bool))
_FILTER: _Rule = ("a filter or a dict", lambda value: isinstance(value, Filter | Mapping))
_RULES: Mapping[str, _Rule] = {
    "enqueue": (
        "a job to be stored, or a list of them, as wixhttp.inbox makes them",
        lambda value: all(
            isinstance(each, CarriedJob) for each in (value if isinstance(value, list | tuple) else [value])
        ),
    ),
    "language": ("text that is not empty", lambda value: isinstance(value, str) and bool(value)),
    "appOptions": ("a dict", lambda value: isinstance(value, Mapping)),
    "fields": ("a list of names of fields", _are_fields),
    "includeFieldGroups": (
        "a list of text",
        lambda value: isinstance(value, list | tuple) and all(isinstance(each, str) for each in value),
    ),
    "includeReferences": (f'a list of {{"field": name, "limit": 1 to {MAX_LIMIT}}}', _are_includes),
    "condition": _FILTER,
    "filter": _FILTER,
    "order": (
        "'asc' or 'desc'",
        lambda value: isinstance(value, str) and value.lower() in ("asc", "desc"),
    ),
    "skip": ("a whole number from 0", _is_whole(0, 2**62)),
    "limit": (f"a whole number from 1 to {MAX_LIMIT}", _is_whole(1, MAX_LIMIT)),
}
