"""JavaScript's habits in Python: the errors that they make, and what is said of each."""

from __future__ import annotations

import keyword
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces import Served
from wixhttp import data as wix_data
from wixhttp import ok
from wixhttp.data.calls.results import QueryResult
from wixhttp.endpoints import Response as WebResponse
from wixhttp.endpoints.web.cookies import Cookies
from wixhttp.endpoints.web.headers import Headers
from wixhttp.endpoints.web.url import URL
from wixhttp.project.javascript_habits import ATTRIBUTES, MODULES, NAMES, TOKENS, advice, tokens_in
from wixhttp.promises import Reading
from wixhttp.testing import fake_async_context, fake_context, fake_request


def error_of(source: str, **names: Any) -> BaseException:
    """The exception that a source raises when it is compiled or run."""
    try:
        exec(compile(source, "<habit>", "exec"), dict(names))  # noqa: S102
    except Exception as error:  # noqa: BLE001  # any
        return error
    raise AssertionError(f"{source!r} raises nothing")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("q = q.or(a)", ".or_("),
        ('q = x.eq("a", 1).and(b)', ".and_("),
        ("q = q.not(z)", ".not_("),
        ("x.in(y)", ".in_("),
        ("if a === b:\n    pass", "write =="),
        ("if a !== b:\n    pass", "write !="),
        ("if a && b:\n    pass", "write and"),
        ("if a || b:\n    pass", "write or"),
        ("if !x:\n    pass", "write not"),
        ("const x = 1", "'const'"),
        ("let x = 1;", "'let'"),
        ("var x = 1", "'var'"),
        ("function f(a) {\n}", "write def"),
        ("export function get_a(request) {\n}", "'export'"),
        ("export async function get_a(request) {", "write async def"),
        ("const f = (a) => a", "write lambda"),
        ("xs = f((a, b) => a + b)", "write lambda"),
        ("p.catch((e) => 1)", "write lambda"),
        ("p.finally(e)", "finally: ..."),
        ("d = new Date()", "'new'"),
        ('throw new Error("a")', "write raise"),
        ("i++", "x += 1"),
        ("x--", "x -= 1"),
        ("y = a ? b : c", "a if condition else b"),
        ("y = a ?? b", "is not None else"),
        ("y = a?.b", "x and x.get(key)"),
        ("y = `a ${b}`", 'f"'),
        ("// a comment", "write #"),
        ("x = 1  // it is", "write #"),
        ("# ok\n// it's", "write #"),
        ("/* a */", "write #"),
        ('import {ok} from "wix-http-functions"', "from wixhttp import ok"),
        ("import wixData from 'wix-data';", "without quotes"),
        ("import * as a from 'a';", "without quotes"),
        ("if (a) {\n  b\n}", "indent"),
        ("try {", "indent"),
        ("} else {", "indent"),
        ("try:\n  pass\ncatch (e):\n  pass", "write except"),
        ("if a:\n  pass\nelse if b:\n  pass", "write elif"),
        ("for (let i = 0; i < 3; i++) {", "'let'"),
        ("switch (x) {", "write match"),
        ("typeof x", "isinstance(x, str)"),
        ("x = a instanceof B", "isinstance(x, Name)"),
        ("f(...args)", "*x for a list"),
        ("x = {...a, b: 1}", "**x for a dict"),
        ("delete x.a", "write del"),
        ("class A extends B {", "Name(Base)"),
        ("return_ = ok({body: x, headers})", '{"body": body}'),
        ("def f():\n  return await g()", "write async def"),
    ],
)
def test_syntax_of_javascript(source: str, said: str) -> None:
    error = error_of(source)
    assert isinstance(error, SyntaxError)
    assert said in (advice(error) or "")


@pytest.mark.parametrize(
    "source",
    [
        "a = b c", "x = foo(a b)  # const x && y", "def f(:", "x = 'a", "if x = 1:\n    pass", "new = a b", "x = 1 +",
        "x = {", "x = {1: 2}}", "x = f('a && b' c)", "import a b", "let = 1 2", "x = (1", "return 1", "x != y z",
        "def f(): ... x",
    ],
)  # fmt: skip
def test_other_syntax_errors_get_no_advice(source: str) -> None:
    error = error_of(source)
    assert isinstance(error, SyntaxError)
    assert advice(error) is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = undefined", "write None"),
        ("x = null", "write None"),
        ("x = true", "write True"),
        ("x = false", "write False"),
        ("console.log(1)", "write print"),
        ("JSON.stringify({})", "json.dumps"),
        ("ok()", "from wixhttp import ok"),
        ("wix_data.query('a')", "from wixhttp import data as wix_data"),
        ("wixData.query('a')", "from wixhttp import data as wix_data"),
        ("getSecret('a')", "from wixhttp.secrets import getSecret"),
        ("getJSON('a')", "from wixhttp.fetch import getJSON"),
        ("import wix_fetch", "from wixhttp.fetch import fetch, getJSON"),
        ("import wix_data", "from wixhttp import data as wix_data"),
        ("from wixhttp import getSecret", "from wixhttp.secrets import getSecret"),
        ("from wixhttp.data import wix_data", "from wixhttp import data as wix_data"),
    ],
)
def test_names(source: str, said: str) -> None:
    error = error_of(source)
    assert said in (advice(error) or str(error))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("[].length", "len(x)"),
        ("'a'.length", "len(x)"),
        ("[].push(1)", "append"),
        ("[].forEach(print)", "for each in x"),
        ("[].map(print)", "[f(each) for each in x]"),
        ("[].filter(print)", "if ..."),
        ("'a'.toUpperCase()", "upper()"),
        ("'a'.trim()", "strip()"),
        ("[1].join(',')", '", ".join(x)'),
        ("{}.title", "x['title']"),
        ("{}.length", "len(x)"),
        ("{}.message", "x['message']"),
        ("{'find': 1}.find", "x['find']"),
        ("None.title", "JavaScript's undefined"),
        ("now.getTime()", "timestamp()"),
        ("now.toISOString()", "isoformat()"),
        ("ValueError('a').message", "str(error)"),
        ("(1).toFixed(2)", ":.2f"),
        ("{}.then(print)", "await promise"),
        ("[].catch(print)", "try:"),
        ("'a' + 1", "str(b)"),
    ],
)
def test_attributes_and_types(source: str, said: str) -> None:
    assert said in (advice(error_of(source, now=datetime.now().astimezone())) or "")


@pytest.mark.parametrize(
    "source",
    ["x", "x.y = x", "'a'.titel()", "[].sorted()", "1 / 0", "import nothing_of_the_kind", "int([])", "{}['a']"],
)
def test_other_errors_get_no_advice(source: str) -> None:
    assert advice(error_of(source)) is None


def test_keys_without_quotes(tmp_path: Any) -> None:
    file = tmp_path / "keys.py"
    file.write_text("def run():\n    return dict({\n        body: 1,\n    })\n")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)  # noqa: S102
    with pytest.raises(NameError) as raised:
        names["run"]()
    assert advice(raised.value) == 'the keys of a dict are text, in quotes: {"body": ...}'


def test_the_table_has_no_name_of_pythons() -> None:
    import builtins

    assert not [name for name in NAMES if hasattr(builtins, name) or keyword.iskeyword(name)]
    assert not [name for name in ATTRIBUTES if hasattr([], name) or hasattr({}, name)]
    assert all(text for table in (NAMES, ATTRIBUTES, TOKENS, MODULES) for text in table.values())


def wait(value: Any) -> None:
    """Await a value, whatever it is."""

    async def main() -> None:
        await value

    main().send(None)


USED = {
    "page": QueryResult([], skip=0, limit=None, total=0, onward=None, back=None), "wait": wait,
    "Cookies": Cookies, "Headers": Headers, "Reading": Reading, "URL": URL, "WebResponse": WebResponse, "ok": ok,
    "fake_async_context": fake_async_context, "fake_context": fake_context, "fake_request": fake_request,
    "wix_data": wix_data,
}  # fmt: skip


def test_long_lines_are_looked_at_in_part() -> None:
    assert 100 < len(list(tokens_in("const x && " * 1_000_000))) < 200


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('fake_request("a?id=1").query.id', "write request.query['id']"),
        ('fake_request("a").headers.accept', "write request.headers['accept']"),
        ('fake_request("a/b").path.length', "len(x)"),
        ('URL("http://a/?id=1").searchParams.id', "url.searchParams.get('id')"),
        ('Cookies("theme=1").theme', "cookies.get('theme')"),
        ('Cookies("theme=1")["theme"]', "cookies.get(name)"),
        ('Headers([("a", "b")]).accept', "headers.get('accept')"),
        ('fake_context("/a").session.user', "session.get('user')"),
        ('fake_context("/a").session["user"]', "session.get(name)"),
        ('fake_async_context("/a").session.user', "await session.get('user')"),
        ('fake_context("/a", params={"id": "1"}).params.id', "write x['id']"),
        ('fake_request("a", json={}).body["a"]', "request.body.json()[name]"),
        ('fake_request("a", json={}).body.json["a"]', "call it, with ()"),
        ('fake_request("a").query["a"]["b"]', "JavaScript's undefined"),
        ('WebResponse("x", {"status": 404})', "Response(body, status=404"),
        ('WebResponse("x", header={})', "did you mean headers=?"),
        ("WebResponse.json({}, status_code=404)", "did you mean status=?"),
        ('WebResponse({"a": 1})', "write Response.json(data)"),
        ('WebResponse(Reading("text()", str))', "write await"),
        ('ok(text="x")', "did you mean body=?"),
        ('Cookies().set("a", "b", httponly=True)', "did you mean 'httpOnly'?"),
        ('Cookies().set("a", "b", {"max_age": 1})', "did you mean 'maxAge'?"),
        ('wix_data.query("a").then(print)', "await promise"),
        ("ok({{}})", '{"body": body}'),
        ('page["items"]', "write x.items"),
        ('wait(wix_data.query("a").find)', "call it, with ()"),
        ("wait(page)", "those of aio: from wixhttp.data import aio as wix_data"),
        ("wait(1)", "for calls on collections in an async def from wixhttp.data import aio as wix_data"),
    ],
)
def test_objects_of_wixhttp(source: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "use.py"
    file.write_text(source)
    with pytest.raises((AttributeError, TypeError, ValueError)) as raised:
        exec(compile(source, str(file), "exec"), dict(USED))  # noqa: S102
    assert said in f"{raised.value} | {advice(raised.value)}"


RETURNS = """
    from wixhttp.data import aio
    def get_itself(request): return ok
    def get_class(request): return Response
    def get_pair(request): return {"a": 1}, 404
    async def read(request): return ok()
    async def get_coroutine(request): return read(request)
    async def get_promise(request): return request.body.text()
    async def get_body(request): return ok(body=request.body.text())
    async def get_inside(request): return ok({"body": {"text": [request.body.text()]}})
    def get_text(request): return "text"
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("itself", "call it: return ok(...)"),
        ("class", "call it: return Response(...)"),
        ("pair", "write return response(status=404, body=...)"),
        ("coroutine", "write return await"),
        ("promise", "write return await"),
        ("body", "write await in front"),
        ("inside", 'body["text"][0] is of type Promise: write await in front of request.body.text(), in '),
        ("text", "write 'return ok(body=...)' around the str"),
    ],
)
def test_what_functions_return(serve: Callable[..., Served], name: str, said: str) -> None:
    reply = serve(RETURNS, mode="development")(name)
    assert reply.status == 500
    assert said in reply.problem["detail"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def GET(): return Response", "call it: return Response(...)"),
        ("def GET(): return {'a': 1}, 404", "write return Response.json(..., status=404)"),
        ("async def GET(rewrite): return rewrite('/b')", "write return await"),
        (
            "async def GET(request): return Response(request.text())",
            "not a Promise; write await in front of request.text(), in ",
        ),
    ],
)
def test_what_endpoints_return(serve: Callable[..., Served], source: str, said: str) -> None:
    served = serve({"src/pages/a.py": f"from wixhttp.endpoints import Response\n{source}\n"}, mode="development")
    reply = served("/a")
    assert reply.status == 500
    assert said in reply.problem["detail"]
