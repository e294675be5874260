"""wixhttp.endpoints.routing.patterns: files to patterns, their order, and what they match."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wixhttp.endpoints.routing.paths import RESERVED, comparable
from wixhttp.endpoints.routing.patterns import Pattern, RouteTable, parse_pattern, route_of
from wixhttp.errors import ProjectError

FILE = "src/pages/x.py"


def pattern_of(text: str) -> Pattern:
    return parse_pattern([name for name in text.split("/") if name], FILE)


def table_of(texts: Sequence[str]) -> RouteTable[str]:
    return RouteTable((pattern_of(text), text) for text in texts)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("index.py", "/", id="root"),
        pytest.param("about.py", "/about", id="file"),
        pytest.param("api/users.py", "/api/users", id="folder"),
        pytest.param("api/index.py", "/api", id="index of a folder"),
        pytest.param("index/about.py", "/index/about", id="folder called index"),
        pytest.param("index/index.py", "/index", id="index of a folder called index"),
        pytest.param("index.xml.py", "/index.xml", id="index with an extension is a name"),
        pytest.param("a/Index.py", "/a/Index", id="case counts"),
        pytest.param("rss.xml.py", "/rss.xml", id="only the last extension is cut"),
        pytest.param("api/data.json.py", "/api/data.json", id="in a folder too"),
        pytest.param("a.py.py", "/a.py", id="twice the same extension"),
        pytest.param("v1.0/x.py", "/v1.0/x", id="a dot in a folder's name"),
        pytest.param("[id].py", "/[id]", id="parameter"),
        pytest.param("[...path].py", "/[...path]", id="rest"),
        pytest.param("[id]/index.py", "/[id]", id="index of a folder that is a parameter"),
        pytest.param("[lang]-[version]/[...path].json.py", "/[lang]-[version]/[...path].json", id="parts"),
        pytest.param(".well-known/security.txt.py", "/.well-known/security.txt", id="well-known"),
        pytest.param("cafe\u0301.py", "/caf\u00e9", id="composed"),
        pytest.param("404.py", "/404", id="special files are taken out before"),
        pytest.param("test_conftest.py", "/test_conftest", id="a name that ends like conftest"),
        pytest.param("_draft.py", None, id="underscore"),
        pytest.param("_lib/x.py", None, id="folder with an underscore"),
        pytest.param("a/_lib/x/y.py", None, id="folder with an underscore further down"),
        pytest.param("__init__.py", None, id="package"),
        pytest.param("__pycache__/a.cpython-310.py", None, id="cache"),
        pytest.param(".hidden.py", None, id="dot"),
        pytest.param(".git/x.py", None, id="folder with a dot"),
        pytest.param(".well-known.py", None, id="a file that begins so is not the folder"),
        pytest.param(".well-knowns/x.py", None, id="a folder that begins so"),
        pytest.param("conftest.py", None, id="conftest"),
        pytest.param("a/conftest.py", None, id="conftest in a folder"),
        pytest.param("page.astro", None, id="another language"),
        pytest.param("readme.md", None, id="no code"),
        pytest.param("x.pyc", None, id="compiled"),
        pytest.param("py", None, id="no extension"),
        pytest.param("_[.py", None, id="a name that is skipped need not be right"),
    ],
)
def test_the_route_of_a_file(file: str, text: str | None) -> None:
    pattern = route_of(PurePosixPath(file), FILE)
    assert (pattern and pattern.text) == text


@pytest.mark.parametrize(
    ("segment", "rule"),
    [
        pytest.param("[id", "not balanced", id="not closed"),
        pytest.param("id]", "not balanced", id="not opened"),
        pytest.param("[[id]]", "not balanced", id="nested"),
        pytest.param("[a[b]]", "not balanced", id="nested in a name"),
        pytest.param("[a]]", "not balanced", id="closed twice"),
        pytest.param("[", "not balanced", id="bracket alone"),
        pytest.param("]", "not balanced", id="closing bracket alone"),
        pytest.param("a]-[b", "not balanced", id="the wrong way round"),
        pytest.param("[a][b]", "touch", id="two parameters touch"),
        pytest.param("[a][...b]", "touch", id="parameter and rest touch"),
        pytest.param("[...a][b]", "touch", id="rest and parameter touch"),
        pytest.param("[...a][...b]", "touch", id="two rests touch"),
        pytest.param("[]", r"not \[\]", id="no name"),
        pytest.param("[...]", r"not \[\.\.\.\]", id="rest without a name"),
        pytest.param("[a-b]", r"not \[a-b\]", id="hyphen"),
        pytest.param("[..a]", r"not \[\.\.a\]", id="two dots"),
        pytest.param("[....a]", r"not \[\.\.\.\.a\]", id="four dots"),
        pytest.param("[...a...]", "letters, digits and _", id="dots behind"),
        pytest.param("[a b]", "letters, digits and _", id="space"),
        pytest.param("[\u00e9]", "letters, digits and _", id="not ASCII"),
        pytest.param("[\u0663]", "letters, digits and _", id="a digit that is not ASCII"),
        pytest.param("[a\n]", "letters, digits and _", id="line feed"),
        pytest.param("[id]-[id]", "twice", id="one name twice"),
    ],
)
def test_a_wrong_pattern_is_an_error_that_names_the_file(segment: str, rule: str) -> None:
    with pytest.raises(ProjectError, match=rule) as caught:
        parse_pattern(["api", segment], "src/pages/api/wrong.py")
    assert str(caught.value).startswith("src/pages/api/wrong.py: ")


def test_one_name_twice_in_different_segments_is_an_error() -> None:
    with pytest.raises(ProjectError, match="'id' stands twice"):
        parse_pattern(["[id]", "x", "[...id]"], FILE)


def test_a_pattern_says_what_it_is() -> None:
    pattern = pattern_of("/api/[b]-[a]/[...C_1].json")
    assert (pattern.text, pattern.names, pattern.is_static) == ("/api/[b]-[a]/[...C_1].json", ("b", "a", "C_1"), False)
    assert (pattern_of("/").text, pattern_of("/").names, pattern_of("/").is_static) == ("/", (), True)
    assert "/api/[b]" in repr(pattern)


# --- matching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "params"),
    [
        pytest.param("/", "/", {}, id="root"),
        pytest.param("/", "", {}, id="root, empty"),
        pytest.param("/", "/a", None, id="root is not all"),
        pytest.param("/a/b", "/a/b", {}, id="static"),
        pytest.param("/a/b", "/a/b/", {}, id="slash at the end"),
        pytest.param("/a/b", "/a", None, id="too short"),
        pytest.param("/a/b", "/a/b/c", None, id="too long"),
        pytest.param("/a", "/A", None, id="case counts"),
        pytest.param("/caf\u00e9", "/cafe\u0301", None, id="paths are not composed"),
        pytest.param("/a.b", "/axb", None, id="a dot is a dot"),
        pytest.param("/[id]", "/1", {"id": "1"}, id="parameter"),
        pytest.param("/[id]", "/1/", {"id": "1"}, id="parameter, slash at the end"),
        pytest.param("/[id]", "/", None, id="parameter is not empty"),
        pytest.param("/[id]", "/1/2", None, id="parameter holds no slash"),
        pytest.param("/[id]", "/a%2Fb", {"id": "a%2Fb"}, id="an encoded slash is none"),
        pytest.param("/[id]", "/a b\u00e9\n", {"id": "a b\u00e9\n"}, id="any other text"),
        pytest.param("/[a]/x/[b]", "/1/x/2", {"a": "1", "b": "2"}, id="two parameters"),
        pytest.param("/[lang]-[version]", "/en-v1", {"lang": "en", "version": "v1"}, id="parts"),
        pytest.param("/[lang]-[version]", "/a-b-c", {"lang": "a", "version": "b-c"}, id="the shortest text"),
        pytest.param("/[a]-[b]", "/-b", None, id="first part not empty"),
        pytest.param("/[a]-[b]", "/a-", None, id="last part not empty"),
        pytest.param("/[a]-[b]", "/--b", {"a": "-", "b": "b"}, id="not empty, so longer"),
        pytest.param("/[a]-[b]", "/a/-b", None, id="parts do not span slashes"),
        pytest.param("/p[a]p", "/ppp", {"a": "p"}, id="text around"),
        pytest.param("/p[a]p", "/pp", None, id="text around, nothing within"),
        pytest.param("/[a].json", "/x.json.json", {"a": "x.json"}, id="text at the end is at the end"),
        pytest.param("/[a]aa/b", "/aaaa/b", {"a": "aa"}, id="text at the end of a segment"),
        pytest.param("/[...x]", "/", {"x": None}, id="rest may be empty"),
        pytest.param("/[...x]", "/a/b/c", {"x": "a/b/c"}, id="rest holds slashes"),
        pytest.param("/[...x]", "/a/", {"x": "a"}, id="rest, slash at the end"),
        pytest.param("/foo/[...x]", "/foo", {"x": None}, id="rest takes its slash with it"),
        pytest.param("/foo/[...x]", "/foo/", {"x": None}, id="rest, slash there"),
        pytest.param("/foo/[...x]", "/foobar", None, id="rest begins at a slash"),
        pytest.param("/[...p]/edit", "/edit", {"p": None}, id="rest at the beginning, empty"),
        pytest.param("/[...p]/edit", "/a/b/edit", {"p": "a/b"}, id="rest at the beginning"),
        pytest.param("/[...p]/edit", "/aedit", None, id="rest ends at a slash"),
        pytest.param("/a/[...p]/z", "/a/z", {"p": None}, id="rest in the middle, empty"),
        pytest.param("/a/[...p]/z", "/a/z/z", {"p": "z"}, id="rest in the middle"),
        pytest.param("/[...path].json", "/a/b.json", {"path": "a/b"}, id="rest with an extension"),
        pytest.param("/[...path].json", "/.json", {"path": None}, id="rest with an extension, empty"),
        pytest.param("/[...path].json", "/", None, id="rest with an extension needs it"),
        pytest.param("/pre[...x]post", "/prepost", {"x": None}, id="rest in text, empty"),
        pytest.param("/pre[...x]post", "/pre/a/post", {"x": "/a/"}, id="rest in text"),
        pytest.param("/[...a]/[...b]", "/", {"a": None, "b": None}, id="two rests, empty"),
        pytest.param("/[...a]/[...b]", "/x/y/z", {"a": "x", "b": "y/z"}, id="two rests"),
        pytest.param("/[...a]/x/[...b]", "/x/x", {"a": "x", "b": None}, id="a rest takes a segment where it can"),
        pytest.param("/[...a]/x/[...b]", "/1/2/x/3", {"a": "1/2", "b": "3"}, id="text between rests"),
        pytest.param("/[...a]-[b]", "/x-y/z-w", {"a": "x-y/z", "b": "w"}, id="a rest goes on where a parameter cannot"),
        pytest.param("/[...a]/-[...b]-[n]", "/-z/--", {"a": None, "b": "z/", "n": "-"}, id="back to an earlier place"),
        pytest.param("/[...p].json/[...q]", "/a.jsonx/b.json/c", {"p": "a.jsonx/b", "q": "c"}, id="a rest at a slash"),
        pytest.param("/a+b", "/a+b", {}, id="reserved, raw"),
        pytest.param("/a+b", "/a%2Bb", {}, id="reserved, encoded"),
        pytest.param("/a+b", "/a%2bb", {}, id="reserved, encoded in small letters"),
        pytest.param("/a?b", "/a%3Fb", {}, id="a question mark comes encoded only"),
        pytest.param("/a%2Bb", "/a+b", {}, id="a file's name that holds an escape"),
        pytest.param("/a%2fb", "/a%2Fb", {}, id="a file's name that holds that of a slash"),
        pytest.param("/a%2Fb", "/a/b", None, id="which is none"),
        pytest.param("/[a]+[b]", "/1%2B2%2b3", {"a": "1", "b": "2%2b3"}, id="values stay as they are"),
        pytest.param("/@[user]", "/%40me", {"user": "me"}, id="reserved before a parameter"),
        pytest.param("/[a]=", "/1%3D%3d", {"a": "1%3D"}, id="reserved at the end"),
        pytest.param("/[...a]:[b]", "/1/2%3A3", {"a": "1/2", "b": "3"}, id="reserved behind a rest"),
    ],
)
def test_matching(text: str, path: str, params: dict[str, str | None] | None) -> None:
    pattern = pattern_of(text)
    assert pattern.match(path) == params
    found = RouteTable([(pattern, "it")]).find(path)
    assert found == (None if params is None else (pattern, "it", params))
    if params is not None:
        assert tuple(params) == pattern.names == tuple(pattern.match(path) or ())


def reference(pattern: Pattern) -> re.Pattern[str]:
    """The meaning of a pattern, as a regular expression (Astro's), with each spelling of reserved characters."""
    source = ""
    for segment in pattern.segments:
        if len(segment) == 1 and segment[0].rest:
            source += f"(?:/(?P<{segment[0].name}>.*?))?"
            continue
        source += "/"
        for part in segment:
            if part.name:
                source += f"(?P<{part.name}>{'.*?' if part.rest else '[^/]+?'})"
            for piece in re.split("(%2F|.)", comparable(part.text)):
                spelled = piece in RESERVED and f"(?:{re.escape(piece)}|(?i:%{ord(piece):02X}))" if piece else ""
                source += spelled or re.escape(piece)
    return re.compile(source, re.DOTALL)


def expected(pattern: Pattern, path: str) -> dict[str, str | None] | None:
    found = reference(pattern).fullmatch(path.removesuffix("/"))
    return {name: value or None for name, value in found.groupdict().items()} if found else None


LITERALS = st.text("aab-.+%2B", min_size=1, max_size=2)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    names = iter("abcdefghijklmnop")
    segments = []
    for _ in range(draw(st.integers(0, 4))):
        segment, variable = "", draw(st.booleans())
        for _ in range(draw(st.integers(1, 4))):
            rest = "..." if draw(st.integers(0, 2)) == 0 else ""
            segment += f"[{rest}{next(names)}]" if variable else draw(LITERALS)
            variable = not variable
        segments.append(segment)
    return "/" + "/".join(segments)


PATHS = st.lists(st.text("aab-.+%2B", max_size=5) | st.sampled_from(["a", "b", "a-b", "%2B", "%2b"]), max_size=6).map(
    lambda names: "/" + "/".join(names)
)


def filled(text: str, values: Sequence[str]) -> str:
    """A path that is likely to match a pattern."""
    remaining = itertools.cycle(values)
    return re.sub(r"\[[^]]*\]", lambda _: next(remaining), text).replace("//", "/")


VALUES = st.lists(st.text("ab-./", max_size=4), min_size=1, max_size=5)


@given(patterns(), PATHS, VALUES)
@example("/[...a]/-[...b]-[c]", "/-z/--", [""])
@example("/[a]%[b]", "/x%2By", [""])
@example("/[...a]a[b]a[...c]", "/aaa/aaa", ["a"])
def test_a_pattern_matches_as_its_regular_expression_would(text: str, path: str, values: list[str]) -> None:
    pattern = pattern_of(text)
    for candidate in (path, filled(text, values)):
        assert pattern.match(candidate) == expected(pattern, candidate)


@pytest.mark.parametrize(
    ("text", "path", "matches"),
    [
        pytest.param("/[a]-[b]-[c]x", "/" + "-" * 8000, False, id="parts, no end"),
        pytest.param("/[a]-[b]-[c]x", "/" + "-" * 8000 + "x", True, id="parts"),
        pytest.param("/[a]-[b]-[c]-[d]-[e]x/y", "/" + "-x" * 4000 + "y/y", False, id="parts, nearly"),
        pytest.param("/[...a]/x/[...b]/x/[...c]/y", "/x" * 4000, False, id="rests, no end"),
        pytest.param("/[...a]/x/[...b]/x/[...c]/y", "/x" * 4000 + "/y", True, id="rests"),
        pytest.param("/[...a]/x/[...b]/x/[...c]/z/y", "/x" * 4000 + "/y", False, id="rests, nearly"),
        pytest.param("/[...a]/[...b]/[...c]/[...d]/z/y", "/x" * 4000 + "/y", False, id="rests side by side"),
        pytest.param("/[...a]a[...b]a[...c]a[d]y", "/" + "a" * 8000 + "/y", False, id="rests in text"),
        pytest.param("/[...a]-[b]=[c]", "/" + "-" * 8000, False, id="parameters behind a rest"),
        pytest.param("/[...a]-[b]+[c]+[d]", "/" + "-" * 8000 + "+", False, id="reserved characters behind a rest"),
        pytest.param("/[...a]-[b]/[...c]-[d]/[...e]-[f]/y", "/a-b" * 2000 + "/z/y", False, id="rests and parameters"),
        pytest.param("/[...a].[...b]/[...c]/[...d].x/y", "/a.b" * 2000 + "/y", False, id="rests of both kinds"),
    ],
)
def test_a_hostile_path_is_matched_promptly(text: str, path: str, matches: bool) -> None:
    pattern = pattern_of(text)
    start = time.process_time()
    assert (pattern.match(path) is not None) is matches
    assert (table_of([text, "/other"]).find(path) is not None) is matches
    assert time.process_time() - start < 5  # cubic would be hours, and every case here takes a tenth of a second


# --- filling in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "params", "path"),
    [
        pytest.param("/", {}, "/", id="root"),
        pytest.param("/a/b", {"x": "left alone"}, "/a/b", id="static"),
        pytest.param("/blog/[slug]", {"slug": "a b"}, "/blog/a b", id="parameter"),
        pytest.param("/[a]-[b]", {"a": "1", "b": "2"}, "/1-2", id="parts"),
        pytest.param("/[...x]", {"x": None}, "/", id="empty rest at the root"),
        pytest.param("/[...x]", {"x": ""}, "/", id="empty text"),
        pytest.param("/foo/[...x]", {"x": None}, "/foo", id="empty rest"),
        pytest.param("/[...x]/edit", {"x": None}, "/edit", id="empty rest at the beginning"),
        pytest.param("/[...x]/edit", {"x": "a/b"}, "/a/b/edit", id="rest"),
        pytest.param("/[...x].json", {"x": None}, "/.json", id="empty rest with an extension"),
        pytest.param("/[x]", {"x": "100%"}, "/100%", id="percent sign"),
        pytest.param("/[x]", {"x": "what?#"}, "/what%3F%23", id="what a path string holds encoded only"),
        pytest.param("/[x]", {"x": "a%2Fb+c"}, "/a%2Fb+c", id="a retained escape"),
    ],
)
def test_build(text: str, params: dict[str, str | None], path: str) -> None:
    assert pattern_of(text).build(params) == path


@pytest.mark.parametrize(
    ("text", "params", "rule"),
    [
        pytest.param("/[a]/[b]", {"a": "1"}, "'b' of /[a]/[b] is missing", id="missing"),
        pytest.param("/[...a]", {}, "'a' of /[...a] is missing", id="missing rest"),
        pytest.param("/[a]", {"a": 1}, "is a str or None, not 1 (int)", id="a number"),
        pytest.param("/[...a]", {"a": ["x"]}, "is a str or None, not ['x'] (list)", id="a list"),
        pytest.param("/[a]", {"a": None}, "must not be empty, but is None", id="none"),
        pytest.param("/[a]", {"a": ""}, "must not be empty, but is ''", id="empty"),
        pytest.param("/[a]", {"a": "x/y"}, "must not hold a slash, but is 'x/y'; [...a] may", id="a slash"),
        pytest.param("/d/[...a]", {"a": "../x"}, "'/d/../x' is no path that a request can have", id="two dots"),
        pytest.param("/d/[a]", {"a": ".."}, "no path that a request can have", id="two dots alone"),
        pytest.param("/d/[...a]", {"a": "/x"}, "no path that a request can have", id="a slash at the beginning"),
        pytest.param("/d/[...a]", {"a": "x/"}, "no path that a request can have", id="a slash at the end"),
        pytest.param("/d/[a]", {"a": "x\\y"}, "no path that a request can have", id="backslash"),
        pytest.param("/d/[a]", {"a": "%41"}, "no path that a request can have", id="percent-encoded"),
        pytest.param("/d/[a]", {"a": "%FF"}, "no path that a request can have", id="percent-encoded, no UTF-8"),
        pytest.param("/d/[a]", {"a": "\ud800"}, "no path that a request can have", id="a surrogate"),
    ],
)
def test_what_cannot_be_filled_in(text: str, params: dict[str, str | None], rule: str) -> None:
    with pytest.raises(ValueError, match=re.escape(rule)):
        pattern_of(text).build(params)


@given(patterns(), VALUES)
@example("/[...a]%[...b]2", ["a"])
def test_what_was_built_is_matched(text: str, values: list[str]) -> None:
    pattern = pattern_of(text)
    try:
        path = pattern.build(dict(zip(pattern.names, itertools.cycle(values))))
    except ValueError:
        return
    assert pattern.match(path) is not None


# --- order ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(["/a/b", "/a/b-[x]", "/a/[x]", "/a", "/a/b[...x]", "/a/[...x]"], id="kinds, and the end between"),
        pytest.param(["/foo", "/foo/[...x]"], id="a route that ends comes before a rest"),
        pytest.param(["/foo/[x]", "/foo"], id="and after a parameter"),
        pytest.param(["/z/a", "/[a]/a"], id="the first segment counts first"),
        pytest.param(["/z/[...x]", "/[a]/a"], id="the first segment counts first, with a rest behind"),
        pytest.param(["/a/[b]/c", "/a/[b]/[c]", "/a/[b]"], id="then the next"),
        pytest.param(["/a", "/b", "/[a]", "/[b]", "/", "/[...a]", "/[...b]"], id="ties alphabetically"),
        pytest.param(["/[a]-b[...c]", "/[...c]"], id="partly static with a rest, before a rest"),
        pytest.param(["/[a]", "/[a]-b[...c]"], id="and after a parameter alone"),
        pytest.param(["/A", "/Z", "/a"], id="capitals first"),
    ],
)
def test_the_order_of_routes(texts: list[str]) -> None:
    for permutation in itertools.permutations(texts[:6]):
        assert sorted(permutation, key=lambda text: pattern_of(text).key) == texts[:6]
    assert [value for _, value in table_of(texts[::-1])] == texts


@given(patterns(), patterns(), patterns())
def test_the_order_is_total(a: str, b: str, c: str) -> None:
    x, y, z = (pattern_of(text).key for text in (a, b, c))
    assert (x == y) is (a == b)
    assert (x < y) + (y < x) + (x == y) == 1
    assert not (x < y < z) or x < z


ORDERS = st.lists(patterns(), unique=True, max_size=8).flatmap(
    lambda texts: st.tuples(st.just(texts), st.permutations(texts))
)


@given(ORDERS)
def test_the_order_does_not_depend_on_which_file_was_found_first(both: tuple[list[str], list[str]]) -> None:
    found, shuffled = both
    assert [value for _, value in table_of(found)] == [value for _, value in table_of(shuffled)]


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "winner"),
    [
        pytest.param("/", "/", id="root"),
        pytest.param("/users", "/users", id="static"),
        pytest.param("/users/me", "/users/me", id="static before parameter"),
        pytest.param("/users/u-1", "/users/u-[id]", id="partly static before parameter"),
        pytest.param("/users/u-", "/users/[id]", id="partly static that does not match"),
        pytest.param("/users/1", "/users/[id]", id="parameter"),
        pytest.param("/users/1/posts", "/users/[id]/posts", id="behind a parameter"),
        pytest.param("/users/me/posts", "/users/[id]/posts", id="a static segment that leads nowhere is left again"),
        pytest.param("/users/1/x", "/users/[...rest]", id="rest"),
        pytest.param("/users/1/x.json", "/users/[...rest].json", id="partly static with a rest before rest"),
        pytest.param("/users/1.json", "/users/[id]", id="parameter before partly static with a rest"),
        pytest.param("/foo", "/foo", id="the end before a rest"),
        pytest.param("/foo/", "/foo", id="the end before a rest, slash at the end"),
        pytest.param("/foo/a", "/foo/[...x]", id="rest behind it"),
        pytest.param("/none", None, id="no route"),
        pytest.param("/users/1/posts/", "/users/[id]/posts", id="slash at the end"),
        pytest.param("/a%2Bb", "/a+b", id="reserved, encoded"),
    ],
)
def test_the_table_finds_the_first_that_matches(path: str, winner: str | None) -> None:
    texts = [
        "/", "/users", "/users/me", "/users/u-[id]", "/users/[id]", "/users/[id]/posts", "/users/[...rest]",
        "/users/[...rest].json", "/foo", "/foo/[...x]", "/a+b",
    ]  # fmt: skip
    for order in (texts, texts[::-1]):
        found = table_of(order).find(path)
        assert (found and found[1]) == winner


def scanned(table: RouteTable[str], path: str) -> tuple[Pattern, str, dict[str, str | None]] | None:
    """The reference for the look-up: the first of its routes, in their order, that matches."""
    for pattern, value in table:
        params = pattern.match(path)
        if params is not None:
            return pattern, value, params
    return None


ROUTES = st.lists(
    patterns()
    | st.sampled_from(
        "/ /a /a/b /[a] /[a]/b /a/[b] /[a]/[b] /a-[b] /[a]-b /a-[b]/c /[a]-b/[c] /a/[...b] /[...a]".split()
    ),
    unique=True,
    max_size=12,
)


@given(ROUTES, st.integers(0, 12), PATHS, VALUES)
@example(["/a[b]/[c]", "/[b]-a/a"], 1, "/a-a/a", ["a"])
@example(["/a%[b]", "/[c]"], 1, "/a%2Bb", ["a"])
@example(["/[...a]"], 1, "/a//", ["a"])
def test_the_table_finds_what_a_scan_finds(texts: list[str], cut: int, path: str, values: list[str]) -> None:
    table, shuffled = table_of(texts), table_of(texts[cut:][::-1] + texts[:cut])
    for candidate in (path, *(filled(text, values) for text in texts)):
        wanted = scanned(table, candidate)
        found, other = table.find(candidate), shuffled.find(candidate)
        assert found == wanted
        assert (other and other[1:]) == (wanted and wanted[1:])


def test_parameters_of_a_request_are_its_own() -> None:
    table = table_of(["/", "/[id]", "/x/[...rest]"])
    for path in ("/", "/1", "/x/2"):
        first, second = table.find(path), table.find(path)
        assert first is not None
        assert second is not None
        first[2]["more"] = "1"
        assert "more" not in second[2]
        assert "more" not in (table.find(path) or second)[2]


@pytest.mark.parametrize(
    ("family", "path"),
    [("/api/{}", "/api/{}"), ("/api/p{}-[id]", "/api/p{}-x"), ("/api/{}/[id]", "/api/{}/x"),
     ("/a/[...x]/p{}", "/a/b/c/p{}"), ("/s{}/[id]/[x]/y", "/s{}/1/2/y"), ("/s{}/[...x]", "/s{}/1/2/y")],
)  # fmt: skip
def test_many_routes_cost_little_more_than_one(family: str, path: str) -> None:
    def seconds(table: RouteTable[str]) -> float:
        spent = []
        for _ in range(7):
            start = time.process_time()
            for _ in range(300):
                assert table.find(target) is not None
            spent.append(time.process_time() - start)
        return min(spent)

    target = path.format(777)
    alone = seconds(table_of([family.format(777)]))
    assert seconds(table_of([family.format(number) for number in range(1000)])) < alone * 8  # a scan: hundreds of times


def test_a_route_that_never_answers_is_told() -> None:
    table = table_of(["/u/[name]", "/u/[id]", "/u/[...id]", "/u/x-[a]", "/u/x-[b]", "/u/[id]/x", "/a+b", "/a%2Bb"])
    assert table.shadowed() == [("/u/x-[a]", "/u/x-[b]"), ("/u/[id]", "/u/[name]"), ("/a%2Bb", "/a+b")]
    assert (table.find("/u/1") or ())[1:] == ("/u/[id]", {"id": "1"})
    assert table_of(["/a", "/a"]).shadowed() == []  # two files of one route are an error of their own
