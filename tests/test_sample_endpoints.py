"""The endpoints of the sample site, `src/pages/`, example by example, as `wixhttp serve` answers them."""

from __future__ import annotations

import csv
import hashlib
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
import requests

from tests import sample
from tests.sample import ROOT, own
from tests.servers import TIMEOUT, ask, clean, free_port, serving
from wixhttp.testing import TestClient

PAGES = ROOT / "src" / "pages"
SECRETS = [line.partition("=")[0] for line in (ROOT / ".env").read_text().splitlines() if line[:1] not in ("#", "")]


class Site(sample.Site):
    """The endpoints of the sample site."""

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = super().ask(method, path, **{"allow_redirects": False, **options})
        self.session.cookies.clear()  # each test says itself which it sends
        return answer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site with two workers, collections of its own, and nothing built; its proxy leads to itself."""
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    environ: dict[str, Any] = {
        **dict.fromkeys(SECRETS),
        "WIXHTTP_DATABASE_URL": f"sqlite:///{folder}/site.sqlite3",
        "WIXHTTP_BUILD_DIR": str(folder / "dist"),
        "BOOKS_URL": f"http://127.0.0.1:{port}/_functions/books",
    }
    with ExitStack() as stack:
        server = stack.enter_context(sample.sample_server(2, environ, port))
        yield Site(server, stack.enter_context(requests.Session()))


def _cookies(answer: requests.Response) -> list[str]:
    return answer.raw.headers.getlist("Set-Cookie")


# --- pages -----------------------------------------------------------------------------------------------------------


def test_the_first_page_leads_to_what_is_there(site: Site) -> None:
    answer = site.get("/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html;charset=UTF-8")
    links = [part.partition('"')[0] for part in answer.text.split('href="')[1:]]
    assert len(links) > 5
    for link in links:
        assert site.get(link).status_code == 200, link


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_no_file_answers_is_a_404_of_the_sitesown(site: Site, method: str) -> None:
    answer = site.ask(method, "/no/such%20page", json={})
    assert (answer.status_code, answer.json()) == (404, {"error": "there is nothing at /no/such page"})
    assert answer.headers["Server-Timing"].startswith("handler;dur=")


def test_what_is_no_route_is_nothing(site: Site) -> None:
    for path in (
        "/middleware",
        "/404",
        "/api/users/index",
        "/api/users/[id]",
        "/api/users",
        "/rss",
        "/api/posts.csv.py",
    ):
        assert site.get(path).status_code == 404, path
    assert site.get("/_functions/no_such_function").headers["Content-Type"] == "application/problem+json"


# --- users, by a parameter -------------------------------------------------------------------------------------------


def test_a_user_by_id(site: Site) -> None:
    answer = site.get("/api/users/1")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert own(answer.json()) == {"firstName": "Ada", "lastName": "Lovelace", "born": 1815}
    for path, name in (("/api/users/99", "99"), ("/api/users/a%20b%2Fc", "a b%2Fc"), ("/api/users/%C3%BC", "ü")):
        missing = site.get(path)
        assert (missing.status_code, missing.json()) == (404, {"error": f"there is no user {name}"})


def test_another_method_is_not_allowed(site: Site) -> None:
    answer = site.ask("DELETE", "/api/users/1", json={})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    head = site.ask("HEAD", "/api/users/1")
    assert (head.status_code, head.content, int(head.headers["Content-Length"]) > 0) == (200, b"", True)


# --- posts, in a collection ------------------------------------------------------------------------------------------


def test_posts_are_created_read_changed_and_removed(site: Site) -> None:
    made = site.post("/api/posts", json={"title": "New", "tags": ["news", "draft"]})
    post = made.json()
    assert (made.status_code, own(post)) == (201, {"title": "New", "tags": ["news", "draft"]})
    path = made.headers["Location"]
    assert path == f"/api/posts/{post['_id']}"
    assert site.get(path).json() == post

    put = site.ask("PUT", path, json={"title": "Newer"})
    assert (put.status_code, own(put.json())) == (200, {"title": "Newer"})
    patched = site.ask("PATCH", path, json={"text": "More."})
    assert (patched.status_code, own(patched.json())) == (200, {"title": "Newer", "text": "More."})
    assert patched.json()["_createdDate"] == post["_createdDate"]

    gone = site.ask("DELETE", path, headers={"Origin": site.url})
    assert (gone.status_code, gone.content) == (204, b"")
    error = {"error": f"there is no post {post['_id']}"}
    for again in (site.get(path), site.ask("DELETE", path, headers={"Content-Type": "application/json"})):
        assert (again.status_code, again.json()) == (404, error)
    for method in ("PUT", "PATCH"):
        answer = site.ask(method, path, json={"title": "again"})
        message = f"WDE0073: Item [{post['_id']}] does not exist in collection [posts]."
        assert (answer.status_code, answer.json()) == (404, {"error": message})


def test_a_post_may_bring_its_id_once(site: Site) -> None:
    made = site.post("/api/posts", json={"_id": "a b/ü", "title": "Odd"})
    assert made.headers["Location"] == "/api/posts/a%20b%2F%C3%BC"
    again = site.post("/api/posts", json={"_id": "a b/ü", "title": "Odd"})
    assert (again.status_code, again.json()) == (409, {"error": "WDE0074: An item with _id [a b/ü] already exists."})


def test_posts_are_listed_the_newest_first(site: Site) -> None:
    def titles(query: str = "") -> list[str]:
        return [post["title"] for post in site.get(f"/api/posts{query}").json()["items"]]

    assert titles()[-2:] == ["Files & routes", "Hello"]
    assert titles("?tag=routes") == titles("?q=FILES%20%26") == titles("?q=files&tag=news") == ["Files & routes"]
    assert titles("?q=nothing+so+called") == titles("?tag=")[:0] == []


@pytest.mark.parametrize("body", ['["title"]', "null", '{"title": 1}', '{"text": "none"}', '{"title": "cut'])
def test_what_is_no_post_is_a_bad_request(site: Site, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert site.post("/api/posts", data=body, headers=headers).status_code == 400
    assert site.ask("PUT", "/api/posts/1", data=body, headers=headers).status_code == 400
    if "text" not in body:
        assert site.ask("PATCH", "/api/posts/1", data=body, headers=headers).status_code == 400
    assert site.get("/api/posts/1").json()["title"] == "Hello"


def test_what_a_collection_cannot_hold_is_a_bad_request(site: Site) -> None:
    for method, path in (("POST", "/api/posts"), ("PUT", "/api/posts/2"), ("PATCH", "/api/posts/2")):
        answer = site.ask(method, path, json={"title": "Long", "pages": 10**19})
        assert (answer.status_code, "64 bits" in answer.json()["error"]) == (400, True), answer.text
    assert site.get("/api/posts?q=long").json() == {"items": []}


def test_forms_of_other_sites_are_refused(site: Site) -> None:
    for headers in ({}, {"Content-Type": "text/plain"}, {"Origin": "https://evil.example"}):
        answer = site.post("/api/posts", data=b'{"title": "Spam"}', headers=headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
        assert site.ask("DELETE", "/api/posts/1", headers=headers).status_code == 403
    assert site.get("/api/posts?q=spam").json() == {"items": []}
    assert site.get("/api/posts/1").status_code == 200


# --- other kinds of answers ------------------------------------------------------------------------------------------


def test_the_feed_is_rss(site: Site) -> None:
    answer = site.get("/rss.xml")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/rss+xml")
    channel = ElementTree.fromstring(answer.content).find("channel")  # noqa: S314 - our own
    assert channel is not None
    assert channel.findtext("link") == site.url
    posts = {item.findtext("title"): item for item in channel.iter("item")}
    link = posts["Files & routes"].findtext("link")
    assert link == f"{site.url}/api/posts/2"
    date = parsedate_to_datetime(posts["Files & routes"].findtext("pubDate") or "")
    assert date == datetime.fromisoformat("2025-01-09T12:30:00+00:00")
    for item in channel.iter("item"):
        assert (item.findtext("link") or "").startswith(f"{site.url}/api/posts/")


def test_the_logo_is_an_image(site: Site) -> None:
    answer = site.get("/api/logo.png?color=ff8800")
    assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == ("image/png", "public, max-age=3600")
    image = answer.content
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, position = {}, 8
    while position < len(image):
        [size] = struct.unpack_from(">I", image, position)
        kind, data = image[position + 4 : position + 8], image[position + 8 : position + 8 + size]
        assert struct.unpack_from(">I", image, position + 8 + size) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        position += size + 12
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (64, 64, 8, 2, 0, 0, 0)
    assert zlib.decompress(chunks[b"IDAT"]) == (b"\0" + b"\xff\x88\x00" * 64) * 64
    wrong = site.get("/api/logo.png?color=red")
    assert (wrong.status_code, wrong.headers["Content-Type"]) == (400, "text/plain;charset=UTF-8")


def test_posts_are_a_csv_to_download(site: Site) -> None:
    answer = site.get("/api/posts.csv")
    assert answer.headers["Content-Type"] == "text/csv;charset=UTF-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="posts.csv"'
    first, second, *_ = csv.DictReader(answer.text.splitlines())
    assert (first["_id"], first["title"]) == ("1", "Hello")
    assert (second["title"], second["text"]) == ("Files & routes", "One file, one route.")


# --- static ones -----------------------------------------------------------------------------------------------------


def test_static_endpoints_answer_before_they_are_built(site: Site) -> None:
    assert site.get("/api/data.json").json()["name"] == "the sample site"
    assert site.get("/api/greetings/fr.json").json() == {"language": "fr", "greeting": "Bonjour"}
    page = {"planets": ["Mars", "Jupiter", "Saturn"], "pages": 3}
    urls = {"prev": "/api/planets/1.json", "next": "/api/planets/3.json"}
    assert site.get("/api/planets/2.json").json() == {**page, **urls}
    assert site.get(urls["next"]).json()["planets"] == ["Uranus", "Neptune"]
    for path in ("/api/greetings/xx.json", "/api/planets/0.json", "/api/planets/4.json"):
        assert site.get(path).status_code == 404, path
    assert site.post("/api/data.json", json={}).status_code == 405


def test_static_endpoints_are_built(tmp_path: Path) -> None:
    environ: dict[str, Any] = {"WIXHTTP_BUILD_DIR": str(tmp_path / "dist"), "WIXHTTP_DATABASE_URL": "memory://"}
    command = [sys.executable, "-m", "wixhttp", "build"]
    built = subprocess.run(command, cwd=ROOT, env=clean(environ), check=True, timeout=TIMEOUT, capture_output=True)
    assert b"built 7 files" in built.stdout
    with serving(ROOT, "--workers", "1", **environ) as server, requests.Session() as session:
        site = Site(server, session)
        answer = site.get("/api/data.json")
        assert answer.json()["name"] == "the sample site"
        assert answer.headers["Content-Type"] == "application/json"
        assert "Server-Timing" not in answer.headers
        again = site.get("/api/data.json", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert site.get("/api/planets/3.json").json()["next"] is None
        assert "Server-Timing" in site.get("/api/nothing").headers


# --- cookies, sessions -----------------------------------------------------------------------------------------------


def _begin(site: Site) -> tuple[str, dict[str, str]]:
    """A sign-in that was begun: its state, and the cookies of the browser."""
    answer = site.get("/api/login")
    assert answer.status_code == 302
    provider = urlsplit(answer.headers["Location"])
    assert (provider.scheme, provider.netloc) == ("https", "id.example.com")
    query = parse_qs(provider.query)
    assert query["redirect_uri"] == [f"{site.url}/api/callback"]
    [state] = query["state"]
    [cookie] = _cookies(answer)
    assert cookie == f"state={state}; Path=/api/callback; Max-Age=600; HttpOnly; SameSite=Lax"
    return state, {"state": state}


def test_the_callback_sets_a_cookie_and_redirects(site: Site) -> None:
    state, cookies = _begin(site)
    answer = site.get(f"/api/callback?code=abc&state={state}", cookies=cookies)
    assert (answer.status_code, answer.headers["Location"], answer.content) == (303, "/", b"")
    forgotten, token = _cookies(answer)
    assert forgotten == "state=; Path=/api/callback; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    assert token == "token=token-for-abc; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"


def test_the_callback_takes_only_what_was_begun_in_this_browser(site: Site) -> None:
    state, cookies = _begin(site)
    other, _ = _begin(site)
    for query, sent in (
        (f"code=abc&state={state}", {}),
        (f"code=abc&state={other}", cookies),
        ("code=abc&state=", cookies),
        ("code=abc&state=%C3%BC", cookies),
        ("code=abc", cookies),
        ("code=abc&state=", {"state": ""}),
    ):
        answer = site.get(f"/api/callback?{query}", cookies=sent)
        assert (answer.status_code, _cookies(answer)) == (403, []), query
    without_code = site.get(f"/api/callback?state={state}", cookies=cookies)
    assert without_code.status_code == 400
    assert [cookie.partition(";")[0] for cookie in _cookies(without_code)] == ["state="]


def test_visits_are_counted_for_each_visitor(site: Site) -> None:
    first = site.get("/api/visits")
    assert first.json() == {"visits": 1}
    [cookie] = _cookies(first)
    value, *attributes = cookie.split("; ")
    name, _, number = value.partition("=")
    assert name == "wixhttp-session"
    assert {"HttpOnly", "SameSite=Lax", "Secure", "Path=/"} <= set(attributes)
    visitor = {name: number}
    assert [site.get("/api/visits", cookies=visitor).json()["visits"] for _ in range(3)] == [2, 3, 4]
    assert site.get("/api/visits").json() == {"visits": 1}
    assert site.get("/api/visits", cookies={name: "x" * 43}).json() == {"visits": 1}
    gone = site.ask("DELETE", "/api/visits", cookies=visitor, headers={"Origin": site.url})
    assert gone.status_code == 204
    assert site.get("/api/visits", cookies=visitor).json() == {"visits": 1}


# --- uploads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 2_000_000])
def test_a_form_with_a_file(site: Site, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    answer = site.post(
        "/api/upload",
        data={"title": "Käse"},
        files={"file": ("../a ü.bin", content, "application/x-test")},
        headers={"Origin": site.url},
    )
    sent = {"name": "a ü.bin", "type": "application/x-test", "size": size}
    digest = hashlib.sha256(content).hexdigest()
    assert (answer.status_code, answer.json()) == (201, {"title": "Käse", "file": {**sent, "sha256": digest}})


def test_what_is_no_upload_is_refused(site: Site) -> None:
    origin = {"Origin": site.url}
    text = site.post("/api/upload", data={"file": "text"}, headers=origin)
    assert (text.status_code, text.json()) == (400, {"error": "send a file, in the field 'file'"})
    assert site.post("/api/upload", json={"file": 1}, headers=origin).status_code == 400
    cut = {**origin, "Content-Type": "multipart/form-data; boundary=x"}
    assert site.post("/api/upload", data=b"--x\r\n", headers=cut).status_code == 400
    assert site.post("/api/upload", files={"file": b"x"}).status_code == 403
    assert site.post("/api/upload", files={"file": b"x" * 11_000_000}, headers=origin).status_code == 413


# --- a proxy ---------------------------------------------------------------------------------------------------------


def test_the_proxy_hands_on_every_method(site: Site) -> None:
    assert site.get("/api/proxy/books/2").json()["title"] == "Solaris"
    assert site.get("/api/proxy/books?author=Nobody").json() == {"items": []}
    made = site.post("/api/proxy/books", json={"title": "Kindred"})
    assert (made.status_code, made.headers["Content-Type"]) == (201, "application/json")
    number = made.json()["inserted"]["_id"]
    assert site.ask("PUT", f"/api/proxy/books/{number}", json={"title": "Ubik"}).json()["updated"]["title"] == "Ubik"
    head = site.ask("HEAD", "/api/proxy/books/2")
    assert (head.status_code, head.content) == (200, b"")
    gone = site.ask("DELETE", f"/api/proxy/books/{number}", headers={"Origin": site.url})
    assert gone.status_code == 200
    assert site.get(f"/api/proxy/books/{number}").status_code == 404
    assert site.ask("PATCH", "/api/proxy/books/1", json={}).status_code == 405


def test_the_proxy_leads_nowhere_else(site: Site) -> None:
    for path in (
        "/api/proxy",
        "/api/proxy/",
        "/api/proxy/people",
        "/api/proxy/http://169.254.169.254/latest",
        "/api/proxy/169.254.169.254",
        "/api/proxy//evil.example/books",
        "/api/proxy/books@evil.example",
        "/api/proxy/BOOKS_URL",
    ):
        answer = site.get(path)
        assert (answer.status_code, "no target" in answer.json()["error"]) == (404, True), path
    # Dot segments are resolved before a target is chosen, in any spelling: it is not left again.
    for dots in ("..", "%2e%2e", "%252e%252e", ".%2E", "1/../.."):
        raw = f"GET /api/proxy/books/{dots}/orders HTTP/1.1\r\nHost: x\r\n\r\n"
        assert ask(site.server.port, raw.encode()).json() == {"error": "there is no target 'orders'"}, dots
    for odd, number in (("..%2Forders", "../orders"), ("100%25", "100%"), ("1%0d%0aHost:%20evil", "1\r\nHost: evil")):
        assert site.get(f"/api/proxy/books/{odd}").json() == {"error": f"there is no book {number}"}


def test_a_target_that_is_away_is_a_502(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOKS_URL", f"http://127.0.0.1:{free_port()}")
    answer = TestClient(ROOT).get("/api/proxy/books")
    assert (answer.status_code, answer.json()) == (502, {"error": "books does not answer"})


# --- the site as a whole ---------------------------------------------------------------------------------------------


def routes() -> dict[str, str]:
    """The route of each file of the sample, and the file's text; ``404.py`` is none."""
    names = {file: file.relative_to(PAGES).with_suffix("").as_posix() for file in PAGES.rglob("*.py")}
    return {
        "/" + name.removesuffix("index").rstrip("/"): file.read_text() for file, name in names.items() if name != "404"
    }


def test_every_file_says_its_url() -> None:
    assert [route for route, text in routes().items() if not text.startswith(f'"""{route.partition("[")[0]}')] == []


def test_every_route_is_tested(site: Site, request: pytest.FixtureRequest) -> None:
    selected = {getattr(item, "originalname", "") for item in request.session.items if item.path == request.path}
    if {name for name in globals() if name.startswith("test_")} - selected:
        pytest.skip("only all tests of this file together ask for every route")
    asked = {str(line.get("function")).partition(" ")[2] for line in site.server.lines if isinstance(line, dict)}
    assert routes().keys() - asked == set()


def test_no_endpoint_failed(site: Site) -> None:
    assert not [line for line in site.server.lines if line.get("severity") == "ERROR" or line.get("status", 0) >= 500]
    assert site.server.errors == ""
