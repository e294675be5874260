"""Public files, of the folder ``public/``: through each server interface, from the folder and from a build."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interfaces import Ask, DirectInterface, Served, load_app, write_project
from wixhttp.cli.route_list import format_routes
from wixhttp.cli.static_build import build_site, format_built
from wixhttp.dispatch.route_list import list_routes
from wixhttp.endpoints.static.manifest import Manifest
from wixhttp.endpoints.static.public_files import PublicFiles
from wixhttp.errors import BuildError
from wixhttp.project.config import load_config
from wixhttp.testing import TestClient

Serve = Callable[..., Served]

OK = "from wixhttp.endpoints import Response\n"
FUNCTIONS = "from wixhttp import ok\ndef get_x(request): return ok(body='function')\n"
FILES = {
    "public/robots.txt": "robots",
    "public/index.html": "<p>root",
    "public/docs/index.html": "<p>docs",
    "public/docs/a+b c.css": "css",
    "public/100%.txt": "percent",
    "public/café.txt": "café",
    "public/.well-known/security.txt": "contact",
    "public/.well-known/acme/token": "token",
    "public/manifest.json": "{}",
    "public/.env": "secret",
    "public/.git/config": "secret",
    "public/docs/.hidden/x.txt": "secret",
}
PATHS = {
    "/robots.txt": "robots",
    "/robots.txt/": "robots",
    "/": "<p>root",
    "/index.html": "<p>root",
    "/docs": "<p>docs",
    "/docs/": "<p>docs",
    "/docs/index.html": "<p>docs",
    "/docs/a+b%20c.css": "css",
    "/docs/a%2Bb%20c.css": "css",
    "/docs/./a%2bb%20c.css?v=1": "css",
    "/100%25.txt": "percent",
    "/caf%C3%A9.txt": "café",
    "/.well-known/security.txt": "contact",
    "/.well-known/acme/token": "token",
    "/manifest.json": "{}",
}
NOWHERE = [
    "/.env", "/.git/config", "/docs/.hidden/x.txt", "/public/robots.txt", "/../public/robots.txt", "/wixhttp.toml",
    "/docs/..%5C..%5Cwixhttp.toml", "/..%2Fpublic/robots.txt", "/docs/%2e%2e/%2e%2e/wixhttp.toml", "/Robots.txt",
    "/docs/a", "/robots.txt/x", "/%2Frobots.txt", "/robots.txt%00",
]  # fmt: skip


@pytest.fixture(params=["development", "production", "built"])
def site(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> Served:
    """A site with functions and public files, served from the folder in both modes, and from what was built of it."""
    folder = write_project(tmp_path / "site", {**FILES, "backend/http_functions.py": FUNCTIONS, "wixhttp.toml": ""})
    if request.param != "built":
        return serve(folder, mode=request.param)
    build_site(load_config(folder))
    (folder / "public").rename(folder / "gone")
    (folder / "public").mkdir()  # without it a site of functions alone has no files
    return serve(folder)


def test_the_files_are_sent_and_nothing_else(site: Served) -> None:
    for path, text in PATHS.items():
        reply = site(path)
        assert (path, reply.status, reply.text) == (path, 200, text)
        head = site(path, "HEAD")
        assert (head.status, head.content, head.header("Content-Length")) == (200, b"", str(len(text.encode())))
        assert head.header("ETag") == reply.header("ETag")
    for path in NOWHERE:
        assert (path, site(path).status) == (path, 404)
    assert site("x").text == "function"
    types = {
        path: site(path).header("Content-Type") for path in ("/docs", "/docs/a+b%20c.css", "/.well-known/acme/token")
    }
    assert list(types.values()) == ["text/html; charset=utf-8", "text/css; charset=utf-8", "application/octet-stream"]


def test_conditional_requests_and_ranges(site: Served) -> None:
    reply = site("/robots.txt")
    etag, modified = str(reply.header("ETag")), str(reply.header("Last-Modified"))
    assert site("/robots.txt", "GET", ("If-None-Match", etag)).status == 304
    assert site("/robots.txt", "GET", ("If-Modified-Since", modified)).status == 304
    assert site("/robots.txt", "GET", ("If-Match", '"other"')).problem["status"] == 412
    part = site("/robots.txt", "GET", ("Range", "bytes=1-3"))
    assert (part.status, part.text, part.header("Content-Range")) == (206, "obo", "bytes 1-3/6")
    assert site("/robots.txt", "GET", ("Range", "bytes=9-")).problem["status"] == 416


def test_other_methods_are_405(site: Served) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        reply = site("/robots.txt", method, ("Content-Type", "application/json"))
        assert (reply.problem["status"], reply.header("Allow")) == (405, "GET, HEAD")
    assert site("/nothing", "POST", ("Content-Type", "application/json")).status == 404


def test_other_methods_are_405_behind_middleware_too(tmp_path: Path) -> None:
    middleware = "def onRequest(context, next):\n    raise AssertionError('middleware does not run')\n"
    folder = write_project(tmp_path, {"public/a.txt": "a", "src/middleware.py": middleware})
    ask = DirectInterface(load_app(folder)).ask
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    replies = [ask(Ask("POST", "/a.txt", headers=form)), ask(Ask("DELETE", "/a.txt"))]
    assert [(reply.status, reply.header("Allow")) for reply in replies] == [(405, "GET, HEAD")] * 2


def test_a_large_file_is_streamed(serve: Serve, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    folder = write_project(tmp_path / "site", {"public/x.txt": "x"})
    (folder / "public/large.bin").write_bytes(data)
    served = serve(folder)
    assert served("/large.bin").content == data
    assert served("/large.bin", "GET", ("Range", "bytes=1000-200000")).content == data[1000:200001]


ROUTES = {
    "src/pages/exact.txt.py": OK + "def GET(): return Response('route')",
    "src/pages/[name].py": OK + "def GET(params): return Response('[name] ' + params['name'])\nPOST = GET",
    "src/pages/deep/[...rest].py": OK + "def GET(params): return Response(f\"rest {params['rest']}\")",
    "src/middleware.py": "def onRequest(c, next):\n    r = next()\n    r.headers['X-Middle'] = '1'\n    return r\n",
    "public/exact.txt": "file",
    "public/logo.svg": "file",
    "public/deep/x.txt": "file",
}


@pytest.mark.parametrize("mode", ["development", "production", "built"])
def test_exact_routes_come_first_and_other_routes_last(serve: Serve, tmp_path: Path, mode: str) -> None:
    folder = write_project(tmp_path / "site", ROUTES)
    if mode == "built":
        build_site(load_config(folder))
    served = serve(folder, mode="development" if mode == "development" else "production")
    asked = {
        path: served(path).text for path in ("/exact.txt", "/logo.svg", "/deep/x.txt", "/deep/y.txt", "/other", "/deep")
    }
    assert asked == {
        "/exact.txt": "route", "/logo.svg": "file", "/deep/x.txt": "file", "/deep/y.txt": "rest y.txt",
        "/other": "[name] other", "/deep": "rest None",
    }  # fmt: skip
    assert served("/logo.svg", "POST", ("Content-Type", "application/json")).text == "[name] logo.svg"
    assert [served(path).header("X-Middle") for path in ("/logo.svg", "/exact.txt")] == [None, "1"]


def test_they_stand_behind_the_base_path_and_not_behind_the_prefix_of_pages(serve: Serve, tmp_path: Path) -> None:
    files = {"public/a.txt": "file", "src/pages/b.txt.py": OK + "prerender = True\ndef GET(): return Response('route')"}
    folder = write_project(tmp_path / "site", files)
    settings = {"base_path": "/site", "pages_prefix": "/api"}
    asked = {"/site/a.txt": 200, "/a.txt": 404, "/site/api/a.txt": 404, "/site/api/b.txt": 200, "/site/b.txt": 404}
    assert {path: serve(folder, **settings)(path).status for path in asked} == asked
    build_site(load_config(folder, flags=settings))
    (folder / "public").rename(folder / "gone")
    assert {path: serve(folder, **settings)(path).status for path in asked} == asked


@pytest.mark.parametrize(
    ("rule", "path", "location"),
    [
        ("always", "/docs", "/docs/"),
        ("always", "/docs/", None),
        ("always", "/robots.txt", None),
        ("always", "/.well-known/acme/token", None),
        ("never", "/docs/", "/docs"),
        ("never", "/robots.txt/", "/robots.txt"),
        ("never", "/docs", None),
    ],
)
def test_trailing_slashes(tmp_path: Path, rule: str, path: str, location: str | None) -> None:
    folder = write_project(tmp_path, FILES)
    reply = DirectInterface(load_app(folder, trailing_slash=rule)).ask(Ask(target=path))
    assert (reply.status, reply.header("Location")) == ((301, location) if location else (200, None))


NEW = {
    "b.txt": "/b.txt", "index.html": "/", "a+b c%.css": "/a%2Bb%20c%25.css", "é.txt": "/%C3%A9.txt",
    "e\u0301.txt": "/%C3%A9.txt",
}  # fmt: skip


def test_new_changed_and_removed_files_are_seen_in_development(tmp_path: Path) -> None:
    folder = write_project(tmp_path, {"public/a.txt": "one"})
    development, production = (DirectInterface(load_app(folder, mode=mode)) for mode in ("development", "production"))
    (folder / "public/a.txt").write_text("three")
    assert [each.ask(Ask(target="/a.txt")).text for each in (development, production)] == ["three", "three"]
    for number, (name, path) in enumerate(NEW.items()):
        write_project(folder, {f"public/{number}/{name}": "two"})
        target = f"/{number}{path}"
        assert [each.ask(Ask(target=target)).status for each in (development, production)] == [200, 404], target
    (folder / "public/a.txt").unlink()
    assert [each.ask(Ask(target="/a.txt")).status for each in (development, production)] == [404, 404]


def test_the_path_of_functions_and_exact_routes_reads_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_project(tmp_path, {**ROUTES, "backend/http_functions.py": FUNCTIONS})
    read: list[str] = []
    original = PublicFiles.read

    def noted(files: PublicFiles) -> None:
        read.append("read")
        original(files)

    monkeypatch.setattr(PublicFiles, "read", noted)
    for mode in ("development", "production"):
        served = DirectInterface(load_app(folder, mode=mode))
        read.clear()
        for path in ("/_functions/x", "/exact.txt"):
            assert served.ask(Ask(target=path)).status == 200
        assert read == []
        assert [served.ask(Ask(target=path)).status for path in ("/other", "/.env", "/a/../other/")] == [200] * 3
        assert read == []


# --- links and names --------------------------------------------------------------------------------------------------


def test_links_stay_within_the_folder(tmp_path: Path) -> None:
    write_project(tmp_path, {"secret.txt": "secret", "outside/x.txt": "secret"})
    folder = write_project(tmp_path / "site", {"public/real/a.txt": "a"})
    public = folder / "public"
    (public / "link.txt").symlink_to("real/a.txt")
    (public / "folder").symlink_to("real")
    (public / "out.txt").symlink_to(tmp_path / "secret.txt")
    (public / "outer").symlink_to(tmp_path / "outside")
    (public / "nothing.txt").symlink_to("no such file")
    os.mkfifo(public / "pipe")
    files = PublicFiles(public)
    assert [each.path for each in files.files()] == ["/folder/a.txt", "/link.txt", "/real/a.txt"]
    assert [problem.partition(" is never sent: ")[::2] for problem in files.problems] == [
        ("public/nothing.txt", "it is no file, or a link to none"),
        ("public/out.txt", "it is a link out of public/; copy the file"),
        ("public/outer", "it is a link out of public/; copy the folder"),
        ("public/pipe", "it is no file, or a link to none"),
    ]
    ask = DirectInterface(load_app(folder)).ask
    asked = {"/link.txt": 200, "/folder/a.txt": 200, "/out.txt": 404, "/outer/x.txt": 404, "/pipe": 404}
    assert {path: ask(Ask(target=path)).status for path in asked} == asked


def test_links_lead_to_no_hidden_file(tmp_path: Path) -> None:
    hidden = {"public/.env": "secret", "public/.git/config": "secret", "public/a/.b/c.txt": "secret"}
    folder = write_project(tmp_path / ".site", {**hidden, "public/.well-known/a.txt": "a"})
    links = {"env.txt": ".env", "git": ".git", "c.txt": "a/.b/c.txt", "known": ".well-known"}
    for name, target in links.items():
        (folder / "public" / name).symlink_to(target)
    files = PublicFiles(folder / "public")
    assert [each.path for each in files.files()] == ["/.well-known/a.txt", "/known/a.txt"]
    assert [problem.partition(" is never sent: ")[::2] for problem in files.problems] == [
        ("public/c.txt", "it is a link to a name that begins with a dot; copy the file"),
        ("public/env.txt", "it is a link to a name that begins with a dot; copy the file"),
        ("public/git", "it is a link to a name that begins with a dot; copy the folder"),
    ]


def test_what_becomes_a_link_while_it_is_served_is_not_followed(tmp_path: Path) -> None:
    write_project(tmp_path, {"outside/a.txt": "secret"})
    folder = write_project(tmp_path / "site", {"public/a.txt": "a", "public/real/a.txt": "a"})
    ask = DirectInterface(load_app(folder)).ask
    (folder / "public/a.txt").unlink()
    (folder / "public/a.txt").symlink_to(tmp_path / "outside/a.txt")
    (folder / "public/real").rename(folder / "public/old")
    (folder / "public/real").symlink_to(tmp_path / "outside")
    assert [ask(Ask(target=path)).status for path in ("/a.txt", "/real/a.txt")] == [404, 404]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    write_project(tmp_path, {"shared/a.txt": "a"})
    folder = write_project(tmp_path / "site", {"readme.txt": ""})
    (folder / "public").symlink_to(tmp_path / "shared")
    assert DirectInterface(load_app(folder)).ask(Ask(target="/a.txt")).text == "a"


def test_a_link_in_circles_is_told(tmp_path: Path) -> None:
    folder = write_project(tmp_path, {"public/a/b.txt": ""})
    (folder / "public/a/again").symlink_to("..")
    assert "linked from below itself; remove the link" in PublicFiles(folder / "public").problems[0]


def test_names_that_no_request_has_are_told(tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    for name in ("caf%C3%A9.txt", "100%25.txt", "a\\b.txt", "a\nb.txt", "a+b.txt", "a%2Bb.txt", "e\u0301.txt", "é.txt"):
        (public / name).write_text(name)
    (public / os.fsdecode(b"\xff.txt")).write_text("")
    files = PublicFiles(public)
    assert [each.path for each in files.files()] == ["/a+b.txt", "/é.txt"]
    assert len(files.problems) == 7
    assert "public/a+b.txt has the same path; rename one" in "".join(files.problems)
    assert "no request has such a path; rename it" in "".join(files.problems)


# --- the build --------------------------------------------------------------------------------------------------------


def test_a_build_copies_them_with_their_times(tmp_path: Path) -> None:
    folder = write_project(tmp_path, {**FILES, "public/_manifest.json": "other"})
    os.utime(folder / "public/robots.txt", (1_700_000_000, 1_700_000_000))
    built = build_site(load_config(folder))
    dist = folder / "dist"
    assert (dist / "robots.txt").read_text() == "robots"
    assert (dist / "robots.txt").stat().st_mtime == 1_700_000_000
    assert (dist / "docs/index.html").read_text() == "<p>docs"
    assert not (dist / ".env").exists()
    assert Manifest.read(dist)["/manifest.json"].file == "__manifest.json"
    assert "copied 10 files, " in format_built(built, dist, as_json=False)
    build_site(load_config(folder))  # an earlier build is replaced
    (folder / "public").rename(folder / "gone")
    (folder / "public").mkdir()
    ask = DirectInterface(load_app(folder)).ask
    assert [ask(Ask(target=path)).text for path in ("/manifest.json", "/_manifest.json")] == ["{}", "other"]


STATIC = OK + "prerender = True\ndef GET(): return Response('x')\n"


@pytest.mark.parametrize(
    ("files", "both"),
    [
        ({"src/pages/a.txt.py": STATIC, "public/a.txt": ""}, ["src/pages/a.txt.py", "public/a.txt"]),
        ({"src/pages/a.py": STATIC, "public/a/b.txt": ""}, ["src/pages/a.py", "public/a/b.txt"]),
        ({"src/pages/a/b.txt.py": STATIC, "public/a": ""}, ["src/pages/a/b.txt.py", "public/a"]),
        (
            {
                "src/pages/[x].txt.py": STATIC + "def getStaticPaths(): return [{'params': {'x': 'a'}}]\n",
                "public/a.txt": "",
            },
            ["src/pages/[x].txt.py", "public/a.txt"],
        ),
        ({"src/pages/_manifest.json.py": "", "src/pages/x.py": STATIC, "public/x": ""}, ["src/pages/x.py", "public/x"]),
    ],
)
def test_a_collision_names_both(tmp_path: Path, files: dict[str, str], both: list[str]) -> None:
    with pytest.raises(BuildError) as caught:
        build_site(load_config(write_project(tmp_path, files)))
    assert [name for name in both if name not in str(caught.value)] == []
    assert not (tmp_path / "dist").exists()


def test_a_file_that_an_endpoint_hides_is_told_and_not_copied(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_project(tmp_path, ROUTES)
    build_site(load_config(folder))
    assert "public/exact.txt is not sent at /exact.txt: src/pages/exact.txt.py has that path" in capfd.readouterr().err
    assert not (folder / "dist/exact.txt").exists()


def test_what_has_changed_since_is_told_at_the_start(tmp_path: Path) -> None:
    folder = write_project(tmp_path, {"public/a.txt": "a", "public/b.txt": "b"})
    build_site(load_config(folder))
    endpoints = load_app(folder).site.endpoints
    assert endpoints is not None
    assert list(endpoints.startup_warnings()) == []
    (folder / "public/b.txt").write_text("other")
    endpoints = load_app(folder).site.endpoints
    assert endpoints is not None
    assert list(endpoints.startup_warnings()) == ["public/b.txt has changed since it was built; run 'wixhttp build'"]


# --- tools ------------------------------------------------------------------------------------------------------------


def test_the_list_of_routes_has_one_line_for_them(tmp_path: Path) -> None:
    site = load_app(write_project(tmp_path, {**FILES, "backend/http_functions.py": FUNCTIONS}), base_path="/s").site
    assert list_routes(site)[-1]["url"] == "/s/*"
    assert format_routes(site, as_json=False).splitlines()[-1].split() == [
        "GET", "/s/*", "public/", "(static)", "9", "public", "files",
    ]  # fmt: skip


def test_the_test_client_sends_them(tmp_path: Path) -> None:
    client = TestClient(write_project(tmp_path, FILES))
    assert (client.get("/robots.txt").text, client.get("/docs").text) == ("robots", "<p>docs")
