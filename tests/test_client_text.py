"""Text of a client that a handler passes on: no text makes an answer 500 where a browser would take it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.interfaces import Ask, DirectInterface, Reply, load_app, write_project
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import set_default
from wixhttp.data.stores.memory import MemoryStore

SITE = {
    "src/pages/api/use.py": '''
        from wixhttp.endpoints import URL, Headers, Request, Response, URLSearchParams


        def POST(request, url, cookies, session, redirect, rewrite, locals, preferredLocale):
            text, use = request.clone().json(), url.searchParams.get("use")
            if use == "redirect":
                return redirect(text)
            if use == "redirect below":
                return redirect("/search?q=" + text)
            if use == "rewrite":
                return rewrite(text)
            if use == "rewrite below":
                return rewrite("/api/show/" + text)
            if use == "cookie":
                cookies.set("name", text, path="/")
                return Response(cookies.get("name").value)
            if use == "session":
                session.set(text, {text: [text]})
                locals[text] = text
                return Response.json([session.get(text), session.has(text), session.keys(), locals[text]])
            if use == "look":
                found = [cookies.get(text), session.get(text), request.headers.get(text), preferredLocale]
                return Response.json([*found, text in url.searchParams])
            if use == "url":
                try:
                    made = URL(text, url)
                    again = URL(made.href)
                except ValueError as error:
                    return Response("refused: " + str(error))
                return Response(f"{again.href} {made.searchParams} {made.origin} {made.pathname} {made.hash}")
            if use == "params":
                made = URLSearchParams({text: text})
                return Response(str(made) + URLSearchParams(text).toString() + str(URLSearchParams(str(made))))
            if use == "json":
                return Response.json({text: text})
            return Response(text)
    ''',
    "src/pages/api/header.py": '''
        from wixhttp.endpoints import Response


        def POST(request):
            return Response("x", headers={"X-Text": request.json()})
    ''',
    "src/pages/api/form.py": '''
        from wixhttp.endpoints import Response


        async def POST(request):
            form = await request.formData()
            return Response.json([[name, value if isinstance(value, str) else value.name] for name, value in form])
    ''',
    "src/pages/api/show/[...rest].py": '''
        from wixhttp.endpoints import Response


        def ALL(params, url, request):
            return Response.json([params, url.href, url.pathname, request.url, list(url.searchParams)])
    ''',
}  # fmt: skip

TEXT = st.text() | st.text("/\\:?#@[]%.;&=+ \t\r\n\0\x7f\x85\u2028\ud800\udfffaé漢😀$", max_size=12)
QUICKLY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[DirectInterface]:
    set_default(Collections(MemoryStore()))
    yield DirectInterface(load_app(write_project(tmp_path, SITE), locales=["en", "de"]))
    set_default(None)


def post(site: DirectInterface, target: str, body: Any, *headers: tuple[str, str]) -> Reply:
    return site.ask(Ask("POST", target, (("Content-Type", "application/json"), *headers), json.dumps(body).encode()))


def usv(text: str) -> str:
    """Text as browsers put it into UTF-8."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@pytest.mark.parametrize("use", ["redirect below", "cookie", "session", "look", "url", "params", "json", "body"])
@given(text=TEXT)
@QUICKLY
def test_text_that_is_taken(site: DirectInterface, use: str, text: str) -> None:
    reply = post(site, f"/api/use?use={quote(use)}", text)
    assert reply.status == (302 if "redirect" in use else 200)
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")  # as JSON reads it
    if use == "session":
        assert json.loads(reply.content) == [{joined: [joined]}, True, [joined], joined]
    elif use == "json":
        assert json.loads(reply.content) == {joined: joined}
    elif use == "body":
        assert reply.content.decode() == usv(text)
    elif use == "redirect below":
        assert (reply.header("Location") or "").startswith("/search?q=")


@pytest.mark.parametrize("use", ["redirect", "rewrite", "rewrite below"])
@given(text=TEXT)
@example("//evil.example")
@example("http://[")
@example("/%")
@example("")
@QUICKLY
def test_a_target_that_leads_nowhere_is_400(site: DirectInterface, use: str, text: str) -> None:
    reply = post(site, f"/api/use?use={quote(use)}", text)
    assert reply.status in ((302, 400) if use == "redirect" else (200, 400, 403, 404, 405, 508))


@given(text=TEXT)
@example("\ta\tb\r\n")
@QUICKLY
def test_a_header_takes_what_browsers_take(site: DirectInterface, text: str) -> None:
    reply = post(site, "/api/header", text)
    value = text.strip("\t\r\n ")  # Fetch, "normalize" a value
    is_sendable = all(
        character == "\t" or " " <= character < "\x7f" or "\x80" <= character <= "\xff" for character in value
    )
    assert reply.status == (200 if is_sendable else 500)
    if is_sendable:
        assert reply.header("X-Text") == value.replace("\t", " ")


@given(pairs=st.lists(st.tuples(TEXT, TEXT), max_size=4), odd=st.binary(max_size=20))
@QUICKLY
def test_a_form_is_read_or_400(site: DirectInterface, pairs: list[tuple[str, str]], odd: bytes) -> None:
    own = ("Origin", "http://localhost")
    known = [(usv(name), usv(value)) for name, value in pairs]
    data = urlencode(known).encode()
    reply = site.ask(Ask("POST", "/api/form", (("Content-Type", "application/x-www-form-urlencoded"), own), data))
    assert json.loads(reply.content) == [list(pair) for pair in known]
    reply = site.ask(Ask("POST", "/api/form", (("Content-Type", "application/x-www-form-urlencoded"), own), odd))
    assert reply.status == 200
    part = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\nx\r\n--b--\r\n' % (odd, odd)
    reply = site.ask(Ask("POST", "/api/form", (("Content-Type", "multipart/form-data; boundary=b"), own), part))
    assert reply.status in (200, 400)


@given(
    text=TEXT,
    query=TEXT,
    accepted=st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")),
)
@QUICKLY
def test_paths_queries_and_headers(site: DirectInterface, text: str, query: str, accepted: str) -> None:
    path = quote(usv(text), safe="/%")
    target = f"/api/show/{path}?{quote(usv(query), safe='=&%+')}"
    for name in ("Accept-Language", "Cookie", "Content-Type", "Range", "If-None-Match", "Origin", "X-Forwarded-For"):
        assert site.ask(Ask("GET", target, ((name, accepted),))).status in (200, 400)
    assert post(site, "/api/use?use=look", text, ("Accept-Language", accepted), ("Cookie", accepted)).status == 200
