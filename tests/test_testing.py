"""wixhttp.testing and the pytest plugin: what a user's own tests call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.doors import write_project
from wixhttp import Request
from wixhttp.errors import HTTPError, ProjectError
from wixhttp.testing import TestClient, fake_async_request, fake_request

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
    pytester.runpytest_subprocess("-q", "-W", "error").assert_outcomes(passed=3)
