"""`wixhttp migrate`: the files that it writes, what it leaves, and that the migrated site answers the same."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from textwrap import dedent

import pytest

from tests import commands
from tests.interfaces import Fields, Reply, Served, write_project
from tests.servers import clean
from wixhttp.cli.migration import plan_migration, write_endpoints
from wixhttp.data.collections import open_collections, set_default
from wixhttp.dispatch.site import load_site
from wixhttp.project.config import load_config
from wixhttp.secrets import SecretStore, set_default_store

Serve = Callable[..., Served]
ROOT = Path(__file__).parents[1]
FUNCTIONS = "backend/http_functions.py"
OLD, NEW = "/_functions", "/functions2"
ID = ("X-Request-Id", "the-same")


def migrated(folder: Path, to: str = "api") -> Path:
    """A project, after the files were written that its functions come to."""
    migration = plan_migration(load_site(load_config(folder, environ={})), to)
    assert migration.left == []
    assert all(written for _, written in write_endpoints(migration))
    return folder


def run(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run the command, which ends with ``code``, and return both outputs."""
    done = commands.run(arguments, cwd=folder, env=clean({}))
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, out + err
    assert "Traceback" not in err
    return out, err


def functions(source: str) -> dict[str, str]:
    return {FUNCTIONS: "from wixhttp import *\n" + dedent(source)}


# --- the same answers ------------------------------------------------------------------------------------------------

EVERYTHING = """
import functools
import io
import operator

from wixhttp import *
from wixhttp.errors import HTTPError


def seen(request, text, value, data):
    return {
        "method": request.method, "url": request.url, "base": request.baseUrl, "name": request.functionName,
        "path": request.path, "query": request.query, "all": request.query_all, "headers": dict(request.headers),
        "ip": request.ip, "text": text, "json": value, "data": data.hex(), "kind": type(request).__name__,
        "first": request.path[0], "missing": request.query["missing"],
    }


def echo(request):
    value = request.body.json() if request.headers["x-json"] else None
    return ok(body=seen(request, request.body.text(), value, request.body.buffer()), headers={"X-By": "def"})


async def echo_async(request):
    value = await request.body.json() if request.headers["x-json"] else None
    body = seen(request, await request.body.text(), value, await request.body.buffer())
    return ok(body=body, headers={"X-By": "async def"})


get_sync, post_sync, put_sync, delete_sync, patch_sync = echo, echo, echo, echo, echo
get_async = post_async = put_async = delete_async = patch_async = options_async = echo_async


def options_own(request):
    return response(status=204, headers={"Allow": "OPTIONS", "X-Own": "yes"})


def use_any(request):
    return echo(request)


def get_both(request):
    return ok(body="get", headers={"X-By": "get"})


async def use_both(request):
    return ok(body="use", headers={"X-By": "use"})


def get_nothing():
    return ok()


@limits(max_body=10, timeout=5)
@cors(origins=["https://a.example"], credentials=True)
def post_limited(request):
    return ok(body=request.body.text())


@cors(origins="*")
async def get_open(request):
    return ok(body=1)


BODIES = {
    "dict": lambda: {"a": [1, None, 2.5], "é": "ü"}, "list": lambda: [1], "text": lambda: "text é",
    "json": lambda: '{"a": 1}', "empty": lambda: "", "bytes": lambda: bytes([0, 255]), "none": lambda: None,
    "number": lambda: 5, "true": lambda: True,
    "generator": lambda: (chunk for chunk in ("a", b"b", "é")), "file": lambda: io.BytesIO(b"file"),
    "no_chunks": lambda: iter(()), "wrong_chunk": lambda: iter(["a", 5]), "unsendable": lambda: {"a": object()},
    "surrogate": lambda: "\\ud800", "bytearray": lambda: bytearray(b"xy"),
}


def get_body(request):
    status = int(request.query["status"] or 200)
    headers = {"Content-Type": request.query["type"]} if request.query["type"] else {}
    return response(status=status, body=BODIES[request.path[0]](), headers=headers)


async def get_body_async(request):
    return get_body(request)


async def get_stream(request):
    async def chunks():
        for chunk in ("a", b"b"):
            yield chunk
        if request.query["fails"]:
            raise OSError("in the middle")

    return ok(body=chunks(), headers={"Content-Type": "text/x", "X-A": "1", "Set-Cookie": ["a=1", "b=2"]})


def get_mapping(request):
    return {"status": 201, "body": {"a": 1}, "headers": {"X-A": 5, "X-B": True}}


RESULTS = {
    "none": None, "text": "text", "dict": {"body": 1}, "bad_status": {"status": 1000}, "bad_header": {"status": 200,
    "headers": {"X": "a\\nb"}},
}


def get_result(request):
    return RESULTS[request.path[0]]


async def get_result_async(request):
    return RESULTS[request.path[0]]


def get_raises(request):
    match request.path[0]:
        case "http":
            raise HTTPError(418, "a teapot", headers={"X-Tea": "green"})
        case "exit":
            raise SystemExit(1)
        case _:
            raise LookupError("secret")


async def get_raises_async(request):
    return get_raises(request)


def with_status(status, request):
    return response(status=status, body=request.path)


async def with_status_async(status, request):
    return with_status(status, request)


def with_errors(handler):
    @functools.wraps(handler)
    def handle(request):
        return handler(request)

    return handle


def with_errors_async(handler):
    @functools.wraps(handler)
    async def handle(request):
        return handler(request)

    return handle


class get_class:
    def __new__(cls, request):
        return ok(body=request.path)


class Handlers:
    def __call__(self, request):
        return ok(body=request.path)

    def method(self, request):
        return ok(body=request.path)


class AsyncHandlers:
    async def __call__(self, request):
        return ok(body=[type(request).__name__])


get_partial = functools.partial(with_status, 202)
get_partial_async = functools.partial(with_status_async, 203)
get_object = limits(max_body=3)(Handlers())
post_object = get_object
get_object_async = AsyncHandlers()
get_object_partial = functools.partial(AsyncHandlers())
get_method = Handlers().method
get_c = operator.methodcaller("__reduce_ex__", 2)
get_lambda = lambda: ok("lambda")  # noqa: E731
get_decorated = with_errors(with_status.__get__(200))
get_decorated_async = with_errors(echo_async)
get_async_decorator = with_errors_async(echo)


def get_straße(request):
    return ok(body=request.functionName)


def get_index(request):
    return ok(body="index")


def get_404(request):
    return ok(body="404")


def get_conftest(request):
    return ok(body="conftest")


def get_with_a_name_that_is_longer_than_what_fits_into_one_line_of_a_file_in_any_common_format_of_ours(request):
    return ok(body=request.path)


def use_with_a_name_that_is_longer_than_what_fits_into_one_line_of_a_file_in_any_common_format_of_ours(request):
    return ok(body=request.path)
"""


@dataclass(frozen=True)
class Case:
    """A request for what stands behind the mount."""

    target: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    chunked: bool = False


FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Content-Type", "application/json")
FOREIGN = ("Origin", "https://evil.example")
FRIEND = ("Origin", "https://a.example")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
BODIES = (
    "dict list text json empty bytes none number true generator file no_chunks wrong_chunk unsendable surrogate "
    "bytearray"
).split()
LONG = "with_a_name_that_is_longer_than_what_fits_into_one_line_of_a_file_in_any_common_format_of_ours"


def preflight(method: str, *headers: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return ("Access-Control-Request-Method", method), ("Access-Control-Request-Headers", "x-a"), *headers


def cases() -> Iterator[Case]:
    yield from _methods()
    for name in ("sync", "async"):
        yield from _requests(name)
    yield from _origins()
    for name in ("body", "body_async"):
        yield from _answers(name)
    yield from _others()


def _methods() -> Iterator[Case]:
    for name in ("sync", "async", "any", "both", "nothing", "own", "open"):
        for method in METHODS:
            yield Case(name, method)
            yield Case(f"{name}/a/b?x=1&x=2", method, (("X-A", "1"), ("X-A", "2"), FOREIGN))


def _requests(name: str) -> Iterator[Case]:
    for target in (
        "/", "//", "/a//b/", "/a%2Fb", "/a%20b+c", "/%C3%A9/é", "/%2525", "/.hidden/a.b/...", "/;a=1/@:&=+$,",
        "?", "?a", "?a=&b=%26+%C3%A9&a=2", "?a=%FF", "/%3F%23/x?y=%23", "/%00", "/x%252Fy", "/100%25", "/%41%2f%2F",
        "/index", "/index.py", "/.well-known", "/~a(b)!*'",
    ):  # fmt: skip
        yield Case(name + target.encode().decode("latin-1"))
    for kind in (FORM, JSON, ("Content-Type", "text/plain; charset=latin-1"), ("Content-Type", "multipart/form-data")):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            yield Case(name, method, (kind,), b'{"a": "\xe9"}')
            yield Case(name, method, (kind, FOREIGN, ("X-Json", "1")), b'{"a": 1}')
    for data in (b"", b"{", b"NaN", b"\xff", b"[1, 2]"):
        yield Case(name, "POST", (("X-Json", "1"),), data)
    yield Case(name, "POST", (), b"chunks", chunked=True)
    yield Case(name, "DELETE", (), b"chunks", chunked=True)
    yield Case(name, "DELETE", (JSON,))
    yield Case(name, "POST", (FOREIGN,))


def _origins() -> Iterator[Case]:
    for name in ("limited", "open", "sync", "own", "both", "any", "async"):
        for origin in ((), (FRIEND,), (FOREIGN,)):
            for asked in ("GET", "POST", "PUT"):
                yield Case(name, "OPTIONS", preflight(asked, *origin))
            yield Case(name, "OPTIONS", origin)
            yield Case(name, "POST", origin, b"12345678901")
            yield Case(name, "POST", origin, b"1234567890")
            yield Case(name, "POST", origin, b"12345678901", chunked=True)


def _answers(name: str) -> Iterator[Case]:
    for body in BODIES:
        for method in ("GET", "HEAD"):
            yield Case(f"{name}/{body}", method)
            yield Case(f"{name}/{body}?status=404", method)
            yield Case(f"{name}/{body}?type=text/x", method)
        yield Case(f"{name}/{body}?status=204")
        yield Case(f"{name}/{body}?status=304&type=text/x")
    yield Case(f"{name}/text?status=600")
    yield Case(f"{name}/text?status=x")


def _others() -> Iterator[Case]:
    results = ("none", "text", "dict", "bad_status", "bad_header", "missing")
    kinds = (
        "class partial partial_async object object_async object_partial method c lambda decorated decorated_async "
        "async_decorator index 404 conftest"
    ).split()
    for target in (
        "stream", "stream?fails=1", "mapping", "raises/http", "raises/other", "raises_async/http", "raises_async/other",
        *(f"{name}/{each}" for name in ("result", "result_async") for each in results),
        *(f"{name}/a%2Fb/c" for name in kinds),
        "stra%C3%9Fe", "stra%C3%9Fe/x", "%73ync/a", LONG,
    ):  # fmt: skip
        yield Case(target)
        yield Case(target, "HEAD")
        yield Case(target, "POST", (FOREIGN,), b"1234")
    yield Case(LONG, "PUT")


Outcome = tuple[int, Fields, str, type]


def comparable(reply: Reply, mount: str) -> Outcome:
    """The part of an answer that is the same at both mounts, which are of one length: the mount is taken out."""
    fields = [(name, value.replace(mount, "")) for name, value in reply.fields]
    content = reply.content.decode("latin-1").replace(mount, "")
    return reply.status, fields, content, type(reply.broken)


def ask(served: Served, mount: str, case: Case) -> Reply:
    return served(f"{mount}/{case.target}", case.method, ID, *case.headers, body=case.body, chunked=case.chunked)


def check_cases(served: Served) -> None:
    """See that each request is answered the same at both mounts, and that they come to every kind of answer."""
    outcomes = [
        (case, comparable(ask(served, OLD, case), OLD), comparable(ask(served, NEW, case), NEW)) for case in cases()
    ]
    found = [(case, old, new) for case, old, new in outcomes if old != new]
    assert not found, "\n".join(str(each) for difference in found[:20] for each in difference)
    assert {old[0] for case, old, new in outcomes} == {200, 201, 202, 203, 204, 304, 400, 404, 405, 413, 418, 500}


def test_every_request_is_answered_the_same(serve: Serve, tmp_path: Path) -> None:
    check_cases(serve(migrated(write_project(tmp_path / "site", {FUNCTIONS: EVERYTHING}), NEW[1:])))


@pytest.mark.parametrize(
    "middleware",
    ["def onRequest(context, next):\n    return next()\n",
     "async def onRequest(context, next):\n    return await next()\n"],
)  # fmt: skip
def test_the_same_behind_a_middleware(serve: Serve, tmp_path: Path, middleware: str) -> None:
    folder = migrated(write_project(tmp_path / "site", {FUNCTIONS: EVERYTHING}), NEW[1:])
    check_cases(serve(write_project(folder, {"src/middleware.py": middleware})))


def test_an_unknown_name_is_not_found_in_other_words(serve_alike: Serve, tmp_path: Path) -> None:
    served = serve_alike(migrated(write_project(tmp_path / "site", {FUNCTIONS: EVERYTHING})))
    names = ("STRASSE", "sync%2Fa", "syn", "get_sync", "__class__", "_private", "")
    for name, method in product(names, ("GET", "HEAD", "POST", "OPTIONS")):
        old, new = served(f"{OLD}/{name}", method), served(f"/api/{name}", method)
        assert (old.status, new.status) == (404, 404), (name, method)
        if method != "HEAD":
            assert old.problem["detail"] == "There is no such function."
            assert new.problem["detail"] == "There is nothing at this path."


# What the paths of endpoints keep from getting to a function, since routes and middleware judge the one path string.
PATHS = """
def get_x(request):
    return ok(body=[request.functionName, *request.path])

def get_y(request):
    return get_x(request)
"""


def test_paths_that_differ(serve_alike: Serve, tmp_path: Path) -> None:
    served = serve_alike(migrated(write_project(tmp_path / "site", functions(PATHS))))
    for target, *both in (
        ("x/../y/a", ["x", "..", "y", "a"], ["y", "a"]),
        ("x/a/../b", ["x", "a", "..", "b"], ["x", "b"]),
        ("x/a/./b", ["x", "a", ".", "b"], ["x", "a", "b"]),
        ("x/%2e%2E/y", ["x", "..", "y"], ["y"]),
        ("x/%252e%252e/y", ["x", "%2e%2e", "y"], ["y"]),
        ("x/secret/%252e%252e/a", ["x", "secret", "%2e%2e", "a"], ["x", "a"]),
        ("x/secret/..%5C..%5C..%5Cx%5Ca/b", ["x", "secret", "..\\..\\..\\x\\a", "b"], 404),
        ("x/a%5Cb", ["x", "a\\b"], ["x", "a", "b"]),
        ("x\\a", 404, ["x", "a"]),
        ("x%5Ca", 404, ["x", "a"]),
        ("%2578/a", 404, ["x", "a"]),
        ("x/%zz", ["x", "%zz"], 400),
        ("x/100%", ["x", "100%"], 400),
        ("x/%FF", ["x", "\ufffd"], 400),
        ("x/%" + "25" * 12 + "41", ["x", "%" + "25" * 11 + "41"], 400),
    ):
        replies = [served(f"{mount}/{target}") for mount in (OLD, "/api")]
        assert [reply.json() if reply.status == 200 else reply.status for reply in replies] == both, target


def test_an_answer_205_loses_its_body(serve_alike: Serve, tmp_path: Path) -> None:
    source = "def get_x(request): return response(status=205, body='text')"
    served = serve_alike(migrated(write_project(tmp_path / "site", functions(source))))
    assert (served("x").status, served("x").text) == (205, "text")
    assert (served("/api/x").status, served("/api/x").text) == (205, "")


# --- the adapter behind others ---------------------------------------------------------------------------------------

ECHO = """
def post_x(request):
    text = request.body.text()
    return ok(body=[len(text), text[:4], request.url, request.functionName, request.path])

async def put_x(request):
    data = await request.body.buffer()
    return ok(body=[len(data), data[:4].decode(), request.url, request.functionName, request.path])
"""
LARGER_BODIES = {"max_body": "4MB"}


SIZES = (4, 3_000_000)


def test_a_long_body_comes_whole(serve_alike: Serve, tmp_path: Path) -> None:
    served = serve_alike(migrated(write_project(tmp_path / "site", functions(ECHO))), **LARGER_BODIES)
    for target, method, size in product(("/_functions/x/a", "/api/x/a"), ("POST", "PUT"), SIZES):
        reply = served(target, method, body=b"x" * size)
        assert reply.json() == [size, "xxxx", f"http://localhost{target}", "x", ["a"]]


def test_a_rewritten_request_brings_its_body(serve_alike: Serve, tmp_path: Path) -> None:
    pages = {
        f"src/pages/{name}.py": f"{kind} ALL(rewrite):\n    return {wait}rewrite('/api/x/b%20c?q')\n"
        for name, kind, wait in (("sync", "def", ""), ("async", "async def", "await "))
    }
    folder = migrated(write_project(tmp_path / "site", {**functions(ECHO), **pages}))
    served = serve_alike(folder, **LARGER_BODIES)
    for name, method, size in product(("sync", "async"), ("POST", "PUT"), SIZES):
        reply = served(f"/{name}", method, JSON, body=b"x" * size)
        assert reply.json() == [size, "xxxx", "http://localhost/api/x/b%20c?q", "x", ["b c"]]


@pytest.mark.parametrize(("read", "status"), [("clone().text()", 200), ("text()", 500)])
def test_a_middleware_reads_a_clone(serve_alike: Serve, tmp_path: Path, read: str, status: int) -> None:
    middleware = f"def onRequest(context, next):\n    context.request.{read}\n    return next()\n"
    folder = migrated(write_project(tmp_path / "site", {**functions(ECHO), "src/middleware.py": middleware}))
    served = serve_alike(folder, **LARGER_BODIES)
    for method, size in product(("POST", "PUT"), SIZES):
        assert served("/api/x", method, body=b"x" * size).status == status


def test_what_has_no_name_is_named_by_its_route(
    serve_alike: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = "import functools\nget_x = functools.partial(lambda value, request: value, 'text')"
    served = serve_alike(migrated(write_project(tmp_path / "site", functions(source))))
    assert served("/api/x").status == 500
    assert "GET /api/x/[...path] returned str, not a response" in caplog.text


# --- the sample site -------------------------------------------------------------------------------------------------

PASSING = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
SECRETS = dict(line.split("=", 1) for line in (ROOT / ".env").read_text().splitlines() if line[:1] not in ("#", ""))
KEY = ("X-Api-Key", SECRETS["ZAPIER_KEY"])


def sample_cases() -> Iterator[Case]:
    """The requests to the sample site, in this order: it keeps what it is told."""
    book = b'{"_id": "b", "title": "Kindred", "author": "Octavia E. Butler"}'
    ping = b'{"zen": "Design for failure."}'
    signed = hmac.new(SECRETS["GITHUB_SECRET"].encode(), ping, hashlib.sha256).hexdigest()
    github = ("X-GitHub-Event", "ping"), ("X-Hub-Signature-256", f"sha256={signed}")
    for target in (
        "find_me/Grace/Hopper", "find_me/No/One", "find_me", "books", "books/2", "books/none", "authors", "any?a=1",
        "greeting?name=Ada", "prices", "numbers?count=3", "numbers?count=x", "old_page", "page?name=%3Cb%3E",
        "books_csv", "orders", "nobody",
    ):  # fmt: skip
        for method in ("GET", "HEAD", "OPTIONS", "PATCH"):
            yield Case(target, method, (FOREIGN,))
    for origin in (("Origin", "https://www.example.com"), FOREIGN):
        for name in ("prices", "greeting", "books"):
            yield Case(name, "OPTIONS", preflight("GET", origin))
            yield Case(name, "GET", (origin,))
    for body in (book, book, b"{", b"[]", b'{"title": 1}'):
        yield Case("books", "POST", (JSON,), body)
    yield Case("books/b", "PUT", (JSON,), b'{"title": "Again"}')
    yield Case("books/b")
    yield Case("books/b", "DELETE", (JSON,))
    yield Case("books/b", "DELETE", (), b"x")
    yield Case("books/b", "DELETE")
    yield Case("books/b", "DELETE")
    yield Case("quote", "POST", (JSON,), b'{"item": "tea"}')
    yield Case("github", "POST", github, ping)
    yield Case("github", "POST", (*github, FORM), ping)
    yield Case("github", "POST", github, ping + b" ")
    yield Case("stripe", "POST", (), b"x" * 600_000)
    yield Case("stripe", "POST", (), b"x" * 1_100_000)
    yield Case("slack", "POST", (FORM, FOREIGN), b"a=1")
    yield Case("orders", "GET", (KEY,))
    yield Case("orders", "POST", (KEY, JSON), b'{"item": "tea", "quantity": 2}')
    yield Case("orders", "POST", (KEY, JSON), b'{"item": "tea", "quantity": 0}')
    yield Case("orders", "GET", (KEY,))
    yield Case("order_hooks", "POST", (KEY, JSON), b'{"hookUrl": "https://hooks.zapier.com/hooks/1"}')
    yield Case("order_hooks/none", "DELETE", (KEY,))


def test_the_sample_site_answers_the_same(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(ROOT / "backend", folder / "backend", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("*.sqlite3*"))
    shutil.copy(ROOT / ".env", folder)
    run(folder, "migrate", "--to", NEW[1:])
    run(folder, "data", "import", "data/sample")
    outcomes = [list(_sample_outcomes(serve, folder, mount)) for mount in (OLD, NEW)]
    for case, old, new in zip(sample_cases(), *outcomes, strict=True):
        if case.target == "nobody":
            old, new = (old[0], [], "", old[3]), (new[0], [], "", new[3])
        assert old == new, case
    assert {200, 201, 204, 301, 400, 401, 404, 405, 409, 413} <= {each[0] for each in outcomes[0]}


def _sample_outcomes(serve: Serve, folder: Path, mount: str) -> Iterator[Outcome]:
    """The answers of the sample site at a mount, with a store of its own that holds the sample's items."""
    shutil.copy(folder / "data/wixhttp.sqlite3", folder / f"{mount[1:]}.sqlite3")
    config = load_config(folder, environ={}, flags={"database_url": f"sqlite:///{mount[1:]}.sqlite3"})
    collections = open_collections(config)
    set_default(collections)
    set_default_store(SecretStore.from_config(config))
    try:
        served = serve(folder)
        for case in sample_cases():
            reply = ask(served, mount, case)
            yield comparable(replace(reply, content=PASSING.sub(b"*", reply.content)), mount)
    finally:
        collections.store.close()
        set_default(None)
        set_default_store(None)


# --- what is written -------------------------------------------------------------------------------------------------


def files_below(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


SHOP = """
def get_product(request):
    return ok()

async def post_product(request):
    return ok()

def use_all(request):
    return ok()

def get_mixed(request):
    return ok()

use_mixed = get_mixed
"""
PAGE = "from wixhttp.endpoints import Response\ndef GET(): return Response('page')\n"
PRODUCT = '''"""/api/product: the HTTP functions of that name, answered as an endpoint."""

from wixhttp.endpoints import adapt

from backend.http_functions import get_product, post_product

GET = adapt(get_product)
POST = adapt(post_product)
'''
MIXED = '''"""/api/mixed: the HTTP functions of that name, answered as an endpoint."""

from wixhttp.endpoints import adapt

from backend.http_functions import get_mixed, use_mixed

GET = adapt(get_mixed)
HEAD = adapt(get_mixed)
ALL = adapt(use_mixed)
'''


KEPT = "Warning: src/pages/api/all/[...path].py is kept, and has no ALL; add ALL = adapt(use_all)\n"


@pytest.mark.parametrize("file", [FUNCTIONS, "backend/http_functions/__init__.py"])
def test_each_name_gets_a_file_once(tmp_path: Path, file: str) -> None:
    write_project(tmp_path, {file: functions(SHOP)[FUNCTIONS], "src/pages/api/all/[...path].py": PAGE})
    before = files_below(tmp_path)
    out, err = run(tmp_path, "migrate")
    assert (out, err) == (
        dedent("""\
            kept  src/pages/api/all/[...path].py
            made  src/pages/api/mixed/[...path].py
            made  src/pages/api/product/[...path].py

            The functions answer at both URLs:
              /_functions/mixed    /api/mixed
              /_functions/product  /api/product
            Note: a path that cannot be decoded (%zz, %FF) is answered 400 at the new URLs; to functions it is text
            Note: dot segments and backslashes are resolved before the new URLs are matched; to functions they are text

            Next: wixhttp check
        """),
        KEPT,
    )
    made = {"src/pages/api/product/[...path].py": PRODUCT, "src/pages/api/mixed/[...path].py": MIXED}
    assert files_below(tmp_path) == {**before, **made}
    assert run(tmp_path, "migrate")[0] == "".join(
        f"kept  src/pages/api/{name}/[...path].py\n" for name in ("all", "mixed", "product")
    )
    assert files_below(tmp_path) == {**before, **made}


def test_a_dry_run_prints_the_files_and_writes_none(tmp_path: Path) -> None:
    write_project(tmp_path, {**functions(SHOP + "print('loud')"), "src/pages/api/all/[...path].py": PAGE})
    before = files_below(tmp_path)
    out, err = run(tmp_path, "migrate", "--dry-run")
    assert out == (
        "keep  src/pages/api/all/[...path].py\n"
        f"make  src/pages/api/mixed/[...path].py\n\n{MIXED}\n"
        f"make  src/pages/api/product/[...path].py\n\n{PRODUCT}\n"
    )
    assert err == "loud\n" + KEPT
    assert files_below(tmp_path) == before


@pytest.mark.skipif(find_spec("ruff") is None and not os.environ.get("CI"), reason="ruff is not installed")
def test_what_is_written_is_formatted(tmp_path: Path) -> None:
    migrated(write_project(tmp_path, {FUNCTIONS: EVERYTHING}))
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["check", "--select", "E,W,F,I,N,UP,B,D1,D2,D4,RUF,ERA,SIM", "--ignore", "D203,D213,E501"],
        ["format", "--check"],
        ["format", "--check", "--line-length", "120"],
    ):
        done = subprocess.run([*ruff, *command, "--isolated", "src"], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode()


def test_the_migrated_project_has_no_problems(tmp_path: Path) -> None:
    migrated(write_project(tmp_path, {FUNCTIONS: EVERYTHING}))
    out, err = run(tmp_path, "check")
    assert (out.partition(", ")[2], err) == ("33 endpoints, no problems\n", "")


@pytest.mark.parametrize(
    ("folder", "file", "url"),
    [
        ("api", "api/product", "/api/product"),
        ("v1/shop/", "v1/shop/product", "/v1/shop/product"),
        (".", "product", "/product"),
    ],
)
def test_the_folder_is_chosen(serve_alike: Serve, tmp_path: Path, folder: str, file: str, url: str) -> None:
    source = "def get_product(request): return ok(body=[request.baseUrl, request.functionName, request.path])"
    root = migrated(write_project(tmp_path / "site", functions(source)), folder)
    assert (root / "src/pages" / file / "[...path].py").is_file()
    base = "http://localhost" + url.removesuffix("/product")
    assert serve_alike(root)(url + "/a").json() == [base, "product", ["a"]]


@pytest.mark.parametrize(
    "folder", ["..", "../x", "/api", "a//b", "_api", ".api", "[lang]", "a b", "a?b", "a%2Fb", "a\\b", "_functions", "/"]
)
def test_a_folder_that_is_none_is_refused(tmp_path: Path, folder: str) -> None:
    site = load_site(load_config(write_project(tmp_path, functions(SHOP)), environ={}))
    with pytest.raises(ValueError, match="the folder is a path below the pages"):
        plan_migration(site, folder)


def test_a_folder_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    write_project(tmp_path, functions(SHOP))
    out, err = run(tmp_path, "migrate", "--to", "_x", code=2)
    assert (out, "write api, or . for the pages themselves" in err) == ("", True)


def test_names_that_no_file_can_have_are_left(tmp_path: Path) -> None:
    source = """
        def get__private(request): return ok()
        def get_fine(request): return ok()
        globals().update({name: get_fine for name in ("get_a-b", "post_../../x", "put_[x]", "get_\\ufb01")})
        __all__ = ["get__private", "get_fine", "get_a-b", "post_../../x", "put_[x]", "get_\\ufb01"]
    """
    write_project(tmp_path, functions(source))
    out, err = run(tmp_path, "migrate", code=1)
    assert "made  src/pages/api/fine/[...path].py" in out
    assert out.count("/_functions/") == out.count("made") == 1
    assert [line.partition(":")[0] for line in err.splitlines()] == [
        f"left  {name}" for name in ("../../x", "[x]", "_private", "a-b", "\ufb01")
    ]
    assert "no import can name 'get_a-b'" in err
    assert [path for path in files_below(tmp_path) if "http_functions" not in path] == [
        "src/pages/api/fine/[...path].py"
    ]
    assert "no problems" in run(tmp_path, "check")[0]


@pytest.mark.parametrize(
    ("page", "outcome"),
    [
        ("api/x.py", "left"),
        ("api/x/index.py", "left"),
        ("api/x/[id].py", "left"),
        ("api/x/list/[...rest].py", "left"),
        ("api/x/[...rest].py", "left"),
        ("api/x/[...rest].json.py", "left"),
        ("api/x/[...path]/index.py", "left"),
        ("api/[name].py", "warned"),
        ("[...path].py", "warned"),
        ("api/[...path].py", "warned"),
        ("[area]/x/y.py", "warned"),
        ("[a]-[b]/x.py", "made"),
        ("a[b]/x.py", "warned"),
        ("ap[...rest].py", "warned"),
        ("b[...rest].py", "made"),
        ("api/y.py", "made"),
        ("api/index.py", "made"),
        ("index.py", "made"),
        ("x.py", "made"),
        ("_api/x.py", "made"),
    ],
)
def test_pages_of_the_same_paths(serve_alike: Serve, tmp_path: Path, page: str, outcome: str) -> None:
    folder = write_project(tmp_path / "site", {**functions("def get_x(): return ok()"), f"src/pages/{page}": PAGE})
    migration = plan_migration(load_site(load_config(folder, environ={})))
    assert bool(migration.left) == (outcome == "left")
    assert bool(migration.warnings) == (outcome == "warned")
    assert bool(migration.files) == (outcome != "left")
    for text in [reason for _, reason in migration.left] + migration.warnings:
        assert f"src/pages/{page}" in text
    assert list(write_endpoints(migration)) == [(made.file, True) for made in migration.files]
    paths = ["/api/x", "/api/x/a", "/api/x/list/a", "/api/x/a.json", "/api/x/y"]
    served = serve_alike(folder)
    by_page = {served(path).text == "page" for path in paths}
    assert (True in by_page) == (outcome == "left")


def test_pages_of_the_same_paths_are_told_first(tmp_path: Path) -> None:
    files = {"src/pages/api/all.py": PAGE, "src/pages/[...rest].py": PAGE}
    write_project(tmp_path, {**functions(SHOP), **files})
    out, err = run(tmp_path, "migrate", code=1)
    assert err.splitlines() == [
        *[
            f"Warning: src/pages/api/{name}/[...path].py takes from src/pages/[...rest].py (/[...rest]) what that "
            f"answered at /api/{name} and below"
            for name in ("mixed", "product")
        ],
        (
            "left  all: src/pages/api/all.py answers /api/all, which is one of its paths; move that, or choose a "
            "folder: --to"
        ),
    ]
    assert "made  src/pages/api/product/[...path].py" in out
    assert "all" not in out


def test_names_that_differ_in_case_are_told(tmp_path: Path) -> None:
    source = "def get_Product(): return ok()\ndef get_product(): return ok()"
    site = load_site(load_config(write_project(tmp_path, functions(source)), environ={}))
    migration = plan_migration(site)
    assert len(migration.files) == 2
    assert migration.warnings == [
        "Product and product have one folder where the file system does not tell case; rename one"
    ]


def test_settings_and_files_that_matter_are_told(tmp_path: Path) -> None:
    settings = 'base_path = "/base"\npages_prefix = "/v1"\ntrailing_slash = "always"\ntest_site = "test"\n'
    write_project(tmp_path / "test", functions(SHOP))
    files = {
        "wixhttp.toml": settings,
        "src/pages/500.py": PAGE,
        "src/middleware.py": "def onRequest(context, next): ...",
    }
    write_project(tmp_path, {**functions(SHOP), **files})
    out = run(tmp_path, "migrate")[0]
    assert "  /base/_functions/product  /base/v1/api/product\n" in out
    assert [line.removeprefix("Note: ") for line in out.splitlines() if line.startswith("Note")] == [
        "a path that cannot be decoded (%zz, %FF) is answered 400 at the new URLs; to functions it is text",
        "dot segments and backslashes are resolved before the new URLs are matched; to functions they are text",
        "pages_prefix = '/v1' stands in front of the new URLs",
        "trailing_slash = 'always' redirects requests for the other spelling of the new URLs",
        "test_site: the new URLs are answered by the published site, with ?rc=test-site too",
        "src/middleware.py runs in front of the new URLs",
        "src/pages/500.py answers where a function fails at its new URL",
    ]


@pytest.mark.parametrize(
    ("files", "code", "told"),
    [
        ({FUNCTIONS: "1 / 0"}, 3, "ZeroDivisionError"),
        ({"src/pages/x.py": PAGE}, 3, "there is no"),
        ({FUNCTIONS: "def get_x(a, b): ..."}, 3, "needs 2 arguments"),
        ({FUNCTIONS: "def get_x(): ...", "src/pages/api": "a file"}, 1, "src/pages/api"),
        ({FUNCTIONS: "x = 1"}, 0, ""),
    ],
)
def test_what_cannot_be_migrated(tmp_path: Path, files: dict[str, str], code: int, told: str) -> None:
    write_project(tmp_path, files)
    done = commands.run(["migrate"], cwd=tmp_path, env=clean({}))
    assert done.returncode == code
    assert told in done.stderr.decode()
    assert done.stdout.decode() == ("" if code else "There is no HTTP function to migrate.\n")


def test_a_file_that_is_kept_and_lacks_a_handler_is_named(tmp_path: Path) -> None:
    folder = migrated(write_project(tmp_path, functions("from wixhttp import ok\ndef get_x(): return ok()\n")))
    write_project(folder, functions("from wixhttp import ok\ndef get_x(): return ok()\ndef put_x(): return ok()\n"))
    out, err = run(folder, "migrate")
    assert out == "kept  src/pages/api/x/[...path].py\n"
    assert err == "Warning: src/pages/api/x/[...path].py is kept, and has no PUT; add PUT = adapt(put_x)\n"
