"""Three interfaces to one dispatcher: directly, through WSGI (validated), through ASGI (its messages checked).

Each takes the same ``Ask`` and gives the same ``Reply``, so that one suite of tests goes through all of them.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.validate import validator

from wixhttp.asgi import ASGIApplication
from wixhttp.dispatch.app import App
from wixhttp.dispatch.blocking import answer
from wixhttp.dispatch.call import Call
from wixhttp.dispatch.site import load_site
from wixhttp.dispatch.stream_chunks import StreamBroken
from wixhttp.errors import HTTPError
from wixhttp.http.body import too_large
from wixhttp.http.request_head import MALFORMED, UNKNOWN, PlainHead
from wixhttp.http.request_target import host_of, split_absolute
from wixhttp.http.url import ascii_target, split_target
from wixhttp.project import loader
from wixhttp.project.config import load_config
from wixhttp.wsgi import WSGIApplication

Fields = list[tuple[str, str]]

SITES = Path(__file__).parent / "sites"

TIMEOUT = 60.0  # seconds that a test waits for what takes milliseconds


@dataclass(frozen=True)
class Ask:
    """A request as it would come over a socket. ``target`` is raw, and one character of it is one byte."""

    method: str = "GET"
    target: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    length: str | None = None  # what Content-Length says, where it is not the truth
    chunked: bool = False
    client: str = "127.0.0.1"
    scheme: str = "http"
    root: str = ""  # where a server mounts the application: SCRIPT_NAME, root_path
    stalls: bool = False  # what is missing of the body never comes, and the client stays
    leave_after: int | None = None  # the client hangs up after so many chunks of the answer

    @property
    def announced(self) -> str | None:
        """The value of Content-Length; ``None`` where none is sent."""
        if self.chunked:
            return None
        if self.length is not None:
            return self.length
        return str(len(self.body)) if self.body else None

    def fields(self) -> Fields:
        """The headers, with those that frame the body."""
        fields = list(self.headers)
        if not any(name.lower() == "host" for name, _ in fields):
            fields.insert(0, ("Host", "localhost"))
        if self.chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif self.announced is not None:
            fields.append(("Content-Length", self.announced))
        return fields


@dataclass(frozen=True)
class Reply:
    """The answer to a request. ``broken`` is the error with which a streamed answer ended, or ``None``."""

    status: int
    fields: Fields
    content: bytes
    broken: BaseException | None = None

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header that stands there at most once."""
        values = self.all(name)
        assert len(values) < 2, f"{name} is repeated: {values}"
        return values[0] if values else None

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.content)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.content.decode()

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document that the runtime answered with (RFC 9457), checked for its form."""
        assert self.header("Content-Type") == "application/problem+json"
        found: dict[str, Any] = self.json()
        assert found["status"] == self.status
        assert found["request_id"] == self.header("X-Request-Id")
        assert found["type"] == "about:blank"
        assert found["title"]
        assert set(found) <= {"type", "title", "status", "detail", "request_id"}
        return found


class Interface:
    """A way into the dispatcher ``app``."""

    name = ""

    def __init__(self, app: App) -> None:
        self.app = app

    def ask(self, ask: Ask) -> Reply:
        """The reply to a request, its whole body drawn, unless the client leaves before."""
        raise NotImplementedError

    def close(self) -> None:
        """End what the interface started."""
        for work in self.app.site.background:
            work.stop(TIMEOUT)


class DirectInterface(Interface):
    """``blocking.answer``: what the test kit and ``wixhttp call`` go through."""

    name = "direct"

    def ask(self, ask: Ask) -> Reply:
        target, fields = ascii_target(ask.target.encode("latin-1")), ask.fields()
        host = next(value for name, value in fields if name.lower() == "host")
        if (split := split_absolute(target)) is not None:  # as the server interfaces do
            host, target = host_of(split[0], host) or "", split[1]
            fields = [("Host", host), *(field for field in fields if field[0].lower() != "host")]
        path, query = split_target(target)
        head = PlainHead(
            ask.method, path, query, fields, scheme=ask.scheme, host=host, client=ask.client, length=_length(ask)
        )
        if ask.root and path.startswith(ask.root):
            head.base, head.path = ask.root, path[len(ask.root) :]

        def read(call: Call) -> bytes:
            if len(ask.body) > call.max_body:
                raise too_large(call.max_body)
            if head.length not in (UNKNOWN, len(ask.body)):
                raise HTTPError(400, "The body is shorter than its Content-Length.")
            return ask.body

        encoded = answer(self.app, head, read)
        if encoded.stream is None:
            return _checked(ask, Reply(encoded.status, encoded.fields, encoded.data))
        content, broken = _drawn(iter(encoded.stream), ask.leave_after)  # type: ignore[arg-type]  # a BlockingStream
        encoded.stream.close()  # type: ignore[union-attr]  # the same
        return _checked(ask, Reply(encoded.status, encoded.fields, content, broken))


def _length(ask: Ask) -> int:
    if ask.chunked:
        return UNKNOWN
    announced = ask.announced or "0"
    return int(announced) if announced.isdecimal() and len(announced) < 40 else MALFORMED


def _drawn(chunks: Iterator[bytes], most: int | None) -> tuple[bytes, BaseException | None]:
    parts: list[bytes] = []
    try:
        while most is None or len(parts) < most:
            parts.append(next(chunks))
    except StopIteration:
        pass
    except StreamBroken as error:
        return b"".join(parts), error
    return b"".join(parts), None


class Stalled(io.BytesIO):
    """A body whose rest never comes, as a server's socket with a timeout tells it."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise TimeoutError
        return data


class WSGIInterface(Interface):
    """The WSGI interface, under ``wsgiref.validate.validator``, with an environment as gunicorn makes it."""

    name = "wsgi"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.application = WSGIApplication(app)

    def ask(self, ask: Ask) -> Reply:
        environ = self.environ(ask)
        # What a validator refuses on the way in, and some servers let through, is put back behind it.
        unclean = {}
        announced = environ.get("CONTENT_LENGTH", "")
        if announced and not (announced.isdecimal() and announced.isascii() and len(announced) < 4000):
            unclean["CONTENT_LENGTH"] = environ.pop("CONTENT_LENGTH")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD", "POST", "OPTIONS", "PATCH", "PUT", "DELETE"):
            unclean["REQUEST_METHOD"] = environ["REQUEST_METHOD"]
            environ["REQUEST_METHOD"] = "POST"

        def behind(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            environ.update(unclean)
            return self.application(environ, start_response)

        started: list[tuple[str, Fields]] = []

        def start_response(status: str, fields: Fields, exc_info: Any = None) -> Callable[[bytes], object]:
            started.append((status, list(fields)))
            return lambda data: None

        result = validator(behind)(environ, start_response)
        content, broken = _drawn(iter(result), ask.leave_after)
        result.close()  # type: ignore[attr-defined]  # the validator's
        status, fields = started[-1]
        assert status[3] == " "
        return _checked(ask, Reply(int(status[:3]), fields, content, broken))

    def environ(self, ask: Ask) -> dict[str, Any]:
        """The environment of a request. Repeated headers are joined; the path is decoded, and raw in RAW_URI."""
        path, _, query = ask.target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": ask.method,
            "SCRIPT_NAME": ask.root,
            "PATH_INFO": unquote_to_bytes(_path_of(path).encode("latin-1")).decode("latin-1")[len(ask.root) :],
            "QUERY_STRING": query,
            "RAW_URI": ask.target,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": ask.client,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": ask.scheme,
            "wsgi.input": Stalled(ask.body) if ask.stalls else io.BytesIO(ask.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if ask.chunked:
            environ["wsgi.input_terminated"] = True
        for name, value in ask.fields():
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        if not environ["PATH_INFO"].startswith("/"):
            environ["PATH_INFO"] = "/" + environ["PATH_INFO"]
        return environ


def _path_of(target: str) -> str:
    split = split_absolute(target)
    return target if split is None else split[1]


class ASGIInterface(Interface):
    """The ASGI interface, on an event loop of its own, with its lifespan; order and types of messages are checked."""

    name = "asgi"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.application = ASGIApplication(app)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="test-asgi", daemon=True)
        self.thread.start()
        self._stopping = asyncio.Event()
        self._started = threading.Event()
        self._life = asyncio.run_coroutine_threadsafe(self._live(), self.loop)
        assert self._started.wait(TIMEOUT)

    async def _live(self) -> list[str]:
        sent: list[str] = []
        steps = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> dict[str, Any]:
            step = next(steps)
            if step == "lifespan.shutdown":
                await self._stopping.wait()
            return {"type": step}

        async def send(message: Any) -> None:
            sent.append(message["type"])
            self._started.set()

        await self.application({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
        return sent

    def stop(self) -> None:
        """The end of the life cycle: what handlers left running is waited for."""
        self.loop.call_soon_threadsafe(self._stopping.set)
        assert self._life.result(TIMEOUT) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    def close(self) -> None:
        super().close()
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def ask(self, ask: Ask) -> Reply:
        return asyncio.run_coroutine_threadsafe(self._ask(ask), self.loop).result(TIMEOUT)

    async def _ask(self, ask: Ask) -> Reply:
        path, _, query = ask.target.partition("?")
        raw = path.encode("latin-1")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": ask.method,
            "scheme": ask.scheme,
            "path": unquote_to_bytes(raw).decode("utf-8", "replace"),
            "raw_path": raw,
            "query_string": query.encode("latin-1"),
            "root_path": ask.root,
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in ask.fields()],
            "client": (ask.client, 50000) if ask.client else None,
            "server": ("localhost", 80),
        }
        exchange = Exchange(ask)
        broken: BaseException | None = None
        try:
            await self.application(scope, exchange.receive, exchange.send)
        except StreamBroken as error:
            broken = error
        assert exchange.status
        assert exchange.ended or broken is not None or exchange.left.is_set()
        return _checked(ask, Reply(exchange.status, exchange.fields, b"".join(exchange.parts), broken))


class Exchange:
    """The two callables of one ASGI request. A body goes in pieces; the client stays until it has what it wants."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.status = 0
        self.fields: Fields = []
        self.parts: list[bytes] = []
        self.ended = False
        self.left = asyncio.Event()
        half = len(ask.body) // 2
        pieces = [ask.body[:half], ask.body[half:]] if half else [ask.body]
        cut = not ask.chunked and _length(ask) > len(ask.body)
        self._incoming = [
            {"type": "http.request", "body": piece, "more_body": cut or number < len(pieces)}
            for number, piece in enumerate(pieces, 1)
        ]
        if cut and not ask.stalls:
            self.left.set()

    async def receive(self) -> dict[str, Any]:
        """The next piece of the body, then nothing until the client leaves."""
        if self._incoming:
            return self._incoming.pop(0)
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take a message of the answer, and check it."""
        assert not self.ended, f"a message after the last: {message}"
        if message["type"] == "http.response.start":
            assert not self.status
            assert type(message["status"]) is int
            for name, value in message["headers"]:
                assert type(name) is bytes
                assert type(value) is bytes
                assert not set(name + value) & set(b"\r\n\0")
                self.fields.append((name.decode("latin-1"), value.decode("latin-1")))
            self.status = message["status"]
            return
        assert message["type"] == "http.response.body"
        assert self.status, "a body before the start"
        assert type(message["body"]) is bytes
        if message["body"]:
            self.parts.append(message["body"])
        self.ended = not message.get("more_body", False)
        if self.ended or len(self.parts) == self.ask.leave_after:
            self.left.set()
            await asyncio.sleep(0)


def _checked(ask: Ask, reply: Reply) -> Reply:
    """``reply``, after what holds for every answer."""
    if ask.method == "HEAD" or reply.status in (204, 304):
        assert reply.content == b""
    elif (length := reply.header("Content-Length")) is not None:
        assert int(length) == len(reply.content)
    if reply.status in (204, 304):
        assert not reply.all("Content-Length") + reply.all("Content-Type")
    assert not reply.all("Transfer-Encoding")
    assert reply.all("Connection") in ([], ["close"])  # the latter from the ASGI interface alone, whose server heeds it
    assert reply.header("X-Request-Id")
    return reply


INTERFACES: dict[str, type[Interface]] = {each.name: each for each in (DirectInterface, WSGIInterface, ASGIInterface)}


# --- projects -------------------------------------------------------------------------------------------------------


def forget_projects() -> None:
    """Take the modules of users' projects out of this process."""
    loader._home = None
    for name in list(sys.modules):
        if name.partition(".")[0] in ("backend", "src") or name.startswith("wixhttp_site_"):
            del sys.modules[name]


def write_project(folder: Path, files: str | dict[str, str]) -> Path:
    """A project in ``folder``: files by path, or the text of ``backend/http_functions.py`` with wixhttp's names."""
    if isinstance(files, str):
        files = {"backend/http_functions.py": "from wixhttp import *\n" + dedent(files)}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return folder


def load_app(folder: Path, *, has_short_path: bool = True, **settings: Any) -> App:
    """The dispatcher of a project folder, with settings checked as flags are."""
    return App(load_site(load_config(folder, environ={}, flags=settings)), has_short_path=has_short_path)


class Served:
    """A project behind an interface: called with a target behind ``/_functions/``, or one that begins with ``/``."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        self.app = interface.app

    def __call__(self, target: str, method: str = "GET", *headers: tuple[str, str], **details: Any) -> Reply:
        return self.ask(self._asked(target, method, *headers, **details))

    def _asked(self, target: str, method: str = "GET", *headers: tuple[str, str], **details: Any) -> Ask:
        return Ask(method, target if target.startswith("/") else "/_functions/" + target, headers, **details)

    def ask(self, ask: Ask) -> Reply:
        """The reply to a request for any target, a path or not."""
        return self.interface.ask(ask)

    @property
    def state(self) -> dict[str, Any]:
        """The variables of the project's module."""
        function = next(iter(self.app.site.functions))
        namespace: dict[str, Any] = function.target.__globals__
        return namespace


WAYS = 2 * len(INTERFACES)  # so many lines of the log come from a request of `ServedAlike`, if any does


class ServedAlike(Served):
    """A project, loaded once, behind every interface, with the short path and without: each request is asked of all
    six. Their answers have to be the same; the reply is the first."""

    def __init__(self, interfaces: list[Interface]) -> None:
        super().__init__(interfaces[0])
        self.interfaces = interfaces

    def each(self, target: str, method: str = "GET", *headers: tuple[str, str], **details: Any) -> list[Reply]:
        """The replies of all six, which may differ."""
        ask = self._asked(target, method, *headers, **details)
        return [interface.ask(ask) for interface in self.interfaces]

    def ask(self, ask: Ask) -> Reply:
        replies = [interface.ask(ask) for interface in self.interfaces]
        first, *others = map(_essence, self.interfaces, replies)
        for interface, other in zip(self.interfaces[1:], others, strict=True):
            assert other == first, f"{interface.name} answers {ask} with {other}, not {first}"
        return replies[0]


def _essence(interface: Interface, reply: Reply) -> tuple[int, Fields, bytes, type]:
    """The part of a reply that is the same from ``interface`` as from any other."""
    request_id = reply.header("X-Request-Id") or ""
    passing = [("X-Request-Id", request_id), ("Connection", "close")]
    fields = [field for field in reply.fields if field not in passing]
    is_whole = bool(reply.content and reply.all("Content-Length"))
    if interface.name != "wsgi" and not (is_whole or reply.all("Content-Type") or reply.status in (204, 304)):
        fields.append(("Content-Type", "text/plain; charset=utf-8"))  # as the WSGI interface does
    return reply.status, sorted(fields), reply.content.replace(request_id.encode("latin-1"), b""), type(reply.broken)
