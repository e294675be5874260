"""The rules of ``wixhttp check`` about the text of files: what each finds, on which line, and what it leaves alone."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from tests.interfaces import write_project
from tests.test_docs import BLOCKS, PAGES
from wixhttp.cli.checks.file_rules import find_in_files
from wixhttp.project.config import load_config
from wixhttp.project.findings import CODES, Finding
from wixhttp.secrets import SecretStore

FUNCTIONS = "backend/http_functions.py"
ENDPOINT = "src/pages/api/x.py"
CHECK_PAGE = "docs/command-line.md"
HEAD = "from wixhttp import ok, response, created\nfrom wixhttp import data as wix_data\nfrom wixhttp.data import aio\n"
"""The beginning of each sample of an HTTP function; its lines count from there."""


def findings(root: Path, files: dict[str, str], **secrets: str) -> list[Finding]:
    config = load_config(write_project(root, files), environ={})
    return find_in_files(config, SecretStore.from_mapping(secrets))


def in_functions(root: Path, code: str) -> list[Finding]:
    found = findings(root, {FUNCTIONS: HEAD + dedent(code).lstrip("\n")})
    return [Finding(each.place, each.line - 3, each.code, each.message, each.is_error) for each in found]


# Each with: the code of the sample, the line, the code of the finding, whether it is an error, words of the message.
FOUND_IN_FUNCTIONS = [
    (
        "from wixhttp.inbox import scheduled as at\ndef get_x():\n    @at('0 8 * * *')\n    def send(): ...",
        4,
        "schedule",
        False,
        "send is not run: scheduled functions stand at the top of their file",
    ),
    (
        "def get_x():\n    item = aio.get('a', '1')\n    print(item)\n    return ok()",
        2,
        "async-in-def",
        True,
        "data as wix_data",
    ),
    (
        "async def post_x(request):\n    item = request.body.json()\n    await aio.insert('a', item)",
        2,
        "not-awaited",
        True,
        "await request.body.json()",
    ),
    (
        "from wixhttp.fetch import fetch\nasync def get_x():\n    return ok((await fetch('u')).json()['a'])",
        3,
        "not-awaited",
        True,
        "write await (await fetch(...)).json()",
    ),
    *(
        (
            f"from wixhttp.fetch import fetch, getJSON\ndef get_x():\n    return ok({call})",
            3,
            "javascript",
            True,
            ".then is JavaScript's: in an async def write value = await promise",
        )
        for call in ("fetch('u').then(len)", "getJSON('u').then(lambda data: data)")
    ),
    (
        "def get_x(request):\n    return ok(f'https://a.example/orders/${request.path[0]}')",
        2,
        "javascript",
        False,
        "{request.path[0]}",
    ),
    ("def get_x(a):\n    return ok(f'/orders?of=${a}&n=1')", 2, "javascript", False, "write {a}"),
    # --- what is no answer
    ("from wixhttp import notFound\ndef get_x():\n    return (notFound, 404)", 3, "no-answer", True, "a tuple"),
    ("async def get_x():\n    return {'a': 1}, 200", 2, "no-answer", True, "response(status=..., body=...)"),
    ("def get_x():\n    return {'a': 1}", 2, "no-answer", True, "write return ok(body=...)"),
    ("def get_x():\n    return ok", 2, "no-answer", True, "write ok(...)"),
    ("def get_x():\n    if 1:\n        return f'{1}'\n    return ok()", 3, "no-answer", True, "a str"),
    # --- options that are not sent, arguments that raise
    ('def get_x():\n    return ok({"Body": 1})', 2, "unsent-option", False, "did you mean 'body'?"),
    ('def get_x():\n    return ok({"body": 1, "header": {}})', 2, "unsent-option", False, "did you mean 'headers'?"),
    (
        'def get_x():\n    return ok({\n        "title": 1,\n        "body": 2})',
        3,
        "unsent-option",
        False,
        "ok(body={...})",
    ),
    ('def get_x():\n    return ok({"header": {"A": "b"}})', 2, "unsent-option", False, "did you mean 'headers'?"),
    (
        'def get_x():\n    return ok({"status": 201, "body": 1})',
        2,
        "unsent-option",
        False,
        "response(status=..., body=...)",
    ),
    ("def get_x():\n    return ok(body=1, status=201)", 2, "unsent-option", False, "response(status"),
    ('def get_x():\n    return response({"statusCode": 201, "body": 1})', 2, "unsent-option", False, "mean 'status'?"),
    (
        'def get_x():\n    options = {"Headers": {}}\n    options["body"] = 1\n    return created(options)',
        2,
        "unsent-option",
        False,
        "did you mean 'headers'?",
    ),
    ("def get_x(body):\n    return ok({body})", 2, "javascript", False, 'write {"body": body}'),
    ('def get_x(a, b):\n    return ok({"body": {a, b}})', 2, "javascript", False, 'write {"a": a, "b": b}'),
    ("def get_x():\n    return ok(body={1, 2})", 2, "javascript", False, "write a list"),
    ("def get_x():\n    return ok(Body=1)", 2, "wrong-argument", True, "ok() has no 'Body'; did you mean 'body'?"),
    ("def get_x():\n    return ok(1, {})", 2, "wrong-argument", True, "headers=..."),
    # --- await
    (
        'async def get_x():\n    aio.insert("a", {})\n    return ok()',
        2,
        "not-awaited",
        False,
        "write await aio.insert(...)",
    ),
    ('async def get_x():\n    return ok(aio.get("a", "1"))', 2, "not-awaited", True, "is a promise here"),
    (
        'async def get_x():\n    return ok({"body": {"a": [aio.get("a", "1")]}})',
        2,
        "not-awaited",
        True,
        "promise here",
    ),
    ('async def get_x():\n    return ok(aio.get("a", "1")["b"])', 2, "not-awaited", True, "await aio.get(...)"),
    ('async def get_x():\n    return ok(aio.query("a").eq("b", 1).find().items)', 2, "not-awaited", True, "find()"),
    (
        'async def get_x():\n    q = aio.query("a")\n    q = q.eq("b", 1)\n    return ok(q.find().items)',
        4,
        "not-awaited",
        True,
        "await q.find()",
    ),
    ('async def get_x():\n    if aio.get("a", "1"):\n        return ok()', 2, "not-awaited", True, "not the value"),
    ('async def get_x():\n    item = aio.get("a", "1")\n    return ok(item)', 2, "not-awaited", True, "not the value"),
    ('async def get_x():\n    item = aio.get("a", "1")\n    return ok(item["b"])', 2, "not-awaited", True, "await aio"),
    ('async def get_x():\n    for each in aio.query("a").find():\n        pass', 2, "not-awaited", True, "await aio"),
    (
        "async def get_x(request):\n    data = request.body.json()\n    return ok(data)",
        2,
        "not-awaited",
        True,
        "await req",
    ),
    ('async def get_x(r):\n    return ok(r.body.json()["a"])', 2, "not-awaited", True, "await r.body.json()"),
    ('async def get_x(request):\n    return ok(f"{request.body.text()}")', 2, "not-awaited", True, "await request"),
    (
        "async def load():\n    return 1\n\nasync def get_x():\n    return ok(load())",
        5,
        "not-awaited",
        False,
        "await load()",
    ),
    ("async def save():\n    pass\n\nasync def get_x():\n    save()", 5, "not-awaited", False, "never runs"),
    (
        "from wixhttp.inbox import enqueue\nasync def post_x(request):\n    enqueue('mail', 1)\n    return ok()",
        3,
        "not-awaited",
        False,
        "the answer does not wait for it",
    ),
    (
        "from wixhttp import inbox\nasync def post_x(request):\n    return ok({'job': inbox.enqueue('mail', 1)})",
        3,
        "not-awaited",
        True,
        "write await inbox.enqueue(...)",
    ),
    ("import asyncio\nasync def get_x():\n    asyncio.sleep(1)", 3, "not-awaited", False, "never runs"),
    (
        "from wixhttp.auth import elevate\nasync def get_x():\n    return ok(elevate(aio.get)('a', '1'))",
        3,
        "not-awaited",
        True,
        "promise",
    ),
    (
        "from wixhttp.auth import fetchWithAuth\nasync def get_x():\n    return ok(fetchWithAuth('u').json())",
        3,
        "not-awaited",
        True,
        "await fetchWithAuth(...)",
    ),
    (
        'async def get_x():\n    page = await aio.query("a").find()\n    return ok(page.next().items)',
        3,
        "not-awaited",
        True,
        "await page.next()",
    ),
    (
        "import wixhttp.data.aio as wixData\nasync def get_x():\n    wixData.remove('a', '1')",
        3,
        "not-awaited",
        False,
        "wixData.remove(...)",
    ),
    (
        "async def get_x():\n    return ok(await wix_data.query('a').find())",
        2,
        "awaited-value",
        True,
        "data import aio",
    ),
    ("async def get_x():\n    await wix_data.insert('a', {})", 2, "awaited-value", True, "import aio as wix_data"),
    ("async def get_x():\n    return ok((await aio.query('a').eq('b', 1)).items)", 2, "awaited-value", True, ".find()"),
    (
        "import time\nasync def get_x():\n    await time.sleep(1)",
        3,
        "awaited-value",
        True,
        "await asyncio.sleep(seconds)",
    ),
    ("import requests\nasync def get_x():\n    await requests.get('u')", 3, "awaited-value", True, "asyncio.to_thread"),
    ("async def get_x():\n    return await ok()", 2, "awaited-value", True, "leave await out"),
    ("async def get_x(request):\n    await request.body.json", 2, "awaited-value", True, "await request.body.json()"),
    (
        "def load():\n    return {}\n\nasync def get_x():\n    return ok(await load())",
        5,
        "awaited-value",
        True,
        "async def",
    ),
    ("def get_x():\n    return ok(aio.get('a', '1'))", 2, "async-in-def", True, "write async def get_x"),
    ("def get_x():\n    aio.insert('a', {})\n    return ok()", 2, "async-in-def", True, "data as wix_data"),
    (
        "async def load():\n    return ok()\n\ndef get_x():\n    return load()",
        5,
        "async-in-def",
        True,
        "async def get_x",
    ),
    ("def rows():\n    return aio.query('a').find().items", 2, "not-awaited", True, "in an async def"),
    # --- what blocks
    ("async def get_x():\n    return ok(wix_data.get('a', '1'))", 2, "blocking-call", False, "import aio as wix_data"),
    ("async def get_x():\n    q = wix_data.query('a')\n    return ok(q.find())", 3, "blocking-call", False, "q.find()"),
    ("import time as t\nasync def get_x():\n    t.sleep(1)", 3, "blocking-call", False, "await asyncio.sleep(seconds)"),
    (
        "from time import sleep\nasync def get_x():\n    sleep(1)",
        3,
        "blocking-call",
        False,
        "sleep(...) in an async def",
    ),
    (
        "async def get_x():\n    import requests\n    requests.post('u', timeout=1)",
        3,
        "blocking-call",
        False,
        "to_thread",
    ),
    (
        "from urllib.request import urlopen\nasync def get_x():\n    urlopen('u')",
        3,
        "blocking-call",
        False,
        "to_thread",
    ),
    (
        "async def get_x():\n    with open('a') as f:\n        return ok(f.read())",
        2,
        "blocking-call",
        False,
        "open(...)",
    ),
    (
        "import subprocess\nasync def get_x():\n    subprocess.run(['a'])",
        3,
        "blocking-call",
        False,
        "create_subprocess",
    ),
    ("import sqlite3\nasync def get_x():\n    sqlite3.connect('a')", 3, "blocking-call", False, "to_thread"),
    ("from pathlib import Path\nasync def get_x():\n    Path('a').read_text()", 3, "blocking-call", False, "to_thread"),
    (
        "import requests\ns = requests.Session()\nasync def get_x():\n    s.get('u')",
        4,
        "blocking-call",
        False,
        "s.get(...)",
    ),
    (
        "def load():\n    return wix_data.get('a', '1')\n\nasync def get_x():\n    return ok(load())",
        5,
        "blocking-call",
        False,
        f"load calls wix_data.get(...) ({FUNCTIONS}:5)",
    ),
    (
        "from wixhttp.auth import getTokenInfo\nasync def get_x():\n    return ok(getTokenInfo().active)",
        3,
        "blocking-call",
        False,
        "await getTokenInfo()",
    ),
    # --- habits
    ("def get_x(request):\n    return ok(request.query.id)", 2, "no-attribute", True, 'write request.query["id"]'),
    (
        "def get_x(request):\n    return ok(request.headers.origin)",
        2,
        "no-attribute",
        True,
        'request.headers["origin"]',
    ),
    ("def get_x(request):\n    return ok(request.body.title)", 2, "no-attribute", True, 'request.body.json()["title"]'),
    ("def get_x(request):\n    return ok(request.args)", 2, "no-attribute", True, "request has no 'args'"),
    ("def get_x(request):\n    return ok(request.path.length)", 2, "javascript", True, "len(x)"),
    ("def get_x():\n    return ok(wix_data.get('a', '1').price)", 2, "no-attribute", True, '["price"]'),
    (
        "def get_x():\n    items = wix_data.query('a').find().items\n    return ok(items.length)",
        3,
        "javascript",
        True,
        "len",
    ),
    (
        "def get_x():\n    for item in wix_data.query('a').find().items:\n        item.price = 1",
        3,
        "no-attribute",
        True,
        'item["price"]',
    ),
    (
        "async def get_x():\n    item = await aio.get('a', '1')\n    return ok(item.price)",
        3,
        "no-attribute",
        True,
        "item",
    ),
    ("def get_x():\n    wix_data.query('a').find().then(lambda r: r)", 2, "javascript", True, "await"),
    ("async def get_x():\n    aio.query('a').find().then(lambda r: r)", 2, "javascript", True, "await"),
    ("def get_x():\n    rows = []\n    rows.push(1)", 3, "javascript", True, "append"),
    ("def get_x(request):\n    return ok(request.query['a'].toUpperCase())", 2, "javascript", True, "upper()"),
    ("def lower(thing):\n    return ok(thing.a.toLowerCase())", 2, "javascript", False, "lower()"),
    ("def get_x():\n    return ok(undefined)", 2, "javascript", True, "write None"),
    ("def get_x():\n    x = null", 2, "javascript", True, "write None"),
    ("def get_x():\n    if true:\n        console.log('a')", 2, "javascript", True, "write True"),
    ("def get_x():\n    if 1:\n        console.log('a')", 3, "javascript", True, "write print(...)"),
    ("def get_x():\n    return ok(JSON.stringify({}))", 2, "javascript", True, "json.dumps"),
    ("def get_x():\n    return ok({body: 1})", 2, "javascript", True, '{"body": ...}'),
    ("def get_x():\n    return notFound()", 2, "javascript", True, "from wixhttp import notFound"),
    ("def get_x():\n    return x === y", 2, "syntax", True, "write =="),
    ("def get_x():\n    return wix_data.query('a').or(1)", 2, "syntax", True, ".or_("),
    ("const x = 1", 1, "syntax", True, "name = value"),
    ("def post-x(request):\n    pass", 1, "syntax", True, "write def post_x"),
]

LEFT_ALONE_IN_FUNCTIONS = [
    'def get_x():\n    return ok({"message": "a", "items": []})',
    'def get_x():\n    return ok({"header": "Welcome", "text": "a"})',
    'def get_x():\n    return ok({"header": "Welcome"})',
    'def get_x():\n    return ok({"title": 1})',
    "def get_x(more):\n    return ok({**more, 'body': 1})",
    "def get_x(more):\n    return ok({'headers': {}, 'body': {'Body': 1, 'status': 2}})",
    "def get_x():\n    return response(status=201, headers={}, body=1)",
    "def get_x():\n    options = {'Headers': {}}\n    options.update(body=1)\n    return len(options)",
    "def ok(value, Body):\n    return value\n\ndef get_x():\n    return ok({'Body': 1}, Body=2)",
    "def get_x():\n    return ok({'body': [each for each in {1, 2}]})",
    "async def get_x():\n    return ok(await aio.get('a', '1'))",
    "async def get_x():\n    item = await aio.get('a', '1')\n    return ok(item['b'])",
    "import asyncio\nasync def get_x():\n    a, b = await asyncio.gather(aio.get('a', '1'), aio.get('a', '2'))",
    "import asyncio\nasync def get_x(ids):\n    one = aio.get('a', '1')\n    return await asyncio.gather(one, *ids)",
    "import asyncio\nasync def get_x(ids):\n    await asyncio.gather(*[aio.get('a', each) for each in ids])",
    "import asyncio\nasync def get_x():\n    task = asyncio.create_task(aio.get('a', '1'))\n    await task",
    "async def get_x():\n    _ = aio.insert('a', {})",
    "async def get_x():\n    kept.append(aio.insert('a', {}))\nkept = []",
    "async def get_x():\n    item = aio.get('a', '1')\n    return ok(await item)",
    "async def get_x():\n    q = aio.query('a').eq('b', 1)\n    return ok((await q.find()).items)",
    "async def get_x():\n    return ok((await (await aio.query('a').find()).next()).items)",
    "def load():\n    return aio.get('a', '1')\n\nasync def get_x():\n    return ok(await load())",
    "async def load():\n    ...\n\ndef get_x():\n    load().close()",
    "async def rows():\n    yield 1\n\nasync def get_x():\n    return ok(rows())",
    "def get_x(request):\n    data = request.body.json()\n    return ok(data['a'])",
    "from wixhttp.secrets import getSecret\nasync def get_x():\n    return ok(len(await getSecret('A')))",
    "def get_x():\n    return ok(wix_data.query('a').find().items)",
    "import asyncio\nasync def get_x():\n    await asyncio.to_thread(wix_data.get, 'a', '1')",
    "import asyncio, time\nasync def get_x():\n    def f():\n        time.sleep(1)\n    await asyncio.to_thread(f)",
    "import asyncio, time\nasync def get_x():\n    await asyncio.to_thread(lambda: time.sleep(1))",
    "import time\ndef get_x():\n    time.sleep(1)",
    "import asyncio as time\nasync def get_x():\n    await time.sleep(1)",
    "def open(name):\n    return name\n\nasync def get_x():\n    open('a')",
    "async def get_x(open):\n    open('a')",
    "async def get_x():\n    return ok(aio.filter().eq('a', 1))",
    "from wixhttp.auth import getTokenInfo\nasync def get_x():\n    return ok((await getTokenInfo()).active)",
    "async def load():\n    return 1\n\nload = staticmethod(load)\nasync def get_x():\n    load()",
    "def get_x(request):\n    return ok([request.query.get('id'), list(request.query.items())])",
    "def get_x(request):\n    return ok(request.headers.get('a'))",
    "class Line:\n    length = 3\n    def push(self, x): ...\n\ndef get_x():\n    Line().push(Line().length)",
    "class Text:\n    def toUpperCase(self): ...\n\ndef upper(thing):\n    thing.toUpperCase()",
    "def size(thing):\n    return ok(thing.length)",
    "def get_x():\n    result = wix_data.query('a').find()\n    return ok([result.length, result.hasNext()])",
    "def get_x():\n    rows = []\n    rows = other(rows)\n    rows.push(1)\ndef other(x): ...",
    "def get_x(request):\n    return ok(request.body.json().get('a'))",
    "null = None\ntrue = True\ndef get_x():\n    return ok([null, true])",
    "from somewhere import *\ndef get_x():\n    return ok(undefined)",
    "from somewhere import console\ndef get_x():\n    console.log(1)",
    "def get_x(body):\n    return ok({body: 1})",
    "def get_x(request):\n    try:\n        request.body.json()\n    except OSError as e:\n        return ok(str(e))",
    "def get_x():\n    item = None\n    if 1:\n        item = wix_data.get('a', '1')\n    return ok(item.get('b'))",
    "def get_x():\n    return ok(wix_data.query('a').distinct('b').items)",
    "def get_x(price):\n    return ok(f'${price} and ${price:.2f}/kg, = ${price}')",
    "def get_x():\n    def key():\n        return {'a': 1}\n    return ok(key())",
    "def decorate(f): ...\n@decorate\ndef get_x():\n    return {'a': 1}",
    "def get_x():\n    return ok({'body': {'numbers': {1, 2}}})",
    "def get_x(request):\n    if 1:\n        return {'status': 200, 'body': 1}\n    return {**request.query}",
    "from wixhttp.fetch import fetch\ndef get_x():\n    return ok(fetch('u').json())",
    "from wixhttp.inbox import enqueue\ndef get_x():\n    enqueue('mail')\n    return ok({'job': enqueue('mail')})",
    "from wixhttp.inbox import enqueue\nasync def get_x():\n    return ok({'job': await enqueue('mail')})",
]


@pytest.mark.parametrize(("code", "line", "name", "is_error", "words"), FOUND_IN_FUNCTIONS)
def test_found_in_functions(tmp_path: Path, code: str, line: int, name: str, is_error: bool, words: str) -> None:
    found = in_functions(tmp_path, code)
    [one] = [each for each in found if (each.line, each.code) == (line, name)]
    assert words in one.message
    assert one.is_error == is_error
    assert [each for each in found if each is not one and "console" not in each.message] == []


@pytest.mark.parametrize("code", LEFT_ALONE_IN_FUNCTIONS)
def test_left_alone_in_functions(tmp_path: Path, code: str) -> None:
    found = findings(tmp_path, {FUNCTIONS: HEAD + code}, A="1")
    assert found == []


# --- endpoints, middleware, hooks ------------------------------------------------------------------------------------

WEB = "from wixhttp.endpoints import Response\n"

FOUND_IN_ENDPOINTS = [
    (
        "from wixhttp import inbox\n@inbox.scheduled('0 8 * * *')\ndef send(): ...\ndef GET(): ...",
        3,
        "schedule",
        False,
        "send is not run: scheduled functions stand in backend/",
    ),
    (WEB + "def GET():\n    return Response('a', statuss=201)", 3, "wrong-argument", True, "did you mean 'status'?"),
    (
        WEB + "def GET():\n    return Response('a', {'status': 201})",
        3,
        "wrong-argument",
        True,
        "Response(..., status=201)",
    ),
    (WEB + "def GET():\n    return Response.json({}, {'status': 201})", 3, "wrong-argument", True, "status=201"),
    (WEB + "def GET():\n    return Response({'a': 1})", 3, "wrong-argument", True, "Response.json(data)"),
    (WEB + "def GET():\n    return Response(data={})", 3, "wrong-argument", True, "did you mean 'body'?"),
    (
        "def GET(cookies):\n    cookies.set('a', 'b', httponly=True)",
        2,
        "wrong-argument",
        True,
        "did you mean 'httpOnly'?",
    ),
    (
        "def GET(cookies):\n    cookies.set('a', 'b', {'max-age': 5})",
        2,
        "wrong-argument",
        True,
        "did you mean 'maxAge'?",
    ),
    ("def GET(context):\n    context.cookies.delete('a', maxAge=5)", 2, "wrong-argument", True, "path, domain"),
    (
        "async def POST(request):\n    data = request.json()\n    return len(data)",
        2,
        "not-awaited",
        True,
        "request.json()",
    ),
    (
        "async def POST(context):\n    context.request.formData().get('a')",
        2,
        "not-awaited",
        True,
        "await context.request",
    ),
    (
        "async def POST(session):\n    if session.get('user'):\n        pass",
        2,
        "not-awaited",
        True,
        "session.get(...)",
    ),
    (
        "async def GET(context):\n    return context.rewrite('/a')",
        2,
        "not-awaited",
        False,
        "await context.rewrite(...)",
    ),
    ("def GET(params):\n    params.id", 2, "no-attribute", True, 'params["id"]'),
    ("def GET(url):\n    url.searchParams.q", 2, "no-attribute", True, "url.searchParams has no 'q'"),
    ("def GET(request):\n    request.query", 2, "no-attribute", True, "request has no 'query'"),
    ("def POST(request):\n    request.json().price", 2, "no-attribute", True, 'request.json()["price"]'),
    ("def GET(cookies):\n    cookies.get('a').values", 2, "no-attribute", True, "did you mean 'value'?"),
    ("def GET():\n    return {'a': 1}", 2, "no-answer", True, "write return Response.json(...)"),
    (WEB + "def GET():\n    return Response", 3, "no-answer", True, "write Response(...)"),
    ("import time\nasync def GET():\n    time.sleep(1)", 3, "blocking-call", False, "asyncio.sleep"),
]

LEFT_ALONE_IN_ENDPOINTS = [
    WEB + "def GET():\n    return Response('a', status=201, headers={'A': 'b'})",
    WEB + "def GET():\n    return Response.json({'a': 1}, 201)",
    WEB + "def GET(redirect):\n    return redirect('/a', 303)",
    "def GET(cookies):\n    cookies.set('a', 'b', {'httpOnly': True, 'maxAge': 5}, path='/')",
    "def GET(context):\n    context.cookies.delete('a', path='/', secure=True, sameSite='none', partitioned=True)",
    "def GET(cookies):\n    cookies.delete('a', {'httpOnly': True, 'domain': 'a.example'})",
    "async def POST(session):\n    session.set('user', 'ada')\n    session.destroy()",
    "async def POST(session):\n    return await session.get('user')",
    "async def POST(request):\n    data = await request.json()\n    return data['a']",
    "def GET(params, url, request):\n    f(params.get('id'), url.searchParams.get('q'), request.headers.get('a'))",
    "def GET(context):\n    context.locals.user = 1\n    return context.locals.user.name",
    "async def call(session):\n    return session.get('https://a')",
    "async def GET(request):\n    return await request.clone().json()",
]


@pytest.mark.parametrize(("code", "line", "name", "is_error", "words"), FOUND_IN_ENDPOINTS)
def test_found_in_endpoints(tmp_path: Path, code: str, line: int, name: str, is_error: bool, words: str) -> None:
    [one] = findings(tmp_path, {ENDPOINT: code})
    assert (one.place, one.line, one.code, one.is_error) == (ENDPOINT, line, name, is_error)
    assert words in one.message


@pytest.mark.parametrize("code", LEFT_ALONE_IN_ENDPOINTS)
def test_left_alone_in_endpoints(tmp_path: Path, code: str) -> None:
    assert findings(tmp_path, {ENDPOINT: code}) == []


def test_middleware_and_hooks_are_looked_at(tmp_path: Path) -> None:
    files = {
        "src/middleware.py": "async def onRequest(context, next):\n    answer = next()\n    return answer.headers\n",
        "backend/data.py": "def books_beforeInsert(item):\n    item.title = 1\n    return item\n\n\n"
        "def books_onFailure(error):\n    return error.message\n",
    }
    hook, middleware = findings(tmp_path, files)
    assert (hook.place, hook.line, hook.code) == ("backend/data.py", 2, "no-attribute")
    assert (middleware.place, middleware.line, middleware.code) == ("src/middleware.py", 2, "not-awaited")
    (tmp_path / "src/middleware.py").write_text("async def onRequest(context, next):\n    return await next()\n")
    assert len(findings(tmp_path, {"backend/data.py": "def books_beforeInsert(item):\n    return item\n"})) == 0


def test_functions_of_other_files_are_known(tmp_path: Path) -> None:
    files = {
        FUNCTIONS: "from wixhttp import ok\nfrom backend import orders\nfrom .orders import load as read, save\n"
        "async def get_x():\n    save()\n    read()\n    return ok(orders.load())\n",
        "backend/orders.py": "import time\nasync def save():\n    ...\ndef load():\n    time.sleep(1)\n",
    }
    save, read, load = findings(tmp_path, files)
    assert (save.line, save.code) == (5, "not-awaited")
    assert [(each.line, each.code) for each in (read, load)] == [(6, "blocking-call"), (7, "blocking-call")]
    assert "load calls time.sleep(...) (backend/orders.py:5)" in load.message


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("getSecret('A')", "error"),
        ("await getSecret('A')", "error"),
        ("getSecret('HERE')", None),
        ("getSecret('A') or getSecret('HERE')", "warning"),
        ("getSecret('A') or getSecret('B')", "warning"),
        ("getSecret('HERE') or getSecret('A')", None),
        ("await getSecret('HERE') or await getSecret('A')", None),
        ("name or getSecret('A')", "warning"),
        ("getSecret('A') if name else ''", "warning"),
        ("getSecret(name)", None),
    ],
)
def test_a_secret_is_an_error_only_where_it_is_needed_for_sure(tmp_path: Path, code: str, told: str | None) -> None:
    source = f"from wixhttp.secrets import getSecret\nname = 'N'\nasync def get_x():\n    return {code}\n"
    found = findings(tmp_path, {FUNCTIONS: source}, HERE="1")
    assert [("error" if each.is_error else "warning") for each in found] == ([told] if told else [])
    assert {(each.line, each.code) for each in found} <= {(4, "missing-secret")}


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("try:\n        return getSecret('A')\n    except SecretNotFound:\n        return ''", 0),
        ("try:\n        return getSecret('A')\n    except (KeyError, errors.WixHTTPError):\n        return ''", 0),
        ("try:\n        return getSecret('A')\n    except:\n        return ''", 0),
        ("with suppress(SecretNotFound):\n        return getSecret('A')", 0),
        ("try:\n        return getSecret('A')\n    except ValueError:\n        return ''", 1),
        ("try:\n        return getSecret('A')\n    finally:\n        print()", 1),
    ],
)
def test_a_secret_whose_absence_is_caught(tmp_path: Path, code: str, count: int) -> None:
    source = f"from wixhttp.secrets import getSecret\ndef get_x():\n    {code}\n"
    found = [each for each in findings(tmp_path, {FUNCTIONS: source}) if each.code == "missing-secret"]
    assert [each.is_error for each in found] == [True] * count


def test_other_functions_of_that_name_are_left_alone(tmp_path: Path) -> None:
    source = "def getSecret(name): ...\n\n\ndef get_x():\n    return getSecret('A')\n"
    assert findings(tmp_path, {FUNCTIONS: source}) == []


def test_a_collection_that_is_not_declared(tmp_path: Path) -> None:
    code = """
        from wixhttp.auth import elevate
        async def get_x(request):
            wix_data.query("nowhere").find()
            wix_data.query("Books")
            await aio.insert("nowhere", {})
            await elevate(aio.get)("nowhere", "1")
            await aio.get("books", "1")
            await aio.get(request.path[0], "1")
            return ok(wix_data.filter())
        def get(name): ...
        get("nowhere")
    """
    told = [each for each in in_functions(tmp_path, code) if each.code == "missing-collection"]
    assert told == []
    write_project(tmp_path, {"data/collections.toml": "[books]\n"})
    told = [each for each in in_functions(tmp_path, code) if each.code == "missing-collection"]
    assert [(each.line, each.is_error) for each in told] == [(line, False) for line in (3, 4, 5, 6)]
    assert "'nowhere' is not declared in data/collections.toml" in told[0].message
    assert "did you mean 'books'?" in told[1].message
    write_project(tmp_path, {"wixhttp.toml": "strict_collections = false\n"})
    assert [each for each in in_functions(tmp_path, code) if each.code == "missing-collection"] == []


# --- comments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "is_left"),
    [
        ("# wixhttp: ignore", True),
        ("# wixhttp: ignore[blocking-call]", True),
        ("# noqa: E501  # wixhttp: ignore[not-awaited, blocking-call]", True),
        ("#wixhttp:ignore", True),
        ("# wixhttp: ignore[not-awaited]", False),
        ("# wixhttp: ignored", False),
        ("# noqa", False),
        ("", False),
    ],
)
def test_a_comment_silences_its_line(tmp_path: Path, comment: str, is_left: bool) -> None:
    source = f"import time\nasync def get_x():\n    time.sleep(1)  {comment}\n    time.sleep(2)\n"
    found = findings(tmp_path, {FUNCTIONS: source})
    assert [each.line for each in found] == ([4] if is_left else [3, 4])


# --- the documentation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", BLOCKS)
def test_the_samples_of_the_documentation_are_left_alone(tmp_path: Path, page: str) -> None:
    for block in BLOCKS[page]:
        if block.kind in ("python", "toml"):
            found = findings(tmp_path, {block.file: block.text}, SHOP_KEY="1")
            assert page == CHECK_PAGE or {each.code for each in found} <= {"missing-secret", "missing-collection"}


def test_the_table_of_codes_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", PAGES[CHECK_PAGE].partition("## Check")[2], re.MULTILINE)
    assert {code: text.replace("`", "") for code, text in rows} == CODES


def test_every_code_has_a_sample() -> None:
    sampled = {name for _, _, name, _, _ in (*FOUND_IN_FUNCTIONS, *FOUND_IN_ENDPOINTS)}
    others = {"misplaced-file", "not-served", "missing-secret", "missing-collection", "missing-job"}
    assert sampled | others == set(CODES)
