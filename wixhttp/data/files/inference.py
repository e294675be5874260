"""The declarations of collections, inferred from CSV files as Wix's CMS exports them: names, fields, types, references.

A column refers to a collection where all of its cells are ids of that collection's file, or, where they look like Wix's
ids and those items are not in the files, where its heading is the name of the collection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_plus

import orjson

from wixhttp.data.schema.declarations import CollectionSchema, Reference
from wixhttp.data.stores.contract import SYSTEM_FIELDS
from wixhttp.project.toml_file import table_header, toml_key

from .formats import BadItem, CSVTable

_COPY = re.compile(r"(.*[^ ]) ?\([0-9]+\)")  # "Books (1).csv": what browsers call a second download
_WIX_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def name_for_file(path: Path, schema: Mapping[str, CollectionSchema]) -> str:
    """The collection that a file is of, by its name: the declared one of that name, in whatever case or by its
    ``displayName``, else the name without what a collection's cannot have: ``Book%20Club (1).csv`` is ``BookClub``."""
    stem = unquote_plus(path.stem)
    copied = _COPY.fullmatch(stem)
    for text in (stem, copied[1] if copied else stem):
        if text in schema:
            return text
        for name, each in schema.items():
            if text.lower() in (name.lower(), each.display_name.lower()):
                return name
    text = copied[1] if copied else stem
    return (re.sub(r"[^A-Za-z0-9_@/-]", "", text) or "collection")[:128]


def field_key(heading: str) -> str:
    """The key that Wix gives a field of that name: ``Product Name`` is ``productName``; a key stays as it is."""
    if re.fullmatch(r"[a-z][A-Za-z0-9_-]*", heading):
        return heading
    words = re.findall(r"[^\W_]+", heading)
    words = [word if word[1:] != word[1:].upper() or not word.isupper() else word.lower() for word in words]
    joined = "".join(word[:1].upper() + word[1:] for word in words)
    return joined[:1].lower() + joined[1:]


@dataclass
class _Column:
    """A column of a file: its field and kind, and the ids that its cells may be, ``None`` where they are none."""

    key: str
    heading: str
    kind: str
    pairs: list[tuple[str, str]] | None
    is_list: bool

    @property
    def ids(self) -> set[str]:
        """The ids in its cells."""
        return {referenced for _, referenced in self.pairs or ()}


@dataclass
class _File:
    """A file: the collection that it is of, the ids of its items, and its columns."""

    path: Path
    collection: str
    ids: set[str] = field(default_factory=set)
    columns: list[_Column] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Declarations:
    """Inferred declarations: ``text``, to be put at the end of ``data/collections.toml``, and the ``collections`` that
    it is of. ``left`` has a sentence for each column that may be meant otherwise than it is declared."""

    text: str
    collections: list[str]
    left: list[str]


def infer_declarations(paths: Sequence[Path], schema: Mapping[str, CollectionSchema]) -> Declarations:
    """The declarations of what files hold and ``schema`` does not have.

    Raises:
        BadItem: a file is no CSV with a row of names.
        ValueError: two files are of one collection.
        OSError: a file cannot be read.
    """
    files = [_read(path, name_for_file(path, schema)) for path in paths]
    twice = {each.collection: each.path for each in files}
    for each in files:
        if twice[each.collection] is not each.path:
            raise ValueError(f"{each.path} and {twice[each.collection]} are both of {each.collection}; rename one")
    references, left = _references(files, schema)
    remarks = [remark for each in files for remark in each.remarks]
    parts = [(each.collection, _declared(each, references, schema.get(each.collection))) for each in files]
    return Declarations(
        "\n".join(text for _, text in parts if text), [name for name, text in parts if text], [*remarks, *left]
    )


def _read(path: Path, collection: str) -> _File:
    with path.open("rb") as file:
        table = CSVTable(file, str(path), {}, {}, {}, ())
        found = _File(path, collection, remarks=list(table.remarks()))
        known = set(SYSTEM_FIELDS)
        taken = set(known)
        places = [index for index, key in enumerate(table.keys) if key and key not in known]
        for index in places:
            key, kind = _free(field_key(table.headings[index]), taken), table.kinds[index]
            pairs: list[tuple[str, str]] | None = [] if kind in ("text", "json") else None
            found.columns.append(_Column(key, table.headings[index], kind, pairs, kind == "json"))
        own = table.keys.index("_id") if "_id" in table.keys else None
        rows = table.rows()
        next(rows, None)
        for line, cells in rows:
            if isinstance(cells, BadItem):
                raise cells
            if len(cells) != len(table.keys):
                continue  # told by the import
            identity = str(line) if own is None else cells[own]
            if own is not None:
                found.ids.add(identity)
            for column, place in zip(found.columns, places, strict=True):
                _note_ids(column, identity, cells[place])
    return found


def _note_ids(column: _Column, own: str, cell: str) -> None:
    if column.pairs is None or not cell:
        return
    ids = orjson.loads(cell) if column.is_list else [cell]
    if isinstance(ids, list) and all(isinstance(each, str) for each in ids):
        column.pairs += [(own, each) for each in ids]
    else:
        column.pairs = None


def _free(key: str, taken: set[str]) -> str:
    """``key``, with a number behind it where it is taken, as Wix does it. Takes it."""
    stem, number = key or "field", 0
    while key in taken or not key:
        number += 1
        key = f"{stem}{number}"
    taken.add(key)
    return key


def _references(
    files: Sequence[_File], schema: Mapping[str, CollectionSchema]
) -> tuple[dict[tuple[str, str], Reference], list[str]]:
    """The references by collection and field."""
    found: dict[tuple[str, str], Reference] = {}
    pairs: dict[tuple[str, str], set[tuple[str, str]]] = {}
    left: list[str] = []
    for each in files:
        for column in each.columns:
            targets = _targets(column, files, {*schema, *(file.collection for file in files)})
            if len(targets) > 1:
                left.append(
                    f"{each.path}: column {column.heading!r} has ids of {' and '.join(sorted(targets))}; it is declared"
                    " as no reference"
                )
            elif not targets and _refers_elsewhere(column, schema.get(each.collection)):
                left.append(
                    f"{each.path}: column {column.heading!r} has ids of items that are in none of the files; name "
                    f"the file of their collection, too, or declare the reference by hand; it is {column.kind} now"
                )
            elif targets:
                place = (each.collection, column.key)
                found[place] = Reference(column.key, targets.pop(), many=column.is_list)
                pairs[place] = set(column.pairs or ())
    for place, reference in list(found.items()):
        if not reference.many or place not in found:
            continue
        mirrored = {(referenced, referring) for referring, referenced in pairs[place]}
        for other, back in list(found.items()):
            is_back = back.many and other != place and (other[0], back.collection) == (reference.collection, place[0])
            if is_back and pairs[other] == mirrored and found[place].reverse is None:
                found[place] = Reference(reference.field, reference.collection, many=True, reverse=other[1])
                del found[other]
    return found, left


def _refers_elsewhere(column: _Column, there: CollectionSchema | None) -> bool:
    """Return whether a column that is not declared yet has nothing but Wix's ids, of other items."""
    if there is not None and (
        column.key in there.fields
        or column.key in there.references
        or column.heading in {each.column for each in there.fields.values()}
    ):
        return False
    ids = column.ids
    return bool(ids) and all(map(_WIX_ID.fullmatch, ids)) and all(mine != other for mine, other in column.pairs or ())


def _targets(column: _Column, files: Sequence[_File], known: Collection[str]) -> set[str]:
    ids = column.ids
    if column.pairs is None or not ids:
        return set()
    if not column.is_list and any(referring == referenced for referring, referenced in column.pairs):
        return set()  # a copy of the item's own id
    are_wix_ids = all(map(_WIX_ID.fullmatch, ids))
    holders = {file.collection for file in files if ids <= file.ids}
    if not holders and are_wix_ids:  # which two collections do not share: the others are of items that were removed
        holders = {file.collection for file in files if ids & file.ids}
    named = {name for name in known if _alike(name, column.heading)}
    if holders:
        return holders & named or holders
    return named if are_wix_ids else set()


def _alike(name: str, heading: str) -> bool:
    """Return whether a heading names a collection: by letters and digits, in singular or plural."""

    def stem(text: str) -> str:
        plain = re.sub(r"[\W_]", "", text).lower()
        for ending, singular in (("ies", "y"), ("es", ""), ("s", "")):
            if plain.endswith(ending) and len(plain) > len(ending) + 2:
                return plain[: -len(ending)] + singular
        return plain

    return stem(name) == stem(heading) or stem(name).rstrip("e") == stem(heading).rstrip("e")


def _declared(file: _File, references: Mapping[tuple[str, str], Reference], there: CollectionSchema | None) -> str:
    """The text that declares what a collection does not have yet; empty where it has all."""
    name = file.collection
    shown = unquote_plus(file.path.stem)
    copied = _COPY.fullmatch(shown)
    shown = copied[1] if copied else shown
    lines = []
    if there is None:
        lines.append(table_header(name))
        lines += [f"displayName = {_text(shown)}"] if shown != name else []
        lines.append("")
    known = {} if there is None else there.fields
    columns = {each.column for each in known.values()}
    refers = set(there.references) if there is not None else set()
    for table in ("fields", "references"):
        for column in file.columns:
            if column.key in known or column.heading in columns:
                continue
            reference = references.get((name, column.key))
            is_reference = column.key in refers or reference is not None or _is_reverse(column, name, references)
            if table == "fields":
                heading = f"column = {_text(column.heading)}" if column.heading != column.key else ""
                kind = "" if is_reference else f'type = "{column.kind}"'
                values = ", ".join(filter(None, [kind, heading]))
                if not values:
                    continue
                if known:  # the table is there already, and another of its name would be an error of TOML
                    lines += [table_header(name, "fields", column.key), *filter(None, [kind, heading]), ""]
                else:
                    if table_header(name, "fields") not in lines:
                        lines.append(table_header(name, "fields"))
                    lines.append(f"{toml_key(column.key)} = {{{values}}}")
            elif reference is not None and column.key not in refers:
                lines += [table_header(name, "references", column.key), f"collection = {_text(reference.collection)}"]
                lines += ["many = true"] if reference.many else []
                lines += [f"reverse = {_text(reference.reverse)}"] if reference.reverse is not None else []
                lines.append("")
        if lines and lines[-1]:
            lines.append("")
    return "\n".join(lines)


def _is_reverse(column: _Column, name: str, references: Mapping[tuple[str, str], Reference]) -> bool:
    return any(each.collection == name and each.reverse == column.key for each in references.values())


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
