"""The kinds of calls by their origin: those that give a promise, those that block, and those that do neither."""

from __future__ import annotations

import ast
from typing import Literal, NamedTuple

from wixhttp import data
from wixhttp.data import items

_VELO, _ITEMS = "wixhttp.data", "wixhttp.data.items"
_AIO, _AIO_ITEMS = "wixhttp.data.aio", "wixhttp.data.aio.items"
_BUILDERS = {"query": {"find", "count", "distinct"}, "aggregate": {"run"}, "patch": {"run"}, "bulkPatch": {"run"}}
"""Functions that make a builder, and the methods that run it."""
_LEFT_OUT = {name for name in items.__all__ if "DataItem" in name or "async" in name} | {
    "aggregatePipeline", "getAsyncJobStatus", "search", "withEnvironment",
}  # fmt: skip
_NOT_RUN = {"filter", "sort", *_LEFT_OUT}
_RUN = {
    base: frozenset(names) - _NOT_RUN - {"query", "aggregate"}
    for base, names in (
        (_AIO_ITEMS, items.__all__),
        (_AIO, data.__all__),
        (_ITEMS, items.__all__),
        (_VELO, data.__all__),
    )
}  # the longest first
_TURNS = {"next", "prev"}  # of a result


class DataCall(NamedTuple):
    """A call on collections: of ``wixhttp.data.aio`` or not, and whether it runs; else it only makes a builder."""

    is_awaited: bool
    runs: bool


def data_call(origin: str, node: ast.Call) -> DataCall | None:
    """The kind of a call on collections, by the origin of the function; ``None``: it is none."""
    if not origin.startswith("wixhttp.data."):
        return None
    for base, functions in _RUN.items():
        if not origin.startswith(base + "."):
            continue
        is_awaited = base.startswith(_AIO)
        head, *steps = origin[len(base) + 1 :].split(".")
        if not steps:
            if head in ("patch", "bulkPatch"):
                return DataCall(
                    is_awaited, len(node.args) > 2 or any(each.arg == "modifications" for each in node.keywords)
                )
            if head in functions or head in _BUILDERS:
                return DataCall(is_awaited, head in functions)
            return None
        return _of_builder(head, steps, is_awaited=is_awaited)
    return None


def collection_of(origin: str, node: ast.Call) -> ast.Constant | None:
    """The literal name of the collection that a call is about; ``None``: it has none."""
    if origin.rpartition(".")[0] not in _RUN or data_call(origin, node) is None or not node.args:
        return None
    name = node.args[0]
    return name if isinstance(name, ast.Constant) and isinstance(name.value, str) else None


def _of_builder(head: str, steps: list[str], *, is_awaited: bool) -> DataCall | None:
    run = _BUILDERS.get(head.removesuffix("()"))
    if run is None or not head.endswith("()"):
        return None
    *before, last = steps
    if last in _TURNS and before and before[-1].removesuffix("!").removesuffix("()") in run:
        return DataCall(is_awaited, True)
    if not all(step.endswith("()") and step.removesuffix("()") not in run for step in before):
        return None
    return DataCall(is_awaited, last in run)


ANSWERS = ("ok", "created", "badRequest", "forbidden", "notFound", "serverError", "response")
"""The helpers of ``wixhttp`` that make an answer."""

VALUES = frozenset(
    {
        *(f"wixhttp.{name}" for name in (*ANSWERS, "Response")),
        "wixhttp.endpoints.Response",
        "wixhttp.endpoints.Response.json",
        "wixhttp.endpoints.Response.redirect",
        "json.dumps",
        "json.loads",
        *(f"@web.{name}" for name in ("redirect", "cookies.get", "cookies.set", "cookies.has", "cookies.delete")),
    }
)
"""Functions that take values and give one: a promise that is handed to them, deep in a value too, is not awaited."""
OF_VALUES = frozenset(
    f"builtins.{name}"
    for name in (
        "bool",
        "dict",
        "enumerate",
        "float",
        "int",
        "len",
        "list",
        "max",
        "min",
        "set",
        "sorted",
        "sum",
        "tuple",
    )
)
"""Functions that are not made for a promise itself, though for a list of some."""

_READERS = {
    "@request.body": {"json", "text", "buffer", "form"},
    "@web.request": {"json", "text", "bytes", "arrayBuffer", "blob", "formData"},
    "@web.session": {"get", "has", "keys"},
    "wixhttp.fetch.fetch()!": {"json"},
}
_BEGUN = {"@web.session": {"set", "delete", "destroy", "regenerate"}}
_BY_LOOP = {
    "wixhttp.auth.fetchWithAuth", "wixhttp.fetch.fetch", "wixhttp.fetch.getJSON", "wixhttp.fetch.postJSON",
    "@web.rewrite", "@next",
}  # fmt: skip
_ENQUEUE = "wixhttp.inbox.enqueue"
_COROUTINES = {"asyncio.sleep", "asyncio.to_thread", "asyncio.wait_for", "asyncio.wait"}

Promise = Literal["aio", "reader", "begun", "coroutine", "call"]


def promise(origin: str, node: ast.Call, *, on_loop: bool) -> Promise | None:
    """The kind of promise that a call gives in an ``async def`` (``on_loop``) or in a ``def``; ``None``: none.

    ``"begun"`` are those whose value nobody needs: they run whether they are awaited or not.
    """
    called = data_call(origin, node)
    if called is not None:
        return "aio" if called.is_awaited and called.runs else None
    if origin in _COROUTINES:
        return "coroutine"
    if not on_loop:
        return None
    if origin == _ENQUEUE:
        return "aio"
    base, _, last = origin.rpartition(".")
    if last in _READERS.get(base, ()):
        return "reader"
    if last in _BEGUN.get(base, ()):
        return "begun"
    return "call" if origin in _BY_LOOP else None


_SLEEP = "await asyncio.sleep(seconds)"
_THREAD = "await asyncio.to_thread({name}, ...)"
_AIO_IMPORT = "from wixhttp.data import aio as wix_data, and await its calls"
_PROCESS = "await asyncio.create_subprocess_exec(...)"
_BLOCKING: dict[str, str] = {
    "time.sleep": _SLEEP,
    **{
        f"{library}.{name}": _THREAD
        for library in ("requests", "httpx")
        for name in "get post put patch delete head options request stream".split()
    },
    **{f"requests.Session().{name}": _THREAD for name in "get post put patch delete head options request".split()},
    "urllib.request.urlopen": _THREAD,
    "urllib.request.urlretrieve": _THREAD,
    **{f"subprocess.{name}": _PROCESS for name in "run call check_call check_output getoutput getstatusoutput".split()},
    "os.system": _PROCESS,
    "os.popen": _PROCESS,
    "os.waitpid": _THREAD,
    "socket.create_connection": "await asyncio.open_connection(host, port)",
    "socket.getaddrinfo": "await asyncio.get_running_loop().getaddrinfo(host, port)",
    "socket.gethostbyname": "await asyncio.get_running_loop().getaddrinfo(host, port)",
    **{f"socket.socket().{name}": _THREAD for name in ("connect", "recv", "sendall", "accept", "send")},
    **{
        f"{each}.connect": _THREAD for each in "sqlite3 psycopg psycopg2 pymysql MySQLdb mysql.connector pyodbc".split()
    },
    "smtplib.SMTP": _THREAD,
    "smtplib.SMTP_SSL": _THREAD,
    "ftplib.FTP": _THREAD,
    "builtins.open": _THREAD,
    "io.open": _THREAD,
    "builtins.input": _THREAD,
    **{f"pathlib.Path().{name}": _THREAD for name in "open read_text read_bytes write_text write_bytes".split()},
    **{f"shutil.{name}": _THREAD for name in "copy copy2 copyfile copyfileobj copytree move rmtree".split()},
}
"""Functions that block -> what to write in an ``async def`` instead."""


def blocking(origin: str, node: ast.Call) -> str | None:
    """The text to write in an ``async def`` for a call that blocks; ``None``: it does not, or is not known."""
    called = data_call(origin, node)
    if called is not None:
        return _AIO_IMPORT if called.runs and not called.is_awaited else None
    if origin not in _BLOCKING:
        return None
    name = ast.unparse(node.func)
    return _BLOCKING[origin].replace("{name}", name if len(name) < 50 else "function")
