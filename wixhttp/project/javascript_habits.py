"""JavaScript's names, attributes and tokens in a file of Python, and what to write there: one table for the errors of a
load, the log, and ``wixhttp check``.

The texts say what to write, and stand behind a colon: ``'undefined' is JavaScript's: write None``.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Mapping

from wixhttp.logs.tracebacks import advise_with

NAMES: Mapping[str, str] = {
    "undefined": "write None",
    "null": "write None",
    "true": "write True",
    "false": "write False",
    "NaN": 'write float("nan"), and math.isnan(x) to ask for it',
    "Infinity": 'write float("inf")',
    "console": "write print(...), or logging.getLogger(__name__).error(...); each line has the request's id",
    "JSON": "a dict needs no JSON.stringify: ok(body=...) and Response.json(...) send it; else import json, and write "
    "json.dumps(x) and json.loads(text)",
    "Math": "write max(a, b), min(a, b), abs(x), round(x), or import math and write math.floor(x), math.ceil(x); "
    "random.random() is in the module random",
    "Date": "from datetime import datetime, timezone, and write datetime.now(timezone.utc)",
    "Object": "of a dict x write list(x) or x.keys(), x.values(), x.items(); {**a, **b} for Object.assign",
    "Array": "write isinstance(x, list) for Array.isArray(x), list(x) for Array.from(x)",
    "Promise": "in an async def write await asyncio.gather(a, b) for Promise.all([a, b]); in a def there is nothing to "
    "wait for",
    "Number": "write float(text) or int(text); ValueError where it is no number",
    "String": "write str(x)",
    "Boolean": "write bool(x)",
    "BigInt": "write int(text): whole numbers have no limit",
    "Symbol": "write object(), or an enum.Enum",
    "RegExp": "import re, and write re.compile(pattern)",
    "Map": "write a dict: {}",
    "Set": "write set()",
    "WeakMap": "write weakref.WeakKeyDictionary()",
    "Error": 'write raise Exception("...") or raise ValueError("..."); HTTPError(404, "...") of wixhttp for an answer',
    "RangeError": 'write raise ValueError("...")',
    "Uint8Array": "write bytes or bytearray",
    "Buffer": "write bytes; text.encode() gives them, data.decode() the text, base64.b64encode(data) Base64",
    "parseInt": "write int(text); ValueError where it is no number",
    "parseFloat": "write float(text); ValueError where it is no number",
    "isNaN": "write math.isnan(x)",
    "isFinite": "write math.isfinite(x)",
    "encodeURIComponent": 'from urllib.parse import quote, and write quote(text, safe="!\'()*")',
    "encodeURI": 'from urllib.parse import quote, and write quote(text, safe=";,/?:@&=+$-_.!~*\'()#")',
    "decodeURIComponent": "from urllib.parse import unquote, and write unquote(text)",
    "decodeURI": "from urllib.parse import unquote, and write unquote(text)",
    "URLSearchParams": "from urllib.parse import urlencode, and write urlencode({...}); of a request read "
    "request.query",
    "btoa": "import base64, and write base64.b64encode(data).decode()",
    "atob": "import base64, and write base64.b64decode(text)",
    "setTimeout": "in an async def write await asyncio.sleep(seconds), in a def time.sleep(seconds)",
    "setInterval": "a process of a server is no place for it: let cron, or a service that calls one of your functions, "
    "do it",
    "structuredClone": "import copy, and write copy.deepcopy(x)",
    "process": 'write getSecret("NAME") of wixhttp.secrets for process.env.NAME, or os.environ["NAME"]',
    "require": "write import name",
    "module": "what the file defines is exported, or what __all__ names",
    "exports": "what the file defines is exported, or what __all__ names",
    "globalThis": "module variables are there for all functions of a process",
    "window": "module variables are there for all functions of a process",
    "crypto": "import secrets or hashlib; str(uuid.uuid4()) for crypto.randomUUID()",
    "arguments": "write def f(*arguments)",
    "wixData": "from wixhttp import data as wix_data; in an async def, from wixhttp.data import aio as wix_data",
    "wixSecretsBackend": "from wixhttp.secrets import getSecret",
    "wixAuth": "from wixhttp import auth",
}
"""Names that are bound in JavaScript or Velo, and in no file of Python, and what to write for each."""

_ANSWERS = ("ok", "created", "badRequest", "forbidden", "notFound", "serverError", "response", "HTTPError")
_UNBOUND: Mapping[str, str] = {
    **{name: f"from wixhttp import {name}" for name in _ANSWERS},
    "Response": "from wixhttp.endpoints import Response; in backend/http_functions.py, from wixhttp import Response",
    "wix_data": "from wixhttp import data as wix_data; in an async def, from wixhttp.data import aio as wix_data",
    "aio": "from wixhttp.data import aio",
    "getSecret": "from wixhttp.secrets import getSecret",
    "elevate": "from wixhttp.auth import elevate",
    "getTokenInfo": "from wixhttp.auth import getTokenInfo",
    "fetchWithAuth": "from wixhttp.auth import fetchWithAuth",
    **{name: f"from wixhttp.fetch import {name}" for name in ("fetch", "getJSON", "postJSON")},
    "items": "from wixhttp.data import items; in an async def, from wixhttp.data.aio import items",
}  # names of wixhttp's that a file uses and does not import

ATTRIBUTES: Mapping[str, str] = {
    "then": "in an async def write value = await promise; in a def a call gives the value itself",
    "catch": "write try: ... except Exception as error: ... around the call",
    "length": "write len(x)",
    "push": "write x.append(value)",
    "unshift": "write x.insert(0, value)",
    "shift": "write x.pop(0)",
    "forEach": "write for each in x: ...",
    "map": "write [f(each) for each in x]",
    "filter": "write [each for each in x if ...]",
    "find": "write next((each for each in x if ...), None)",
    "findIndex": "write next((i for i, each in enumerate(x) if ...), -1)",
    "reduce": "write sum(x), or a for loop",
    "some": "write any(... for each in x)",
    "every": "write all(... for each in x)",
    "includes": "write value in x",
    "indexOf": "write x.index(value) of a list, x.find(text) of a str",
    "concat": "write x + y",
    "slice": "write x[start:end]",
    "splice": "write del x[start:end], or x[start:end] = [...]",
    "flat": "write [each for part in x for each in part]",
    "flatMap": "write [y for each in x for y in f(each)]",
    "at": "write x[-1]",
    "join": 'write ", ".join(x)',
    "toString": "write str(x)",
    "toFixed": 'write f"{x:.2f}"',
    "toUpperCase": "write x.upper()",
    "toLowerCase": "write x.lower()",
    "trim": "write x.strip()",
    "trimStart": "write x.lstrip()",
    "trimEnd": "write x.rstrip()",
    "startsWith": "write x.startswith(text)",
    "endsWith": "write x.endswith(text)",
    "substring": "write x[start:end]",
    "substr": "write x[start : start + length]",
    "charAt": "write x[index]",
    "charCodeAt": "write ord(x[index])",
    "padStart": "write x.rjust(width), or x.zfill(width)",
    "padEnd": "write x.ljust(width)",
    "replaceAll": "write x.replace(old, new)",
    "match": "import re, and write re.search(pattern, x)",
    "repeat": "write x * count",
    "hasOwnProperty": "write key in x",
    "entries": "write x.items()",
    "getTime": "write x.timestamp() * 1000",
    "toISOString": "write x.isoformat()",
    "toJSON": "write x.isoformat()",
    "getFullYear": "write x.year",
    "getMonth": "write x.month, which begins with 1",
    "getDate": "write x.day",
    "getDay": "write x.isoweekday() % 7",
    "getHours": "write x.hour",
    "getMinutes": "write x.minute",
    "setDate": "write x + timedelta(days=...)",
    "message": "write str(error)",
    "stack": "write logging.exception(...) in the except block; traceback.format_exc() is the text",
    "and": "write .and_(...): and is a word of Python's own",
    "or": "write .or_(...): or is a word of Python's own",
    "not": "write .not_(...): not is a word of Python's own",
    "in": "write .in_(...): in is a word of Python's own",
    "finally": "write try: ... finally: ... around the call",
}
"""Attributes that lists, dicts, text, dates, errors and promises have in JavaScript, and what to write for each. Some
are attributes of other objects in Python, as ``join`` is of text: a look-up that failed decides, or the type."""

_WORDS: Mapping[str, str] = {
    "const": "leave it out: name = value",
    "let": "leave it out: name = value",
    "var": "leave it out: name = value",
    "export": "leave it out: what the file defines is exported, or what __all__ names",
    "async function": "write async def name(request):",
    "function": "write def name(request):",
    "new": "leave it out: Name(...)",
    "throw": "write raise",
    "typeof": "write isinstance(x, str)",
    "instanceof": "write isinstance(x, Name)",
    "delete": "write del x[key]",
    "void": "leave it out",
    "else if": "write elif",
    "catch": "write except Exception as error:",
    "switch": "write match x: and case value:, or if and elif",
    "extends": "write class Name(Base):",
    "do": "write while True: and break",
    "import": "write from wixhttp import ok, from backend.name import name: the module without quotes",
}  # tokens that are a word, or two; an operand follows
_SIGNS: Mapping[str, str] = {
    "===": "write ==, or is None",
    "!==": "write !=, or is not None",
    "&&": "write and",
    "||": 'write or; x.get("a") or "default"',
    "=>": "write lambda x: ..., or a def",
    "++": "write x += 1",
    "--": "write x -= 1",
    "?.": "write x and x.get(key), or an if",
    "??": "write x if x is not None else y",
    "?": "write a if condition else b",
    "`": 'write f"... {x} ..."',
    "!": "write not",
    "//": "write #, which begins a comment",
    "/*": "write #, which begins a comment",
    "...": "write *x for a list, **x for a dict",
    ".and(": ATTRIBUTES["and"],
    ".or(": ATTRIBUTES["or"],
    ".not(": ATTRIBUTES["not"],
    ".in(": ATTRIBUTES["in"],
    ".finally(": ATTRIBUTES["finally"],
}  # tokens of other characters; of those that begin alike the longest first
TOKENS: Mapping[str, str] = {
    **_WORDS,
    **_SIGNS,
    "{": "indent what belongs to a def, an if or a loop behind its colon, without braces",
    "}": "indent what belongs to a def, an if or a loop behind its colon, without braces",
}
"""Tokens of JavaScript that are no syntax in Python, and what to write for each."""

MODULES: Mapping[str, str] = {
    "wix_http_functions": "from wixhttp import ok, notFound",
    "wix_data": "from wixhttp import data as wix_data; in an async def, from wixhttp.data import aio as wix_data",
    "wix_secrets_backend": "from wixhttp.secrets import getSecret",
    "wix_auth": "from wixhttp import auth",
    "wix_fetch": "from wixhttp.fetch import fetch, getJSON",
    "aio": "from wixhttp.data import aio",
}
"""Modules of Velo's by their names in Python, and what to import for each."""

_KEYED: Mapping[str, str] = {
    "Headers": "headers.get({0})",
    "URLSearchParams": "url.searchParams.get({0})",
    "FormData": "form.get({0})",
    "Cookies": "cookies.get({0})",
    "Session": "session.get({0})",
    "AsyncSession": "await session.get({0})",
    "Body": "request.body.json()[{0}]",
    "AsyncBody": "(await request.body.json())[{0}]",
}  # classes of wixhttp whose parts are neither attributes nor items, and how to ask for one
_KEYWORDS: Mapping[str, str] = {
    **dict.fromkeys(("header", "Headers", "Header"), "headers"),
    **dict.fromkeys(("status_code", "statusCode", "code"), "status"),
    **dict.fromkeys(("text", "content", "Body", "data"), "body"),
}
_FUNCTIONS = ("method", "function", "builtin_function_or_method")
_RESULTS = ("QueryResult", "AwaitedResult", "AggregateResult", "AwaitedAggregateResult")
_OF_DICTS = ("entries", "filter", "forEach", "hasOwnProperty", "length", "map", "then")  # what is no field, most likely
_SHORTHAND = "({"  # of a helper's argument
_MOST = 3  # pieces of advice about one line
_LONGEST = 1000  # characters of a line that are looked at


def advice(error: BaseException) -> str | None:
    """The text of what to write where an exception of a user's file comes of a habit of JavaScript's, else ``None``.

    >>> advice(NameError("name 'null' is not defined", name="null"))
    "'null' is JavaScript's: write None"
    """
    if isinstance(error, SyntaxError):
        return _of_syntax(error)
    if isinstance(error, NameError):
        return _of_name(error)
    if isinstance(error, AttributeError):
        return _of_attribute(error)
    if isinstance(error, ImportError):
        return _of_import(error)
    return _of_type(error) if isinstance(error, TypeError) else None


def _said(word: str, text: str) -> str:
    return f"{word!r} is JavaScript's: {text}"


def _of_name(error: NameError) -> str | None:
    name = error.name or ""
    if name and _is_key(name, _line_of(error)):
        return f"the keys of a dict are text, in quotes: {{{name!r}: ...}}".replace("'", '"')
    if name in _UNBOUND:
        return f"{name!r} is not imported: {_UNBOUND[name]}"
    return _said(name, NAMES[name]) if name in NAMES else None


def _line_of(error: BaseException) -> str:
    """The line of code that raised an error, or an empty text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno)


def _is_key(name: str, line: str) -> bool:
    before, found, _ = line.partition(name + ":")
    return bool(found) and before.rstrip(" ")[-1:] in ("{", ",", "")


def _of_import(error: ImportError) -> str | None:
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError):
        return f"there is no module {name!r} here: {MODULES[name]}" if name in MODULES else None
    if name != "wixhttp":
        return None
    wanted = str(error.msg).partition("cannot import name '")[2].partition("'")[0]
    text = _UNBOUND.get(wanted) or NAMES.get(wanted)
    return None if text is None else f"{wanted!r} is elsewhere: {text}"


def _of_attribute(error: AttributeError) -> str | None:
    name, owner = error.name or "", error.obj
    if type(owner) is dict and name not in ATTRIBUTES:
        return f"the fields of a dict are keys: write x[{name!r}], or x.get({name!r}), which is None without it"
    if owner is None and error.name:
        return (
            f"the value is None, JavaScript's undefined: write x and x.{name} for x?.{name}, or find out why it is None"
        )
    if type(owner).__module__.startswith("wixhttp."):
        if ": write " in str(error) or ", write " in str(error):
            return None
        if type(owner).__name__ in _KEYED and name not in ATTRIBUTES:
            return f"write {_KEYED[type(owner).__name__].format(repr(name))}"
    if name not in ATTRIBUTES:
        return None
    if type(owner) is dict and name not in _OF_DICTS:
        return f"the fields of a dict are keys: write x[{name!r}]"
    return _said("." + name, ATTRIBUTES[name])


def _of_type(error: TypeError) -> str | None:
    text = str(error)
    if text.endswith(("can't be used in 'await' expression", "can't be awaited")):
        return _of_await(text.removeprefix("object ").split()[0].strip("'"))
    if text.startswith("'coroutine' object ") or text == "argument of type 'coroutine' is not iterable":
        return "it is a call of an async def that is not awaited: write await in front of it"
    if text.startswith("can only concatenate str (not "):
        return 'JavaScript makes text of what is added to text: write f"{a}{b}", or a + str(b)'
    if text.endswith(" object is not subscriptable"):
        return _of_subscript(text.split("'")[1])
    if text.startswith("unhashable type: ") and _SHORTHAND in _line_of(error).replace(" ", ""):
        return '{body} is a set in Python: write {"body": body}'
    _, found, rest = text.partition("unexpected keyword argument '")
    keyword = _KEYWORDS.get(rest.partition("'")[0]) if found else None
    return f"did you mean {keyword}=?" if keyword else None


def _of_await(kind: str) -> str:
    """The text for a value that is awaited and cannot be, by the name of its class."""
    if kind in _FUNCTIONS:
        return "what is awaited is a function: call it, with (), as in await aio.query(...).count()"
    use_aio = "from wixhttp.data import aio as wix_data"
    if kind in _RESULTS:
        return f"in an async def the calls on collections are those of aio: {use_aio}, and await them"
    return (
        f"what is awaited is a value already: for calls on collections in an async def {use_aio}; what else gives "
        "its value at once needs no await: leave await out"
    )


def _of_subscript(kind: str) -> str | None:
    if kind in _RESULTS:
        return "a result has attributes: write x.items, and x.items[0] for its first item"
    if kind in _KEYED:
        return f"write {_KEYED[kind].format('name')}"
    if kind == "NoneType":
        return "the value is None, JavaScript's undefined: find out what is not there, or write (x or {}).get(key)"
    return "it is a function: call it, with ()" if kind in _FUNCTIONS else None


# --- syntax ----------------------------------------------------------------------------------------------------------


def _of_syntax(error: SyntaxError) -> str | None:
    message = str(error.msg)
    if message.startswith("'await' outside"):
        return (
            "await stands in an async def: write async def, or leave await out, since in a def a call gives the value"
        )
    if message.startswith("':' expected after dictionary key"):
        return 'each key of a dict has a value: write {"body": body} for {body}'
    line = error.text or ""
    said = {token: TOKENS[token] for token in tokens_in(line)}
    brace = _brace_in(line, message, (error.offset or 1) - 1)
    if brace and "import" not in said:
        said[brace] = TOKENS[brace]
    return "; ".join(_said(token, text) for token, text in list(said.items())[:_MOST]) or None


def _brace_in(line: str, message: str, offset: int) -> str:
    """The brace of a block that an error is about, or an empty text: one of a dict has an expression's place."""
    if "}" in message and line.lstrip().startswith("}"):
        return "}"
    before = line[:offset].rstrip()
    is_block = before.endswith(")") or before.rpartition(" ")[2] in ("try", "else", "finally", "do")
    return "{" if is_block and line[offset : offset + 1] == "{" else ""


def tokens_in(line: str) -> Iterator[str]:
    """JavaScript's tokens in a line (its first 1000 characters), in order, outside of strings and comments. A line of
    correct Python may have some, such as ``//``: they explain a line that has a syntax error.

    >>> list(tokens_in("const f = (a) => a && 'b || c'  # x ? y"))
    ['const', '=>', '&&']
    """
    line = line[:_LONGEST]
    at, end, quote = 0, len(line), ""
    while at < end:
        sign = line[at]
        if quote:
            at += 1 + (sign == "\\")
            quote = "" if sign == quote else quote
            continue
        if sign == "#":
            return
        if sign in "'\"":
            quote = sign
            at += 1
            continue
        found, length = _word_at(line, at) if sign.isidentifier() else _sign_at(line, at)
        if found:
            yield found
        at += length


def _word_at(line: str, at: int) -> tuple[str, int]:
    """The token that the word at a place is, or an empty text; and the length to go on behind."""
    end = at
    while end < len(line) and line[end].isidentifier() | line[end].isdigit():
        end += 1
    word, rest = line[at:end], line[end:].lstrip(" \t")
    if at and line[at - 1] == ".":
        return "", end - at
    for second in ("function", "if"):
        pair = f"{word} {second}"
        if pair in _WORDS and rest.startswith(second) and not rest[len(second) : len(second) + 1].isidentifier():
            return pair, end - at + len(line[end:]) - len(rest) + len(second)
    has_operand = rest[:1].isidentifier() or rest[:1] in ("{", "[", "(")
    if word == "import":
        has_operand = rest[:1] in ("{", "*") or rest.rstrip("; \t\n")[-1:] in ("'", '"')
    return (word if word in _WORDS and has_operand else ""), end - at


def _sign_at(line: str, at: int) -> tuple[str, int]:
    for sign in _SIGNS:
        if line.startswith(sign, at):
            behind = line[at + len(sign) : at + len(sign) + 1]
            is_pythons = sign + behind == "!=" or (
                sign == "..." and not (behind.isidentifier() or behind in ("[", "{"))
            )
            return "" if is_pythons else sign, len(sign)
    return "", 1


advise_with(advice)
