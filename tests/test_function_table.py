"""wixhttp.project.function_table: the closed table, and what counts as exported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.interfaces import load_app, write_project
from wixhttp.errors import ProjectError
from wixhttp.project.function_table import FunctionTable, bindings


def table_of(folder: Path, source: str) -> FunctionTable:
    return load_app(write_project(folder, source)).site.functions


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def get_two(request, other): pass", ["get_two", "http_functions.py:2", "2 arguments", "request, other"]),
        ("async def post_two(a, b, *, c): pass", ["post_two", "3 arguments", "a, b, c"]),
        ("def get_keyword(*, key): pass", ["get_keyword", "key"]),
        ("class use_made:\n    def __init__(self, a, b): pass", ["use_made", "a, b"]),
        ("get_lambda = lambda a, b: ok()", ["get_lambda"]),
        ("__all__ = ['get_missing']", ["__all__", "get_missing"]),
    ],
)
def test_a_load_that_stops_says_why(tmp_path: Path, source: str, words: list[str]) -> None:
    with pytest.raises(ProjectError) as caught:
        table_of(tmp_path, source)
    assert [word for word in words if word not in str(caught.value)] == []


def test_the_table_resolves_names_and_methods(tmp_path: Path) -> None:
    table = table_of(tmp_path, "def get_a(): 'First line.\\n\\nMore.'\ndef post_a(): pass\nasync def use_b(r): pass")
    assert table.names == ["a", "b"]
    a, b = table.find("a"), table.find("b")
    assert a is not None
    assert b is not None
    assert (a.allowed, table.find("none")) == (("GET", "HEAD", "POST"), None)
    assert b.allowed == ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
    assert a.resolve("PUT") is None
    head = a.resolve("HEAD")
    assert head is not None
    assert (head.exported_name, head.summary, head.is_async, head.line) == ("get_a", "First line.", False, 2)
    assert [function.exported_name for function in table] == ["get_a", "post_a", "use_b"]
    assert len(table) == 3
    assert ("GET" in b, "GET" in a) == (False, True)


def test_what_is_not_callable_is_no_function(tmp_path: Path) -> None:
    assert table_of(tmp_path, "get_value = 3\nGET_x = get_ = _get_y = getx = lambda: 1").names == []


def test_bindings_of_a_file() -> None:
    bound, imported = bindings(
        ast.parse(
            "import a.b, c as d\nfrom e import f as g\nx = y, *z = w[u], v.t = 1\nn: int = 1\n(q := 2)\n"
            "def h():\n    import hidden\n    inner = 1\nclass K:\n    member = 1\nfor i in []:\n    j = 1\n"
            "l = lambda: (m := 1)\n"
        )
    )
    assert bound == ["x", "y", "z", "n", "q", "h", "K", "j", "l"]
    assert imported == {"a", "d", "g"}
