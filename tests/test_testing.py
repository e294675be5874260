"""wixhttp.testing and the pytest plugin: what a user's own tests call."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import write_project
from wixhttp import Request
from wixhttp.data.queries.tree import EVERYTHING
from wixhttp.errors import HTTPError, ProjectError, WixDataError
from wixhttp.testing import TestClient, fake_async_request, fake_data, fake_request

PROJECT = """
    def get_hello(request): return ok([request.path, request.query])
    def post_echo(request): return ok([request.headers["content-type"], request.body.text(), request.ip])
    def get_raise(request): raise KeyError("mine")
    def get_refuse(request): raise HTTPError(403, "No.")
    def get_broken(request):
        def chunks():
            yield b"a"
            raise KeyError("half-way")
        return ok(body=chunks())
    def get_where(request): return ok(request.baseUrl)
    def get_stream(request): return ok(body=iter(["a", "b"]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path, PROJECT)


@pytest.mark.parametrize(
    ("url", "base", "name", "path"),
    [
        ("/_functions/hello/sub?q=1", "http://localhost/_functions", "hello", ["sub"]),
        ("hello/sub?q=1", "http://localhost/_functions", "hello", ["sub"]),
        ("https://a.example/x/_functions/hello/sub?q=1", "https://a.example/x/_functions", "hello", ["sub"]),
        ("/_functions-dev/hello?q=1", "http://localhost/_functions-dev", "hello", []),
        ("/_functions/hello/a b/ü/%2F?q=1", "http://localhost/_functions", "hello", ["a b", "ü", "/"]),
    ],
)
def test_fake_request_reads_a_url(url: str, base: str, name: str, path: list[str]) -> None:
    request = fake_request(url)
    assert (request.baseUrl, request.functionName, request.path, request.query) == (base, name, path, {"q": "1"})
    assert (request.method, request.ip, request.body.buffer()) == ("GET", "127.0.0.1", b"")


@pytest.mark.parametrize(
    ("given", "kind", "body"),
    [
        ({"json": {"a": "ü"}}, "application/json", '{"a":"ü"}'.encode()),
        ({"text": "ü"}, "text/plain; charset=utf-8", "ü".encode()),
        ({"form": {"a": "1 2"}}, "application/x-www-form-urlencoded", b"a=1+2"),
        ({"data": b"\xff"}, None, b"\xff"),
        ({"json": [], "headers": {"content-type": "x/y"}}, "x/y", b"[]"),
    ],
)
def test_fake_request_has_one_body(given: dict[str, Any], kind: str | None, body: bytes) -> None:
    request: Request = fake_request("x", "post", **given)
    assert (request.method, request.headers["Content-Type"], request.body.buffer()) == ("POST", kind, body)
    assert request.headers["content-length"] == str(len(body))


def test_two_bodies_are_refused() -> None:
    with pytest.raises(TypeError, match="json and text are given"):
        fake_request("x", json=1, text="a")
    with pytest.raises(TypeError, match="for a str write text="):
        fake_request("x", data="text")  # type: ignore[arg-type]  # on purpose


def test_a_fake_async_request_is_awaited() -> None:
    assert asyncio.run(fake_async_request("x", "POST", json=[1], ip="::1").body.json()) == [1]


def test_the_client_answers_like_requests(project: Path) -> None:
    client = TestClient(project)
    answer = client.get("hello/a", params={"q": [1, 2]})
    assert (answer.status_code, answer.ok, answer.reason) == (200, True, "OK")
    assert answer.json() == [["a"], {"q": "2"}]
    assert answer.text == answer.content.decode()
    assert answer.headers["content-TYPE"] == "application/json"
    assert repr(answer) == "<Answer [200]>"
    assert client.get("stream").text == "ab"
    missing = client.get("none")
    assert (missing.ok, missing.reason) == (False, "Not Found")
    with pytest.raises(HTTPError, match="404 Not Found"):
        missing.raise_for_status()


def test_the_client_sends_bodies(project: Path) -> None:
    client = TestClient(project / "backend")
    assert client.post("echo", data={"a": "1"}).json() == ["application/x-www-form-urlencoded", "a=1", "127.0.0.1"]
    assert client.post("echo", data="text", ip="9.9.9.9").json() == [None, "text", "9.9.9.9"]
    assert client.post("echo", text="x" * 11).ok
    assert TestClient(project, max_body=10).post("echo", text="x" * 11).status_code == 413


def test_the_client_raises_what_the_handler_raised(project: Path) -> None:
    client = TestClient(project)
    for name in ("raise", "broken"):
        with pytest.raises(KeyError):
            client.get(name)
    assert client.get("refuse").status_code == 403


def test_or_answers_what_a_client_would_get(project: Path) -> None:
    assert TestClient(project, raise_exceptions=False).get("raise").status_code == 500


def test_the_client_knows_the_base_path(project: Path) -> None:
    assert TestClient(project, base_path="/site").get("where").text == "http://localhost/site/_functions"


def test_a_folder_without_functions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError):
        TestClient(tmp_path)


def test_the_plugin_brings_the_fixtures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WIXHTTP_PROJECT", raising=False)
    write_project(
        pytester.path,
        {
            "backend/http_functions.py": """
                from wixhttp import ok
                from wixhttp.secrets import getSecret
                def get_hello(request): return ok(request.query["q"])
                def get_key(request): return ok(getSecret("KEY"))
            """,
            "tests/test_mine.py": """
                import pytest
                from wixhttp.errors import SecretNotFound
                from backend.http_functions import get_hello

                def test_one(fake_request):
                    assert get_hello(fake_request("hello?q=1")).body == "1"
                def test_two(client, secrets):
                    secrets["KEY"] = "value"
                    assert client.get("key").text == "value"
                def test_three(client, secrets):
                    with pytest.raises(SecretNotFound):
                        client.get("key")
            """,
        },
    )
    pytester.runpytest_subprocess("-q", "-W", "error", "-p", "no:hypothesispytest").assert_outcomes(passed=3)


# --- collections ---

BOOKS = {
    "backend/http_functions.py": """
        from wixhttp import ok
        from wixhttp import data as wix_data
        from wixhttp.data import aio

        def post_books(request): return ok(body=wix_data.insert("books", request.body.json())["title"])
        def get_books(request): return ok(body=wix_data.query("books").find().items)
        async def get_later(request): return ok(body=(await aio.query("books").find()).items)
        def get_people(request): return ok(body=wix_data.query("people").find().items)
    """,
    "backend/data.py": """
        def books_beforeInsert(item, context):
            return {**item, "title": item["title"].upper()}
        async def people_beforeInsert(item):
            return {**item, "by": "hook"}
    """,
    "data/collections.toml": """
        [books]
        indexes = [{fields = ["title"], unique = true}]
        [books.references.genres]
        collection = "genres"
        many = true
        reverse = "books"
        [genres]
        [people]
        permissions = {read = "SITE_MEMBER_AUTHOR", insert = "SITE_MEMBER", update = "ADMIN", remove = "ADMIN"}
    """,
}


@pytest.fixture
def books(tmp_path: Path) -> Path:
    return write_project(tmp_path, BOOKS)


def data_files(root: Path) -> list[str]:
    return [path.name for path in (root / "data").iterdir()]


def test_a_client_has_collections_of_its_own(books: Path) -> None:
    client = TestClient(books)
    assert client.post("books", json={"title": "Emma"}).text == "EMMA"
    for name in ("books", "later"):
        assert [item["title"] for item in client.get(name).json()] == ["EMMA"]
    assert TestClient(books).get("books").json() == []
    assert data_files(books) == ["collections.toml"]


def test_a_client_uses_the_collections_of_the_test(books: Path) -> None:
    client = TestClient(books)
    with fake_data(books / "backend") as wix_data:
        wix_data.seed("books", [{"_id": "1", "title": "Emma"}])
        assert [item["title"] for item in client.get("books").json()] == ["Emma"]
        client.post("books", json={"title": "Persuasion"})
        assert wix_data.query("books").eq("title", "PERSUASION").count() == 1
    assert client.get("books").json() == []
    assert data_files(books) == ["collections.toml"]


def test_what_is_seeded_is_stored_as_it_is(books: Path) -> None:
    created = datetime(2020, 1, 2, tzinfo=timezone.utc)
    with fake_data(books) as wix_data:
        given = {"_id": "1", "_owner": "ada", "_createdDate": created, "title": "Emma", "genres": ["g1", "g2"]}
        (stored,) = wix_data.seed("books", [given])
        assert stored == {
            "_id": "1", "_owner": "ada", "_createdDate": created, "_updatedDate": created, "title": "Emma",
        }  # fmt: skip
        assert wix_data.get("books", "1") == stored
        wix_data.seed("genres", [{"_id": "g1"}, {"_id": "g2"}, {"_id": "g3", "books": ["1"]}])
        assert [item["_id"] for item in wix_data.queryReferenced("books", "1", "genres").items] == ["g1", "g2", "g3"]
        assert wix_data.seed("books", ({"title": title} for title in "ab"))[1]["_id"]


def test_seeds_that_are_refused_leave_nothing(books: Path) -> None:
    with fake_data(books) as wix_data:
        for code, second in (("WDE0074", {"_id": "1"}), ("WDE0123", {"title": "Emma"}), ("WDE0075", {"x": object()})):
            with pytest.raises(WixDataError) as caught:
                wix_data.seed("books", [{"_id": "1", "title": "Emma"}, second])
            assert caught.value.code == code
        assert wix_data.query("books").count() == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [("books.jsonl", '{"_id": "1", "year": 2020}\n\n{"_id": "2"}'), ("books.csv", "_id,year\n1,2020\n2,")],
)
def test_seeds_from_a_file(books: Path, name: str, text: str) -> None:
    (books / name).write_text(text)
    with fake_data(books) as wix_data:
        for path in (books / name, str(books / name)):
            with fake_data(books):
                assert [item["_id"] for item in wix_data.seed("other", path)] == ["1", "2"]
            assert wix_data.collections.store.count("other", EVERYTHING) == 2
            wix_data.collections.store.drop("other")


def test_acting_as_somebody(books: Path) -> None:
    client = TestClient(books)
    with fake_data(books) as wix_data:
        with pytest.raises(WixDataError, match="WDE0027"):
            wix_data.insert("people", {"name": "Ada"})
        with wix_data.acting_as("ada"):
            assert wix_data.insert("people", {"name": "Ada"})["by"] == "hook"
        with wix_data.acting_as("bob"):
            wix_data.insert("people", {"name": "Bob"})
            assert [item["name"] for item in client.get("people").json()] == ["Bob"]
        with wix_data.acting_as(role="siteOwner"):
            assert len(client.get("people").json()) == 2
        with pytest.raises(ValueError, match="a role is one of"), wix_data.acting_as("ada", "king"):  # type: ignore[arg-type]
            pass
        with pytest.raises(WixDataError, match="WDE0027"):
            wix_data.query("people").find()


def test_the_collections_of_a_test_have_the_functions_of_the_room(books: Path) -> None:
    with fake_data(books) as wix_data:
        assert wix_data.save("new", {"_id": "1"})["_id"] == "1"
        with pytest.raises(AttributeError, match="have 'insrt'"):
            wix_data.insrt  # noqa: B018


def test_unknown_collections_are_refused_where_the_project_says_so(books: Path) -> None:
    (books / "wixhttp.toml").write_text("strict_collections = true")
    with fake_data(books) as wix_data, pytest.raises(WixDataError, match="WDE0025"):
        wix_data.insert("new", {})


def test_a_folder_without_a_project_has_collections_too(tmp_path: Path) -> None:
    with fake_data(tmp_path) as wix_data:
        wix_data.insert("books", {"title": "Emma"})
        assert wix_data.query("books").count() == 1
    assert list(tmp_path.iterdir()) == []


def test_the_plugin_brings_collections(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WIXHTTP_PROJECT", raising=False)
    tests = """
        from wixhttp import data

        def test_one(client, wix_data):
            wix_data.seed("books", [{"title": "Emma"}])
            assert client.post("books", json={"title": "Persuasion"}).ok
            assert data.query("books").count() == 2
        def test_two(wix_data):
            assert wix_data.query("books").count() == 0
    """
    write_project(pytester.path, {**BOOKS, "tests/test_mine.py": tests})
    pytester.runpytest_subprocess("-q", "-W", "error", "-p", "no:hypothesispytest").assert_outcomes(passed=2)
    assert data_files(pytester.path) == ["collections.toml"]
