"""Items in files: JSON Lines, which says all that a collection holds, and CSV, which spreadsheets and Wix's CMS read.

JSON Lines: an item a line, dates as ``{"$date": text}``, system fields first, the others by name.

CSV: a row of names, then a row for each item; arrays and objects are JSON text, dates ISO 8601, an empty cell is an
absent field. What a column holds is decided over all of its cells: JSON arrays and objects, dates with a time zone,
``true`` and ``false``, or numbers where every cell is one, else text. Text that would lose something as a number stays
text: leading zeros or a plus, more than 15 digits. So CSV does not tell ``None`` and ``""`` from an absent field, nor a
column of texts that all look like numbers from one of numbers; ``types`` does. Files that Wix's CMS exports are read
as they are: ID, Created Date, Updated Date and Owner are the system fields.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from wixhttp.data.queries.values import MAX_ITEM, encode, format_date, normalised, parse_date
from wixhttp.data.stores.contract import SYSTEM_FIELDS
from wixhttp.errors import WixDataError, WixHTTPError

Format = Literal["jsonl", "csv"]
Item = dict[str, Any]

FORMATS: tuple[Format, ...] = ("jsonl", "csv")
TYPES = ("text", "number", "boolean", "date", "json")

_SYSTEM_HEADERS = {
    "ID": "_id",
    "Created Date": "_createdDate",
    "Created date": "_createdDate",
    "Updated Date": "_updatedDate",
    "Updated date": "_updatedDate",
    "Owner": "_owner",
}
_SYSTEM_TYPES = {"_id": "text", "_owner": "text", "_createdDate": "date", "_updatedDate": "date"}
_BOM = b"\xef\xbb\xbf"
_WHOLE_CELL = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER_CELL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e-?[0-9]+)?")
_LOOSE_NUMBER_CELL = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
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
) -> Iterator[Item]:
    """The items of a file, one after the other, with the values that a collection holds.

    ``format`` is told by the file's name unless it is given. System fields are there where the file has them. Of CSV,
    ``fields`` renames columns, and ``types`` says what they hold: text, number, boolean, date or json.

    Raises:
        BadItem: a line is no item; names file and line.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        for _, item in entries(file, str(path), format or format_of(path), fields=fields, types=types):
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
    lists: Collection[str] = (),
) -> Iterator[tuple[int, Item | BadItem]]:
    """Each line number with the item that begins there, or with what is wrong with it. ``file`` can be rewound.

    ``lists`` are the columns of a CSV file that hold ids: a JSON array of them, or one.
    """
    if format == "jsonl":
        yield from _json_lines(file, name)
        return
    try:
        table = _CSVTable(file, name, fields or {}, types or {}, lists)
    except BadItem as error:
        yield error.line, error
        return
    yield from table.entries()


def _json_lines(file: BinaryIO, name: str) -> Iterator[tuple[int, Item | BadItem]]:
    for line, text in enumerate(file, 1):
        text = text.removeprefix(_BOM) if line == 1 else text
        if not text.strip():
            continue
        try:
            yield line, _checked(orjson.loads(text))
        except (ValueError, WixDataError) as error:
            yield line, BadItem(name, line, _json_rule(text, error))


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


class _CSVTable:
    """A CSV file: it is read once for the kinds of its columns, and again for the items."""

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        fields: Mapping[str, str],
        types: Mapping[str, str],
        lists: Collection[str],
    ) -> None:
        # A process-wide setting, so it is only raised: an item can be in one cell.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_ITEM))
        self._file = file
        self._name = name
        rows = self._rows()
        line, header = next(rows, (1, []))
        if isinstance(header, BadItem):
            raise header
        self._keys = _keys(header, name, line, fields)
        self._width = len(header)
        kinds = {**dict.fromkeys(lists, "list of ids"), **self._named_types(header, line, types), **_SYSTEM_TYPES}
        guessed = self._guess(rows, {index for index, key in enumerate(self._keys) if key not in kinds})
        self._kinds = [kinds.get(key) or guessed[index] for index, key in enumerate(self._keys)]

    def entries(self) -> Iterator[tuple[int, Item | BadItem]]:
        rows = self._rows()
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
        if len(cells) != self._width:
            raise ValueError(f"the row has {len(cells)} cells, the first {self._width}; cells with commas are quoted")
        item: Item = {}
        for key, kind, cell in zip(self._keys, self._kinds, cells, strict=True):
            if not cell:
                continue
            if not key:
                raise ValueError(f"{cell[:80]!r} stands in a column without a name; name it in the first row")
            try:
                item[key] = _CONVERT[kind](cell)
            except ValueError:
                raise ValueError(f"column {key!r}: {cell[:80]!r} is no {kind}; its type can be set to text") from None
        return _checked(item)

    def _named_types(self, header: Sequence[str], line: int, types: Mapping[str, str]) -> dict[str, str]:
        by_header = dict(zip(header, self._keys, strict=True))
        for column in types:
            if column not in self._keys and column not in by_header:
                raise BadItem(self._name, line, f"there is no column {column!r} to set the type of")
        return {column if column in self._keys else by_header[column]: kind for column, kind in types.items()}

    def _guess(self, rows: Iterator[tuple[int, list[str] | BadItem]], unknown: set[int]) -> list[str]:
        possible = [list(_GUESSED) if index in unknown else [] for index in range(self._width)]
        filled = [False] * self._width
        for _, cells in rows:
            if isinstance(cells, BadItem) or len(cells) != self._width:
                continue  # reported when the items are read
            for index in unknown:
                if cells[index] and possible[index]:
                    filled[index] = True
                    possible[index] = [kind for kind in possible[index] if _GUESSED[kind](cells[index])]
        return [kinds[0] if is_filled and kinds else "text" for kinds, is_filled in zip(possible, filled, strict=True)]

    def _rows(self) -> Iterator[tuple[int, list[str] | BadItem]]:
        """The rows that are not blank, each with the line where it begins. What is no CSV ends them."""
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


def _keys(header: Sequence[str], name: str, line: int, fields: Mapping[str, str]) -> list[str]:
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
        keys.append(fields.get(column) or (system if system and system not in header else column))
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


def _to_number(cell: str) -> int | float:
    if not _LOOSE_NUMBER_CELL.fullmatch(cell):  # int() takes more: underscores, the digits of other scripts
        raise ValueError(cell)
    try:
        return int(cell)
    except ValueError:
        return float(cell)


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
    "date": _parse_loose_date,
    "json": orjson.loads,
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
