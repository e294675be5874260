"""Changes that come too late, once the headers of an answer are out: each is raised where it is made, in its stream."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interfaces import Served
from wixhttp.errors import HeadersSent, MisuseWarning

Serve = Callable[..., Served]

SITE = """
from wixhttp.endpoints import Response
from wixhttp.errors import HeadersSent

def attempt(context, response, what):
    try:
        exec(what, {"context": context, "response": response, "Response": Response})
    except HeadersSent as error:
        return str(error)
    return "nothing was raised"

def GET(context):
    what, when = context.url.searchParams.get("what"), context.url.searchParams.get("when")
    def chunks():
        if when == "later":
            yield "1 "
        yield attempt(context, response, what)
    response = Response(chunks())
    return response

async def POST(context):
    what, when = context.url.searchParams.get("what"), context.url.searchParams.get("when")
    async def chunks():
        if when == "later":
            yield "1 "
        yield attempt(context, response, what)
    response = Response(chunks())
    return response
"""
LATE = [
    "context.cookies.set('a', '1')",
    "context.cookies.delete('a')",
    "response.headers['X-A'] = '1'",
    "response.headers.append('Set-Cookie', 'a=1')",
    "response.headers.delete('Content-Type')",
    "response.headers = {}",
    "response.status = 404",
    "response.body = 'x'",
    "context.redirect('/x')",
]
JSON = ("Content-Type", "application/json")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("what", LATE)
def test_a_late_change_is_raised_in_the_stream(serve: Serve, method: str, when: str, what: str) -> None:
    from urllib.parse import quote

    reply = serve({"src/pages/x.py": SITE})(f"/x?when={when}&what={quote(what)}", method, JSON)
    assert reply.status == 200
    assert "the headers of the response are out" in reply.text
    assert "before the handler returns its response" in reply.text


def test_what_can_still_be_read_and_kept(serve: Serve) -> None:
    source = """
    from wixhttp.endpoints import Response
    def GET(cookies, locals, request, url, params):
        locals.before = "b"
        cookies.set("set", "s")
        def chunks():
            locals.within = "w"
            yield " ".join([cookies.get("sent").value, cookies.get("set").value, locals.before, locals.within])
            yield " " + request.headers["x-name"] + url.pathname
        return Response(chunks())
    """
    from textwrap import dedent

    reply = serve({"src/pages/x.py": dedent(source)})("/x", "GET", ("Cookie", "sent=c"), ("X-Name", "n"))
    assert (reply.text, reply.header("Set-Cookie")) == ("c s b w n/x", "set=s")


@pytest.mark.parametrize(("kind", "wait"), [("def", ""), ("async def", "await ")])
def test_middleware_changes_a_streamed_response_before_it_is_sent(serve: Serve, kind: str, wait: str) -> None:
    files = {
        "src/middleware.py": f"""
{kind} onRequest(context, next):
    response = {wait}next()
    response.headers["X-By"] = "middleware"
    response.status = 203
    context.cookies.set("a", "1")
    return response
""",
        "src/pages/x.py": "from wixhttp.endpoints import Response\ndef GET(): return Response(iter(['x']))",
    }
    reply = serve(files)("/x")
    assert (reply.status, reply.text, reply.header("X-By"), reply.header("Set-Cookie")) == (
        203,
        "x",
        "middleware",
        "a=1",
    )


def test_the_page_for_errors_sets_cookies_where_the_stream_never_began(serve: Serve) -> None:
    files = {
        "src/pages/500.py": """
from wixhttp.endpoints import Response
def ALL(cookies, props):
    cookies.set("page", "1")
    return Response(type(props["error"]).__name__)
""",
        "src/pages/x.py": """
from wixhttp.endpoints import Response
def GET(cookies):
    cookies.set("handler", "1")
    def chunks():
        cookies.set("late", "1")
        yield "x"
    return Response(chunks())
""",
    }
    reply = serve(files)("/x")
    assert (reply.status, reply.text) == (500, "HeadersSent")
    assert reply.all("Set-Cookie") == ["handler=1", "page=1"]


def test_the_session_that_a_stream_is_the_first_to_ask_for(serve: Serve) -> None:
    source = SITE.replace("context.url.searchParams.get('what')", "")
    for what in ("context.session.set('a', 1)", "context.session.delete('a')", "context.session.destroy()"):
        reply = serve({"src/pages/x.py": source}, database_url="memory://")(f"/x?what={what}")
        assert "the session was written when the handler returned" in reply.text


@pytest.mark.parametrize(
    "change",
    [
        "response.headers['X-A'] = '1'",
        "response.headers.update({'X-A': '1'})",
        "response.headers.setdefault('X-A', '1')",
        "response.headers.pop('X-A', None)",
        "del response.headers['X-A']",
        "response.headers |= {}",
        "response.headers = {}",
        "response.status = 404",
    ],
)
def test_functions_too(serve: Serve, change: str) -> None:
    source = f"""
from wixhttp import ok
from wixhttp.errors import HeadersSent
def get_x(request):
    def chunks():
        try:
            {change}
        except HeadersSent as error:
            yield str(error)
    response = ok(body=chunks())
    return response
"""
    assert "the headers of the response are out" in serve(source)("/_functions/x").text


def test_it_is_a_runtime_error() -> None:
    assert issubclass(HeadersSent, RuntimeError)


@pytest.mark.parametrize("returned", ["Response('x')", "'x'", "redirect('/y')"])
def test_what_a_generator_returns_is_warned_of(serve: Serve, returned: str) -> None:
    source = f"""
from wixhttp.endpoints import Response
def GET():
    def rows():
        yield "a"
        return {returned.replace("redirect", "Response.redirect")}
    return Response(rows())
"""
    with pytest.warns(MisuseWarning, match="rows streams what it yields, and returns a value of type") as caught:
        assert serve({"src/pages/x.py": source})("/x").text == "a"
    assert caught[0].filename.endswith("x.py")
    assert caught[0].lineno == 4
