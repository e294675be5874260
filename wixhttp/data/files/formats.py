"""Items in files: JSON Lines, which says all that a collection holds, and CSV, which spreadsheets and Wix's CMS read.

JSON Lines: an item a line, dates as ``{"$date": text}``, system fields first, the others by name.

CSV: a row of names, then a row for each item; arrays and objects are JSON text, dates ISO 8601, an empty cell is an
absent field. What a column holds is what the collection declares for it, or else is decided over all of its cells:
JSON arrays and objects, dates with a time zone, ``true`` and ``false``, or numbers where every cell is one, else text.
Text that would lose something as a number stays text: leading zeros or a plus, more than 15 digits. So CSV does not
tell ``None`` and ``""`` from an absent field, nor a column of texts that all look like numbers from one of numbers;
``types`` does. Files that Wix's CMS exports are read as they are: ID, Created Date, Updated Date and Owner are the
system fields, dates are ISO 8601, and lists, objects and references JSON. Dates as Wix's help has people write them,
``02/14/2024 11:30``, are dates where the column's type is date, or nothing says what it is and the file is no export,
without a Created Date: then day and month have one order in all of the column, the month first unless a cell shows that
the day is. In an export they are text.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from wixhttp.data.queries.values import MAX_ITEM, encode, format_date, normalised, parse_date
from wixhttp.data.schema.declarations import DeclaredField
from wixhttp.data.stores.contract import SYSTEM_FIELDS
from wixhttp.errors import WixDataError, WixHTTPError
from wixhttp.http.json_codec import decode_json, has_long_number

from .dates import DATE_FORMS, DateOrder, looks_like_date, parse_cell_date, told_order

Format = Literal["jsonl", "csv"]
Item = dict[str, Any]

FORMATS: tuple[Format, ...] = ("jsonl", "csv")

_SYSTEM_HEADERS = {
    "ID": "_id",
    "Created Date": "_createdDate",
    "Created date": "_createdDate",
    "Updated Date": "_updatedDate",
    "Updated date": "_updatedDate",
    "Owner": "_owner",
}
_FORMS = {
    "number": "1234.5",
    "boolean": "true or false",
    "date": DATE_FORMS,
    "json": 'JSON, such as ["a", "b"]',
    "list of ids": 'an id, or ["id", "id"]',
}
_SYSTEM_TYPES = {"_id": "text", "_owner": "text", "_createdDate": "date", "_updatedDate": "date"}
_BOM = b"\xef\xbb\xbf"
_WHOLE_CELL = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER_CELL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e-?[0-9]+)?")
_LOOSE_NUMBER_CELL = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_LONGEST_NUMBER = 15  # digits that every reader of numbers keeps


class BadItem(WixHTTPError, ValueError):
    """A line of a file that is no item, or one that a collection cannot take. ``line`` is where it begins."""

    def __init__(self, name: str, line: int, rule: str) -> None:
        super().__init__(f"{name}:{line}: {rule}")
        self.line = line


def format_of(path: Path) -> Format:
    """``csv`` for a name that ends so, else ``jsonl``."""
    return "csv" if path.suffix.lower() == ".csv" else "jsonl"


def read_items(
    path: Path | str,
    format: Format | None = None,
    *,
    fields: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
    declared: Mapping[str, DeclaredField] | None = None,
    lists: Collection[str] = (),
) -> Iterator[Item]:
    """The items of a file, one after the other, with the values that a collection holds.

    ``format`` is told by the file's name unless it is given. System fields are there where the file has them. Of CSV,
    ``fields`` renames columns, and ``types`` says what they hold: text, number, boolean, date or json. ``declared`` and
    ``lists`` are as in `entries`.

    Raises:
        BadItem: a line is no item; names file and line.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        kind = format or format_of(path)
        for _, item in entries(file, str(path), kind, fields=fields, types=types, declared=declared, lists=lists):
            if isinstance(item, BadItem):
                raise item
            yield item


def entries(
    file: BinaryIO,
    name: str,
    format: Format,
    *,
    fields: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
    declared: Mapping[str, DeclaredField] | None = None,
    lists: Collection[str] = (),
    remark: Callable[[str], object] | None = None,
) -> Iterator[tuple[int, Item | BadItem]]:
    """Each line number with the item that begins there, or with what is wrong with it. ``file`` can be rewound.

    ``declared`` are the fields that the collection declares, ``lists`` those of them that hold ids: in a cell of a CSV
    file a JSON array of them, or one. ``remark`` gets a sentence for what may be read otherwise than it is meant.
    """
    if format == "jsonl":
        yield from _json_lines(file, name)
        return
    try:
        table = CSVTable(file, name, fields or {}, types or {}, declared or {}, lists)
    except BadItem as error:
        yield error.line, error
        return
    if remark is not None:
        for sentence in table.remarks():
            remark(sentence)
    yield from table.entries()


def _json_lines(file: BinaryIO, name: str) -> Iterator[tuple[int, Item | BadItem]]:
    for line, text in enumerate(file, 1):
        text = text.removeprefix(_BOM) if line == 1 else text
        if not text.strip():
            continue
        try:
            yield line, _checked(_read_json(text))
        except (ValueError, WixDataError) as error:
            yield line, BadItem(name, line, _json_rule(text, error))


def _read_json(text: bytes | str) -> Any:
    """The value of a JSON text, every digit of its whole numbers kept: one that no collection holds is not rounded."""
    value = orjson.loads(text)
    data = text.encode() if isinstance(text, str) else text
    return decode_json(data) if has_long_number(data) else value


def _json_rule(text: bytes, error: Exception) -> str:
    if not isinstance(error, orjson.JSONDecodeError):
        return str(error)
    if text.strip() in (b"[", b"{"):
        return "JSON Lines has each item whole on a line of its own, without a list around them"
    return f"this is not JSON: {str(error).partition(':')[0]}"


def _checked(value: Any) -> Item:
    """An item with normalised values, and system fields of the right kind.

    Raises:
        ValueError: it is none.
        WixDataError: a value cannot be held.
    """
    if not isinstance(value, dict):
        raise ValueError(f"an item is an object, not {type(value).__name__}")
    item: Item = normalised(value)
    for name in SYSTEM_FIELDS:
        if name not in item:
            continue
        held = item[name]
        if held is None:
            del item[name]
        elif name.endswith("Date"):
            item[name] = _parse_loose_date(held) if isinstance(held, str) else held
            if not isinstance(item[name], datetime):
                raise ValueError(f"{name} is a date, not {held!r}")
        elif not isinstance(held, str) or not held:
            raise ValueError(f"{name} is text that is not empty, not {held!r}")
    return item


# --- CSV: reading ----------------------------------------------------------------------------------------------------


class CSVTable:
    """A CSV file: it is read once for the kinds of its columns, and again for the items.

    ``keys`` are the fields of its columns, ``headings`` their names in the first row, ``kinds`` what they hold.

    Raises:
        BadItem: its first row names no fields, or one twice; or a column that is to be renamed or set is not there.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        fields: Mapping[str, str],
        types: Mapping[str, str],
        declared: Mapping[str, DeclaredField],
        lists: Collection[str],
    ) -> None:
        # A process-wide setting, so it is only raised: an item can be in one cell.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_ITEM))
        self._file = file
        self._name = name
        rows = self.rows()
        line, header = next(rows, (1, []))
        if isinstance(header, BadItem):
            raise header
        columns = {each.column: key for key, each in declared.items() if each.column is not None} | dict(fields)
        self.keys = _keys(header, name, line, fields, columns)
        self.headings = list(header)
        declared_kinds = {key: each.type for key, each in declared.items() if each.type is not None}
        kinds = {
            **declared_kinds, **dict.fromkeys(lists, "list of ids"), **self._named_types(header, line, types),
            **_SYSTEM_TYPES,
        }  # fmt: skip
        self._orders: dict[int, DateOrder] = {}  # of columns of dates, by the first cell that tells
        self._mixed: set[int] = set()  # the columns in which other cells tell another
        self._looks_like_dates: dict[int, str] = {}
        self._nearly: dict[int, _Guess] = {}
        guessed = self._guess(rows, kinds)
        self.kinds = [kinds.get(key) or guessed[index] for index, key in enumerate(self.keys)]

    def remarks(self) -> Iterator[str]:
        """A sentence for each column that may be read otherwise than it is meant."""
        for index, cell in self._looks_like_dates.items():
            if self.kinds[index] == "date":
                said = f"is read as dates, the {self._orders.get(index, 'month first')} ({cell!r})"
            elif index in self._mixed:
                said = f"looks like dates ({cell!r}), and is text, as the day is first in some and the month in others"
            else:
                said = f"looks like dates ({cell!r}), and is text, as Wix exports none so"
            way = "its type is set by --types, or by fields in data/collections.toml"
            yield f"{self._name}: column {self.headings[index]!r} {said}; {way}"

        for index, nearly in sorted(self._nearly.items()):
            if self.kinds[index] == "text" and index not in self._looks_like_dates:
                more = f" and {nearly.odd - 1} more" if nearly.odd > 1 else ""
                yield (
                    f"{self._name}: column {self.headings[index]!r} is text because of {nearly.cell[:80]!r} in line "
                    f"{nearly.line}{more}; the other cells are {_PLURALS[nearly.kind]}: write {_FORMS[nearly.kind]} "
                    "there, or set its type by --types, or by fields in data/collections.toml"
                )

    def entries(self) -> Iterator[tuple[int, Item | BadItem]]:
        rows = self.rows()
        next(rows, None)
        for line, cells in rows:
            if isinstance(cells, BadItem):
                yield line, cells
                continue
            try:
                yield line, self._item(cells)
            except (ValueError, WixDataError) as error:
                yield line, BadItem(self._name, line, str(error))

    def _item(self, cells: Sequence[str]) -> Item:
        width = len(self.keys)
        if len(cells) != width:
            raise ValueError(f"the row has {len(cells)} cells, the first {width}; cells with commas are quoted")
        item: Item = {}
        for index, (key, kind, cell) in enumerate(zip(self.keys, self.kinds, cells, strict=True)):
            if not cell:
                continue
            if not key:
                raise ValueError(f"{cell[:80]!r} stands in a column without a name; name it in the first row")
            try:
                is_date = kind == "date"
                item[key] = (
                    parse_cell_date(cell, self._orders.get(index, "month first")) if is_date else _CONVERT[kind](cell)
                )
            except ValueError:
                raise ValueError(self._misread(index, cell)) from None
        return _checked(item)

    def _misread(self, index: int, cell: str) -> str:
        """The message for a cell that is none of what its column holds."""
        key, kind, heading = self.keys[index], self.kinds[index], self.headings[index]
        order = self._orders.get(index)
        told = (
            f"; the column has the {order.removesuffix(' first')} first"
            if kind == "date" and order and told_order(cell)
            else ""
        )
        way = "" if key in _SYSTEM_TYPES else f"; its type can be set to text: --types {key}=text"
        return f"column {heading!r}: {cell[:80]!r} is no {kind}{told}; write {_FORMS[kind]}{way}"

    def _named_types(self, header: Sequence[str], line: int, types: Mapping[str, str]) -> dict[str, str]:
        by_header = dict(zip(header, self.keys, strict=True))
        for column in types:
            if column not in self.keys and column not in by_header:
                raise BadItem(self._name, line, f"there is no column {column!r} to set the type of")
        return {column if column in self.keys else by_header[column]: kind for column, kind in types.items()}

    def _guess(self, rows: Iterator[tuple[int, list[str] | BadItem]], kinds: Mapping[str, str]) -> list[str]:
        """The kinds of the columns that ``kinds`` lacks. Notes the order of day and month in columns of dates."""
        width = len(self.keys)
        unknown = [index for index, key in enumerate(self.keys) if key not in kinds]
        dated = {index for index, key in enumerate(self.keys) if kinds.get(key, "date") == "date"}
        possible = {index: [_Guess(kind) for kind in _GUESSED] for index in unknown}
        filled: dict[int, str] = {}
        for line, cells in rows:
            if isinstance(cells, BadItem) or len(cells) != width:
                continue  # reported when the items are read
            for index in unknown:
                if cell := cells[index]:
                    filled.setdefault(index, cell)
                    possible[index] = [each for each in possible[index] if each.takes(line, cell)]
                    if index in dated and not looks_like_date(cell):
                        dated.discard(index)
            for index in dated:
                order = told_order(cells[index])
                if order is not None and self._orders.setdefault(index, order) != order:
                    self._mixed.add(index)
        self._looks_like_dates = {index: filled[index] for index in unknown if index in dated and index in filled}
        guessed = self._decided({index: possible[index] for index in filled})
        if "_createdDate" not in self.keys:  # no export, so written by hand, as Wix's help says
            for index in self._looks_like_dates.keys() - self._mixed:
                guessed[index] = "date"
        return guessed

    def _decided(self, possible: Mapping[int, list[_Guess]]) -> list[str]:
        """The kinds of all columns. Notes those that are nearly of another."""
        guessed = ["text"] * len(self.keys)
        for index, guesses in possible.items():
            best = min(guesses, key=lambda each: (each.odd, -each.fitting), default=None)
            if best is not None and not best.odd:
                guessed[index] = best.kind
            elif best is not None and best.fitting:
                self._nearly[index] = best
        return guessed

    def rows(self) -> Iterator[tuple[int, list[str] | BadItem]]:
        """The rows that are not blank, first that of names, each with the line where it begins. What is no CSV ends
        them."""
        self._file.seek(0)
        reader = csv.reader(self._lines(), strict=True)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except UnicodeDecodeError:
                line = reader.line_num + 1
                yield line, BadItem(self._name, line, "this is not UTF-8; save the file in that encoding")
                return
            except csv.Error as error:
                yield line, BadItem(self._name, line, f"this is not CSV: {error}")
                return
            if cells:
                yield line, cells

    def _lines(self) -> Iterator[str]:
        for number, line in enumerate(self._file):
            yield (line if number else line.removeprefix(_BOM)).decode()


def _keys(
    header: Sequence[str], name: str, line: int, fields: Mapping[str, str], columns: Mapping[str, str]
) -> list[str]:
    if not any(header):
        raise BadItem(name, line, "the first row of a CSV file names the fields")
    if len(header) == 1 and ";" in header[0]:
        raise BadItem(name, line, "cells are separated by commas, not by semicolons; save the file so")
    for column in fields:
        if column not in header:
            raise BadItem(name, line, f"there is no column {column!r} to rename")
    keys = []
    for column in header:
        system = _SYSTEM_HEADERS.get(column)
        keys.append(columns.get(column) or (system if system and system not in header else column))
    twice = {key for key in keys if key and keys.count(key) > 1}
    if twice:
        raise BadItem(name, line, f"there are two columns {min(twice)!r}; give each a name of its own")
    return keys


def _is_number(cell: str) -> bool:
    if not _NUMBER_CELL.fullmatch(cell):
        return False
    if "e" not in cell and sum(map(str.isdigit, cell)) <= _LONGEST_NUMBER:
        return True
    return not _WHOLE_CELL.fullmatch(cell) and encode(normalised(float(cell))) == cell


def _is_boolean(cell: str) -> bool:
    return cell in ("true", "false", "TRUE", "FALSE")


def _is_date(cell: str) -> bool:
    try:
        return parse_date(cell) is not None
    except ValueError:
        return False


def _is_json(cell: str) -> bool:
    if cell[0] not in "[{":
        return False
    try:
        return isinstance(orjson.loads(cell), dict | list)
    except ValueError:
        return False


_GUESSED: Mapping[str, Callable[[str], bool]] = {
    "number": _is_number,
    "boolean": _is_boolean,
    "date": _is_date,
    "json": _is_json,
}


_PLURALS = {"number": "numbers", "boolean": "true or false", "date": "dates", "json": "JSON"}


@dataclass
class _Guess:
    """A kind that all cells of a column are of, or nearly all: how many are and are not, and the first that is not."""

    kind: str
    fitting: int = 0
    odd: int = 0
    line: int = 0
    cell: str = ""

    def takes(self, line: int, cell: str) -> bool:
        """Take in a cell; return whether the column may still be meant to be of this kind: one cell of ten is not."""
        if _GUESSED[self.kind](cell):
            self.fitting += 1
            return True
        if not self.odd:
            self.line, self.cell = line, cell
        self.odd += 1
        return self.odd <= 1 + self.fitting // 10


def _to_number(cell: str) -> int | float:
    if not _LOOSE_NUMBER_CELL.fullmatch(cell):  # int() takes more: underscores, the digits of other scripts
        raise ValueError(cell)
    try:
        return int(cell)
    except ValueError:  # also of more digits than Python reads
        value = float(cell)
    if math.isinf(value):
        raise ValueError(cell)
    return value


def _to_boolean(cell: str) -> bool:
    if cell.lower() not in ("true", "false"):
        raise ValueError(cell)
    return cell.lower() == "true"


def _parse_loose_date(cell: str) -> datetime:
    """A date as `parse_date` reads it, or one without a zone, seconds or time of day: then it is UTC, and midnight."""
    try:
        return parse_date(cell)
    except ValueError as error:
        try:
            return parse_date(format_date(datetime.fromisoformat(cell)))
        except ValueError:
            raise error from None


def _to_ids(cell: str) -> list[str]:
    ids = orjson.loads(cell) if cell.startswith("[") else [cell]
    if not all(isinstance(each, str) for each in ids):
        raise ValueError(cell)
    return list(ids)


_CONVERT: Mapping[str, Callable[[str], Any]] = {
    "text": str,
    "number": _to_number,
    "boolean": _to_boolean,
    "json": _read_json,
    "list of ids": _to_ids,
}


# --- writing ---------------------------------------------------------------------------------------------------------


def to_line(item: Mapping[str, Any]) -> bytes:
    """The canonical line of an item: system fields first, the others by name."""
    values = normalised(dict(item))
    ordered = {name: values.pop(name) for name in SYSTEM_FIELDS if name in values}
    return encode(ordered | values).encode() + b"\n"


def write_csv(file: BinaryIO, fields: Iterable[str], items: Iterable[Mapping[str, Any]]) -> None:
    """Write a row of names, the system fields first, and a row for each item."""
    names = [*SYSTEM_FIELDS, *sorted(set(fields).difference(SYSTEM_FIELDS))]
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    try:
        rows = csv.writer(text)  # ends rows with CR LF (RFC 4180), and so quotes both wherever they stand
        rows.writerow(names)
        for item in items:
            rows.writerow([_to_cell(item.get(name)) for name in names])
    finally:
        text.detach()


def _to_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return format_date(value) if isinstance(value, datetime) else encode(value)
