"""wixhttp.endpoints.routing.paths: the one path string, and back."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import wixhttp.endpoints.routing.paths
from wixhttp.endpoints.routing.paths import MOST_ROUNDS, RESERVED, comparable, encode, normalize, slash_redirect
from wixhttp.errors import HTTPError

# Raw paths: what may mean something, in every layer of encoding, and the rest of ASCII but what ends a path.
PIECES = st.sampled_from(
    "/ \\ . % a 2 e E f F 5 c C + ; : @ & = $ , ~ .. // /.. %2e %2E %2F %2f %5c %5C %25 %2525 %252e %252F %255c %3F "
    "%23 %3f %2b %C3%A9 %E2%82%AC %00 %20 %0A %41 %22 %7C".split()
)
RAW = st.lists(PIECES | st.characters(codec="ascii", exclude_characters="?#"), max_size=24).map("".join)


DOTS = ".. %2e%2e %2E%2E %2e%2E .%2e %2E. %252e%252e %252E. .%25252e %252e%2e %25%32e%2e".split()


def test_the_examples_of_the_room() -> None:
    assert doctest.testmod(wixhttp.endpoints.routing.paths).failed == 0


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        pytest.param("/", "/", id="root"),
        pytest.param("", "/", id="empty"),
        pytest.param("a/b", "/a/b", id="no slash at the beginning"),
        pytest.param("*", "/*", id="asterisk form"),
        pytest.param("/api/users/1", "/api/users/1", id="plain"),
        pytest.param("/a/b/", "/a/b/", id="slash at the end stays"),
        pytest.param("/a//", "/a/", id="run at the end"),
        pytest.param("///a////b", "/a/b", id="runs of slashes"),
        pytest.param("/a/.", "/a/", id="dot at the end"),
        pytest.param("/a/./b", "/a/b", id="dot"),
        pytest.param("/a/b/..", "/a/", id="two dots at the end"),
        pytest.param("/a/..", "/", id="up to the root"),
        pytest.param("/a//../b", "/a/b", id="an empty segment counts, as in browsers"),
        pytest.param("/a//%2e%2e/b", "/a/b", id="an empty segment counts before encoded dots too"),
        pytest.param("/a/.../b", "/a/.../b", id="three dots are a name"),
        pytest.param("/.well-known/x", "/.well-known/x", id="a name that begins with a dot"),
        pytest.param("/a/..b/c..", "/a/..b/c..", id="dots in a name"),
        pytest.param("/a%20b", "/a b", id="space"),
        pytest.param("/%C3%A9/%E2%82%AC/%F0%9F%98%80", "/é/€/😀", id="UTF-8"),
        pytest.param("/e%CC%81", "/e\u0301", id="not composed"),
        pytest.param("/%61%62", "/ab", id="letters"),
        pytest.param("/a%2Fb", "/a%2Fb", id="slash stays encoded"),
        pytest.param("/a%2fb", "/a%2fb", id="and stays as spelled"),
        pytest.param("/%3B%2F%3F%3A%40%26%3D%2B%24%2C%23", "/%3B%2F%3F%3A%40%26%3D%2B%24%2C%23", id="reserved stay"),
        pytest.param("/%3b%3f%3a%3d%2b%2c", "/%3b%3f%3a%3d%2b%2c", id="reserved stay as spelled"),
        pytest.param("/;:@&=+$,", "/;:@&=+$,", id="reserved, not encoded"),
        pytest.param("/a%252Fb", "/a%2Fb", id="slash, encoded twice"),
        pytest.param("/a%25252fb", "/a%2fb", id="slash, encoded three times"),
        pytest.param("/a%2541", "/aA", id="letter, encoded twice"),
        pytest.param("/%25C3%25A9", "/é", id="UTF-8, encoded twice"),
        pytest.param("/100%25", "/100%", id="percent sign at the end"),
        pytest.param("/100%25/x", "/100%/x", id="percent sign before a slash"),
        pytest.param("/100%25zz", "/100%zz", id="percent sign before text"),
        pytest.param("/%25%2F", "/%%2F", id="percent sign before a retained escape"),
        pytest.param("/%25%32F", "/%2F", id="an escape in pieces"),
        pytest.param("/" + "%25" * 4, "/%%%%", id="percent signs"),
        pytest.param("/a%00b%0D%0A", "/a\0b\r\n", id="controls"),
        pytest.param("/a%22%3C%3E%5E%60%7B%7C%7D", '/a"<>^`{|}', id="signs"),
    ],
)
def test_normalize(raw: str, path: str) -> None:
    assert normalize(raw) == path


@pytest.mark.parametrize("slash", ["/", "\\", "%5c", "%5C", "%255c", "%25255C"])
@pytest.mark.parametrize("dots", DOTS)
def test_no_spelling_of_two_dots_leads_above_the_root(slash: str, dots: str) -> None:
    assert normalize(f"/a{slash}{dots}{slash}{dots}{slash}etc{slash}passwd") == "/etc/passwd"
    assert normalize(f"{slash}{dots}{slash}{dots}{slash}etc") == "/etc"
    assert normalize(f"/a/b{slash}{dots}") == "/a/"


@pytest.mark.parametrize("slash", ["//", "/\\", "\\/", "/%5c", "%5c//", "%255C%5c", "///"])
@pytest.mark.parametrize("dots", DOTS)
def test_two_dots_between_runs_of_slashes_are_dots(slash: str, dots: str) -> None:
    # How many empty segments they take away first depends on which slashes are there before decoding.
    assert normalize(f"/a{slash}{dots}{slash}{dots}{slash}etc{slash}passwd") in ("/etc/passwd", "/a/etc/passwd")
    assert normalize(f"{slash}{dots}{slash}{dots}{slash}etc") == "/etc"


@pytest.mark.parametrize("dot", [".", "%2e", "%2E", "%252e", "%25252E"])
@pytest.mark.parametrize("slash", ["/", "\\", "%5c", "%255C"])
def test_no_spelling_of_a_dot_is_a_segment(slash: str, dot: str) -> None:
    assert normalize(f"/a{slash}{dot}{slash}b{slash}{dot}") == "/a/b/"


def test_an_encoded_slash_is_none() -> None:
    assert normalize("/a%2F..%2Fb/..%2f") == "/a%2F..%2Fb/..%2f"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("/%", id="percent at the end"),
        pytest.param("/a%4", id="one digit"),
        pytest.param("/%zz", id="no digits"),
        pytest.param("/%+1", id="a sign and a digit"),
        pytest.param("/% 1", id="a space and a digit"),
        pytest.param("/%u0041", id="an old form"),
        pytest.param("/100%/x", id="percent before a slash"),
        pytest.param("/%FF", id="no byte of UTF-8"),
        pytest.param("/%C3", id="half a character"),
        pytest.param("/%C3%2F", id="half a character before an escape that stays"),
        pytest.param("/%C0%AE%C0%AE/x", id="dots in too many bytes"),
        pytest.param("/%C0%AF", id="slash in too many bytes"),
        pytest.param("/%ED%A0%80", id="a surrogate"),
        pytest.param("/%F4%90%80%80", id="beyond Unicode"),
        pytest.param("/%25FF", id="no UTF-8 in the second round"),
        pytest.param("/%C3%25A9", id="one character in two rounds"),
        pytest.param("/a%41\ud800", id="a surrogate that was not encoded"),
    ],
)
def test_what_cannot_be_decoded_is_400(raw: str) -> None:
    with pytest.raises(HTTPError) as caught:
        normalize(raw)
    assert caught.value.status == 400
    assert repr(raw)[2:-1] in caught.value.reason or "'/%FF'" in caught.value.reason
    assert raw not in caught.value.detail


def test_ten_rounds_of_decoding_are_enough_and_eleven_too_many() -> None:
    assert normalize("/%" + "25" * (MOST_ROUNDS - 1) + "41") == "/A"
    assert normalize("/%" + "25" * MOST_ROUNDS + "2F") == "/%2F"
    assert normalize("/%" + "25" * MOST_ROUNDS) == "/%"
    for raw in ("/%" + "25" * MOST_ROUNDS + "41", "/%" + "25" * (MOST_ROUNDS + 1), "/%" + "25" * 2000):
        with pytest.raises(HTTPError, match="after 10 rounds"):
            normalize(raw)


def normalized(raw: str) -> str | None:
    try:
        return normalize(raw)
    except HTTPError:
        return None


@given(RAW)
@example("/%25%2541")
@example("/%25%2F%2525")
@example("/%%32F")
def test_a_path_string_is_the_same_after_encoding_and_normalizing(raw: str) -> None:
    path = normalized(raw)
    if path is not None:
        assert normalize(encode(path)) == path


@given(RAW)
def test_a_path_string_has_no_dot_segment_no_backslash_and_no_empty_segment(raw: str) -> None:
    path = normalized(raw)
    if path is not None:
        names = path.removeprefix("/").removesuffix("/").split("/")
        assert path[0] == "/"
        assert path == "/" or not {"", ".", ".."}.intersection(names)
        assert "\\" not in path


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%/\\?#"), min_size=1))
def test_any_name_can_be_sent(name: str) -> None:
    assert normalize(encode("/" + name)) == ("/" if name in (".", "..") else "/" + name)


@given(RAW)
def test_an_encoded_path_is_fit_for_a_url(raw: str) -> None:
    path = normalized(raw)
    if path is not None:
        encoded = encode(path)
        assert encoded.isascii()
        assert encoded.isprintable()
        assert not set(' "<>\\^`{|}?#').intersection(encoded)


@pytest.mark.parametrize(
    ("path", "raw"),
    [("/", "/"), ("/a b", "/a%20b"), ("/é", "/%C3%A9"), ("/a%2Fb%2f", "/a%2Fb%2f"), ("/100%", "/100%25"),
     ("/%%2F", "/%25%2F"), ("/%41", "/%2541"), ('/"<>\\^`{|}', "/%22%3C%3E%5C%5E%60%7B%7C%7D"), ("/?#", "/%3F%23"),
     ("/\t\x7f", "/%09%7F"), ("/;:@&=+$,!'()*-._~", "/;:@&=+$,!'()*-._~"), ("/%", "/%25"), ("/%2", "/%252")],
)  # fmt: skip
def test_encode(path: str, raw: str) -> None:
    assert encode(path) == raw


def test_every_retained_escape_compares_as_its_character_but_the_slash() -> None:
    for character in RESERVED:
        for code in (f"%{ord(character):02X}", f"%{ord(character):02x}"):
            assert comparable(code) == ("%2F" if character == "/" else character)
    assert comparable("/a%41%/%%2b") == "/a%41%/%+"


@pytest.mark.parametrize(
    ("raw", "rule", "expected"),
    [
        pytest.param("/a", "ignore", None, id="ignore without"),
        pytest.param("/a/", "ignore", None, id="ignore with"),
        pytest.param("/a", "always", "/a/", id="added"),
        pytest.param("/a/", "always", None, id="there already"),
        pytest.param("/a/", "never", "/a", id="taken away"),
        pytest.param("/a", "never", None, id="not there"),
        pytest.param("/", "always", None, id="root, always"),
        pytest.param("/", "never", None, id="root, never"),
        pytest.param("/a/..", "never", None, id="the root after all"),
        pytest.param("/a//", "never", "/a", id="a run at the end"),
        pytest.param("/a/b/.", "never", "/a/b", id="a dot at the end"),
        pytest.param("/a.json", "always", None, id="extension"),
        pytest.param("/a.json/", "never", "/a.json", id="extension, never"),
        pytest.param("/a.b/c", "always", "/a.b/c/", id="a dot in another segment"),
        pytest.param("/.well-known", "always", "/.well-known/", id="a dot at the beginning is no extension"),
        pytest.param("/.a.b", "always", None, id="extension of a hidden name"),
        pytest.param("/_image/", "never", None, id="begins with an underscore"),
        pytest.param("/_image", "always", None, id="begins with an underscore, always"),
        pytest.param("/%5Fimage/", "never", None, id="begins with an encoded underscore"),
        pytest.param("/_x/../a/", "never", None, id="begins raw with an underscore"),
        pytest.param("/a/_b/", "never", "/a/_b", id="an underscore later"),
        pytest.param("//host/a/", "never", None, id="two slashes"),
        pytest.param("/\\host/a/", "never", None, id="slash and backslash"),
        pytest.param("\\\\host/a/", "never", None, id="two backslashes"),
        pytest.param("\\/host/a/", "never", None, id="backslash and slash"),
        pytest.param("/%5Chost/a/", "never", "/host/a", id="encoded backslash"),
        pytest.param("/%2Fhost/a/", "never", "/%2Fhost/a", id="encoded slash"),
        pytest.param("/%09/host/", "never", "/%09/host", id="a tab, which browsers take out, stays encoded"),
        pytest.param("/./%2e//host/", "never", "/host", id="dots before two slashes"),
        pytest.param("/%C3%A9%20%25%2F", "always", "/%C3%A9%20%25%2F/", id="encoded"),
    ],
)
def test_slash_redirect(raw: str, rule: str, expected: str | None) -> None:
    assert slash_redirect(normalize(raw), raw, rule) == expected


@given(RAW, st.sampled_from(["always", "never"]))
@example("/%5C/host/", "never")
@example("/.//host/", "never")
def test_a_redirect_stays_on_the_site_and_leads_to_no_other(raw: str, rule: str) -> None:
    path = normalized(raw)
    target = slash_redirect(path, raw, rule) if path is not None else None
    if path is not None and target is not None:
        assert target[0] == "/"
        assert target[1:2] not in ("/", "\\")
        assert normalize(target).rstrip("/") == path.rstrip("/")
        assert slash_redirect(normalize(target), target, rule) is None
