"""data/collections.toml: what it declares, and what is refused, by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from wixhttp.data.queries.tree import Order
from wixhttp.data.schema.declarations import PRESETS, Permissions, Reference, load_schema, parse_schema
from wixhttp.data.schema.links import Relation, linked_fields
from wixhttp.data.stores.contract import Index, Link
from wixhttp.errors import ConfigError

WHOLE = """
[books]
displayName = "Books"
permissions = {read = "ANYONE", insert = "SITE_MEMBER", update = "SITE_MEMBER_AUTHOR", remove = "ADMIN"}
indexes = [{fields = ["author", "-year"]}, {fields = ["meta.isbn"], unique = true}]

[books.references.author]
collection = "people"

[books.references.genres]
collection = "genres"
many = true
reverse = "books"

[people]
permissions = "private"

[genres]
["Stores/Products"]
"""


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/collections.toml").write_text(WHOLE)
    schema = load_schema(tmp_path)
    assert list(schema) == ["books", "people", "genres", "Stores/Products"]
    books = schema["books"]
    assert (books.name, books.display_name) == ("books", "Books")
    assert books.permissions == Permissions("ANYONE", "SITE_MEMBER", "SITE_MEMBER_AUTHOR", "ADMIN")
    assert books.indexes == (
        Index((Order(("author",)), Order(("year",), descending=True))),
        Index((Order(("meta", "isbn")),), unique=True),
    )
    assert books.references == {
        "author": Reference("author", "people"),
        "genres": Reference("genres", "genres", many=True, reverse="books"),
    }
    assert schema["people"].permissions == PRESETS["private"]
    assert linked_fields(schema, "genres") == {
        "books": Relation("books", "books", Link("books", "genres"), is_reverse=True)
    }
    assert (schema["genres"].permissions, schema["genres"].display_name) == (None, "genres")


def test_without_the_file_nothing_is_declared(tmp_path: Path) -> None:
    assert load_schema(tmp_path) == {}


def test_a_collection_may_refer_to_itself() -> None:
    schema = parse_schema('[a.references.next]\ncollection = "a"\nmany = true\nreverse = "previous"')
    assert linked_fields(schema, "a") == {
        "next": Relation("next", "a", Link("a", "next")),
        "previous": Relation("previous", "a", Link("a", "next"), is_reverse=True),
    }


def test_a_schema_is_not_changed_afterwards() -> None:
    schema = parse_schema(WHOLE)
    with pytest.raises(TypeError):
        schema["other"] = schema["books"]  # type: ignore[index]
    with pytest.raises(TypeError):
        schema["books"].references["x"] = Reference("x", "genres")  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[books", 1, "the file is not TOML"),
        ("books = 1", 1, "books: is a table, not 1"),
        ('\n["bo oks"]', 2, "the name of a collection is 1 to 128"),
        (f"[{'a' * 129}]", 1, "the name of a collection is 1 to 128"),
        ("[books]\n\nindexs = []", 3, "'indexs' is not a key of a collection; did you mean 'indexes'"),
        ("[books]\ndisplayName = 1", 2, "books.displayName: is text, not 1"),
        ("[books]\npermissions = 'public'", 2, "'public' is no preset; did you mean 'public-content'"),
        ("[books]\npermissions = 1", 2, "is a table of read, insert, update, remove, or a preset in quotes, not 1"),
        ("[books.permissions]\nread = 'ANYONE'", 1, "insert is missing"),
        ("[a]\n[books.permissions]\nreed = 'ANYONE'", 3, "'reed' is not an action; did you mean 'read'"),
        (
            "[books]\npermissions = {read = 'ANYBODY', insert = 'ADMIN'}",
            2,
            "'ANYBODY' is no level; did you mean 'ANYON",
        ),
        ("[books]\npermissions = {read = 'ANYONE', insert = 3}", 2, "permissions.insert: is a level, not 3"),
        ("[books]\npermissions = {read = 'ANYONE', insert = 'SITE_MEMBER_AUTHOR'}", 2, "write 'SITE_MEMBER'"),
        ("[books]\nindexes = {fields = ['a']}", 2, "is a list of tables such as"),
        ("[books]\nindexes = ['a']", 2, "index 1: is a table such as"),
        ("[books]\nindexes = [{fields = 'a'}]", 2, "index 1: fields is a list of names of fields, not 'a'"),
        ("[books]\nindexes = [{fields = ['a']}, {}]", 2, "index 2: fields names no field"),
        (
            "[books]\nindexes = [{fields = ['a'], uniqe = true}]",
            2,
            "'uniqe' is not a key of an index; did you mean 'un",
        ),
        ("[books]\nindexes = [{fields = ['a'], unique = 1}]", 2, "unique is true or false, not 1"),
        ("[books]\nindexes = [{fields = ['a..b']}]", 2, "index 1: WDE0093: 'a..b' is no name of a field"),
        ("[books]\nindexes = [{fields = ['-']}]", 2, "WDE0093: '' is no name of a field"),
        ("[books]\nindexes = [{fields = [1]}]", 2, "WDE0048"),
        ("[books]\nindexes = [{fields = ['a', '-a']}]", 2, "fields names a field twice"),
        ("[books]\nindexes = [{fields = ['a']}, {fields = ['a'], unique = true}]", 2, "index 2: the same fields have"),
        ("[books]\nreferences = 1", 2, "is a table, not 1"),
        ("[books.references.a]\nmany = true", 1, "collection is missing"),
        ("[books.references.a]\ncollection = 1", 2, "is the name of a collection, not 1"),
        ("[books.references.a]\ncollection = 'books'\nmany = 1", 3, "is true or false, not 1"),
        ("[books.references.a]\ncolection = 'books'", 2, "did you mean 'collection'"),
        ("[books.references.a]\ncollection = 'boks'", 2, "'boks' is not declared; did you mean 'books'"),
        ("[books.references.'a.b']\ncollection = 'books'", 1, "a field of its own at the top of an item, not 'a.b'"),
        ("[books.references._id]\ncollection = 'books'", 1, "a field of its own at the top of an item, not '_id'"),
        ("[books.references.a]\ncollection = 'books'\nreverse = 'b'", 3, "only links have a reverse; add many = true"),
        ("[books.references.a]\ncollection = 'books'\nmany = true\nreverse = 'b.c'", 4, "not 'b.c'"),
        ("[books.references.a]\ncollection = 'books'\nmany = true\nreverse = 'a'", 4, "is a reference of its own"),
        (
            "".join(f"[{c}.references.f]\ncollection='x'\nmany=true\nreverse='r'\n" for c in "ab") + "[x]",
            8,
            "x.r shows a.f already",
        ),
        (
            "[b]\nindexes = [{fields = ['f']}]\n[b.references.f]\ncollection = 'b'\nmany = true",
            2,
            "'f' holds links, which need no index",
        ),
    ],
)
def test_what_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_schema(text)
    assert str(caught.value).startswith(f"data/collections.toml:{line}: ")
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/collections.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"^data/collections\.toml cannot be read"):
        load_schema(tmp_path)
