"""wixhttp.testing for endpoints: the client of a project of files, contexts and handlers of single tests, fixtures."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import load_app, write_project
from wixhttp import HTTPError
from wixhttp.cli.static_build import build_site
from wixhttp.errors import BodyAlreadyUsed, ProjectError, SecretNotFound, Unavailable, WixDataError, WrongAnswer
from wixhttp.project.config import load_config
from wixhttp.testing import (
    TestClient,
    call_endpoint,
    fake_async_context,
    fake_async_request,
    fake_caller,
    fake_context,
    fake_data,
    fake_request,
    load_endpoint,
)
from wixhttp.testing.requests import fake_head

FILES = {
    "src/pages/api/users/[id].py": """
        from wixhttp.endpoints import Response

        def GET(params, url, locals):
            return Response.json([params, url.searchParams.get("full"), locals.get("user")])

        async def POST(request, routePattern):
            return Response.json([await request.json(), routePattern], status=201)

        def PUT(context):
            return Response.json([context.request.method, context.params["id"], context.clientAddress])

        def ALL(request):
            return Response(request.method)
    """,
    "src/pages/api/form.py": """
        from wixhttp.endpoints import Response

        def POST(request):
            return Response.json([each if isinstance(each, str) else [each.name, each.type, each.text()]
                                  for _, each in request.formData()])

        async def PUT(request):
            form = await request.formData()
            return Response.json([each for _, each in form])

        def DELETE(request):
            return Response(request.headers.get("origin"))
    """,
    "src/pages/api/cookies.py": """
        from wixhttp.endpoints import Response

        def GET(request):
            return Response(request.headers.get("cookie"))

        def POST(request, cookies):
            for name, (value, options) in request.json().items():
                cookies.set(name, value, **options)
            return Response()

        def DELETE(cookies, url):
            cookies.delete(url.searchParams.get("name"))
            return Response()
    """,
    "src/pages/api/visits.py": """
        from wixhttp.endpoints import Response

        def GET(session):
            session.set("visits", (session.get("visits") or 0) + 1)
            return Response(str(session.get("visits")))

        async def POST(session):
            return Response(str(await session.get("visits")))
    """,
    "src/pages/api/books.py": """
        from wixhttp.data import items
        from wixhttp.endpoints import Response

        def POST(request):
            return Response.json(items.insert("books", request.json()))

        def GET():
            return Response.json([item["title"] for item in items.query("books").find().items])
    """,
    "src/pages/api/now.json.py": """
        from wixhttp.endpoints import Response
        prerender = True
        TEXT = "first"
        def GET():
            return Response.json(TEXT)
    """,
    "src/pages/api/errors.py": """
        from wixhttp import HTTPError
        from wixhttp.auth import getTokenInfo
        from wixhttp.endpoints import Response
        from wixhttp.secrets import getSecret

        def GET(url):
            raise HTTPError(410, "It was here.", headers={"X-Gone": "yes"})

        def POST():
            raise KeyError("mine")

        def PUT():
            return {"a": "dict"}

        def PATCH():
            return Response(str(getTokenInfo().subjectId) + getSecret("KEY"))

        def DELETE(redirect, cookies):
            cookies.set("left", "yes")
            return redirect("/elsewhere")
    """,
    "src/middleware.py": """
        def onRequest(context, next):
            context.locals.user = "ada"
            return next()
    """,
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of endpoints alone, and the current folder."""
    monkeypatch.chdir(write_project(tmp_path, FILES))
    return tmp_path


# --- the client ------------------------------------------------------------------------------------------------------


def test_the_client_asks_endpoints(project: Path) -> None:
    client = TestClient()
    assert client.get("/api/users/7?full=1").json() == [{"id": "7"}, "1", "ada"]
    assert client.get("/api/users/7", params={"full": "a b"}).json()[1] == "a b"
    assert client.post("/api/users/7", json={"a": 1}).json() == [{"a": 1}, "/api/users/[id]"]
    assert client.delete("/api/users/7").text == "DELETE"
    assert client.put("https://site.example/api/users/7", json=0, ip="9.9.9.9").json() == ["PUT", "7", "9.9.9.9"]
    assert client.get("/nothing").status_code == client.get("users/7").status_code == 404
    assert client.put("/api/visits").status_code == 405


def test_the_client_knows_the_prefixes(project: Path) -> None:
    client = TestClient(project, base_path="/site", pages_prefix="/v1")
    assert client.get("/site/v1/api/users/7").ok
    assert client.get("/api/users/7").status_code == 404


def test_redirects_are_not_followed(project: Path) -> None:
    answer = TestClient().delete("/api/errors")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/elsewhere")


def test_the_client_comes_from_a_page_of_the_site(project: Path) -> None:
    client = TestClient()
    assert client.delete("/api/form").text == "http://localhost"
    assert client.delete("https://a.example/api/form").text == "https://a.example"
    assert client.delete("/api/form", headers={"Host": "b.example"}).text == "http://b.example"
    assert client.delete("/api/form", headers={"origin": "https://evil.example"}).status_code == 403
    assert TestClient(public_url="https://shop.example").delete("/api/form").text == "https://shop.example"
    assert TestClient(check_origin=False).delete("/api/form", headers={"Origin": "null"}).text == "null"


def test_requests_that_only_read_and_those_of_functions_have_no_origin(project: Path) -> None:
    config = load_config(project)
    for method, url in (("GET", "/api/form"), ("OPTIONS", "/api/form"), ("POST", "hello"), ("POST", "/_functions/x")):
        assert fake_head(url, method, config=config)[0].header("origin") is None


@pytest.mark.filterwarnings("ignore::wixhttp.errors.MisuseWarning")  # of a server that refuses it from elsewhere
def test_forms_and_files(project: Path) -> None:
    client = TestClient()
    assert client.post("/api/form", form={"a": "1 ü", "b": ""}).json() == ["1 ü", ""]
    assert client.post("/api/form", data={"a": "1"}).json() == ["1"]
    assert client.put("/api/form", form=[("a", "1"), ("a", "2")]).json() == ["1", "2"]
    named = io.BytesIO(b"from a file")
    named.name = "/some/where/notes.csv"
    files: list[tuple[str, Any]] = [
        ("a", ('ä "b".png', b"\x31", "image/x-own")),
        ("a", ("page.html", "<p>ü")),
        ("b", b"plain"),
        ("c", named),
    ]
    assert client.post("/api/form", form={"x": "1", "y": "ü\r\n2"}, files=files).json() == [
        "1",
        "ü\r\n2",
        ["ä \"b\".png", "image/x-own", "1"],
        ["page.html", "text/html", "<p>ü"],
        ["file", "application/octet-stream", "plain"],
        ["notes.csv", "text/csv", "from a file"],
    ]  # fmt: skip
    assert client.post("/api/form", files={"only": ("a.txt", "x")}).json() == [["a.txt", "text/plain", "x"]]


def test_bodies_that_cannot_be(project: Path) -> None:
    client = TestClient()
    with pytest.raises(TypeError, match="json and files are given"):
        client.post("/api/form", json=1, files={"a": b""})
    with pytest.raises(TypeError, match=r"the content of the file 'a\.txt' is bytes"):
        client.post("/api/form", files={"a": ("a.txt", 3)})
    for made in (
        fake_request("x", "POST", form={"a": "1"}, files={"b": b"2"}),
        fake_async_request("x", "POST", files={"b": b"2"}),
    ):
        assert made.headers.get("content-type").startswith("multipart/form-data")


def test_the_client_keeps_cookies(project: Path) -> None:
    client = TestClient()
    assert client.get("/api/cookies").text == ""
    client.post("/api/cookies", json={"a": ["1 =", {}], "b": ["2", {"path": "/x", "secure": True, "maxAge": 60}]})
    assert client.cookies == {"a": "1%20%3D", "b": "2"}
    assert client.get("/api/cookies").text == "a=1%20%3D; b=2"
    assert client.get("/api/cookies", cookies={"b": "3", "c": "4"}).text == "a=1%20%3D; b=3; c=4"
    assert client.get("/api/cookies", headers={"cookie": "own=1"}).text == "own=1"
    assert client.get("/api/cookies", headers=[("Cookie", "own=1")], cookies={"b": "3"}).text == "own=1"
    client.delete("/api/cookies?name=a")
    assert client.cookies == {"b": "2"}
    client.post("/api/cookies", json={"b": ["x", {"maxAge": 0}], "c": ["1", {}]})
    client.cookies["mine"] = "5"
    assert client.get("/api/cookies").text == "c=1; mine=5"
    client.cookies.clear()
    assert client.get("/api/cookies").text == ""
    assert TestClient().cookies == {}


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ("a=1", "1"),
        (" a=1=2 ; HttpOnly", "1=2"),
        ("a=; Path=/", ""),
        ("a=1; MAX-AGE=-5", None),
        ("a=1; Max-Age=0; Expires=Fri, 01 Jan 2999 00:00:00 GMT", None),
        ("a=1; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "1"),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("a=1; expires=Fri, 01 Jan 2999 00:00:00 GMT", "1"),
        ("a=1; Max-Age=soon; Expires=never", "1"),
    ],
)
def test_cookies_of_functions_are_kept_too(tmp_path: Path, field: str, kept: str | None) -> None:
    functions = f"def get_it(request): return ok(body=[], headers={{'Set-Cookie': {field!r}}})"
    client = TestClient(write_project(tmp_path, functions))
    client.cookies["a"] = "before"
    client.get("it")
    assert client.cookies.get("a") == kept


def test_what_is_sent_as_it_is_has_no_cookies(project: Path) -> None:
    client = TestClient()
    client.cookies["a"] = "1"
    assert client.send(*fake_head("/api/cookies")).text == ""
    client.send(*fake_head("/api/cookies", "POST", json={"b": ["2", {}]}))
    assert client.cookies == {"a": "1"}


def test_static_endpoints_are_answered_by_their_code(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_site(load_config(project))
    app = load_app(project)
    monkeypatch.setattr(load_endpoint("src/pages/api/now.json.py"), "TEXT", "second")
    assert TestClient().get("/api/now.json").json() == "second"
    assert TestClient(app).get("/api/now.json").json() == "first"


def test_sessions_never_reach_the_database_of_the_project(project: Path) -> None:
    client = TestClient()
    assert [client.get("/api/visits").text for _ in range(3)] == ["1", "2", "3"]
    assert client.post("/api/visits", json=0).text == "3"
    assert TestClient().get("/api/visits").text == "1"
    with fake_data():
        assert client.get("/api/visits").text == "1"
    assert not (project / "data").exists()


def test_the_client_raises_what_an_endpoint_raised(project: Path) -> None:
    with pytest.raises(KeyError):
        TestClient().post("/api/errors", json=0)
    with pytest.raises(WrongAnswer):
        TestClient().put("/api/errors", json=0)
    assert TestClient(raise_exceptions=False).post("/api/errors", json=0).status_code == 500
    assert TestClient().get("/api/errors").status_code == 410


def test_a_project_of_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError):
        TestClient(tmp_path)


# --- contexts --------------------------------------------------------------------------------------------------------


def test_a_context_of_plain_values(project: Path) -> None:
    context = fake_context(
        "https://a.example/api/users/a%20b?full=1", "post", locals={"user": 1}, props={"p": 2}, json={"x": [1]},
        headers={"X-A": "1", "Cookie": "c=3"}, ip="::1",
    )  # fmt: skip
    assert context.params == {"id": "a b"}
    assert (context.url.href, context.url.pathname) == ("https://a.example/api/users/a%20b?full=1", "/api/users/a b")
    assert (context.request.method, context.request.headers.get("x-a")) == ("POST", "1")
    assert context.request.json() == {"x": [1]}
    with pytest.raises(BodyAlreadyUsed):
        context.request.text()
    assert (context.locals.user, context.props["p"], context.clientAddress) == (1, 2, "::1")
    assert (context.routePattern, context.isPrerendered) == ("/api/users/[id]", False)
    cookie = context.cookies.get("c")
    assert cookie is not None
    assert cookie.number() == 3
    assert context.redirect("/x").status == 302
    with pytest.raises(Unavailable, match="public_url"):
        context.site  # noqa: B018
    with pytest.raises(HTTPError):
        context.rewrite("/nowhere")


def test_params_are_those_that_are_given(project: Path) -> None:
    assert fake_context("/api/users/7", params={"id": "8"}).params == {"id": "8"}
    assert fake_context("/elsewhere").params == {}
    assert fake_context("/elsewhere", params={"path": None}).params == {"path": None}


def test_the_settings_of_the_project_count(project: Path) -> None:
    (project / "wixhttp.toml").write_text('public_url = "https://shop.example"\nlocales = ["de", "en"]\n')
    context = fake_context("/x", headers={"Accept-Language": "en"})
    assert (context.site.href, context.url.origin) == ("https://shop.example/", "https://shop.example")
    assert context.preferredLocale == "en"


def test_an_asynchronous_context() -> None:
    async def handler(context: Any) -> Any:
        return await context.request.json(), context.params, await context.session.get("x")

    context = fake_async_context("/x", "POST", params={"a": "b"}, json=[1])
    assert asyncio.run(handler(context)) == ([1], {"a": "b"}, None)


def test_the_session_of_a_context_asks_no_database(project: Path) -> None:
    identifier = "x" * 43
    session = fake_context("/x", headers={"Cookie": f"wixhttp-session={identifier}"}).session
    assert session.get("a") is None
    session.set("a", 1)
    assert session.keys() == ["a"]
    with fake_data():
        client = TestClient()
        client.get("/api/visits")
        known = {"Cookie": f"wixhttp-session={client.cookies['wixhttp-session']}"}
        assert fake_context("/x", headers=known).session.get("visits") == 1
    assert not (project / "data").exists()


@pytest.mark.parametrize("url", ["", "api/users", "?a=/x"])
def test_the_url_of_an_endpoint_is_a_path(url: str) -> None:
    with pytest.raises(ValueError, match="begins with a slash"):
        fake_context(url)


# --- single handlers -------------------------------------------------------------------------------------------------


def test_a_handler_is_called_with_what_it_asks_for(project: Path) -> None:
    users = load_endpoint("src/pages/api/users/[id].py")
    assert call_endpoint(users.GET, "/api/users/1?full=2", locals={"user": 3}).json() == [{"id": "1"}, "2", 3]
    assert call_endpoint(users.GET, "/x", params={"id": "9"}).json() == [{"id": "9"}, None, None]
    posted = call_endpoint(users.POST, "/api/users/1", json={"a": 1})
    assert (posted.status, posted.json()) == (201, [{"a": 1}, "/api/users/[id]"])
    assert call_endpoint(users.PUT, "/api/users/1", ip="::1").json() == ["PUT", "1", "::1"]
    assert call_endpoint(users.ALL, "/api/users/1").text() == "GET"
    assert call_endpoint(users.ALL, "/api/users/1", "PATCH").text() == "PATCH"


def test_a_handler_is_called_where_a_loop_runs(project: Path) -> None:
    users = load_endpoint("src/pages/api/users/[id].py")

    async def test() -> int:
        return call_endpoint(users.POST, "/api/users/1", json=1).status

    assert asyncio.run(test()) == 201


def test_what_a_handler_raises(project: Path) -> None:
    errors = load_endpoint("src/pages/api/errors.py")
    gone = call_endpoint(errors.GET, "/api/errors")
    assert (gone.status, gone.headers.get("x-gone"), gone.json()["detail"]) == (410, "yes", "It was here.")
    with pytest.raises(KeyError):
        call_endpoint(errors.POST, "/api/errors")
    with pytest.raises(WrongAnswer, match="dict"):
        call_endpoint(errors.PUT, "/api/errors")
    with pytest.raises(SecretNotFound):
        call_endpoint(errors.PATCH, "/api/errors")
    (project / ".env").write_text("KEY=-key\n")
    assert call_endpoint(errors.PATCH, "/api/errors").text() == "None-key"
    with fake_caller("MEMBER", "ada"):
        assert call_endpoint(errors.PATCH, "/api/errors").text() == "ada-key"
    left = call_endpoint(errors.DELETE, "/api/errors")
    assert (left.status, left.headers.getSetCookie()) == (302, ["left=yes"])

    def unknown(params: Any, reqest: Any) -> None: ...

    with pytest.raises(ProjectError, match="reqest"):
        call_endpoint(unknown, "/x")


def test_the_collections_and_sessions_of_a_handler_are_those_of_the_test(project: Path) -> None:
    books = load_endpoint("src/pages/api/books.py")
    with fake_data() as wix_data:
        call_endpoint(books.POST, "/api/books", json={"title": "Emma"})
        assert wix_data.query("books").count() == 1
        assert call_endpoint(books.GET, "/api/books").json() == ["Emma"]
        cookie = call_endpoint(load_endpoint("src/pages/api/visits.py").GET, "/api/visits").headers.getSetCookie()
        assert cookie[0].startswith("wixhttp-session=")
    with pytest.raises(WixDataError, match="WDE0025"):
        call_endpoint(books.GET, "/api/books")
    assert not (project / "data").exists()


def test_a_file_is_loaded_once(project: Path) -> None:
    users = load_endpoint("src/pages/api/users/[id].py")
    assert load_endpoint(project / "src/pages/api/users/[id].py", project) is users
    users.GET.__globals__["Response"] = None
    with pytest.raises(AttributeError):
        TestClient().get("/api/users/1")
    with pytest.raises(ProjectError, match=r"there is no file .*none\.py"):
        load_endpoint("src/pages/none.py")


def test_the_plugin_brings_the_fixtures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WIXHTTP_PROJECT", raising=False)
    tests = """
        def test_one(client, wix_data):
            assert client.get("/api/users/1").ok
            client.post("/api/books", json={"title": "Emma"})
            assert wix_data.query("books").count() == 1
        def test_two(fake_context, load_endpoint):
            users = load_endpoint("src/pages/api/users/[id].py")
            assert users.PUT(fake_context("/api/users/1", "PUT")).json() == ["PUT", "1", "127.0.0.1"]
        def test_three(call_endpoint, load_endpoint):
            from src.shared import NAME
            users = load_endpoint("src/pages/api/users/[id].py")
            assert call_endpoint(users.GET, "/api/users/" + NAME).json()[0] == {"id": "2"}
    """
    write_project(pytester.path, {**FILES, "tests/test_mine.py": tests, "src/shared.py": "NAME = '2'\n"})
    pytester.chdir()
    monkeypatch.chdir(pytester.path / "tests")
    pytester.runpytest_subprocess("-q", "-W", "error", "-p", "no:hypothesispytest").assert_outcomes(passed=3)


def test_a_name_that_the_kit_does_not_have() -> None:
    import wixhttp.testing

    with pytest.raises(AttributeError, match="fake_contxt"):
        wixhttp.testing.fake_contxt  # noqa: B018
