"""The paths that `getStaticPaths` lists: every misuse names file and entry; pages of lists; one call for a process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.endpoints.routing.paths import encode, normalize
from wixhttp.endpoints.routing.patterns import Pattern, route_of
from wixhttp.endpoints.static.static_paths import Page, PageURL, StaticPath, StaticPaths, paginate
from wixhttp.errors import BuildError, ProjectError

FILE = "src/pages/api/[id].py"


def wait(start: Callable[[], Any]) -> Any:
    async def awaited() -> Any:
        return await start()

    return asyncio.run(awaited())


def pattern_of(name: str) -> Pattern:
    pattern = route_of(PurePosixPath(name), name)
    assert pattern is not None
    return pattern


def paths_of(value: Any, name: str = "api/[id].py", *, keeps: bool = True, prefix: str = "") -> StaticPaths:
    return StaticPaths(pattern_of(name), FILE, lambda: value, keeps=keeps, prefix=prefix)


def listed(value: Any, name: str = "api/[id].py", *, prefix: str = "") -> list[StaticPath]:
    return paths_of(value, name, prefix=prefix).entries(wait)


def test_entries() -> None:
    found = listed([{"params": {"id": "a b"}, "props": {"n": 1}}, {"params": {"id": "é"}}])
    assert found == [StaticPath({"id": "a b"}, {"n": 1}, "/api/a b"), StaticPath({"id": "é"}, {}, "/api/é")]


@pytest.mark.parametrize(
    ("name", "params", "expected", "path"),
    [
        ("[...path].py", {"path": "a/b"}, {"path": "a/b"}, "/a/b"),
        ("[...path].py", {"path": None}, {"path": None}, "/"),
        ("x/[...path].py", {"path": ""}, {"path": None}, "/x"),
        ("[...path].json.py", {"path": None}, {"path": None}, "/.json"),
        ("[lang]-[v].py", {"v": "2", "lang": "en"}, {"lang": "en", "v": "2"}, "/en-2"),
        ("[id].py", {"id": "100%"}, {"id": "100%"}, "/100%"),
    ],
)
def test_paths(name: str, params: dict[str, str | None], expected: dict[str, str | None], path: str) -> None:
    assert listed([{"params": params}], name) == [StaticPath(expected, {}, path)]


def test_a_list_within_the_list_stands_for_its_entries() -> None:
    one, two, three = ({"params": {"id": name}} for name in "abc")
    assert [entry.path for entry in listed([[one, two], three, []])] == ["/api/a", "/api/b", "/api/c"]
    with pytest.raises(BuildError, match=r"getStaticPaths\(\)\[1\]\[0\] = 7"):
        listed([one, [7]])


GOOD = {"params": {"id": "good"}}
WRONG_LISTS: list[tuple[Any, str]] = [
    (None, "not None (NoneType)"),
    ((GOOD,), "(tuple)"),
    (iter([GOOD]), "(list_iterator)"),
    ({"params": {"id": "x"}}, "(dict)"),
    ("text", "not 'text' (str)"),
]


@pytest.mark.parametrize(("value", "said"), WRONG_LISTS)
def test_what_is_no_list(value: Any, said: str) -> None:
    with pytest.raises(BuildError) as caught:
        listed(value)
    assert FILE in str(caught.value)
    assert "returns a list" in str(caught.value)
    assert said in str(caught.value)


WRONG_ENTRIES: list[tuple[str, Any, str]] = [
    ("api/[id].py", 5, "an entry is a dict with 'params', not of type int"),
    ("api/[id].py", None, "not of type NoneType"),
    ("api/[id].py", ({"params": {"id": "x"}},), "not of type tuple"),
    ("api/[id].py", {}, "an entry has 'params'; add them"),
    ("api/[id].py", {"props": {}}, "an entry has 'params'; add them"),
    ("api/[id].py", {"param": {"id": "x"}}, "remove 'param'"),
    ("api/[id].py", {"params": {"id": "x"}, "prop": {}}, "remove 'prop'"),
    ("api/[id].py", {"params": [("id", "x")]}, "'params' is a dict, not [('id', 'x')] (list)"),
    ("api/[id].py", {"params": None}, "'params' is a dict, not None (NoneType)"),
    ("api/[id].py", {"params": {}}, "the parameter 'id' of /api/[id] is missing; add it"),
    ("api/[...id].py", {"params": {}}, "missing; add it, None for an empty rest"),
    ("api/[id].py", {"params": {"id": "x", "ID": "y"}}, "has no parameter 'ID'; it has id"),
    ("api/[id].py", {"params": {"id": 7}}, "not 7 (int); write str(...)"),
    ("api/[id].py", {"params": {"id": b"x"}}, "not b'x' (bytes)"),
    ("api/[id].py", {"params": {"id": None}}, "must not be empty, but is None"),
    ("api/[id].py", {"params": {"id": ""}}, "must not be empty, but is ''"),
    ("api/[id].py", {"params": {"id": "a/b"}}, "must not hold a slash, but is 'a/b'"),
    ("api/[id].py", {"params": {"id": "x"}, "props": None}, "'props' is a dict, not None (NoneType); or leave it out"),
    ("api/[id].py", {"params": {"id": "x"}, "props": [1]}, "'props' is a dict, not [1] (list)"),
    ("api/[id].py", {"params": {"id": ".."}}, "is no path that a request can have"),
    ("api/[id].py", {"params": {"id": "."}}, "is no path that a request can have"),
    ("api/[id].py", {"params": {"id": "..\\x"}}, "is no path that a request can have"),
    ("api/[id].py", {"params": {"id": "%41"}}, "is no path that a request can have"),
    ("api/[...id].py", {"params": {"id": "../../etc/passwd"}}, "is no path that a request can have"),
    ("api/[...id].py", {"params": {"id": "a//b"}}, "is no path that a request can have"),
    ("api/[...id].py", {"params": {"id": "/a"}}, "is no path that a request can have"),
    ("api/[...id].py", {"params": {"id": "a/"}}, "is no path that a request can have"),
    ("api/[id].py", {"params": {"id": "a?b"}}, "these parameters are not those of a request"),
    ("api/[id].py", {"params": {"id": "a#b"}}, "these parameters are not those of a request"),
    ("[a]-[b].py", {"params": {"a": "x-y", "b": "z"}}, "which are {'a': 'x', 'b': 'y-z'}"),
    ("api/[id].py", {"params": {"id": "a\0b"}}, "holds a control character"),
    ("api/[id].py", {"params": {"id": "a\nb"}}, "holds a control character"),
    ("api/[id].py", {"params": {"id": "\ud800"}}, "is no path that a request can have"),
]


@pytest.mark.parametrize(("name", "entry", "said"), WRONG_ENTRIES)
def test_a_wrong_entry(name: str, entry: Any, said: str) -> None:
    good = {"params": dict.fromkeys(pattern_of(name).names, "good")}
    with pytest.raises(BuildError) as caught:
        listed([good, entry], name)
    text = str(caught.value)
    assert text.startswith(f"{FILE}: getStaticPaths()[1] = {entry!r}: ")
    assert said in text


def test_a_path_is_listed_once() -> None:
    with pytest.raises(BuildError, match=r"\[2\] = .* the path '/api/a' is listed twice, first at \[0\]; remove one"):
        listed([{"params": {"id": name}} for name in "aba"])
    with pytest.raises(BuildError, match=r"the path '/x' is listed twice"):
        listed([{"params": {"p": ""}}, {"params": {"p": None}}], "x/[...p].py")


def test_a_long_entry_is_cut_in_the_message() -> None:
    with pytest.raises(BuildError) as caught:
        listed([{"params": {"id": "x" * 5000, "more": ""}}])
    assert len(str(caught.value)) < 500


def test_what_it_raises_is_the_cause() -> None:
    def broken() -> Any:
        raise LookupError("no such table")

    async def broken_later() -> Any:
        raise LookupError("no such table")

    for function in (broken, broken_later):
        with pytest.raises(BuildError, match=r"\[id\]\.py: getStaticPaths\(\) raised LookupError: no such") as caught:
            StaticPaths(pattern_of("[id].py"), FILE, function, keeps=True).entries(wait)
        assert isinstance(caught.value.__cause__, LookupError)


# --- what it takes, and how often it is called -----------------------------------------------------------------------


def takes_by_position(paginate: Callable[..., Any], /) -> Any:
    return paginate(["a"])


def takes_by_keyword(*, paginate: Callable[..., Any]) -> Any:
    return paginate(["a"])


async def takes_later(paginate: Callable[..., Any]) -> Any:
    return paginate(["a"])


def takes_with_default(count: int = 1) -> Any:
    return paginate(["a"] * count)


@pytest.mark.parametrize("function", [takes_by_position, takes_by_keyword, takes_later, takes_with_default])
def test_it_takes_paginate_or_nothing(function: Callable[..., Any]) -> None:
    found = StaticPaths(pattern_of("[page].py"), FILE, function, keeps=True).entries(wait)
    assert [entry.path for entry in found] == ["/1"]


def test_it_takes_nothing_else() -> None:
    def both(paginate: Any, site: Any) -> Any: ...

    def other(context: Any) -> Any: ...

    for function, names in ((both, "paginate, site"), (other, "context")):
        with pytest.raises(ProjectError, match=rf"takes nothing, or paginate, not \({names}\)"):
            StaticPaths(pattern_of("[id].py"), FILE, function, keeps=True)


def test_an_entry_is_found_by_its_parameters() -> None:
    paths = paths_of([{"params": {"id": "a"}, "props": {"n": 1}}, {"params": {"id": "b"}}])
    assert paths.find({"id": "a"}, wait) == StaticPath({"id": "a"}, {"n": 1}, "/api/a")
    assert paths.find({"id": "b"}, wait) == StaticPath({"id": "b"}, {}, "/api/b")
    assert paths.find({"id": "c"}, wait) is None
    assert paths_of([{"params": {"id": None}}], "x/[...id].py").find({"id": None}, wait) is not None


@pytest.mark.parametrize("asked", ["a+b@c", "a%2Bb@c", "a%2bb%40c", "a+b%40c"])
@pytest.mark.parametrize("listed_as", ["a+b@c", "a%2Bb@c"])
def test_an_entry_is_found_however_reserved_characters_are_spelled(listed_as: str, asked: str) -> None:
    entry = paths_of([{"params": {"id": listed_as}}]).find({"id": asked}, wait)
    assert entry == StaticPath({"id": listed_as}, {}, f"/api/{listed_as}")
    with pytest.raises(BuildError, match="is listed twice"):
        listed([{"params": {"id": listed_as}}, {"params": {"id": "a%2Bb%40c"}}])


@pytest.mark.parametrize(("keeps", "calls"), [(True, 1), (False, 3)])
def test_a_good_list_may_be_kept(keeps: bool, calls: int) -> None:
    called = []

    async def function() -> list[Any]:
        called.append(1)
        return [GOOD]

    paths = StaticPaths(pattern_of("[id].py"), FILE, function, keeps=keeps)
    assert paths.entries(wait) == paths.entries(wait)
    assert paths.find({"id": "good"}, wait) is not None
    assert len(called) == calls


def test_a_failure_is_not_kept() -> None:
    answers: list[Any] = [None, [GOOD]]
    paths = StaticPaths(pattern_of("[id].py"), FILE, lambda: answers.pop(0), keeps=True)
    with pytest.raises(BuildError):
        paths.find({"id": "good"}, wait)
    assert paths.find({"id": "good"}, wait) is not None


def test_threads_share_one_call() -> None:
    called = []
    ready = threading.Barrier(8)

    def function() -> list[Any]:
        called.append(1)
        return [GOOD]

    paths = StaticPaths(pattern_of("[id].py"), FILE, function, keeps=True)
    found: list[StaticPath | None] = []

    def ask() -> None:
        ready.wait(10)
        found.append(paths.find({"id": "good"}, wait))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(called), found) == (1, [StaticPath({"id": "good"}, {}, "/good")] * 8)


# --- pages -----------------------------------------------------------------------------------------------------------


def pages(value: Any, name: str, prefix: str = "") -> list[Page]:
    return [entry.props["page"] for entry in listed(value, name, prefix=prefix)]


def test_pages() -> None:
    first, second, third = pages(paginate(list("abcde"), 2), "blog/[page].py")
    assert first == Page(
        ["a", "b"], 0, 1, 5, 1, 2, 3, PageURL("/blog/1", next="/blog/2", prev=None, first=None, last="/blog/3")
    )
    assert second == Page(["c", "d"], 2, 3, 5, 2, 2, 3, PageURL("/blog/2", "/blog/3", "/blog/1", "/blog/1", "/blog/3"))
    assert third == Page(["e"], 4, 4, 5, 3, 2, 3, PageURL("/blog/3", None, "/blog/2", "/blog/1", None))
    with pytest.raises(AttributeError):
        first.size = 3  # type: ignore[misc]  # that is the test


def test_the_first_page_of_a_rest_has_no_number() -> None:
    found = listed(paginate([1, 2, 3], 2), "blog/[...page].py")
    assert [(entry.params, entry.path) for entry in found] == [({"page": None}, "/blog"), ({"page": "2"}, "/blog/2")]
    assert found[0].props["page"].url == PageURL("/blog", next="/blog/2", last="/blog/2")
    assert found[1].props["page"].url == PageURL("/blog/2", prev="/blog", first="/blog")


def test_pages_keep_other_params_and_props() -> None:
    value = [paginate([1, 2], 1, params={"tag": tag}, props={"n": tag}) for tag in ("é x", "b")]
    found = listed(value, "[tag]/[page].json.py", prefix="/base path")
    assert [entry.path for entry in found] == ["/é x/1.json", "/é x/2.json", "/b/1.json", "/b/2.json"]
    assert found[0].props["n"] == "é x"
    assert found[0].props["page"].url.next == "/base%20path/%C3%A9%20x/2.json"


def test_no_items_are_one_empty_page() -> None:
    assert pages(paginate([]), "[page].py") == [Page([], 0, -1, 0, 1, 10, 1, PageURL("/1"))]


def test_any_items() -> None:
    assert [page.data for page in pages(paginate((n for n in range(3)), 2), "[page].py")] == [[0, 1], [2]]


def test_pages_need_their_parameter() -> None:
    with pytest.raises(BuildError, match=r"\[id\]\.py: getStaticPaths\(\)\[0\].*name the file \[page\]\.py"):
        listed(paginate([1], params={"id": "x"}))


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "10", None])
def test_the_size_of_a_page(size: Any) -> None:
    with pytest.raises(ValueError, match="pageSize is a whole number from 1 up, not"):
        paginate([1], size)


@pytest.mark.parametrize("items", ["text", b"bytes", {"a": 1}, 5, None])
def test_what_is_no_list_of_items(items: Any) -> None:
    with pytest.raises(TypeError, match="takes a list of items, not"):
        paginate(items)


@pytest.mark.parametrize("more", [{"params": {"page": "1"}}, {"props": {"page": 1}}])
def test_the_page_is_its_own(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"paginate\(\) sets (params|props)\['page'\] itself"):
        paginate([1], **more)


@given(st.lists(st.integers(), max_size=60), st.integers(1, 12), st.sampled_from(["b/[page].py", "b/[...page].py"]))
def test_pages_are_the_list(items: list[int], size: int, name: str) -> None:
    found = listed(paginate(items, size), name)
    each = [entry.props["page"] for entry in found]
    assert [item for page in each for item in page.data] == items
    assert all(page.data == items[page.start : page.end + 1] for page in each)
    assert [page.url.current for page in each] == [entry.path for entry in found]
    assert [page.url.next for page in each] == [*[page.url.current for page in each[1:]], None]
    assert [page.url.prev for page in each] == [None, *[page.url.current for page in each[:-1]]]
    assert all(page.url.first == each[0].url.current for page in each[1:])
    assert all(page.url.last == each[-1].url.current for page in each[:-1])


@given(st.text(), st.sampled_from(["[p].py", "x/[...p].py", "[...p].json.py"]))
def test_a_listed_path_is_the_path_of_a_request(value: str, name: str) -> None:
    paths = paths_of([{"params": {"p": value}}], name)
    try:
        (entry,) = paths.entries(wait)
    except BuildError:
        return
    assert normalize(encode(entry.path)) == entry.path
    assert paths.pattern.match(entry.path) == entry.params
    assert ".." not in entry.path.split("/")
    assert paths.find(entry.params, wait) == entry


def test_wait_is_asked_only_for_awaitables() -> None:
    def refuse(start: Callable[[], Awaitable[Any]]) -> Any:
        raise AssertionError(start)

    assert [entry.path for entry in paths_of([GOOD]).entries(refuse)] == ["/api/good"]
