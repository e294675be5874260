"""Rewrites by ``next(target)``, and to a Request: through each server interface, in middleware of both kinds.

https://docs.astro.build/en/guides/middleware/#rewriting
"""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

from tests.interfaces import Served
from wixhttp.endpoints import sequence
from wixhttp.errors import InvalidInput
from wixhttp.testing import fake_context

Serve = Callable[..., Served]

KINDS = pytest.mark.parametrize(("kind", "wait"), [("def", ""), ("async def", "await ")])
JSON = ("Content-Type", "application/json")


def page(source: str) -> str:
    return "from wixhttp.endpoints import *\n" + dedent(source)


SHOWS = page("""
    def ALL(params, url, locals, request):
        said = [params.get("id"), url.href, request.method, request.headers["x-a"], request.text(), locals.get("seen")]
        return Response.json(said)
""")
PAGES = {
    "src/pages/b/[id].py": SHOWS,
    "src/pages/c/[id].py": page("""
        async def ALL(params, url, locals, request):
            body = await request.text()
            said = [params.get("id"), url.href, request.method, request.headers["x-a"], body, locals.get("seen")]
            return Response.json(said)
    """),
    "src/pages/a.py": page("def ALL(): return Response('a')"),
}


def middleware(kind: str, wait: str, target: str) -> str:
    """One that rewrites ``/a``, between two that note what they see."""
    return page(f"""
        def note(context, next):
            context.locals.seen = context.locals.get("seen", "") + context.url.pathname
            return next()
        async def note_async(context, next):
            context.locals.seen = context.locals.get("seen", "") + context.url.pathname
            return await next()
        {kind} turn(context, next):
            if context.url.pathname == "/a":
                return {wait}next({target})
            return {wait}next()
        onRequest = sequence(note, note_async, turn, note, note_async)
    """)


@KINDS
@pytest.mark.parametrize("handler", "bc")
@pytest.mark.parametrize(
    "target", ["'/{}/7?q=2'", "URL('/{}/7?q=2', context.url)", "Request('http://localhost/{}/7?q=2')"]
)
def test_next_with_a_target_goes_on_there(serve: Serve, kind: str, wait: str, handler: str, target: str) -> None:
    served = serve({**PAGES, "src/middleware.py": middleware(kind, wait, target.format(handler))})
    there = f"/{handler}/7"
    expected = ["7", f"http://localhost{there}?q=2", "GET", None, "", f"/a/a{there}{there}"]
    assert served("/a?z=1").json() == expected
    assert served(there).json()[-1] == there * 4


@KINDS
@pytest.mark.parametrize("call", ["next", "context.rewrite"])
def test_a_request_has_method_headers_and_body_of_its_own(serve: Serve, kind: str, wait: str, call: str) -> None:
    files = {
        **PAGES,
        "src/middleware.py": page(f"""
            {kind} onRequest(context, next):
                if context.url.pathname != "/a":
                    return {wait}next()
                headers = {{"X-A": "1", "Content-Type": "application/json"}}
                return {wait}{call}(Request(context.url.origin + "/b/7", "PUT", headers, "[1]"))
        """),
    }
    expected = ["7", "http://localhost/b/7", "PUT", "1", "[1]", None]
    assert serve(files)("/a", "POST", JSON, ("X-A", "0"), body=b"[0]").json() == expected


def test_the_request_itself_and_a_clone_of_it(serve: Serve) -> None:
    files = {
        **PAGES,
        "src/pages/own.py": page("""
            def POST(rewrite, request, url):
                if url.searchParams.has("again"):
                    return rewrite("/b/1")
                copy = request.clone()
                seen = request.text()
                response = rewrite(Request(url.origin + "/b/7", "POST", request.headers, copy.bytes()))
                response.headers["X-Seen"] = seen
                return response
        """),
    }
    reply = serve(files)("/own", "POST", JSON, ("X-A", "0"), body=b"[0]")
    assert reply.json() == ["7", "http://localhost/b/7", "POST", "0", "[0]", None]
    assert reply.header("X-Seen") == "[0]"


@KINDS
def test_only_what_is_behind_runs_and_the_response_comes_back(serve: Serve, kind: str, wait: str) -> None:
    files = {
        **PAGES,
        "src/middleware.py": page(f"""
            COUNT = [0]
            {kind} outer(context, next):
                COUNT[0] += 1
                response = {wait}next("/b/7")
                response.headers["X-Runs"] = COUNT[0]
                return response
            onRequest = outer
        """),
    }
    assert serve(files)("/a").header("X-Runs") == "1"


@KINDS
def test_what_is_refused(serve: Serve, kind: str, wait: str) -> None:
    files = {
        **PAGES,
        "src/pages/small.py": page(
            "from wixhttp import limits\n@limits(max_body=2)\ndef POST(request): return Response('x')"
        ),
        "src/middleware.py": page(f"""
            {kind} onRequest(context, next):
                response = {wait}next(context.url.searchParams.get("to"))
                response.headers["X-By"] = "middleware"
                return response
        """),
    }
    served = serve(files)
    for to, status in (("https://example.org/x", 400), ("http://[", 400), ("/nowhere", 404), ("//evil/x", 400)):
        reply = served(f"/a?to={to}")
        assert (reply.problem["status"], reply.header("X-By")) == (status, "middleware")
    reply = served("/a?to=/small", "POST", JSON, body=b"[1]")
    assert (reply.problem["status"], reply.header("X-By")) == (413, "middleware")
    form = ("Content-Type", "application/x-www-form-urlencoded")
    assert served("/a?to=/b/1", "POST", form, ("Origin", "https://evil.example"), body=b"a=1").problem["status"] == 403


def test_a_form_of_another_site_does_not_come_through_a_handler_that_takes_them(serve: Serve) -> None:
    files = {
        "src/pages/b.py": page("def POST(): return Response('b')"),
        "src/pages/open.py": page(
            "from wixhttp import check_origin\n@check_origin(False)\ndef POST(): return Response('open')"
        ),
        "src/middleware.py": "def onRequest(context, next): return next('/b')",
    }
    form = ("Content-Type", "application/x-www-form-urlencoded")
    reply = serve(files)("/open", "POST", form, ("Origin", "https://evil.example"), body=b"a=1")
    assert reply.problem["status"] == 403


@KINDS
def test_loops_are_bounded(serve: Serve, kind: str, wait: str) -> None:
    source = page(f"""
        {kind} onward(context, next): return {wait}next("/a")
        {kind} again(context, next):
            return {wait}(context.rewrite("/a") if context.url.search else next())
        onRequest = sequence(*[onward] * 5, again)
    """)
    served = serve({**PAGES, "src/middleware.py": source.replace('"/a")\n', '"/a?loops")\n', 1)})
    assert served("/b/1").problem["status"] == 508


@KINDS
def test_next_alone_makes_no_loop(serve: Serve, kind: str, wait: str) -> None:
    source = page(f"""
        {kind} onward(context, next): return {wait}next("/a")
        onRequest = sequence(*[onward] * 5)
    """)
    assert serve({**PAGES, "src/middleware.py": source})("/b/1").text == "a"


@KINDS
@pytest.mark.parametrize("value", ["5", "b'/b'", "Response('x')", "['/b']"])
@pytest.mark.parametrize("call", ["next", "context.rewrite"])
def test_another_target_is_an_error_that_says_which(
    serve: Serve, kind: str, wait: str, value: str, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = {**PAGES, "src/middleware.py": page(f"{kind} onRequest(context, next): return {wait}{call}({value})")}
    assert serve(files)("/a").status == 500
    assert "a request is rewritten to a path such as '/other', a URL or a Request, not" in caplog.text


@KINDS
def test_a_sequence_that_a_middleware_calls_itself(serve: Serve, kind: str, wait: str) -> None:
    files = {
        **PAGES,
        "src/middleware.py": page(f"""
            {kind} turn(context, next): return {wait}next("/b/7")
            {kind} note(context, next):
                context.locals.seen = context.url.pathname
                return {wait}next()
            inner = sequence(turn, note)
            {kind} onRequest(context, next): return {wait}inner(context, next)
        """),
    }
    assert serve(files)("/a").json()[0::5] == ["7", "/b/7"]


def test_in_tests_of_middleware_alone() -> None:
    def turn(context: object, next: Callable[..., str]) -> str:
        return next("/b")

    targets: list[object] = []
    sequence(turn)(fake_context("/a"), targets.append)
    assert [str(target) for target in targets] == ["http://localhost/b"]
    with pytest.raises(InvalidInput):
        fake_context("/a").rewrite("https://example.org/")


def test_old_functions_behind_a_rewrite_by_next(serve: Serve) -> None:
    files = {
        "backend/http_functions.py": """
            from wixhttp import ok
            def get_x(request): return ok(body=[list(request.path), request.query])
        """,
        "src/pages/x/[...path].py": page("from backend.http_functions import get_x\nGET = adapt(get_x)"),
        "src/middleware.py": "def onRequest(context, next): return next('/x/b%20c?q=1')",
    }
    assert serve(files)("/a").json() == [["b c"], {"q": "1"}]
