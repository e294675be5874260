"""Round trips of random values through the three interfaces: a handler reads what was sent, its answer comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.interfaces import INTERFACES, Served, load_app, write_project

ECHO = """
    def post_json(request): return ok(body=[request.body.json()])
    async def post_ajson(request): return ok(body=[await request.body.json()])
    def get_url(request): return ok([request.path, list(request.query_all.items())])
    def get_headers(request): return ok(headers={"X-Back": request.headers["x-sent"]})
    def post_bytes(request): return ok(request.body.buffer())
"""
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
EDGES = st.sampled_from([2**53, 2**63, 2**64, 10**18, 10**19, 10**20, 10**4299])  # up to where Python reads digits
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**80), 10**80)
    | st.builds(lambda near, step, sign: sign * (near + step), EDGES, st.integers(-2, 2), st.sampled_from([1, -1]))
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=15,
)
FEW = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def interfaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Served]]:
    folder: Path = write_project(tmp_path_factory.mktemp("echo"), ECHO)
    with ExitStack() as stack:
        yield [Served(stack.enter_context(closing(interface(load_app(folder))))) for interface in INTERFACES.values()]


@given(value=JSON)
@FEW
def test_any_json_value(interfaces: list[Served], value: Any) -> None:
    for served in interfaces:
        for name in ("json", "ajson"):
            assert served(name, "POST", body=json.dumps(value).encode()).json() == [value]


def test_more_digits_than_are_read_are_a_400(interfaces: list[Served]) -> None:
    for served in interfaces:
        for name in ("json", "ajson"):
            for number in ("1" * 4301, "-" + "9" * 100_000):
                assert served(name, "POST", body=f"[{number}]".encode()).status == 400


@given(parts=st.lists(TEXT.filter(bool)), pairs=st.dictionaries(TEXT, st.lists(TEXT, min_size=1)))
@FEW
def test_any_path_and_query(interfaces: list[Served], parts: list[str], pairs: dict[str, list[str]]) -> None:
    target = "url/" + "/".join(quote(part, safe="") for part in parts) + "?" + urlencode(pairs, doseq=True)
    for served in interfaces:
        assert served(target).json() == [parts, [list(item) for item in pairs.items()]]


@given(value=st.text(st.characters(min_codepoint=33, max_codepoint=126) | st.just(" ")))
@FEW
def test_any_header_value(interfaces: list[Served], value: str) -> None:
    for served in interfaces:
        assert served("headers", "GET", ("X-Sent", value)).header("X-Back") == value.strip()


@given(body=st.binary(max_size=3000), chunked=st.booleans())
@FEW
def test_any_bytes(interfaces: list[Served], body: bytes, chunked: bool) -> None:
    for served in interfaces:
        assert served("bytes", "POST", body=body, chunked=chunked).content == body
