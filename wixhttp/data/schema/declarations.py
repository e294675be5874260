"""The declarations in ``data/collections.toml``: permissions, indexes, references.

    [books]
    displayName = "Books"
    permissions = "public-content"        # a preset, or {read = "ANYONE", insert = "ADMIN", ...}; without: open
    indexes = [{fields = ["author", "-year"]}, {fields = ["isbn"], unique = true}]    # "-": descending

    [books.references.author]             # the field holds an id of people
    collection = "people"

    [books.references.genres]             # links to any number of genres, kept outside of the item
    collection = "genres"
    many = true
    reverse = "books"                     # the field of genres that shows the same links from there

    [books.fields]                        # of CSV files: what a column holds, and its heading where that is another
    title = "text"
    inStock = {type = "number", column = "In Stock"}

    [people]
    [genres]

A name with another character than letters, digits, ``_`` and ``-`` stands in quotes: ``["Stores/Products"]``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wixhttp.data.queries.tree import Order, parse_path
from wixhttp.data.stores.contract import SYSTEM_FIELDS, Index, Link, Store
from wixhttp.errors import ConfigError
from wixhttp.messages import nearest
from wixhttp.project.toml_file import line_of, parse_toml, read_toml, table_header

FILE = "data/collections.toml"
LEVELS = ("ANYONE", "SITE_MEMBER", "SITE_MEMBER_AUTHOR", "CMS_EDITOR", "PRIVILEGED", "ADMIN")
ACTIONS = ("read", "insert", "update", "remove")

COLLECTION_NAME = re.compile(r"[A-Za-z0-9_@/-]{1,128}")
FIELD_TYPES = ("text", "number", "boolean", "date", "json")

_COLLECTION_KEYS = ("displayName", "permissions", "indexes", "references", "fields")
_FIELD_KEYS = ("type", "column")
_INDEX_KEYS = ("fields", "unique")
_REFERENCE_KEYS = ("collection", "many", "reverse")


@dataclass(frozen=True)
class Permissions:
    """Permissions of a collection: a level of `LEVELS` for each action. Whoever is above a level may as well."""

    read: str
    insert: str
    update: str
    remove: str


PRESETS: Mapping[str, Permissions] = MappingProxyType(
    {
        "public-content": Permissions("ANYONE", "ADMIN", "ADMIN", "ADMIN"),
        "form-submissions": Permissions("ADMIN", "ANYONE", "ADMIN", "ADMIN"),
        "member-content": Permissions("ANYONE", "SITE_MEMBER", "SITE_MEMBER_AUTHOR", "SITE_MEMBER_AUTHOR"),
        "member-private": Permissions("SITE_MEMBER_AUTHOR", "SITE_MEMBER", "SITE_MEMBER_AUTHOR", "SITE_MEMBER_AUTHOR"),
        "private": Permissions("ADMIN", "ADMIN", "ADMIN", "ADMIN"),
    }
)
"""The permissions that have a name of their own."""


@dataclass(frozen=True)
class Reference:
    """A field that refers to items of ``collection``: by the id in it, or, ``many``, by links beside the item.

    ``reverse`` is the field of that collection that shows the same links from there, where there is one.
    """

    field: str
    collection: str
    many: bool = False
    reverse: str | None = None


@dataclass(frozen=True)
class DeclaredField:
    """A field as CSV files have it: ``type``, of `FIELD_TYPES`, is what its cells hold, ``column`` is the heading of
    its column; each ``None`` where that is not declared. Items are not held to it."""

    type: str | None = None
    column: str | None = None


@dataclass(frozen=True)
class CollectionSchema:
    """A collection. ``permissions`` is ``None`` where it is open; ``references`` and ``fields`` are by name."""

    name: str
    display_name: str = ""
    permissions: Permissions | None = None
    indexes: tuple[Index, ...] = ()
    references: Mapping[str, Reference] = field(default_factory=dict)
    fields: Mapping[str, DeclaredField] = field(default_factory=dict)


def load_schema(root: Path) -> Mapping[str, CollectionSchema]:
    """The declared collections of a project, by name, in the order of the file; none without the file.

    Raises:
        ConfigError: the file is not TOML, a key is not known, a value has the wrong type, names no level, no preset, no
            field, or no declared collection, or two references claim one field. Names file and line.
    """
    text, table = read_toml(root / FILE, FILE)
    return _schema(text, table)


def parse_schema(text: str) -> Mapping[str, CollectionSchema]:
    """The collections that the text of such a file declares. Raises as `load_schema`.

    >>> parse_schema('[books]\\npermissions = "public-content"')["books"].permissions.read
    'ANYONE'
    """
    return _schema(text, parse_toml(text, FILE))


def site_collections(store: Store) -> dict[str, tuple[Index, ...]]:
    """The collections that the site's code can reach, with their indexes; sessions are kept beside them."""
    return {name: indexes for name, indexes in store.collections().items() if COLLECTION_NAME.fullmatch(name)}


class _WrongError(Exception):
    """A rule that the value at ``key`` breaks."""

    def __init__(self, key: tuple[str, ...], rule: str) -> None:
        super().__init__(rule)
        self.key = key


def _schema(text: str, table: dict[str, Any]) -> Mapping[str, CollectionSchema]:
    try:
        found = {name: _collection(name, value) for name, value in table.items()}
        for schema in found.values():
            for reference in schema.references.values():
                _check_target(found, schema, reference)
        _check_reverses(found)
        return MappingProxyType(found)
    except _WrongError as error:
        place = ".".join(error.key)
        raise ConfigError(f"{FILE}:{line_of(text, error.key)}: {place}: {error}") from None


def _collection(name: str, value: object) -> CollectionSchema:
    if not COLLECTION_NAME.fullmatch(name):
        raise _WrongError(
            (name,), f"the name of a collection is 1 to 128 letters, digits, '_', '-', '@' and '/', not {name!r}"
        )
    table = _table((name,), value, _COLLECTION_KEYS, "a key of a collection")
    display_name = _typed((name, "displayName"), table.get("displayName", name), str, "text")
    permissions = _permissions((name, "permissions"), table["permissions"]) if "permissions" in table else None
    references = _typed((name, "references"), table.get("references", {}), dict, "a table")
    return CollectionSchema(
        name,
        display_name,
        permissions,
        _indexes((name, "indexes"), table.get("indexes", [])),
        MappingProxyType({key: _reference((name, "references", key), each) for key, each in references.items()}),
        MappingProxyType(_fields((name, "fields"), table.get("fields", {}), references)),
    )


def _permissions(key: tuple[str, ...], value: object) -> Permissions:
    if isinstance(value, str):
        if value in PRESETS:
            return PRESETS[value]
        raise _WrongError(key, f"{value!r} is no preset; {nearest(value, PRESETS)}")
    table = _table(key, value, ACTIONS, "an action", f"a table of {', '.join(ACTIONS)}, or a preset in quotes")
    levels = {}
    for action in ACTIONS:
        place = (*key, action)
        if action not in table:
            raise _WrongError(key, f"{action} is missing; say who may, such as {action} = 'ADMIN'")
        level = _typed(place, table[action], str, "a level")
        if level not in LEVELS:
            raise _WrongError(place, f"{level!r} is no level; {nearest(level, LEVELS)}")
        if (action, level) == ("insert", "SITE_MEMBER_AUTHOR"):
            raise _WrongError(place, "an item has no author before it is inserted; write 'SITE_MEMBER'")
        levels[action] = level
    return Permissions(**levels)


def _indexes(key: tuple[str, ...], value: object) -> tuple[Index, ...]:
    indexes: list[Index] = []
    for number, each in enumerate(_typed(key, value, list, "a list of tables such as {fields = ['year']}")):
        place = (*key[:-1], f"{key[-1]}[{number}]")
        try:
            index = _index(place, each)
        except _WrongError as error:
            # For the line: a list has one line for all that is in it, as far as the scan sees.
            raise _WrongError(key, f"index {number + 1}: {error}") from None
        if index.fields in [other.fields for other in indexes]:
            raise _WrongError(key, f"index {number + 1}: the same fields have an index already; keep one")
        indexes.append(index)
    return tuple(indexes)


def _index(key: tuple[str, ...], value: object) -> Index:
    table = _table(key, value, _INDEX_KEYS, "a key of an index", "a table such as {fields = ['year'], unique = false}")
    names = _typed(key, table.get("fields", []), list, "a list of names of fields", "fields ")
    unique = _typed(key, table.get("unique", False), bool, "true or false", "unique ")
    if not names:
        raise _WrongError(key, "fields names no field; write fields = ['year'], or ['-year'] for descending")
    orders = []
    for name in names:
        try:
            orders.append(Order(parse_path(name.removeprefix("-") if isinstance(name, str) else name), _falls(name)))
        except ValueError as error:
            raise _WrongError(key, str(error)) from None
    if len({order.path for order in orders}) < len(orders):
        raise _WrongError(key, f"fields names a field twice: {names!r}; name each once")
    return Index(tuple(orders), unique)


def _falls(name: object) -> bool:
    return isinstance(name, str) and name.startswith("-")


def _reference(key: tuple[str, ...], value: object) -> Reference:
    name = key[-1]
    _check_field(key, name)
    table = _table(key, value, _REFERENCE_KEYS, "a key of a reference")
    if "collection" not in table:
        raise _WrongError(key, "collection is missing; name the collection that it refers to")
    collection = _typed((*key, "collection"), table["collection"], str, "the name of a collection")
    many = _typed((*key, "many"), table.get("many", False), bool, "true or false")
    reverse = table.get("reverse")
    if reverse is not None:
        place = (*key, "reverse")
        _check_field(place, _typed(place, reverse, str, "the name of a field"))
        if not many:
            raise _WrongError(place, "only links have a reverse; add many = true, or query the other collection")
    return Reference(name, collection, many, reverse)


def _fields(key: tuple[str, ...], value: object, references: Mapping[str, Any]) -> dict[str, DeclaredField]:
    table: dict[str, Any] = _typed(key, value, dict, "a table such as {price = 'number'}")
    fields: dict[str, DeclaredField] = {}
    by_column: dict[str, str] = {}
    for name, each in table.items():
        place = (*key, name)
        try:
            if len(parse_path(name)) > 1:
                raise _WrongError(place, f"a field of CSV is one at the top of an item, not {name!r}")
        except ValueError as error:
            raise _WrongError(place, str(error)) from None
        form = "a type in quotes, or a table such as {type = 'number', column = 'Price'}"
        given = {"type": each} if isinstance(each, str) else _table(place, each, _FIELD_KEYS, "a key of a field", form)
        kind, column = given.get("type"), given.get("column")
        if kind is not None and kind not in FIELD_TYPES:
            raise _WrongError(place, f"{kind!r} is no type; {nearest(str(kind), FIELD_TYPES)}")
        if kind is not None and name in references:
            raise _WrongError(place, f"{name!r} is a reference, whose cells hold ids; leave its type out")
        if (
            column is not None
            and by_column.setdefault(_typed((*place, "column"), column, str, "a heading"), name) != name
        ):
            raise _WrongError(place, f"the column {column!r} is that of {by_column[column]!r} already; name another")
        fields[name] = DeclaredField(kind, column)
    return fields


def _check_field(key: tuple[str, ...], name: str) -> None:
    try:
        path = parse_path(name)
    except ValueError as error:
        raise _WrongError(key, str(error)) from None
    if len(path) > 1 or name in SYSTEM_FIELDS:
        raise _WrongError(key, f"a reference is a field of its own at the top of an item, not {name!r}")


def _check_target(found: Mapping[str, CollectionSchema], schema: CollectionSchema, reference: Reference) -> None:
    key = (schema.name, "references", reference.field)
    if reference.collection not in found:
        raise _WrongError(
            (*key, "collection"),
            f"{reference.collection!r} is not declared; {nearest(reference.collection, found)}; "
            f"to declare it, add a table {table_header(reference.collection)}",
        )
    if reference.many and any(path[0] == reference.field for index in schema.indexes for path in index.paths):
        raise _WrongError(
            (schema.name, "indexes"), f"{reference.field!r} holds links, which need no index; leave it out"
        )


def _check_reverses(found: Mapping[str, CollectionSchema]) -> None:
    reverses: dict[str, dict[str, Link]] = {name: {} for name in found}
    for schema in found.values():
        for reference in schema.references.values():
            if reference.reverse is None:
                continue
            key = (schema.name, "references", reference.field, "reverse")
            target, name = reference.collection, reference.reverse
            taken = reverses[target].get(name)
            if taken is not None:
                raise _WrongError(
                    key, f"{target}.{name} shows {taken.collection}.{taken.field} already; choose another"
                )
            if name in found[target].references:
                raise _WrongError(key, f"{target}.{name} is a reference of its own; declare the links on one side only")
            reverses[target][name] = Link(schema.name, reference.field)


def _table(key: tuple[str, ...], value: object, known: tuple[str, ...], what: str, form: str = "a table") -> Any:
    table = _typed(key, value, dict, form)
    for name in table:
        if name not in known:
            raise _WrongError((*key, name), f"{name!r} is not {what}; {nearest(name, known)}")
    return table


def _typed(key: tuple[str, ...], value: object, kind: type, form: str, name: str = "") -> Any:
    if not isinstance(value, kind):
        raise _WrongError(key, f"{name}is {form}, not {value!r}")
    return value
