"""CSV as Wix's help has people write it, and as its CMS exports it; and the declarations that are inferred from it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from wixhttp.data.files.dates import looks_like_date, parse_cell_date, told_order
from wixhttp.data.files.formats import BadItem, CSVTable, read_items
from wixhttp.data.files.inference import field_key, infer_declarations, name_for_file
from wixhttp.data.schema.declarations import parse_schema


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("cell", "date"),
    [
        ("02/14/2024 11:30", utc(2024, 2, 14, 11, 30)),  # recommended by Wix's help
        ("2024-02-14T11:30", utc(2024, 2, 14, 11, 30)),  # the others that it names
        ("2024-02-14T11:30:15.250Z", utc(2024, 2, 14, 11, 30, 15, 250_000)),
        ("02/14/2024", utc(2024, 2, 14)),
        ("2/4/2024 9:05", utc(2024, 2, 4, 9, 5)),
        ("02/14/2024 11:30:15.5", utc(2024, 2, 14, 11, 30, 15, 500_000)),
        ("02/14/2024 11:30 PM", utc(2024, 2, 14, 23, 30)),
        ("02/14/2024, 12:30 am", utc(2024, 2, 14, 0, 30)),
        ("Feb 14, 2024", utc(2024, 2, 14)),  # as the CMS shows them
        ("Feb 14, 2024 11:30:PM", utc(2024, 2, 14, 23, 30)),
        ("Feb 14, 2024 9:20PM", utc(2024, 2, 14, 21, 20)),
        ("February 14 2024, 12:00 PM", utc(2024, 2, 14, 12)),
        ("Sept. 3, 2024", utc(2024, 9, 3)),
        ("2024-02-14", utc(2024, 2, 14)),
        ("2024-02-14 11:30", utc(2024, 2, 14, 11, 30)),
        ("2024-02-14T11:30:00+02:00", utc(2024, 2, 14, 9, 30)),
        ("0001-01-01T00:00:00Z", utc(1, 1, 1)),
        ("12/31/9999 23:59", utc(9999, 12, 31, 23, 59)),
    ],
)
def test_the_forms_of_dates(cell: str, date: datetime) -> None:
    assert parse_cell_date(cell) == date


@pytest.mark.parametrize(
    "cell",
    ["", "yesterday", "14/02/2024", "02/30/2024", "02/14/24", "13:30", "02/14/2024 25:00", "02/14/2024 13:30 PM",
     "02/14/2024 0:30 AM", "Foo 14, 2024", "Feb 30, 2024", "02-14-2024", "14.02.2024", "2024", "1/2", "02/14/2024 11",
     "2024-02-14T11:30Z extra", "\u0661/2/2024", "00/10/2024"],
)  # fmt: skip
def test_what_is_no_date(cell: str) -> None:
    with pytest.raises(ValueError):
        parse_cell_date(cell)


def test_the_order_of_day_and_month() -> None:
    told = {
        "02/14/2024": "month first", "14/02/2024 1:00": "day first", "02/03/2024": None, "Feb 14, 2024": None,
        "13/13/2024": "day first",
    }  # fmt: skip
    assert {cell: told_order(cell) for cell in told} == told
    assert parse_cell_date("02/03/2024", "day first") == utc(2024, 3, 2)
    assert not looks_like_date("13/13/2024")


def items(tmp_path: Path, text: str, **options: Any) -> list[dict[str, Any]]:
    (tmp_path / "c.csv").write_text(text)
    return list(read_items(tmp_path / "c.csv", **options))


def column(tmp_path: Path, cells: list[str], **options: Any) -> list[Any]:
    return [each["When"] for each in items(tmp_path, "When\n" + "".join(f'"{cell}"\n' for cell in cells), **options)]


def test_a_column_has_one_order_and_the_month_is_first_unless_a_cell_tells(tmp_path: Path) -> None:
    typed: dict[str, Any] = {"types": {"When": "date"}}
    assert column(tmp_path, ["02/03/2024 11:30"], **typed) == [utc(2024, 2, 3, 11, 30)]
    assert column(tmp_path, ["02/03/2024", "14/02/2024"], **typed) == [utc(2024, 3, 2), utc(2024, 2, 14)]
    assert column(tmp_path, ["02/03/2024", "02/14/2024"], **typed) == [utc(2024, 2, 3), utc(2024, 2, 14)]
    with pytest.raises(BadItem) as caught:
        column(tmp_path, ["02/14/2024", "14/02/2024"], **typed)
    assert str(caught.value).endswith(
        "c.csv:3: column 'When': '14/02/2024' is no date; the column has the month first; write 02/14/2024 11:30 (month"
        " first), Feb 14, 2024 11:30 PM, or 2024-02-14T11:30:00Z; its type can be set to text: --types When=text"
    )


@pytest.mark.parametrize(
    ("kind", "cell", "forms"),
    [
        ("number", "1,234", "write 1234.5"),
        ("boolean", "yes", "write true or false"),
        ("json", "a, b", 'write JSON, such as ["a", "b"]'),
        ("date", "soon", "write 02/14/2024 11:30 (month first)"),
    ],
)
def test_the_error_names_row_column_value_and_forms(tmp_path: Path, kind: str, cell: str, forms: str) -> None:
    with pytest.raises(BadItem) as caught:
        column(tmp_path, [cell], types={"When": kind})
    assert f"c.csv:2: column 'When': {cell!r} is no {kind}; {forms}" in str(caught.value)


EXPORT = "ID,Created Date,Updated Date,Owner"
SYSTEM = "1,2024-05-01T12:00:00Z,02/14/2024 11:30,me"


def remarks(tmp_path: Path) -> list[str]:
    with (tmp_path / "c.csv").open("rb") as file:
        return list(CSVTable(file, "c.csv", {}, {}, {}, ()).remarks())


def test_dates_that_people_write_are_dates_unless_the_file_is_an_export(tmp_path: Path) -> None:
    way = "; its type is set by --types, or by fields in data/collections.toml"
    assert column(tmp_path, ["02/03/2024 11:30", ""][:1]) == [utc(2024, 2, 3, 11, 30)]
    assert remarks(tmp_path) == [f"c.csv: column 'When' is read as dates, the month first ('02/03/2024 11:30'){way}"]
    [item] = items(tmp_path, f"{EXPORT},When\n{SYSTEM},02/14/2024\n")
    assert (item["When"], item["_updatedDate"]) == ("02/14/2024", utc(2024, 2, 14, 11, 30))
    assert remarks(tmp_path) == [
        f"c.csv: column 'When' looks like dates ('02/14/2024'), and is text, as Wix exports none so{way}"
    ]
    assert column(tmp_path, ["02/14/2024", "14/02/2024"]) == ["02/14/2024", "14/02/2024"]
    assert "the day is first in some" in remarks(tmp_path)[0]
    assert column(tmp_path, ["02/14/2024", "soon"]) == ["02/14/2024", "soon"]
    assert remarks(tmp_path) == []


def test_the_values_of_an_export_of_wix(tmp_path: Path) -> None:
    [item] = items(
        tmp_path,
        f"{EXPORT},Image,Gallery,Tags,Address,Rich,Time,Link,Flag,Number,Zip,Ref,Day\n"
        f"""{SYSTEM},wix:image://v1/a~mv2.jpg/b.jpg#originWidth=1,"[{{""src"":""wix:image://v1/a""}}]","[""a"",""b""]","""
        """"{""formatted"":""X""}","<p>A, b</p>",16:45:12.345,https://example.com,TRUE,-1.50,00501,0a1b,2024-02-14\n""",
    )
    assert {key: value for key, value in item.items() if key[0] != "_"} == {
        "Image": "wix:image://v1/a~mv2.jpg/b.jpg#originWidth=1",
        "Gallery": [{"src": "wix:image://v1/a"}],
        "Tags": ["a", "b"],
        "Address": {"formatted": "X"},
        "Rich": "<p>A, b</p>",
        "Time": "16:45:12.345",
        "Link": "https://example.com",
        "Flag": True,
        "Number": -1.5,
        "Zip": "00501",
        "Ref": "0a1b",
        "Day": "2024-02-14",
    }


# --- declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "key"),
    [("Title", "title"), ("Product Name", "productName"), ("FULL DATE", "fullDate"), ("isbn", "isbn"),
     ("link-books-title", "link-books-title"), ("# Participants", "participants"), ("Songwriter ", "songwriter"),
     ("productName", "productName"), ("ProductName", "productName"), ("Straße 2", "straße2"), ("#", "")],
)  # fmt: skip
def test_the_key_of_a_heading(heading: str, key: str) -> None:
    assert field_key(heading) == key


def test_the_collection_of_a_file() -> None:
    schema = parse_schema('[books]\n[clubs]\ndisplayName = "Book Club"')
    names = {
        "books.csv": "books", "Books.csv": "books", "books (2).csv": "books", "Book+Club.csv": "clubs",
        "Book%20Club.csv": "clubs", "Labor+History.csv": "LaborHistory", "a b (1).jsonl": "ab",
        "Stores%2FX.csv": "Stores/X", "...csv": "collection",
    }  # fmt: skip
    assert {name: name_for_file(Path(name), schema) for name in names} == names


BOOKS = f"""Title,{EXPORT},Author,Genres,Price,Flag,Status
Emma,b1,,,u,{"a" * 8}-1111-1111-1111-111111111111,"[""g1"",""g2""]",1,true,b1
Dune,b2,,,u,,"[""g1""]",2.5,false,x
"""
GENRES = """ID,Name,Books_genres
g1,Novel,"[""b1"",""b2""]"
g2,Satire,"[""b1""]"
"""
PEOPLE = f"""_id,name,Boss
{"a" * 8}-1111-1111-1111-111111111111,Jane,
{"b" * 8}-1111-1111-1111-111111111111,Bob,{"a" * 8}-1111-1111-1111-111111111111
"""
DECLARED = """[Books]

[Books.fields]
title = {type = "text", column = "Title"}
author = {column = "Author"}
genres = {column = "Genres"}
price = {type = "number", column = "Price"}
flag = {type = "boolean", column = "Flag"}
status = {type = "text", column = "Status"}

[Books.references.author]
collection = "People"

[Books.references.genres]
collection = "BookGenres"
many = true
reverse = "booksGenres"

[BookGenres]
displayName = "Book Genres"

[BookGenres.fields]
name = {type = "text", column = "Name"}
booksGenres = {column = "Books_genres"}

[People]

[People.fields]
name = {type = "text"}
boss = {column = "Boss"}

[People.references.boss]
collection = "People"
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = {"Books.csv": BOOKS, "Book+Genres.csv": GENRES, "People (1).csv": PEOPLE}
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in made]


def test_declarations_are_inferred_from_exports(files: list[Path]) -> None:
    found = infer_declarations(files, {})
    assert found.text == DECLARED
    assert found.collections == ["Books", "BookGenres", "People"]
    schema = parse_schema(found.text)
    again = infer_declarations(files, schema)
    assert (again.text, again.collections) == ("", [])


def test_what_is_declared_stays_and_what_is_missing_is_added(files: list[Path]) -> None:
    there = '[books]\npermissions = "private"\n[books.fields]\nname = {type = "text", column = "Title"}\n[genres]\n'
    ids = {name: f"{letter * 8}-1111-1111-1111-111111111111" for name, letter in (("g1", "c"), ("g2", "d"))}
    files[0].write_text(BOOKS.replace("g1", ids["g1"]).replace("g2", ids["g2"]))
    found = infer_declarations(files[:1], parse_schema(there))
    assert "Title" not in found.text
    schema = parse_schema(there + found.text)
    assert schema["books"].fields["price"].type == "number"
    assert schema["books"].references["genres"].collection == "genres", "as its heading says"
    assert schema["books"].permissions is not None


def test_numbers_and_cells_that_fit_several_collections_are_no_references(tmp_path: Path) -> None:
    for name, text in {"A.csv": "ID,Count,X\n1,1,p\n", "B.csv": "ID\np\n", "C.csv": "ID\np\n"}.items():
        (tmp_path / name).write_text(text)
    found = infer_declarations(sorted(tmp_path.glob("*.csv")), {})
    assert "references" not in found.text
    [left] = found.left
    assert left.endswith("A.csv: column 'X' has ids of B and C; it is declared as no reference")


def test_ids_of_items_that_were_removed_do_not_hide_a_reference(files: list[Path]) -> None:
    files[0].write_text(BOOKS + f"Ubik,b3,,,u,{'f' * 8}-1111-1111-1111-111111111111,[],1,true,x\n")
    found = infer_declarations(files, {})
    assert parse_schema(found.text)["Books"].references["author"].collection == "People"


def test_two_files_of_one_collection_are_refused(tmp_path: Path) -> None:
    for name in ("A.csv", "a (1).csv"):
        (tmp_path / name).write_text("ID\n1\n")
    with pytest.raises(ValueError, match="are both of a; rename one"):
        infer_declarations([tmp_path / "A.csv", tmp_path / "a (1).csv"], parse_schema("[a]"))
