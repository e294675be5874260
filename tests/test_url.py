"""wixhttp.http.url: raw targets into words, and back."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.http.request_target import split_absolute
from wixhttp.http.url import (
    PathSegments,
    QueryParams,
    ascii_target,
    decode,
    query_pairs,
    quote_path,
    segments,
    split_target,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.lists(TEXT))
def test_segments_read_back_what_was_quoted(parts: list[str]) -> None:
    assert segments("/".join(quote(part, safe="") for part in parts)) == parts


@given(st.lists(st.tuples(TEXT, st.text(st.characters(exclude_categories=["Cs"])))))
def test_query_pairs_read_back_what_was_encoded(pairs: list[tuple[str, str]]) -> None:
    assert query_pairs(urlencode(pairs)) == pairs


@given(
    st.lists(st.sampled_from(["%", "2", "0", "C", "c", "3", "A9", "f", "x", "é", "%20", "%2f", "%E2%82%AC"])).map(
        "".join
    )
)
def test_a_segment_is_decoded_as_urllib_does(raw: str) -> None:
    assert decode(raw) == unquote(raw)


@given(st.text(st.characters(max_codepoint=255)))
def test_any_raw_path_has_segments(raw: str) -> None:
    assert all("/" not in part or "%2f" in raw.lower() for part in segments(raw))


@given(st.binary())
def test_an_ascii_target_is_ascii_and_means_the_same(raw: bytes) -> None:
    target = ascii_target(raw)
    assert target.isascii()
    if raw.isascii():
        assert target == raw.decode()
    else:
        assert decode(target) == decode(raw.decode("latin-1")) or decode(target) == decode(quote(raw, safe="%/?#"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_decoded_path_quotes_and_reads_back(path: str) -> None:
    assert decode(quote_path(path)) == path


@pytest.mark.parametrize(
    ("target", "expected"),
    [("/a?b=c", ("/a", "b=c")), ("/a", ("/a", "")), ("/a?", ("/a", "")), ("/a?b?c", ("/a", "b?c")), ("*", ("*", "")),
     ("/a#b?c", ("/a", "")), ("//a", ("//a", "")), ("/x://y/z", ("/x://y/z", "")), ("", ("", ""))],
)  # fmt: skip
def test_split_target(target: str, expected: tuple[str, str]) -> None:
    assert split_target(target) == expected


def test_a_path_is_a_list_that_reads_none_past_its_end() -> None:
    path = PathSegments(["a", "b"])
    assert (path[0], path[-1], path[2], path[-3], path[1:], path == ["a", "b"]) == ("a", "b", None, None, ["b"], True)


def test_a_query_is_a_dict_that_reads_none_for_what_is_missing() -> None:
    query: Any = QueryParams(a="1")
    assert (query["a"], query["b"], query.get("b", "d"), "b" in query, dict(query)) == (
        "1",
        None,
        "d",
        False,
        {"a": "1"},
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [("http://host", ("host", "/")), ("HTTPS://Host:80/a/b?c", ("Host:80", "/a/b?c")), ("http://h?q", ("h", "/?q")),
     ("http://h#f", ("h", "/#f")), ("http:///a", ("", "/a")), ("http://u@h/", ("u@h", "/")),
     ("http://h//a", ("h", "//a")), ("ftp://h/a", None),
     ("http:/h", None), ("h:80", None), ("*", None), ("://h", None), ("javascript://h/", None)],
)  # fmt: skip
def test_split_absolute(target: str, expected: tuple[str, str] | None) -> None:
    assert split_absolute(target) == expected
