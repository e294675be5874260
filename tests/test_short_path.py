"""The short path and the general one: any request gets the same answer by both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.interfaces import INTERFACES, Ask, Interface, Reply, load_app, write_project
from wixhttp.dispatch.short_path import short_paths

SITE = """
    import asyncio
    seen = []
    def told(request, body):
        headers = dict(request.headers)
        headers.pop("x-request-id", None)
        return ok(body={
            "method": request.method, "url": request.url, "base": request.baseUrl, "name": request.functionName,
            "path": request.path, "query": request.query, "all": request.query_all, "headers": headers,
            "ip": request.ip, "body": body,
        })
    def get_def(request): return told(request, request.body.text())
    async def get_async(request): return told(request, await request.body.text())
    def post_def(request): return told(request, request.body.text())
    async def post_async(request): return told(request, await request.body.text())
    def use_def(request): return told(request, request.body.text())
    def delete_async(request): return told(request, request.body.text())
    def options_own(request): return told(request, "")
    def get_own(): return notFound({"headers": {"Set-Cookie": ["a=1", "b=2"], "X-Request-Id": "own"}})
    def get_text(): return ok("text")
    def get_none(): return None
    def get_late(): raise HTTPError(503, "Later.", headers={"Retry-After": "2"})
    def get_raises(): raise ValueError("x")
    async def get_araises(): raise ValueError("x")
    def get_stream(): return ok(body=iter([b"a", b"b"]))
    async def get_awaits():
        await asyncio.sleep(0)
        return created(headers={"X-A": "1"})
    @limits(max_body=3)
    def put_small(request): return ok(len(request.body.buffer()))
    @cors(origins=["https://a.example"])
    def get_cors(request): return ok(1)
    @cors(origins=["*"])
    def use_cors(request): return ok(2)
"""

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cors": {"cors": {"origins": ["https://a.example"]}},
    "lenient": {"strict_delete": False, "max_body": 5},
    "behind a proxy": {"trusted_proxies": 1, "allowed_hosts": ["b.example", "localhost"]},
    "elsewhere": {"base_path": "/café", "public_url": "https://www.example.com"},
    "with a test site": {"test_site": "."},
    "probed by a port": {"health_port": 81},
    "for nobody": {"max_concurrency": 1, "mode": "development"},
}

NAMES = ["def", "async", "own", "text", "none", "late", "raises", "araises", "stream", "awaits", "small", "cors"]
WORDS = st.sampled_from(
    [*NAMES, "d%65f", "-dev", "", "..", "%2F", "%", "%C3%A9", "a+b", "unknown", "_functions", "#", "é"]
)
TARGETS = st.builds(
    lambda mount, name, rest, query: mount + "/" + "/".join([name, *rest]) + query,
    st.sampled_from(["/_functions"] * 8 + ["/caf%C3%A9/_functions", "/_functions-dev", "", "/_wixhttp/health", "//x"]),
    st.sampled_from(NAMES) | WORDS,
    st.lists(WORDS, max_size=3),
    st.sampled_from(["", "?", "?q=1", "?q=a+b&q=%20&r", "?rc=test-site", "?a#b", "?\xff=%FF"]),
)
HEADERS = st.lists(
    st.sampled_from(
        [
            ("Host", "localhost"), ("Host", "B.example:80"), ("Host", "a b"), ("Host", ""),
            ("Origin", "https://a.example"), ("Origin", "https://b.example"),
            ("Access-Control-Request-Method", "POST"), ("Content-Type", "application/json"),
            ("Content-Type", "text/plain; charset=latin-1"), ("Cookie", "a=1"), ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-Host", "b.example"), ("X-Forwarded-Proto", "https"), ("X-A", "\xe9"), ("Accept", "*/*"),
        ]
    ),
    max_size=4,
    unique_by=lambda field: field[0],
).map(tuple)  # fmt: skip
REQUESTS = st.builds(
    Ask,
    st.sampled_from(["GET"] * 4 + ["POST"] * 3 + ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW", "get"]),
    TARGETS,
    HEADERS,
    st.sampled_from([b"", b"", b"{}", b"four", b"sixsix", b"\xff"]),
    length=st.sampled_from([None, None, None, "x", "-1", "2"]),
    chunked=st.booleans(),
)


def comparable(reply: Reply) -> tuple[int, list[tuple[str, str]], Any]:
    """An answer without what no two answers share: the request's id."""
    own = reply.header("X-Request-Id") or ""
    fields = [(name, value.replace(own, "ID") if name == "X-Request-Id" else value) for name, value in reply.fields]
    fields = [field for field in fields if field[0] != "Content-Length"]
    return reply.status, fields, reply.content.replace(own.encode(), b"ID")


TABLED = """
    def get_a(): return ok()
    def delete_a(): return ok()
    def use_every(): return ok()
    def options_own(): return ok()
    globals()["get_b%20c"] = get_a
    __all__ = list(globals())
"""


def tabled(tmp_path: Path, **details: Any) -> dict[str, list[str]]:
    """The methods by name that the table of the short path has for a site of `TABLED`."""
    app = load_app(write_project(tmp_path, TABLED), **details)
    assert app.site.functions.find("b%20c")
    table = short_paths(app.site, "/_functions", app.admission)
    return {name: sorted(methods) for name, methods in table.items()}


def test_the_table_has_what_needs_no_further_question(tmp_path: Path) -> None:
    assert tabled(tmp_path) == {
        "a": ["GET", "HEAD"],
        "every": ["GET", "HEAD", "PATCH", "POST", "PUT"],
        "own": ["OPTIONS"],
    }


def test_a_delete_is_in_it_where_it_may_have_a_body(tmp_path: Path) -> None:
    assert "DELETE" in tabled(tmp_path, strict_delete=False)["a"]


@pytest.mark.parametrize("details", [{"test_site": "."}, {"health_port": 81}])
def test_it_is_empty_where_the_query_or_the_port_decide(tmp_path: Path, details: dict[str, Any]) -> None:
    details = {key: str(tmp_path) if key == "test_site" else value for key, value in details.items()}
    assert tabled(tmp_path, **details) == {}


@pytest.fixture(scope="module", params=list(SETTINGS))
def pairs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A site by each interface, with the short path and without it."""
    folder = write_project(tmp_path_factory.mktemp("short"), SITE)
    details = {key: str(folder) if key == "test_site" else value for key, value in SETTINGS[request.param].items()}
    with ExitStack() as stack:

        def opened(interface: type[Interface], has_short_path: bool) -> Interface:
            app = load_app(folder, has_short_path=has_short_path, **details)
            return stack.enter_context(closing(interface(app)))

        yield [(opened(each, True), opened(each, False)) for each in INTERFACES.values()]


@given(ask=REQUESTS)
@settings(max_examples=100, deadline=None)
def test_any_request_gets_the_same_answer_both_ways(pairs: list[tuple[Interface, Interface]], ask: Ask) -> None:
    for short, general in pairs:
        assert comparable(short.ask(ask)) == comparable(general.ask(ask))
