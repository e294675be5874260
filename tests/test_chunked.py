"""The chunked transfer coding as the server decodes it: any data in any pieces, nothing malformed, within bounds."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.server.chunked import FEW, LINE, SMALL, TRAILERS, BadChunk, ChunkedBody


def coded(chunks: list[bytes], trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailers + b"\r\n"


def feed_all(body: ChunkedBody, data: bytes, times: int) -> None:
    for _ in range(times):
        body.feed(data)


def decoded(data: bytes, cuts: list[int]) -> tuple[bytes, bytes | None]:
    """The data of a body that arrives in pieces, and what follows its end."""
    body = ChunkedBody()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found = b""
    for start, end in itertools.pairwise(edges):
        if body.rest is not None:
            return found, body.rest + data[start:]
        found += body.feed(data[start:end])
    return found, body.rest


@given(
    st.lists(st.binary(min_size=1, max_size=40)),
    st.lists(st.integers(0, 10_000), max_size=30),
    st.sampled_from([b"", b"X-Sum: abc\r\n", b"a:\r\nb:\t c \r\n"]),
    st.binary(max_size=30),
)
def test_any_data_in_any_pieces(chunks: list[bytes], cuts: list[int], trailers: bytes, rest: bytes) -> None:
    assert decoded(coded(chunks, trailers) + rest, cuts) == (b"".join(chunks), rest)


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"0", b"3", b"a", b";", b" ", b":", b"\0", b"abc"])).map(b"".join),
    st.lists(st.integers(0, 10_000), max_size=10),
)
def test_the_outcome_does_not_depend_on_the_pieces(data: bytes, cuts: list[int]) -> None:
    def outcome(cuts: list[int]) -> object:
        try:
            return decoded(data, cuts)
        except BadChunk:
            return "refused"

    assert outcome(cuts) == outcome([]) == outcome(list(range(len(data))))


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n", b" 3\r\n", b"3 \r\n", b"+3\r\n", b"-3\r\n", b"0x3\r\n", b"3_0\r\n", b"g\r\n", b"3\n", b"3\rabc",
        b";a\r\n", b"1" * 13 + b"\r\n", b"0" * 13 + b"\r\n", b"3\r\nabc\n", b"3\r\nabcd", b"3\r\nabc\rx", b"3;a\0b\r\n",
        b"3;a\rb\r\n",
        b"0\r\n\n", b"0\r\nno colon\r\n", b"0\r\n: x\r\n", b"0\r\na b: x\r\n", b"0\r\na : x\r\n", b"0\r\n a: x\r\n",
        b"0\r\na: x\0\r\n", b"0\r\nHost: x\r\n", b"0\r\ncontent-length: 1\r\n", b"0\r\nTransfer-Encoding: chunked\r\n",
        b"0\r\nAuthorization: x\r\n", b"0\r\nCookie: a=b\r\n", b"0\r\na: \xc3\xa4\x7f\r\n",
    ],
)  # fmt: skip
def test_malformed(data: bytes) -> None:
    for cuts in ([], list(range(len(data)))):
        with pytest.raises(BadChunk):
            decoded(data, cuts)


@pytest.mark.parametrize("data", [b"3;a", b"0\r\nX-A: b"])
def test_a_line_without_end_is_bounded(data: bytes) -> None:
    body = ChunkedBody()
    body.feed(data)
    with pytest.raises(BadChunk):
        feed_all(body, b"x", LINE)


def test_trailers_are_bounded() -> None:
    body = ChunkedBody()
    body.feed(b"0\r\n")
    with pytest.raises(BadChunk):
        feed_all(body, b"X-A: b\r\n", TRAILERS)


def test_small_chunks_are_bounded() -> None:
    body = ChunkedBody()
    for _ in range(FEW):
        body.feed(b"1\r\nx\r\n")
    with pytest.raises(BadChunk, match="chunks for"):
        feed_all(body, b"1\r\nx\r\n", 2 * FEW // SMALL + 2)
    body = ChunkedBody()
    for _ in range(4 * FEW):  # as many, each with enough in it
        body.feed(b"40\r\n" + b"x" * 64 + b"\r\n")
    assert body.size == 4 * FEW * 64
