"""The commands `wixhttp data insert`, `update`, `remove` and `declare`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from wixhttp.cli.commands import main

HOOKS = """
def books_beforeInsert(item, context):
    print("a hook")
    if item.get("title") == "bad":
        raise ValueError("a title is not bad")
    return {**item, "hooked": True}
"""


class Data:
    """The commands in this process, in a project's folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.err = ""

    def __call__(self, *arguments: str, code: int = 0, stdin: bytes = b"") -> str:
        """The text of standard output; that of standard error is in ``err``."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as exited:
            main(["data", *arguments])
        shown = self._capsys.readouterr()
        self.err = shown.err
        assert exited.value.code == code, shown
        return shown.out

    def items(self, *arguments: str, code: int = 0, stdin: bytes = b"") -> list[dict[str, Any]]:
        """The items that are printed."""
        return [json.loads(line) for line in self(*arguments, code=code, stdin=stdin).splitlines()]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Data:
    for name, text in {"data/collections.toml": '[books]\npermissions = "private"\n', "backend/data.py": HOOKS}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return Data(capsys, monkeypatch)


def test_an_item_is_inserted_with_hooks_and_past_permissions_and_printed(data: Data) -> None:
    [item] = data.items("insert", "books", '{"_id": "emma", "title": "Emma", "at": {"$date": "2024-05-01T12:00:00Z"}}')
    assert (item["_id"], item["title"], item["hooked"], item["_owner"]) == ("emma", "Emma", True, None)
    assert item["at"] == {"$date": "2024-05-01T12:00:00.000Z"}
    assert data.err == "a hook\n"
    assert data.items("query", "books") == [item]
    [plain] = data.items("insert", "books", "--no-hooks", '{"title": "bad"}')
    assert "hooked" not in plain


def test_items_come_as_a_list_or_lines_from_a_file_or_standard_input(data: Data) -> None:
    Path("list.json").write_text('[{"_id": "a"},\n {"_id": "b"}]')
    Path("lines.jsonl").write_text('{"_id": "c"}\n\n{"_id": "d"}\n')
    assert [each["_id"] for each in data.items("insert", "books", "@list.json")] == ["a", "b"]
    assert [each["_id"] for each in data.items("insert", "books", "@lines.jsonl")] == ["c", "d"]
    assert [each["_id"] for each in data.items("insert", "books", "-", stdin=b'{"_id": "e"}')] == ["e"]
    assert data.items("insert", "books", "[]") == []
    removed = data.items("remove", "books", "-", stdin=data("query", "books", "--fields", "_id").encode())
    assert sorted(each["_id"] for each in removed) == list("abcde")
    dates = [each["_createdDate"]["$date"] for each in removed]
    assert dates == sorted(dates, reverse=True), "the newest first"


def test_an_update_replaces_an_item_and_a_patch_changes_fields(data: Data) -> None:
    data("insert", "books", '{"_id": "emma", "title": "Emma", "year": 1}')
    [replaced] = data.items("update", "books", '{"_id": "emma", "year": 1815}')
    assert ("title" in replaced, replaced["year"]) == (False, 1815)
    [patched] = data.items("update", "books", "--patch", '{"_id": "emma", "title": "Emma"}')
    assert (patched["title"], patched["year"]) == ("Emma", 1815)
    assert data.items("query", "books") == [patched]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["insert", "books", '{"_id": "emma"}'], "WDE0074: An item with _id [emma] already exists."),
        (["insert", "books", '{"title": "bad"}'], "a title is not bad"),
        (
            ["insert", "films", "{}"],
            "WDE0025: The films collection does not exist. Declare it in data/collections.toml",
        ),
        (["insert", "bo oks", "{}"], "WDE0025: The 'bo oks' collection does not exist: a name is 1 to 128"),
        (["insert", "books", '{"$a": 1}'], "WDE0134"),
        (["update", "books", '{"_id": "none"}'], "WDE0073: Item [none] does not exist in collection [books]."),
        (["update", "books", "--patch", '{"_id": "none", "a": 1}'], "WDE0073"),
        (["update", "books", "--patch", '{"_id": "emma"}'], "WDE0080"),
        (["remove", "books", "none"], "WDE0073: Item [none] does not exist in collection [books]."),
    ],
)
def test_what_is_refused_exits_with_1(data: Data, arguments: list[str], message: str) -> None:
    data("insert", "books", '{"_id": "emma"}')
    data(*arguments, code=1)
    assert message in data.err
    assert "wixhttp/" not in data.err, "only the user's frames"


def test_the_first_item_that_is_refused_ends_the_command_and_what_is_stored_is_printed(data: Data) -> None:
    stored = data.items("insert", "books", '[{"_id": "a"}, {"title": "bad"}, {"_id": "b"}]', code=1)
    assert [each["_id"] for each in stored] == ["a"]
    assert [each["_id"] for each in data.items("query", "books")] == ["a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["insert", "books"], "Missing argument"),
        (["insert", "books", "{a: 1}"], "the argument is not JSON: Expecting property name"),
        (["insert", "books", "5"], "an item is an object, not 5"),
        (["insert", "books", "@none.json"], "none.json cannot be read: No such file"),
        (["insert", "books", "@bad.jsonl"], "bad.jsonl:2: this is not JSON"),
        (["insert", "books", '{"n": NaN}'], "the argument cannot be read: JSON has no NaN; write null"),
        (["insert", "books", '{"n": -Infinity}'], "JSON has no -Infinity"),
        (["insert", "books", '{"n": 1e999}'], "the number 1e999 is too large"),
        (["update", "books", "@nan.jsonl"], "nan.jsonl:2: this cannot be read: JSON has no NaN"),
        (["query", "books", '{"n": NaN}'], "The filter cannot be read: JSON has no NaN"),
        (["insert", "books", "[" * 5_000], "the argument cannot be read"),
        (["insert", "books", "@latin.json"], "@latin.json is not UTF-8"),
        (["update", "books", '{"a": 1}'], "an item to update has its _id, a text; this one has None"),
        (["remove", "books"], "Missing argument"),
        (["remove", "books", "@bad.jsonl"], "bad.jsonl:2: this is not JSON"),
        (["declare"], "Missing argument"),
    ],
)
def test_wrong_usage_exits_with_2(data: Data, arguments: list[str], message: str) -> None:
    Path("bad.jsonl").write_text('{"a": 1}\n{"a"\n')
    Path("nan.jsonl").write_text('{"a": 1}\n{"a": NaN}\n')
    Path("latin.json").write_bytes(b'{"a": "\xff"}')
    data(*arguments, code=2)
    assert message in data.err
    assert not Path("data/wixhttp.sqlite3").exists()


def test_a_project_that_cannot_be_loaded_exits_with_3(data: Data) -> None:

    Path("data/collections.toml").write_text("[books]\nindex = []\n")
    for arguments in (["insert", "books", "{}"], ["remove", "books", "a"], ["declare", "x.csv"]):
        data(*arguments, code=3)
        assert "data/collections.toml:2" in data.err


def test_references_to_many_items_are_written_with_their_item(data: Data) -> None:
    Path("data/collections.toml").write_text(
        '[books.references.genres]\ncollection = "genres"\nmany = true\n[genres]\n'
    )
    data("insert", "books", '{"_id": "b", "genres": ["g1"]}')
    assert data("query", "--count", "books", '{"genres": "g1"}') == "1\n"
    data("update", "books", '{"_id": "b", "genres": ["g2"]}')
    assert data("query", "--count", "books", '{"genres": "g1"}') == "0\n"
    data("update", "books", '{"_id": "b", "title": "B"}')
    assert data("query", "--count", "books", '{"genres": "g2"}') == "1\n", "what is not given is kept"
    data("update", "--patch", "books", '{"_id": "b", "genres": ["g1"]}', code=1)
    assert "write the whole item by update" in data.err
    data("query", "books", "--sort", "genres", code=2)
    assert "a query is not sorted by them" in data.err


def test_an_import_names_the_collection_first(data: Data) -> None:
    Path("Films.csv").write_text(FILMS)
    for source in ("Films.csv", "."):
        data("import", source, "books", code=2)
        assert f"COLLECTION comes first, the file behind it: wixhttp data import books {source}" in data.err


# --- declare ---------------------------------------------------------------------------------------------------------

FILMS = 'ID,Created Date,Song Title,Cast\n1,2024-05-01T12:00:00Z,X,"[""p1""]"\n'


def test_files_are_declared_and_then_imported_without_more(data: Data) -> None:
    Path("Films.csv").write_text(FILMS)
    Path("People.csv").write_text("ID,Name,Born\np1,Ada,12/10/1815\n")
    trial = data("declare", "--dry-run", "Films.csv", "People.csv")
    assert Path("data/collections.toml").read_text() == '[books]\npermissions = "private"\n'
    assert data("declare", "Films.csv", "People.csv") == trial
    assert data.err == (
        "Note: People.csv: column 'Born' is read as dates, the month first ('12/10/1815'); its type is set by --types,"
        " or by fields in data/collections.toml\nwrote Films, People to data/collections.toml\n"
    )
    assert Path("data/collections.toml").read_text() == '[books]\npermissions = "private"\n\n' + trial
    assert data("import", "Films.csv") == "1 inserted, 1 links\n"
    assert data("import", "People.csv") == "1 inserted\n"
    assert data.err == ""
    [film] = data.items("export", "Films")
    assert (film["songTitle"], film["cast"]) == ("X", ["p1"])
    assert data.items("query", "People")[0]["born"] == {"$date": "1815-12-10T00:00:00.000Z"}
    assert data("declare", "Films.csv", "People.csv") == "data/collections.toml has all of it already\n"


IDS = [f"{n}a7b1a5e-0000-4000-8000-000000000000" for n in range(4)]


def test_what_is_declared_otherwise_than_it_may_be_meant_is_told(data: Data) -> None:
    cells = [f"{IDS[0]},9.5,true,{IDS[2]}", f"{IDS[1]},1e3,maybe,{IDS[3]}"]
    Path("Things.csv").write_text("\n".join(["ID,Price,Sold,Maker", *cells, ""]))
    assert 'price = {type = "text"' in data("declare", "Things.csv")
    price, sold, maker, _ = data.err.splitlines()
    assert price.startswith(
        "Note: Things.csv: column 'Price' is text because of '1e3' in line 3; the other cells are numbers"
    )
    assert "'Sold' is text because of 'maybe' in line 3" in sold
    assert "'Maker' has ids of items that are in none of the files; name the file of their collection, too" in maker
    data("import", "Things.csv")
    assert data.err == "", "what is declared is meant"


def test_items_that_an_import_cannot_tell_from_others_are_told(data: Data) -> None:
    Path("Films.csv").write_text("Title\nA\nB\n")
    data("import", "Films.csv")
    assert data.err == ""
    assert data("import", "Films.csv") == "2 inserted\n"
    assert "items without an _id (ID) are new ones, and Films has items already" in data.err
    assert data.err.count("Note") == 1


def test_a_file_is_made_where_there_is_none(data: Data) -> None:
    Path("data/collections.toml").unlink()
    Path("Films.csv").write_text(FILMS)
    text = data("declare", "Films.csv")
    assert Path("data/collections.toml").read_text() == text


def test_what_cannot_be_extended_is_shown_and_left(data: Data) -> None:
    Path("data/collections.toml").write_text("Films = {}\n")
    Path("Films.csv").write_text(FILMS)
    data("declare", "Films.csv", code=1)
    assert "data/collections.toml cannot be extended by these lines" in data.err
    assert "[Films.fields]" in data.err
    assert Path("data/collections.toml").read_text() == "Films = {}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "the first row of a CSV file names the fields"), ("a;b\n", "separated by commas"), ('a\n"x', "is not CSV")],
)
def test_a_file_that_is_no_csv_is_refused(data: Data, text: str, message: str) -> None:
    Path("x.csv").write_text(text)
    data("declare", "x.csv", code=1)
    assert message in data.err
    data("declare", "none.csv", code=1)
    assert "none.csv: No such file" in data.err


def test_a_folder_of_exports_is_imported_at_once(data: Data) -> None:
    Path("dump").mkdir()
    Path("dump/Films.csv").write_text(FILMS)
    Path("dump/Book+Club.csv").write_text("ID\n1\n")
    data("declare", "dump/Films.csv", "dump/Book+Club.csv")
    assert data("import", "dump") == "2 inserted\n"
    assert "BookClub  1 item\nFilms  1 item" in data("collections")
    Path("dump/Films (1).csv").write_text(FILMS)
    data("import", "dump", code=1)
    assert "are both of Films" in data.err


def test_a_name_that_no_collection_can_have_is_not_made(data: Data) -> None:
    Path("x.jsonl").write_text("{}")
    data("import", "a b", "x.jsonl", code=1)
    assert "WDE0025: The 'a b' collection does not exist: a name is 1 to 128" in data.err
    assert "a b" not in data("collections")
