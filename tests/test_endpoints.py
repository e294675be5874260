"""Endpoints, through each server interface: methods, context, cookies, redirects, middleware, pages for errors."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.interfaces import WAYS, Served, write_project
from wixhttp import check_origin
from wixhttp.cli.static_build import build_site
from wixhttp.project.config import load_config

Serve = Callable[..., Served]

JSON = ("Content-Type", "application/json")
ORIGIN = ("Origin", "http://localhost")


def page(source: str) -> str:
    """The text of an endpoint's file, with the names of wixhttp.endpoints."""
    return "from wixhttp.endpoints import *\n" + dedent(source)


def one(serve: Serve, source: str, **settings: Any) -> Served:
    """A site of one endpoint, ``/x``."""
    return serve({"src/pages/x.py": page(source)}, **settings)


# --- methods ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_each_method_has_its_handler(serve_alike: Serve, kind: str) -> None:
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    served = one(
        serve_alike,
        "\n".join(f"{kind} {each}(request): return Response({each!r} + request.method)" for each in methods),
    )
    for method in methods:
        assert served("/x", method, JSON).text == method * 2


def test_own_method_then_all_then_get_for_head(serve_alike: Serve) -> None:
    by = "def {0}(): return Response({0!r}, headers={{'X-By': {0!r}}})"
    names = ("ALL", "GET", "GET-ALL", "GET-ALL-HEAD")
    served = serve_alike({f"src/pages/{name}.py": page("\n".join(map(by.format, name.split("-")))) for name in names})
    for name, method, answers in (
        ("GET-ALL", "GET", "GET"), ("GET-ALL", "POST", "ALL"), ("GET-ALL", "BREW", "ALL"), ("ALL", "OPTIONS", "ALL"),
        ("GET", "HEAD", "GET"), ("GET-ALL", "HEAD", "ALL"), ("GET-ALL-HEAD", "HEAD", "HEAD"),
    ):  # fmt: skip
        reply = served(f"/{name}", method, JSON)
        assert (reply.status, reply.header("X-By")) == (200, answers), (name, method)
        assert reply.text == ("" if method == "HEAD" else answers)


def test_a_method_that_nobody_handles_is_405_with_allow(serve_alike: Serve) -> None:
    served = one(serve_alike, "def GET(): return Response('x')\ndef POST(): return Response('x')")
    reply = served("/x", "PUT", JSON)
    assert (reply.status, reply.header("Allow"), reply.problem["status"]) == (405, "GET, HEAD, POST", 405)
    assert served("/x", "ALL", JSON).status == 405
    assert served("/x", "*", JSON).status == 405
    assert served("/x", "__class__", JSON).status == 405


def test_what_an_import_binds_and_lower_case_names_are_no_handlers(
    serve_alike: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve_alike(
        {
            "lib.py": page("def POST(): return Response('never')"),
            "src/pages/x.py": page("from lib import POST\ndef GET(): return Response('x')\ndef put(): ..."),
        }
    )
    assert [served("/x", method, JSON).status for method in ("GET", "POST", "PUT")] == [200, 405, 405]
    assert "put is not served" in caplog.text


# --- what a handler is given -----------------------------------------------------------------------------------------


def test_the_context_or_its_members_by_name(serve_alike: Serve) -> None:
    signatures = {
        "context": "[context.params['id'], context.url.pathname]",
        "anything": "[anything.params['id'], anything.url.pathname]",
        "params, url": "[params['id'], url.pathname]",
        "*, url, params": "[params['id'], url.pathname]",
        "params, *, url": "[params['id'], url.pathname]",
        "url, params, request, cookies, redirect, locals": "[params['id'], url.pathname]",
    }
    pages = [
        f"{kind} GET({signature}): return Response.json({expression})"
        for kind in ("def", "async def")
        for signature, expression in signatures.items()
    ]
    served = serve_alike({f"src/pages/{number}/[id].py": page(text) for number, text in enumerate(pages)})
    for number, text in enumerate(pages):
        assert served(f"/{number}/7").json() == ["7", f"/{number}/7"], text


def test_a_decorator_hands_members_on(serve_alike: Serve) -> None:
    served = one(
        serve_alike,
        """
        import functools
        def plain(function):
            return lambda *a, **k: function(*a, **k)
        def named(function):
            @functools.wraps(function)
            def run(*a, **k): return function(*a, **k)
            return run
        @named
        def GET(url, request): return Response(url.pathname + request.method)
        @plain
        def POST(context): return Response(context.url.pathname + context.request.method)
        """,
    )
    assert [served("/x", method, JSON).text for method in ("GET", "POST")] == ["/xGET", "/xPOST"]


def test_the_members_of_a_context(serve_alike: Serve) -> None:
    served = serve_alike(
        {"src/pages/[lang]-[v]/[...rest].py": page("""
            def GET(context):
                c, u = context, context.url
                return Response.json({
                    "params": c.params, "pattern": c.routePattern, "ip": c.clientAddress, "props": c.props,
                    "static": c.isPrerendered, "locale": c.preferredLocale, "site": c.site.href, "href": u.href,
                    "host": u.host, "port": u.port, "search": u.search, "q": u.searchParams.getAll("q"),
                    "none": u.searchParams.get("none"), "pairs": list(u.searchParams), "path": u.pathname,
                    "same": c.request is c.request, "method": c.request.method, "agent": c.request.headers.get("X-A"),
                    "url": c.request.url,
                })
            """)},
        public_url="https://www.example.com", locales=["en", "de-CH"],
    )  # fmt: skip
    reply = served(
        "/en-2/a/caf%C3%A9%20b?q=1&q=2", "GET", ("x-a", "me"), ("Accept-Language", "fr, de-CH;q=0.8, en;q=0.5")
    )
    assert reply.json() == {
        "params": {"lang": "en", "v": "2", "rest": "a/café b"}, "pattern": "/[lang]-[v]/[...rest]", "ip": "127.0.0.1",
        "props": {}, "static": False, "locale": "de-CH", "site": "https://www.example.com/",
        "href": "https://www.example.com/en-2/a/caf%C3%A9%20b?q=1&q=2", "host": "www.example.com", "port": "",
        "search": "?q=1&q=2", "q": ["1", "2"], "none": None, "pairs": [["q", "1"], ["q", "2"]],
        "path": "/en-2/a/café b", "same": True, "method": "GET", "agent": "me",
        "url": "https://www.example.com/en-2/a/caf%C3%A9%20b?q=1&q=2",
    }  # fmt: skip
    assert served("/en-2").json()["params"]["rest"] is None


@pytest.mark.parametrize(
    ("member", "words"),
    [("site", "set public_url"), ("preferredLocale", "set locales")],
)
def test_what_is_not_available_raises_when_it_is_read(
    serve_alike: Serve, member: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    served = one(
        serve_alike, f"def GET(context): return Response('unread')\ndef POST({member}): return Response('read')"
    )
    assert served("/x").text == "unread"
    assert served("/x", "POST", JSON).status == 500
    assert caplog.text.count(f"context.{member} is not available in src/pages/x.py: {words}") == WAYS


def test_locals_and_params_cannot_be_replaced(serve_alike: Serve) -> None:
    served = one(
        serve_alike,
        """
        def GET(context):
            context.locals.user = "Ada"
            try:
                context.locals = {}
            except AttributeError:
                return Response(context.locals["user"])
        """,
    )
    assert served("/x").text == "Ada"


def test_anything_but_a_response_is_a_500_that_names_it(serve_alike: Serve, caplog: pytest.LogCaptureFixture) -> None:
    returned = ["None", "'text'", "{'a': 1}", "3", "Response", "object()"]
    pages = [f"{kind} GET(): return {each}" for kind in ("def", "async def") for each in returned]
    served = serve_alike({f"src/pages/x{number}.py": page(text) for number, text in enumerate(pages)})
    for number, text in enumerate(pages):
        assert served(f"/x{number}").problem["status"] == 500, text
        assert caplog.text.count(f"GET of src/pages/x{number}.py returned") == WAYS, text


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "wait"), [("def", ""), ("async def", "await ")])
def test_bodies_are_read_once(serve_alike: Serve, kind: str, wait: str) -> None:
    served = one(
        serve_alike,
        f"""
        from wixhttp.errors import BodyAlreadyUsed
        {kind} POST(request):
            other = request.clone()
            first = {wait}request.json()
            try:
                {wait}request.text()
            except BodyAlreadyUsed as error:
                return Response.json([first, {wait}other.text(), request.bodyUsed])
        """,
    )
    assert served("/x", "POST", JSON, body=b'{"a": 1}').json() == [{"a": 1}, '{"a": 1}', True]


@pytest.mark.parametrize(("kind", "wait"), [("def", ""), ("async def", "await ")])
def test_what_is_not_json_is_400(serve_alike: Serve, kind: str, wait: str) -> None:
    served = one(serve_alike, f"{kind} POST(request): return Response.json({wait}request.json())")
    assert served("/x", "POST", JSON, body=b"{").problem["status"] == 400
    assert served("/x", "POST", JSON).problem["status"] == 400


@pytest.mark.parametrize(("kind", "wait"), [("def", ""), ("async def", "await ")])
def test_forms(serve_alike: Serve, kind: str, wait: str) -> None:
    served = one(
        serve_alike,
        f"""
        {kind} POST(request):
            form = {wait}request.formData()
            rows = []
            for name, value in form:
                rows.append([name, value if isinstance(value, str) else [value.name, value.type, value.size]])
            return Response.json(rows)
        """,
    )
    kind_header = ("Content-Type", "multipart/form-data; boundary=xx")
    body = (
        b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--xx\r\nContent-Disposition: form-data; '
        b'name="f"; filename="../../etc/passwd"\r\nContent-Type: text/x\r\n\r\nhello\r\n--xx\r\n'
        b'Content-Disposition: form-data; name="a"\r\n\r\n2\r\n--xx--\r\n'
    )
    assert served("/x", "POST", kind_header, ORIGIN, body=body).json() == [
        ["a", "1"], ["f", ["passwd", "text/x", 5]], ["a", "2"],
    ]  # fmt: skip
    urlencoded = ("Content-Type", "application/x-www-form-urlencoded")
    assert served("/x", "POST", urlencoded, ORIGIN, body=b"b=1+2&a=%C3%A4&b=3").json() == [
        ["b", "1 2"], ["a", "ä"], ["b", "3"],
    ]  # fmt: skip
    for broken in (b"--xx\r\n", body[:-4], b"", b"--yy--"):
        assert served("/x", "POST", kind_header, ORIGIN, body=broken).problem["status"] == 400
    assert served("/x", "POST", ("Content-Type", "multipart/form-data"), ORIGIN, body=body).problem["status"] == 400
    many = b"".join(b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' for _ in range(10_000)) + b"--xx--"
    assert served("/x", "POST", kind_header, ORIGIN, body=many).status in (400, 413)


@pytest.mark.parametrize(("kind", "wait"), [("def", ""), ("async def", "await ")])
def test_a_long_body_is_spooled_and_read_whole(serve_alike: Serve, kind: str, wait: str) -> None:
    served = one(
        serve_alike,
        f"""
        from wixhttp import limits
        @limits(max_body="5MB")
        {kind} POST(request):
            copy = request.clone()
            data = {wait}request.bytes()
            return Response.json([len(data), data == b"x" * len(data), data == {wait}copy.bytes()])
        """,
    )
    kind_header = ("Content-Type", "application/octet-stream")
    for chunked in (False, True):
        reply = served("/x", "POST", kind_header, body=b"x" * 3_000_000, chunked=chunked)
        assert reply.json() == [3_000_000, True, True]
        assert served("/x", "POST", kind_header, body=b"x" * 5_300_000, chunked=chunked).problem["status"] == 413


# --- cookies, redirects, rewrites ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("how", ["Response('x', headers={'Set-Cookie': 'own=1'})", "redirect('/y')", "None"])
def test_cookies_go_with_every_answer(serve_alike: Serve, kind: str, how: str) -> None:
    served = one(
        serve_alike,
        f"""
        from wixhttp import HTTPError
        {kind} GET(cookies, redirect):
            seen = cookies.get("seen")
            cookies.set("a", seen.value if seen else "b;c", path="/", httpOnly=True)
            cookies.delete("old")
            if {how} is None:
                raise HTTPError(418, "no")
            return {how}
        """,
    )
    reply = served("/x", "GET", ("Cookie", "seen=%3Bx"))
    cookies = reply.all("Set-Cookie")
    assert cookies[-2] == "a=%3Bx; Path=/; HttpOnly"
    assert cookies[-1].startswith("old=")
    assert ("own=1" in cookies) == ("own" in how)
    assert cookies[0] == "own=1" or "own" not in how
    if "redirect" in how:
        assert (reply.status, reply.header("Location")) == (302, "/y")


def test_redirects_do_not_leave_the_site_unsaid(serve_alike: Serve) -> None:
    targets = ["//evil.example", "/\\evil.example", "\\\\evil", "\n//evil", ""]
    served = one(serve_alike, f"def GET(redirect, url): return redirect({targets}[int(url.search[1:])])")
    for number, target in enumerate(targets):
        reply = served(f"/x?{number}")
        assert (reply.status, reply.all("Location")) == (400, []), target


BEGINS_A = page("""
    def GET(rewrite, locals, cookies):
        locals.by = __name__[-2:]; cookies.set("a", "1")
        return rewrite("/TARGET/7?q=2")
""")
BEGINS_B = BEGINS_A.replace("def GET", "async def GET").replace("return rewrite", "return await rewrite")
ENDS = page("def GET(params, url, locals): return Response(f\"{params['id']} {url.href} {locals.by}\")")
REWRITES = {
    "src/pages/ab.py": BEGINS_A.replace("TARGET", "b"),
    "src/pages/ac.py": BEGINS_A.replace("TARGET", "c"),
    "src/pages/bb.py": BEGINS_B.replace("TARGET", "b"),
    "src/pages/bc.py": BEGINS_B.replace("TARGET", "c"),
    "src/pages/b/[id].py": ENDS,
    "src/pages/c/[id].py": ENDS.replace("def GET", "async def GET"),
    "src/pages/loop.py": page("def GET(rewrite): return rewrite('/loop')"),
    "src/pages/aloop.py": page("async def GET(rewrite): return await rewrite('/aloop')"),
    "src/pages/away.py": page("def GET(rewrite): return rewrite('https://example.org/x')"),
    "src/pages/none.py": page("def GET(rewrite): return rewrite('/nowhere')"),
}
THROUGH = ("", "def onRequest(c, next): return next()", "async def onRequest(c, next): return await next()")


@pytest.mark.parametrize("middleware", THROUGH)
def test_rewrites(serve_alike: Serve, middleware: str) -> None:
    files = {**REWRITES, **({"src/middleware.py": middleware} if middleware else {})}
    served = serve_alike(files)
    for name, other in (("ab", "b"), ("ac", "c"), ("bb", "b"), ("bc", "c")):
        reply = served(f"/{name}?z=1")
        assert reply.text == f"7 http://localhost/{other}/7?q=2 {name}"
        assert reply.header("Set-Cookie") == "a=1"
    assert served("/loop").problem["status"] == 508
    assert served("/aloop").problem["status"] == 508
    assert served("/away").problem["status"] == 400
    assert served("/none").problem["status"] == 404


# --- middleware ------------------------------------------------------------------------------------------------------

SYNC = """
def onRequest(context, next):
    context.locals.trail = ["m"]
    response = next()
    response.headers["X-Trail"] = " ".join(context.locals.trail)
    response.headers["X-Status"] = str(response.status)
    return response
"""
ASYNC = SYNC.replace("def", "async def").replace("next()", "await next()")
HANDLERS = {
    "src/pages/s.py": page("def GET(locals):\n locals.trail.append('s'); return Response('s')"),
    "src/pages/a.py": page("async def GET(locals):\n locals.trail.append('a'); return Response('a')"),
    "src/pages/e.py": page("from wixhttp import HTTPError\ndef GET(): raise HTTPError(409, 'taken')"),
    "src/pages/ae.py": page("from wixhttp import HTTPError\nasync def GET(): raise HTTPError(409, 'taken')"),
    "src/pages/f.py": page("def GET(): raise RuntimeError('secret')"),
}


@pytest.mark.parametrize("middleware", [SYNC, ASYNC])
def test_middleware_around_both_kinds_of_handlers(serve_alike: Serve, middleware: str) -> None:
    served = serve_alike({**HANDLERS, "src/middleware.py": middleware})
    for name in ("s", "a"):
        reply = served(f"/{name}")
        assert (reply.text, reply.header("X-Trail")) == (name, f"m {name}")
    for name, status in (("e", 409), ("ae", 409), ("nowhere", 404)):
        reply = served(f"/{name}")
        assert (reply.status, reply.header("X-Status"), reply.problem["status"]) == (status, str(status), status)
    assert served("/f").status == 500
    reply = served("/s", "PUT", JSON)
    assert (reply.status, reply.header("Allow"), reply.header("X-Trail")) == (405, "GET, HEAD", "m")


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return None", "returned nothing and never called next()"),
        ("return 'text'", "returned str, not a Response"),
        ("return {}", "returned dict, not a Response"),
        ("WAITnext(); WAITnext()", "RuntimeError: next() is called once"),
    ],
)
def test_what_middleware_does_wrong_is_said(
    serve_alike: Serve, kind: str, body: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = body.replace("WAIT", "await " if "async" in kind else "")
    served = serve_alike(
        {
            **HANDLERS,
            "src/middleware.py": f"{kind} onRequest(context, next):\n    context.locals.trail = []\n    {body}",
        }
    )
    assert served("/s").problem["status"] == 500
    assert caplog.text.count(words) == WAYS


def test_middleware_that_returns_nothing_after_next_passes_its_response_on(serve_alike: Serve) -> None:
    middleware = "def onRequest(c, next):\n c.locals.trail = []\n next().headers['X-A'] = '1'"
    served = serve_alike({**HANDLERS, "src/middleware.py": middleware})
    assert served("/s").header("X-A") == "1"


def test_middleware_answers_itself_and_replaces(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            **HANDLERS,
            "src/middleware.py": page("""
            def onRequest(context, next):
                context.locals.trail = []
                if context.url.pathname.startswith("/admin"):
                    return context.redirect("/login")
                response = next()
                return Response(response.text().upper(), headers=response.headers)
            """),
        }
    )
    assert served("/s").text == "S"
    assert served("/%61dmin/x").header("Location") == "/login"
    assert served("/x/../admin").header("Location") == "/login"


@pytest.mark.parametrize("kinds", ["ss", "aa", "sa", "as", "sas", "asa"])
def test_sequence(serve_alike: Serve, kinds: str) -> None:
    parts = []
    for number, kind in enumerate(kinds):
        wait, word = ("await ", "async def") if kind == "a" else ("", "def")
        parts.append(dedent(f"""
            {word} m{number}(context, next):
                context.locals.trail = [*context.locals.get("trail", []), "{number}"]
                response = {wait}next()
                response.headers.append("X-Back", "{number}")
                return response
        """))  # fmt: skip
    names = ", ".join(f"m{number}" for number in range(len(kinds)))
    files = {**HANDLERS, "src/middleware.py": page("\n".join(parts) + f"\nonRequest = sequence({names})\n")}
    served = serve_alike(files)
    for name in ("s", "a"):
        reply = served(f"/{name}")
        assert reply.text == name
        assert reply.header("X-Back") == ", ".join(str(number) for number in reversed(range(len(kinds))))


# --- forms from elsewhere --------------------------------------------------------------------------------------------


def test_check_origin(serve_alike: Serve) -> None:
    called = "called = []\ndef onRequest(c, next):\n c.locals.n = called.append(1); return next()"
    served = serve_alike({"src/pages/x.py": page("def ALL(): return Response('x')"), "src/middleware.py": called})
    for method, kind, origin, status in (
        ("GET", None, None, 200),
        ("HEAD", "text/plain", None, 200),
        ("OPTIONS", None, None, 200),
        ("POST", "application/json", None, 200),
        ("POST", "application/json", "https://evil.example", 200),
        ("POST", "application/x-www-form-urlencoded", None, 403),
        ("POST", "application/x-www-form-urlencoded", "https://evil.example", 403),
        ("POST", "application/x-www-form-urlencoded", "http://localhost", 200),
        ("POST", "multipart/form-data; boundary=x", "null", 403),
        ("POST", "TEXT/PLAIN;charset=utf-8", "http://localhost:81", 403),
        ("POST", "text/plain", "http://localhost", 200),
        ("POST", "", None, 403),
        ("DELETE", None, None, 403),
        ("DELETE", None, "http://localhost", 200),
        ("PUT", None, "https://localhost", 403),
    ):
        headers = [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https")]
        headers += [] if kind is None else [("Content-Type", kind)]
        headers += [] if origin is None else [("Origin", origin)]
        assert served("/x", method, *headers).status == status, (method, kind, origin)


def test_what_browsers_send_without_a_preflight_is_checked(serve_alike: Serve) -> None:
    served = one(serve_alike, "def ALL(): return Response('x')\nasync def PUT(): return Response('x')")
    kinds = [
     "", " ", ";", ";x", "; charset=utf-8", "x", "text", "text/", "/plain", "/", "application/", "text/plain/x",
     "text/plain,application/json", "application/json, text/plain", "application/json,", "text/plain;application/json",
     "text/plain ; a=b", "\ttext/plain\t", "text /plain", "text/ plain", "text/plain x", "Text/Plain;CHARSET=x",
     "multipart/form-data", "multipart/form-data;boundary", "multipart/form-data; boundary=\"a;b\"",
     "MULTIPART/Form-Data;boundary=x", "application/x-www-form-urlencoded;application/json", "\xa0application/json",
     "application/\xe9", "application/json\xa0", "*", "null", "\"application/json\"", "application/json:x",
     "(application/json)", "text\\plain", "application/json=x", "application/js on",
    ]  # fmt: skip
    for kind, method in product(kinds, ("POST", "PUT", "BREW")):
        content = ("Content-Type", kind)
        assert served("/x", method, content).status == 403, kind
        assert served("/x", method, content, ("Origin", "https://evil.example")).status == 403, kind
        assert served("/x", method, content, ("Origin", "null")).status == 403, kind
        assert served("/x", method, content, ORIGIN).status == 200, kind


def test_several_content_types_are_checked(serve: Serve) -> None:
    served = one(serve, "def POST(): return Response('x')")
    for kinds in (("application/json", "text/plain"), ("text/plain", "application/json"), ("application/json",) * 2):
        assert served("/x", "POST", *(("Content-Type", kind) for kind in kinds)).status == 403


def test_what_browsers_ask_for_before_they_send_it_is_left_to_cors(serve_alike: Serve) -> None:
    served = one(serve_alike, "def POST(): return Response('x')")
    for kind in (
     "application/json", "APPLICATION/JSON;", "application/json; charset=utf-8", " application/json ",
     "\tapplication/json", "application/json;text/plain", "application/ld+json", "text/plain+x", "text/html",
     "application/octet-stream",
     "application/x-www-form-urlencoded+x", "multipart/mixed; boundary=x", "image/svg+xml", "a/b",
    ):  # fmt: skip
        assert served("/x", "POST", ("Content-Type", kind), ("Origin", "https://evil.example")).status == 200, kind


def test_check_origin_is_a_setting_and_knows_the_public_url(serve_alike: Serve) -> None:
    form = ("Content-Type", "application/x-www-form-urlencoded")
    files = {"src/pages/x.py": page("def POST(): return Response('x')")}
    assert serve_alike(files, check_origin=False)("/x", "POST", form).status == 200
    served = serve_alike(files, public_url="https://www.example.com")
    assert served("/x", "POST", form, ORIGIN).status == 403
    assert served("/x", "POST", form, ("Origin", "https://www.example.com")).status == 200


# --- pages for errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("middleware", ["", SYNC, ASYNC])
def test_the_pages_for_errors(serve_alike: Serve, kind: str, middleware: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {
        **HANDLERS,
        "src/pages/af.py": page("async def GET(): raise RuntimeError('secret')"),
        "src/pages/w.py": page("def GET(): return 'wrong'"),
        "src/pages/own.py": page("def GET(): return Response('mine', 404)"),
        "src/pages/404.py": page(
            f"{kind} GET(url, routePattern): return Response(f'no {{url.pathname}} {{routePattern}}')"
        ),
        "src/pages/500.py": page(f"{kind} GET(props): return Response(type(props['error']).__name__)"),
        **({"src/middleware.py": middleware} if middleware else {}),
    }  # fmt: skip
    served = serve_alike(files)
    for method in ("GET", "POST", "HEAD"):
        reply = served("/nowhere", method, JSON)
        assert (reply.status, reply.text) == (404, "" if method == "HEAD" else "no /nowhere /404")
    assert served("/404").text == "no /404 /404"
    for name, error in (("f", "RuntimeError"), ("af", "RuntimeError"), ("w", "WrongAnswer")):
        reply = served(f"/{name}")
        assert (reply.status, reply.text) == (500, error)
    assert (served("/own").status, served("/own").text) == (404, "mine")
    assert caplog.text.count("RuntimeError: secret") == 2 * WAYS
    assert served("/_functions/none").problem["status"] == 404


def test_a_500_page_that_fails_itself_is_the_runtimes_500(serve_alike: Serve) -> None:
    served = serve_alike({**HANDLERS, "src/pages/500.py": page("def GET(): raise ValueError('again')")})
    assert served("/f").problem["status"] == 500


# --- paths -----------------------------------------------------------------------------------------------------------


def test_trailing_slashes(serve_alike: Serve) -> None:
    by_rule = {
        rule: one(serve_alike, "def ALL(): return Response('x')", trailing_slash=rule)
        for rule in ("always", "never", "ignore")
    }
    for rule, target, method, status, location in (
        ("always", "/x", "GET", 301, "/x/"),
        ("always", "/x?q=1", "GET", 301, "/x/?q=1"),
        ("always", "/x", "POST", 308, "/x/"),
        ("always", "/x", "HEAD", 308, "/x/"),
        ("always", "/x/", "GET", 200, None),
        ("always", "/", "GET", 404, None),
        ("always", "/a.json", "GET", 404, None),
        ("always", "//evil.example", "GET", 404, None),
        ("always", "/_x", "GET", 404, None),
        ("never", "/x/", "GET", 301, "/x"),
        ("never", "/x/?", "GET", 301, "/x"),
        ("never", "/x", "GET", 200, None),
        ("never", "//evil.example/", "GET", 404, None),
        ("never", "/%2F%2Fevil.example/", "GET", 301, "/%2F%2Fevil.example"),
        ("never", "/%5Cevil.example/", "GET", 301, "/evil.example"),
        ("never", "/%0d%0aSet-Cookie:a=b/", "GET", 301, "/%0D%0ASet-Cookie:a=b"),
        ("ignore", "/x/", "GET", 200, None),
    ):
        reply = by_rule[rule](target, method, JSON)
        assert (reply.status, reply.header("Location")) == (status, location), (rule, target)


def test_a_path_that_cannot_be_decoded_is_400(serve_alike: Serve) -> None:
    served = serve_alike({"src/pages/[...x].py": page("def GET(): return Response('x')")})
    for target in ("/%", "/%zz", "/%ff", "/%c3", "/" + "%25" * 1 + "25" * 12 + "41"):
        assert served(target).problem["status"] == 400, target


def test_prefix_and_base_path(serve_alike: Serve) -> None:
    files = {
        "backend/http_functions.py": "from wixhttp import ok\ndef get_f(): return ok('f')",
        "src/pages/x/[id].py": page("""
            def GET(url, params, routePattern): return Response.json([url.pathname, params["id"], routePattern])
        """),
        "src/pages/index.py": page("def GET(): return Response('root')"),
    }  # fmt: skip
    served = serve_alike(files, base_path="/mysite", pages_prefix="/v1")
    assert served("/mysite/v1/x/1").json() == ["/mysite/v1/x/1", "1", "/x/[id]"]
    assert (served("/mysite/v1").text, served("/mysite/v1/").text) == ("root", "root")
    assert [served(path).status for path in ("/x/1", "/mysite/x/1", "/mysite/v1x/1", "/v1/x/1")] == [404] * 4
    assert served("/mysite/_functions/f").text == "f"


def test_functions_and_endpoints_side_by_side(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "backend/http_functions.py": "from wixhttp import ok\ndef get_x(request): return ok(request.url)",
            "backend/words.py": "HELLO = 'hello'",
            "src/pages/api/_shared.py": "HELP = 'help'",
            "src/pages/api/x.py": page("""
                from backend.words import HELLO
                from ._shared import HELP
                def GET(): return Response(HELLO + HELP)
            """),
            "src/pages/_functions/x.py": page("def GET(): return Response('never')"),
        }
    )  # fmt: skip
    assert served("/_functions/x").text == "http://localhost/_functions/x"
    assert served("/api/x").text == "hellohelp"
    assert served("/api/_shared").status == 404


def test_cors_and_limits_are_the_functions(serve_alike: Serve) -> None:
    served = one(
        serve_alike,
        """
        from wixhttp import cors, limits
        @cors(origins=["https://app.example.com"])
        @limits(max_body=3)
        def POST(request): return Response(request.text())
        """,
    )
    origin = ("Origin", "https://app.example.com")
    preflight = served("/x", "OPTIONS", origin, ("Access-Control-Request-Method", "POST"))
    assert (preflight.status, preflight.header("Access-Control-Allow-Methods")) == (204, "OPTIONS, POST")
    assert served("/x", "POST", JSON, origin, body=b"abc").header("Access-Control-Allow-Origin") == origin[1]
    assert served("/x", "POST", JSON, body=b"abcd").problem["status"] == 413


def test_streams(serve_alike: Serve) -> None:
    served = one(
        serve_alike,
        """
        def GET(): return Response(iter(["a", b"b"]), headers={"Content-Type": "text/csv"})
        async def POST():
            async def rows():
                yield "a"
                yield b"b"
            return Response(rows())
        """,
    )
    assert served("/x").content == served("/x", "POST", JSON).content == b"ab"


@pytest.mark.parametrize("middleware", ["", "def", "async def"])
def test_a_time_out_is_504_and_ends_what_is_awaited(serve: Serve, middleware: str) -> None:
    wait = "await " if "async" in middleware else ""
    files = {
        "src/pages/x.py": page("""
            import asyncio, threading
            from wixhttp import limits
            ended = threading.Event()
            @limits(timeout=0.05)
            async def GET():
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()
            def POST(): return Response.json(ended.wait(10))
        """),
        **({"src/middleware.py": f"{middleware} onRequest(c, next): return {wait}next()"} if middleware else {}),
    }
    served = serve(files)
    assert served("/x").problem["status"] == 504
    assert served("/x", "POST", JSON).json() is True


def test_a_middleware_that_rewrites_without_end_is_508(serve_alike: Serve) -> None:
    for kind, wait in (("def", ""), ("async def", "await ")):
        middleware = f"{kind} onRequest(context, next): return {wait}context.rewrite('/s')"
        assert serve_alike({**HANDLERS, "src/middleware.py": middleware})("/s").problem["status"] == 508


def test_a_file_that_fails_to_import_fails_alone_in_development(serve_alike: Serve, tmp_path: Path) -> None:
    files = {
        "src/pages/bad.py": "import nothing_of_that_name",
        "src/pages/x.py": page("def GET(): return Response('x')"),
    }
    served = serve_alike(files, mode="development")
    assert (served("/x").status, served("/bad").status) == (200, 500)


def test_a_response_for_many_requests_keeps_no_cookies(serve_alike: Serve) -> None:
    served = one(
        serve_alike,
        """
        DONE = Response("done")
        def GET(cookies, url):
            cookies.set("who", url.searchParams.get("who"))
            return DONE
        """,
    )
    assert [served(f"/x?who={who}").all("Set-Cookie") for who in "ab"] == [["who=a"], ["who=b"]]


def test_the_origin_is_compared_in_its_one_spelling(serve_alike: Serve) -> None:
    served = one(serve_alike, "def ALL(url): return Response(url.href)")
    for host in ("LOCALHOST", "localhost:80"):
        reply = served("/x", "DELETE", ("Host", host), ("Origin", "http://localhost"))
        assert (reply.status, reply.text) == (200, "http://localhost/x")


def test_a_static_endpoint_on_demand_knows_nothing_of_who_asks(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve(
        {
            "src/pages/x.py": page("""
                prerender = True
                def GET(request, url, cookies, isPrerendered):
                    return Response.json([
                        request.headers.get("X-A"), url.search, list(url.searchParams), cookies.has("a"), url.href,
                        isPrerendered, request.url,
                    ])
            """),
            "src/pages/[id].py": page("""
                prerender = True
                async def getStaticPaths(): return [{"params": {"id": "1"}, "props": {"word": "one"}}]
                async def GET(props, params): return Response(props["word"] + params["id"])
            """),
            "src/pages/who.py": page("prerender = True\ndef GET(clientAddress): return Response(clientAddress)"),
            "src/pages/404.py": page("def GET(): return Response('no such page')"),
        }
    )
    for _ in range(2):
        reply = served("/x?q=1", "GET", ("X-A", "1"), ("Cookie", "a=1"))
        assert reply.json() == [None, "", [], False, "http://localhost/x", True, "http://localhost/x"]
    for member in ("request.headers", "url.search", "url.searchParams", "cookies"):
        assert caplog.text.count(f"src/pages/x.py is static (prerender = True) and reads {member},") == 1
    assert (served("/1?x").text, served("/2").status, served("/2").text) == ("one1", 404, "no such page")
    assert served("/x", "POST", JSON).status == 405
    assert served("/who").status == 500
    assert "clientAddress is not available" in caplog.text


# --- slots, limits and rules that hold whatever way a request takes --------------------------------------------------

STREAMS = """
def fail():
    raise RuntimeError("at once")
    yield
async def afail():
    raise RuntimeError("at once")
    yield
def GET(): return Response(fail())
async def POST(): return Response(afail())
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_stream_that_fails_at_once_is_answered_by_500_and_gives_its_slots_back(serve: Serve, kind: str) -> None:
    files = {"src/pages/x.py": page(STREAMS), "src/pages/500.py": page(f"{kind} ALL(): return Response('sorry')")}
    served = serve(files, max_concurrency=3)
    for method in ("GET", "POST") * 5:
        reply = served("/x", method, JSON)
        assert (reply.status, reply.text) == (500, "sorry")
    assert (len(served.app.admission.def_slots), len(served.app.admission.async_slots)) == (3, 3)


def test_a_thread_that_nothing_can_stop_keeps_the_slot_of_its_request(serve: Serve) -> None:
    served = serve(
        {
            "src/pages/slow.py": page("""
                import threading
                from wixhttp import limits
                go = threading.Event()
                @limits(timeout=0.05)
                def GET():
                    go.wait(20)
                    return Response("late")
                @limits(timeout=0)
                async def POST():
                    go.set()
                    return Response("gone")
            """),
            "src/pages/next.py": page("def GET(): return Response('next')"),
            "src/middleware.py": "async def onRequest(context, next): return await next()",
        },
        max_concurrency=3,
        threads=1,
    )
    assert served("/slow").problem["status"] == 504
    assert len(served.app.admission.def_slots) == 2
    assert served("/slow", "POST", JSON).text == "gone"
    assert served("/next").text == "next"  # by the one thread, once it had ended what it did before
    assert len(served.app.admission.def_slots) == 3


def test_an_adapted_function_opens_no_other_handler_of_its_file(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "backend/http_functions.py": "from wixhttp import ok\ndef post_x(request): return ok('function')",
            "src/pages/x/[...path].py": page("""
                from backend.http_functions import post_x
                POST = adapt(post_x)
                def PUT(): return Response("native")
            """),
            "src/pages/y.py": page("def POST(rewrite): return rewrite('/z')"),
            "src/pages/z.py": page("def POST(): return Response('z')"),
            "src/pages/w/[...path].py": page("""
                from wixhttp.endpoints import adapt
                def post_w(request): return None
                POST = adapt(post_w)
            """),
        }
    )
    evil = [("Origin", "https://evil.example"), ("Content-Type", "text/plain")]
    assert served("/x/a", "POST", *evil).text == "function"
    assert served("/x/a", "PUT", *evil).status == 403
    assert served("/y", "POST", *evil).status == 403
    assert served("/w/a", "PUT", *evil).status == 405


def test_a_handler_may_take_forms_from_everywhere(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "src/pages/hook.py": page("""
                from wixhttp import check_origin
                @check_origin(False)
                def POST(request): return Response(request.formData().get("a"))
                def PUT(): return Response("own")
            """),
            "src/pages/to.py": page("""
                from wixhttp import check_origin
                @check_origin(False)
                def POST(rewrite): return rewrite("/own")
            """),
            "src/pages/own.py": page("def POST(): return Response('own')"),
        }
    )
    form = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "https://hooks.example")]
    assert served("/hook", "POST", *form, body=b"a=1").text == "1"
    assert served("/hook", "PUT", *form, body=b"a=1").status == 403
    assert served("/to", "POST", *form, body=b"a=1").status == 403
    with pytest.raises(TypeError, match=r"write @check_origin\(False\)"):
        check_origin(lambda: None)  # type: ignore[arg-type]


def test_a_rewrite_meets_the_size_that_its_target_takes(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "src/pages/a.py": page("def POST(rewrite): return rewrite('/b')"),
            "src/pages/b.py": page("""
                from wixhttp import limits
                @limits(max_body=5)
                def POST(request): return Response(request.text())
            """),
        }
    )
    assert served("/a", "POST", JSON, body=b"12345").text == "12345"
    assert served("/a", "POST", JSON, body=b"123456").problem["status"] == 413


def test_a_rewrite_is_refused_as_a_request_is(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "src/pages/[...to].py": page("def PUT(rewrite, url): return rewrite(url.searchParams.get('to'))"),
            "src/pages/a.py": page("def GET(): return Response('a')\ndef POST(): return Response('a')"),
            "src/middleware.py": "def onRequest(context, next): return next()",
        },
        cors={"origins": ["https://app.example.com"]},
    )
    direct, rewritten = served("/a", "PUT", JSON), served("/b?to=/a", "PUT", JSON)
    assert direct.problem["detail"] == rewritten.problem["detail"]
    assert direct.header("Allow") == rewritten.header("Allow") == "GET, HEAD, OPTIONS, POST"


def test_a_rewrite_behind_a_mount_point_cuts_it_off_whole(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "src/pages/a.py": page("def GET(rewrite, url): return rewrite(url.searchParams.get('to'))"),
            "src/pages/application.py": page("def GET(url): return Response(url.pathname)"),
        }
    )
    for target in ("/application", "/app/application"):
        assert served(f"/app/a?to={target}", root="/app").text == "/app/application"


def test_a_host_that_is_none_is_400(serve_alike: Serve) -> None:
    served = one(serve_alike, "def GET(rewrite): return rewrite('/y')")
    for host in ("localhost:99999", "[:::]", "[1:2]", "[::1]:70000", "[]"):
        assert served("/x", "GET", ("Host", host)).problem["status"] == 400, host
    assert served("/x", "GET", ("Host", "[::1]:8080")).problem["status"] == 404


def test_what_only_begins_as_the_functions_do_is_an_endpoint(serve_alike: Serve) -> None:
    served = serve_alike({"src/pages/[id].py": page("def GET(params): return Response(params['id'])")})
    assert served("/_functionsfoo").text == "_functionsfoo"
    assert [served(f"/_functions{rest}").problem["status"] for rest in ("", "/x", "-dev", "-dev/x")] == [404] * 4


@pytest.mark.parametrize(
    ("middleware", "words"),
    [
        ("async def onRequest(c, next): next()", "called next() and did not await it"),
        ("def onRequest(c, next):\n try:\n  next()\n except ValueError: pass", "next() raised what it caught"),
        ("async def onRequest(c, next):\n try:\n  await next()\n except ValueError: pass", "raised what it caught"),
    ],
)
def test_middleware_without_a_response_is_told_why(
    serve_alike: Serve, middleware: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve_alike({"src/pages/x.py": page("def GET(): raise ValueError"), "src/middleware.py": middleware})
    assert served("/x").problem["status"] == 500
    assert caplog.text.count(words) == WAYS


def test_a_static_function_sees_nothing_of_who_asks(serve_alike: Serve) -> None:
    served = serve_alike(
        {
            "backend/http_functions.py": "from wixhttp import ok\n"
            "def get_x(request): return ok({'q': request.query, 'a': request.headers['x-a'], 'ip': request.ip})",
            "src/pages/x.py": page("""
                from backend.http_functions import get_x
                prerender = True
                GET = adapt(get_x)
            """),
        }
    )
    assert served("/x?z=1", "GET", ("X-A", "1")).json() == {"q": {}, "a": None, "ip": ""}


def test_after_a_build_static_endpoints_have_the_paths_that_were_built(serve_alike: Serve, tmp_path: Path) -> None:
    source = page("""
        from pathlib import Path
        from wixhttp import cors
        prerender = True
        def getStaticPaths(): return [{"params": {"id": id}} for id in Path(IDS).read_text().split()]
        @cors(origins=["https://app.example.com"], credentials=True)
        def GET(params): return Response(params["id"])
        """).replace("IDS", repr(str(tmp_path / "ids.txt")))
    files = {
        "src/pages/c++[id].txt.py": source,
        "src/pages/to.py": page("def GET(rewrite): return rewrite('/c++1.txt')"),
    }
    (tmp_path / "ids.txt").write_text("1 2")
    folder = write_project(tmp_path / "site", files)
    build_site(load_config(folder, environ={}))
    (tmp_path / "ids.txt").write_text("1 2 3")
    served = serve_alike(folder)
    origin = ("Origin", "https://app.example.com")
    for target in ("/c++1.txt", "/c%2B%2b1.txt", "/c++1.txt/", "/to"):
        reply = served(target, "GET", origin)
        assert (reply.text, bool(reply.header("ETag"))) == ("1", True)
    reply = served("/c++2.txt", "GET", origin)
    assert reply.header("Access-Control-Allow-Origin") == "https://app.example.com"
    assert reply.all("Vary") == ["Origin"]
    assert served("/c++3.txt").problem["status"] == 404


def test_a_server_says_which_routes_never_answer(serve_alike: Serve) -> None:
    source = page("def GET(): return Response('x')")
    endpoints = serve_alike({"src/pages/[id].py": source, "src/pages/[name].py": source}).app.site.endpoints
    assert endpoints is not None
    assert list(endpoints.startup_warnings()) == [
        "src/pages/[name].py never answers: src/pages/[id].py has the same route; remove one"
    ]


def test_a_built_file_that_is_gone_is_answered_by_404(serve: Serve, tmp_path: Path) -> None:
    files = {
        "src/pages/x.py": page("prerender = True\ndef GET(): return Response('x')"),
        "src/pages/404.py": page("def GET(): return Response('not here')"),
    }
    folder = write_project(tmp_path / "site", files)
    build_site(load_config(folder, environ={}))
    served = serve(folder)
    assert served("/x").text == "x"
    (folder / "dist/x").unlink()
    reply = served("/x")
    assert (reply.status, reply.text) == (404, "not here")


def test_a_host_with_an_empty_port_is_one_without(serve_alike: Serve) -> None:
    served = one(serve_alike, "def ALL(url): return Response(url.origin)")
    assert served("/x", "DELETE", ("Host", "localhost:"), ("Origin", "http://localhost")).text == "http://localhost"
