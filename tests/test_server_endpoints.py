"""Endpoints served by real processes: large uploads, many at once, hostile paths, framing, sessions over processes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import requests

from tests import commands
from tests.servers import Answer, Server, clean, connect, failed_start, read_all, read_answer, serving

PATIENT = 60  # seconds until a request is a failure
LARGE = 60_000_000  # bytes of a large upload: more than a worker may take
MOST_MEMORY = 50_000  # kB that a worker may take for it, with everything that it is itself
SECRET = "s3cret-value-77"
PIECE = b"0123456789abcdef" * 8192
BOUNDARY = "xxboundaryxx"
ORIGIN = "Origin: http://x"  # of the Host that these requests name
KINDS = {"def": "", "async def": "await "}
WORKER_CLASSES = ("asgi", "gthread", "gevent")

MIDDLEWARE = {
    "def": "def {name}(context, next):\n{body}\n    response = next()\n    return response\n",
    "async def": "async def {name}(context, next):\n{body}\n    response = await next()\n    return response\n",
}
MARK = '    context.locals[{name!r}] = context.request.headers.get("X-Token")'


def middleware(*kinds: str) -> str:
    """The file of middlewares of these kinds, each of which leaves the request's token in ``locals``."""
    names = [f"m{number}" for number, _ in enumerate(kinds)]
    parts = [
        MIDDLEWARE[kind].format(name=name, body=MARK.format(name=name)) for name, kind in zip(names, kinds, strict=True)
    ]
    return "\n".join(["from wixhttp.endpoints import sequence", *parts, f"onRequest = sequence({', '.join(names)})"])


ECHO = """
    {kind} GET(params, url, locals, cookies, request):
        cookies.set("seen", params["id"])
        return Response.json({{
            "id": params["id"], "q": url.searchParams.get("q"), "locals": sorted(set(vars(locals).values())),
            "token": request.headers.get("X-Token"), "who": cookies.get("who").value, "path": url.pathname,
        }})
"""
REWRITES = {  # each leads to the next, of the other kind, and the last to an echo
    "def": "def GET(params, url, rewrite): return rewrite('/{to}/' + params['id'] + url.search)",
    "async def": "async def GET(params, url, rewrite): return await rewrite('/{to}/' + params['id'] + url.search)",
}
UPLOAD = """
    {kind} POST(request):
        form = {wait}request.formData()
        file = form.get("file")
        last = b""
        {each} piece in file.stream():
            last = piece
        return Response.json({{"title": form.get("title"), "size": file.size, "last": last[-4:].decode()}})
"""


def page(source: str, **names: str) -> str:
    """The text of an endpoint's file."""
    return "from wixhttp import limits\nfrom wixhttp.endpoints import *\n" + dedent(source).format(**names)


def site(folder: Path, files: dict[str, str], settings: str = "") -> Path:
    """A project folder with these files."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "wixhttp.toml").write_text(settings, encoding="utf-8")
    return folder


def echoes() -> dict[str, str]:
    """Endpoints of both kinds that tell what they were asked, and some that rewrite to them."""
    files = {}
    for kind, short in (("def", "d"), ("async def", "a")):
        files[f"src/pages/{short}/[id].py"] = page(ECHO, kind=kind)
    files["src/pages/d-a-d/[id].py"] = page(REWRITES["def"], to="a-d")
    files["src/pages/a-d/[id].py"] = page(REWRITES["async def"], to="d")
    files["src/pages/a-d-a/[id].py"] = page(REWRITES["async def"], to="d-a")
    files["src/pages/d-a/[id].py"] = page(REWRITES["def"], to="a")
    return files


FILES = {
    **echoes(),
    "backend/http_functions.py": """
from wixhttp import ok
def get_hello(request): return ok({"body": "hello " + request.path[0]})
async def get_ahello(request): return ok({"body": "hello " + request.path[0]})
""",
    "src/pages/upload/def.py": page(UPLOAD, kind="def", wait="", each="for"),
    "src/pages/upload/async.py": page(UPLOAD, kind="async def", wait="await ", each="async for"),
    "src/pages/json.py": page("""
        @limits(max_body="1MB")
        async def POST(request): return Response.json(len(await request.json()))
        """),
    "src/pages/late/def.py": page("""
        import time
        @limits(timeout=0.3)
        def GET():
            time.sleep(0.8)
            return Response("late")
        """),
    "src/pages/late/async.py": page("""
        import asyncio
        @limits(timeout=0.3)
        async def GET():
            await asyncio.sleep(30)
        """),
    "src/pages/said/[id].py": page("""
        def GET(params):
            print("said by", params["id"])
            return Response("said")
        """),
    "src/pages/fails/[id].py": page("""
        def GET(params): raise LookupError("no " + params["id"] + " with s3cret-value-77")
        async def POST(params): raise LookupError("no " + params["id"] + " with s3cret-value-77")
        """),
    "src/pages/rest/[...path].py": page("""
        def GET(params, url): return Response.json([params["path"], url.pathname])
        ALL = GET
        """),
    "src/pages/inject.py": page("""
        def GET(url, cookies, redirect):
            how, value = url.searchParams.get("how"), url.searchParams.get("value")
            if how == "redirect":
                return redirect(value)
            if how == "cookie":
                cookies.set("c", value)
            if how == "name":
                cookies.set(value, "c")
            if how == "path":
                cookies.set("c", "c", path=value)
            if how == "header":
                return Response("x", headers={{"X-Header": value}})
            if how == "append":
                response = Response("x")
                response.headers.append("X-Header", value)
                return response
            if how == "field":
                return Response("x", headers={{value: "x"}})
            if how == "text":
                return Response("x", statusText=value)
            return Response("x")
        """),
    "src/pages/plain.py": page("""
        def GET(request):
            if request.headers.get("If-None-Match") == '"1"':
                return Response(None, 304, headers={{"ETag": '"1"'}})
            return Response("0123456789", headers={{"ETag": '"1"'}})
        def POST(request): return Response(request.text())
        async def DELETE(): return Response(None, 204)
        """),
    "src/pages/stream.py": page("""
        def GET(): return Response(f"{{n}}," for n in range(5))
        async def POST():
            async def numbers():
                for n in range(5):
                    yield f"{{n}},"
            return Response(numbers())
        """),
    "src/pages/endless/def.py": page("""
        import time
        def ticks():
            try:
                while True:
                    time.sleep(0.01)
                    yield "tick\\n"
            finally:
                print("closed def")
        def GET(): return Response(ticks())
        """),
    "src/pages/endless/async.py": page("""
        import asyncio
        async def ticks():
            try:
                while True:
                    await asyncio.sleep(0.01)
                    yield "tick\\n"
            finally:
                print("closed async")
        async def GET(): return Response(ticks())
        """),
}  # fmt: skip
NOISY = '    print("middleware saw", context.url.pathname)\n'


@pytest.fixture(scope="module", params=WORKER_CLASSES)
def worker_class(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def temporary(worker_class: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for temporary files of ``server``."""
    return tmp_path_factory.mktemp(f"temporary-{worker_class}")


@pytest.fixture(scope="module")
def server(worker_class: str, temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with two threads, and middleware of both kinds."""
    kinds = ("async def", "def") if worker_class == "asgi" else ("def", "async def")
    mark = MARK.format(name="m0")
    files = {
        **FILES,
        "src/middleware.py": middleware(*kinds).replace(mark, NOISY + mark),
        "secrets.env": f"KEY={SECRET}\n",
    }
    project = site(tmp_path_factory.mktemp("endpoints"), files, "max_body = '120MB'\nbody_timeout = 2")
    (project / "secrets.env").chmod(0o600)
    flags = ("--worker-class", worker_class, "--workers", "1", "--threads", "2")
    with serving(project, *flags, WIXHTTP_MAX_CONCURRENCY="1000", TMPDIR=str(temporary)) as server:
        yield server
        assert server.stop() == 0


def get(server: Server, target: str, **headers: str) -> requests.Response:
    return requests.get(f"{server.url}{target}", headers=headers, timeout=PATIENT)


# --- large uploads ---------------------------------------------------------------------------------------------------


FORM_HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="title"\r\n\r\nlarge\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
FORM_END = f"\r\n--{BOUNDARY}--\r\n".encode()


class Upload:
    """A form with a file of ``size`` bytes that is sent bit by bit: ``send`` a part of the file, then ``end``."""

    def __init__(self, port: int, target: str, size: int) -> None:
        self.connection = connect(port)
        length = len(FORM_HEAD) + size + len(FORM_END)
        head = form_request(target, f"Content-Length: {length}")
        self.connection.sendall(head + FORM_HEAD)

    def send(self, count: int) -> None:
        while count:
            piece = PIECE[: min(count, len(PIECE))]
            self.connection.sendall(piece)
            count -= len(piece)

    def end(self) -> Answer:
        """End the form; the answer to it."""
        self.connection.sendall(FORM_END)
        return read_answer(self.connection, "POST")

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()


def form_request(target: str, framing: str) -> bytes:
    fields = [ORIGIN, f"Content-Type: multipart/form-data; boundary={BOUNDARY}", framing]
    return "\r\n".join([f"POST {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


def peak_memory(pid: int) -> int:
    """The most memory that a process had, in kB."""
    return next(
        int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line[:6] == "VmHWM:"
    )


def forget_peak(pid: int) -> None:
    """Have the peak begin anew, where the system allows it."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def open_files(pid: int, folder: Path) -> list[str]:
    """The files below a folder that a process has open, those without a name as well."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(link))
    return [name for name in found if name.startswith(str(folder))]


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether a condition that no event announces comes true in time."""
    end = time.monotonic() + PATIENT
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Others:
    """Requests that go on beside something else; ``waits`` are their times in seconds, ``wrong`` what they got."""

    def __init__(self, server: Server, *targets: str) -> None:
        self.server, self.targets = server, targets
        self.waits: list[float] = []
        self.wrong: list[Any] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def _go_on(self) -> None:
        with requests.Session() as session:
            for target in itertools.cycle(self.targets):
                if self._stopped.is_set():
                    return
                started = time.monotonic()
                answer = session.get(self.server.url + target, cookies={"who": "me"}, timeout=PATIENT)
                self.waits.append(time.monotonic() - started)
                if answer.status_code != 200:
                    self.wrong.append((answer.status_code, answer.text))

    def __enter__(self) -> Others:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()


def large_upload(server: Server, kind: str) -> Others:
    """Upload a large file; the requests that went on beside its second half."""
    with Upload(server.port, f"/upload/{kind}", LARGE) as upload:
        upload.send(LARGE // 2)
        for number in range(20):  # it is under way, and nothing of it moves
            assert get(server, f"/{'da'[number % 2]}/{number}", Cookie="who=me").json()["id"] == str(number)
        with Others(server, "/a/1", "/d/1") as others:
            upload.send(LARGE // 2)
            answer = upload.end()
    last = PIECE[: LARGE // 2 % len(PIECE)][-4:].decode()
    assert (answer.status, answer.json()) == (200, {"title": "large", "size": LARGE, "last": last})
    assert not others.wrong
    return others


@pytest.mark.parametrize("kind", ["def", "async"])
def test_large_upload_takes_little_memory_and_holds_up_nobody(
    server: Server, worker_class: str, temporary: Path, kind: str
) -> None:
    (pid,) = server.workers()
    forget_peak(pid)
    # Under gevent a `def` that reads its form, half a second of work for so large a one, is alone in its process.
    fewest, longest = (2, 5.0) if worker_class == "gevent" else (10, 1.0)
    answered = 0
    for _ in range(3):  # on a busy machine, where the others come seldom to their turn, it is sent again
        waits = large_upload(server, kind).waits
        assert max(waits) < longest
        answered = max(answered, len(waits))
        if answered >= fewest:
            break
    assert answered >= fewest
    assert peak_memory(pid) < MOST_MEMORY
    assert eventually(lambda: not open_files(pid, temporary)), open_files(pid, temporary)
    assert not list(temporary.iterdir())


def test_upload_in_tiny_pieces_takes_little_memory(server: Server, worker_class: str) -> None:
    (pid,) = server.workers()
    forget_peak(pid)
    before = peak_memory(pid)
    first, count = FORM_HEAD, 16_000 if worker_class == "asgi" else 250_000  # asgi refuses more of such chunks
    with connect(server.port) as connection:
        connection.sendall(form_request("/upload/async", "Transfer-Encoding: chunked"))
        connection.sendall(f"{len(first):x}\r\n".encode() + first + b"\r\n")
        for _ in range(count // 1000):
            connection.sendall(b"2\r\nab\r\n" * 1000)
        connection.sendall(f"{len(FORM_END):x}\r\n".encode() + FORM_END + b"\r\n0\r\n\r\n")
        answer = read_answer(connection, "POST")
    assert (answer.status, answer.json()["size"]) == (200, 2 * count)
    assert peak_memory(pid) - before < 15_000


def test_client_that_leaves_amid_an_upload_leaves_nothing_behind(server: Server, temporary: Path) -> None:
    (pid,) = server.workers()
    with Upload(server.port, "/upload/async", LARGE) as upload:
        upload.send(5_000_000)
        assert eventually(lambda: bool(open_files(pid, temporary)))
    (line,) = server.wait_for_message("POST /upload/async 400", logger="wixhttp.access")
    assert eventually(lambda: not open_files(pid, temporary)), open_files(pid, temporary)
    assert not [told for told in told_of(server, line["request_id"]) if "exception" in told]


@pytest.mark.parametrize("framing", [f"Content-Length: {LARGE}", "Transfer-Encoding: chunked"])
def test_large_json_is_refused(server: Server, temporary: Path, framing: str) -> None:
    (pid,) = server.workers()
    with connect(server.port) as connection:
        head = ["POST /json HTTP/1.1", "Host: x", "Content-Type: application/json", framing, "", ""]
        connection.sendall("\r\n".join(head).encode())
        sent = 0
        with contextlib.suppress(OSError):  # refused, the rest is not read
            while "chunked" in framing and sent < LARGE and not select.select([connection], [], [], 0)[0]:
                connection.sendall(f"{len(PIECE):x}\r\n".encode() + PIECE + b"\r\n")
                sent += len(PIECE)
        assert read_answer(connection, "POST").status == 413
    assert eventually(lambda: not open_files(pid, temporary)), open_files(pid, temporary)


def test_upload_does_not_wait_for_handlers(tmp_path: Path) -> None:
    """The time that its pieces wait for the disk would be held against the client."""
    busy = page("""
        import threading, time
        import lights
        def GET():
            print("busy")
            assert lights.green.wait(30)
            return Response("busy")
        async def POST():
            lights.green.set()
            return Response("go on")
        """)
    files = {
        "lights.py": "import threading\ngreen = threading.Event()\n",
        "src/middleware.py": middleware("async def"),
        "src/pages/busy.py": busy,
        "src/pages/upload/async.py": FILES["src/pages/upload/async.py"],
    }
    project = site(tmp_path, files, "max_body = '10MB'\nbody_timeout = 1\ntimeout = 40")
    with serving(project, "--workers", "1", "--threads", "1") as server, ThreadPoolExecutor(1) as clients:
        waits = clients.submit(get, server, "/busy")
        server.wait_for_message("busy", logger="print")
        with Upload(server.port, "/upload/async", 3_000_000) as upload:
            upload.send(3_000_000)
            answer = upload.end()
        requests.post(f"{server.url}/busy", headers={"Content-Type": "application/json"}, timeout=PATIENT)
        assert (answer.status, answer.json()) == (200, {"title": "large", "size": 3_000_000, "last": "cdef"})
        assert waits.result().status_code == 200


# --- many at once ----------------------------------------------------------------------------------------------------


def load(server: Server, targets: list[str], marks: int, clients: int = 50, count: int = 8) -> None:
    """Many requests at once, each of which is to get its own answer."""

    def ask_some(client: int) -> None:
        with requests.Session() as session:
            for number in range(count):
                target, own = targets[(client + number) % len(targets)], f"{client}-{number}"
                answer = session.get(
                    f"{server.url}/{target}/{own}?q={own}",
                    headers={"X-Token": own, "Cookie": f"who={own}"},
                    timeout=PATIENT,
                )
                last = target.rpartition("-")[2]
                assert answer.status_code == 200, (target, answer.text)
                assert answer.json() == {
                    "id": own, "q": own, "locals": [own] if marks else [], "token": own, "who": own,
                    "path": f"/{last}/{own}",
                }, target  # fmt: skip
                assert answer.headers["Set-Cookie"] == f"seen={own}", target
                session.cookies.clear()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask_some, range(clients)))


def test_answers_are_not_mixed_up_behind_middleware_of_both_kinds(server: Server) -> None:
    load(server, ["d", "a", "d-a-d", "a-d-a"], 2)


@pytest.mark.parametrize("kind", [None, "def", "async def"])
def test_answers_are_not_mixed_up(worker_class: str, kind: str | None, tmp_path: Path) -> None:
    files = {**echoes(), **({} if kind is None else {"src/middleware.py": middleware(kind)})}
    flags = ("--worker-class", worker_class, "--workers", "1", "--threads", "2")
    with serving(site(tmp_path, files), *flags, WIXHTTP_ACCESS_LOG="0", WIXHTTP_MAX_CONCURRENCY="1000") as server:
        load(server, ["d", "a", "d-a-d", "a-d-a"], 0 if kind is None else 1, clients=25, count=4)


def test_functions_and_endpoints_side_by_side(server: Server) -> None:
    def ask_both(client: int) -> None:
        with requests.Session() as session:
            for number in range(4):
                own = f"{client}-{number}"
                for name in ("hello", "ahello"):
                    assert session.get(f"{server.url}/_functions/{name}/{own}", timeout=PATIENT).text == f"hello {own}"
                for name in "da":
                    answer = session.get(f"{server.url}/{name}/{own}", headers={"Cookie": "who=x"}, timeout=PATIENT)
                    assert answer.json()["id"] == own
                assert session.get(f"{server.url}/_wixhttp/health/live", timeout=PATIENT).status_code == 200

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(ask_both, range(10)))


# --- time-outs and limits --------------------------------------------------------------------------------------------


def test_past_its_time(server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(server, "/late/async"), range(8)))
    assert [answer.status_code for answer in answers] == [504] * 8, [answer.text for answer in answers]
    assert get(server, "/a/1", Cookie="who=me").status_code == 200
    assert get(server, "/d/1", Cookie="who=me").status_code == 200
    found = server.wait_for_message("GET /late/async 504", 8, logger="wixhttp.access")
    ids = {line["request_id"] for line in found}
    told = [line for line in server.lines if isinstance(line, dict) and line.get("request_id") in ids]
    assert not [line for line in told if "exception" in line], told


def test_def_past_its_time(server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: get(server, "/late/def"), range(4)))
    assert [answer.status_code for answer in answers] == [504] * 4, [answer.text for answer in answers]
    assert get(server, "/a/1", Cookie="who=me").status_code == 200
    assert get(server, "/d/1", Cookie="who=me").status_code == 200


def test_slots_are_given_back(tmp_path: Path) -> None:
    """More than the threads, and than ``max_concurrency``: some are refused, none hangs, and afterwards all is free."""
    files = {
        "src/middleware.py": middleware("async def", "def"),
        "src/pages/d.py": page("""
            import time
            def GET():
                time.sleep(0.3)
                return Response("d")
            """),
        "src/pages/a.py": page("""
            import asyncio
            @limits(timeout=0.6)
            async def GET(url):
                await asyncio.sleep(0.1 if url.search else 30)
                return Response("a")
            """),
    }  # fmt: skip
    flags = ("--workers", "1", "--threads", "2")
    with serving(site(tmp_path, files), *flags, WIXHTTP_MAX_CONCURRENCY="6") as server:
        for _ in range(2):
            with ThreadPoolExecutor(20) as pool:
                statuses = list(pool.map(lambda n: get(server, ("/d", "/a")[n % 2]).status_code, range(20)))
            assert set(statuses) <= {200, 503, 504}
            assert {503, 504} <= set(statuses)
        assert eventually(lambda: get(server, "/a?quick").status_code == 200)
        # Every slot is there. It is given back behind the answer: what was asked before may hold one for a moment.
        with ThreadPoolExecutor(6) as pool:
            assert eventually(
                lambda: set(pool.map(lambda _: get(server, "/a?quick").status_code, range(6))) <= {200, 504}
            )


# --- the log ---------------------------------------------------------------------------------------------------------


def told_of(server: Server, request_id: str) -> list[dict[str, Any]]:
    """The log lines of a request, once its access line is there."""
    server.wait_for(lambda line: line.get("request_id") == request_id and line["logger"] == "wixhttp.access")
    return [line for line in list(server.lines) if isinstance(line, dict) and line.get("request_id") == request_id]


def test_access_line_and_prints_have_the_request(server: Server) -> None:
    answer = get(server, "/said/7?q=1", **{"X-Request-Id": "said-7"})
    assert answer.headers["X-Request-Id"] == "said-7"
    told = told_of(server, "said-7")
    assert [(line["logger"], line["message"]) for line in told] == [
        ("print", "middleware saw /said/7"), ("print", "said by 7"), ("wixhttp.access", "GET /said/7 200"),
    ]  # fmt: skip
    assert told[-1]["function"] == "GET /said/[id]"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_failure_is_logged_once_without_secrets(server: Server, method: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.request(method, f"{server.url}/fails/{method}", headers=headers, timeout=PATIENT)
    assert answer.status_code == 500
    assert not [text for text in (SECRET, "Lookup") if text in answer.text]
    told = told_of(server, answer.headers["X-Request-Id"])
    (failure,) = [line for line in told if "exception" in line]
    assert failure["message"] == f"{method} /fails/[id] raised LookupError"
    assert f"no {method} with ***" in failure["exception"]
    assert told[-1]["function"] == f"{method} /fails/[id]"
    assert SECRET not in json.dumps(server.lines)


# --- hostile paths ---------------------------------------------------------------------------------------------------

HOSTILE = [
    b"/../../etc/passwd", b"/rest/../../etc/passwd", b"/rest/%2e%2e/%2e%2e/etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd",
    b"/..%2f..%2fetc/passwd", b"/rest/..%2f..%2fetc%2fpasswd", b"/rest/%252e%252e%252fetc/passwd",
    b"/rest/%25252e%25252e/x", b"/\\..\\..\\etc\\passwd", b"/rest/\\..\\x", b"/rest/%5c..%5cx", b"/rest/a/..%5c..%5cx",
    b"//etc/passwd", b"///rest//..//x", b"/rest//etc//passwd", b"/rest/....//x", b"/rest/.%2e/x", b"/rest/%2e./x",
    b"/rest/..;/x", b"/rest/%00", b"/rest/a%00b", b"/%00", b"/rest/a%0d%0aX-Bad:%20b", b"/rest/%ff",
    b"/rest/%c0%ae%c0%ae/x",
    b"/rest/%", b"/rest/%zz", b"/rest/%e2%80%ae", b"/built/../../etc/passwd", b"/built/%2e%2e/%2e%2e/wixhttp.toml",
    b"/built/..%2f..%2fwixhttp.toml", b"/built.json/../../secrets.env", b"/secrets.env", b"/dist/../secrets.env",
    b"/..", b"/.", b"/rest/..", b"/rest/.", b"/~root", b"/rest/c:/x", b"/rest" + b"/a" * 2000,
    b"/rest/" + b"%25" * 1300,
    b"/rest" + b"/.." * 1300, b"/rest/a?/../../etc/passwd", b"/rest/\xc3\xa4", b"/rest/\xff",
]  # fmt: skip


OUTSIDE = (b"root:", SECRET.encode(), b"120MB")  # what stands in files that no path may lead to


def raw_get(port: int, target: bytes, method: bytes = b"GET") -> Answer:
    with connect(port) as connection:
        connection.sendall(method + b" " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        return read_answer(connection, method.decode())


def test_no_path_leads_outside(server: Server) -> None:
    for target in HOSTILE:
        answer = raw_get(server.port, target)
        assert answer.status in (200, 400, 404), (target, answer.body)
        assert not [text for text in OUTSIDE if text in answer.body], target
        if answer.status == 200:
            path, pathname = answer.json()
            for text in (path or "", pathname):
                assert not {"..", "."} & set(text.split("/")), text
                assert not [part for part in ("\\", "//") if part in text]
        assert "x-bad" not in answer.headers, target


def test_targets_of_other_forms(server: Server) -> None:
    targets = [
        b"http://x/rest/a", b"http://other.example/rest/../../etc/passwd", b"*", b"rest/a", b"HTTP://x", b"?q", b"/?",
        b"#", b"x:80", b"http:///etc/passwd", b"http://x/rest/%2e%2e/%2e%2e/y", b"/" + b"a" * 10_000,
    ]  # fmt: skip
    for target, method in itertools.product(targets, (b"GET", b"OPTIONS", b"HEAD")):
        answer = raw_get(server.port, target, method)
        assert answer.status in (200, 204, 400, 404, 405, 414, 431), (target, answer.status, answer.body)
        assert b"root:" not in answer.body
        assert raw_get(server.port, b"/plain").status == 200


# --- injection -------------------------------------------------------------------------------------------------------


INJECTED = [
    "a%0d%0aX-Bad:%20b", "a%0aX-Bad:b", "a%0dX-Bad:b", "%0d%0a%0d%0a<b>", "a%00b", "/%0d%0aX-Bad:b", "https://x/%0aX-Bad:b",
    "%C4%8D%C4%8AX-Bad:b", "%E5%98%8A%E5%98%8DX-Bad:b", "a;Domain=.x,c=d",
]  # fmt: skip


@pytest.mark.parametrize("how", ["redirect", "cookie", "name", "path", "header", "append", "field", "text"])
def test_no_answer_can_be_split(server: Server, how: str) -> None:
    for value in INJECTED:
        _is_in_one_piece(server, how, value)


def _is_in_one_piece(server: Server, how: str, value: str) -> None:
    with connect(server.port) as connection:
        connection.sendall(
            f"GET /inject?how={how}&value={value} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        raw = read_all(connection)
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert int(lines[0].split()[1]) in (200, 302, 500), value
    assert not {*b"\r\n\0"} & {*b"".join(lines)}
    assert not [line for line in lines if line.lower().startswith(b"x-bad")]
    assert raw.count(b"HTTP/1.1 ") == 1
    if lines[0].split()[1] == b"200":
        assert body == b"x" or b"\r\nx\r\n" in body
    if how == "cookie":
        assert not [line for line in lines if line.lower().startswith(b"set-cookie") and b";" in line]


# --- framing ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with static endpoints, built."""
    project = site(
        tmp_path_factory.mktemp("built"),
        {
            "src/pages/built.json.py": page("""
                prerender = True
                def GET(): return Response("0123456789" * 10, headers={{"Content-Type": "text/x", "X-Built": "yes"}})
                """),
            "src/pages/plain.py": FILES["src/pages/plain.py"],
            "src/pages/rest/[...path].py": FILES["src/pages/rest/[...path].py"],
            "secrets.env": f"KEY={SECRET}\n",
        },
        "max_body = '120MB'",
    )  # fmt: skip
    (project / "secrets.env").chmod(0o600)
    commands.run(["--project", str(project), "build"], cwd=project, env=clean({}), check=True)
    assert (project / "dist" / "built.json").read_bytes() == b"0123456789" * 10
    return project


@pytest.fixture(scope="module", params=["asgi", "gthread"])
def static(request: pytest.FixtureRequest, built: Path) -> Iterator[Server]:
    with serving(built, "--worker-class", request.param, "--workers", "1") as server:
        yield server


def test_no_path_leads_out_of_what_was_built(static: Server) -> None:
    for target in (*HOSTILE, b"/built.json/..", b"/built.json%00", b"/built.json/%2e%2e/secrets.env"):
        answer = raw_get(static.port, target)
        assert answer.status in (200, 400, 404), (target, answer.body)
        assert not [text for text in OUTSIDE if text in answer.body], target


def exchange(connection: socket.socket, method: str, target: str, *fields: str, body: bytes = b"") -> Answer:
    connection.sendall("\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode() + body)
    return read_answer(connection, method)


JSON = "Content-Type: application/json"


def test_framing_of_endpoints_on_one_connection(server: Server) -> None:
    with connect(server.port) as connection:
        for _ in range(3):
            assert exchange(connection, "GET", "/plain").body == b"0123456789"
            head = exchange(connection, "HEAD", "/plain")
            assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")
            unchanged = exchange(connection, "GET", "/plain", 'If-None-Match: "1"')
            assert (unchanged.status, unchanged.headers["etag"], unchanged.body) == (304, '"1"', b"")
            assert exchange(connection, "POST", "/plain", JSON, "Content-Length: 3", body=b"abc").body == b"abc"
            chunks = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
            assert (
                exchange(connection, "POST", "/plain", JSON, "Transfer-Encoding: chunked", body=chunks).body == b"abc"
            )
            gone = exchange(connection, "DELETE", "/plain", JSON)
            assert (gone.status, gone.body, "content-length" in gone.headers) == (204, b"", False)
            assert exchange(connection, "PUT", "/plain", JSON, "Content-Length: 3", body=b"abc").status == 405
            for method in ("GET", "POST"):
                assert exchange(connection, method, "/stream", JSON).body == b"0,1,2,3,4,"
            assert exchange(connection, "HEAD", "/stream").body == b""
            assert exchange(connection, "HEAD", "/nowhere").status == 404
            assert exchange(connection, "GET", "/nowhere").json()["status"] == 404


def test_framing_of_built_files_on_one_connection(static: Server) -> None:
    whole = b"0123456789" * 10
    with connect(static.port) as connection:
        for _ in range(3):
            answer = exchange(connection, "GET", "/built.json")
            assert (answer.status, answer.body, answer.headers["x-built"]) == (200, whole, "yes")
            etag, date = answer.headers["etag"], answer.headers["last-modified"]
            head = exchange(connection, "HEAD", "/built.json")
            assert (head.status, head.headers["content-length"], head.body) == (200, "100", b"")
            for field in (f"If-None-Match: {etag}", f"If-Modified-Since: {date}"):
                unchanged = exchange(connection, "GET", "/built.json", field)
                assert (unchanged.status, unchanged.body) == (304, b"")
            part = exchange(connection, "GET", "/built.json", "Range: bytes=10-14")
            assert (part.status, part.body, part.headers["content-range"]) == (206, b"01234", "bytes 10-14/100")
            assert part.headers["content-length"] == "5"
            beyond = exchange(connection, "GET", "/built.json", "Range: bytes=200-")
            assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */100")
            assert exchange(connection, "GET", "/plain").body == b"0123456789"


@pytest.mark.parametrize("kind", ["def", "async"])
def test_stream_is_closed_when_its_client_leaves(server: Server, kind: str) -> None:
    with connect(server.port) as connection:
        connection.sendall(f"GET /endless/{kind} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        while received.count(b"tick") < 2:
            received += connection.recv(4096)
    server.wait_for_message(f"closed {kind}", logger="print")


# --- starting and stopping -------------------------------------------------------------------------------------------

GOOD = page("def GET(): return Response('good')")
BROKEN = "import json\njson.loads('{')\n"


def test_file_that_cannot_be_imported_ends_the_server_with_3(tmp_path: Path) -> None:
    project = site(tmp_path, {"src/pages/good.py": GOOD, "src/pages/api/broken.py": BROKEN})
    code, errors, _ = failed_start(project, "--workers", "2")
    assert code == 3
    assert not [
        text for text in ("src/pages/api/broken.py", "json.loads('{')", "JSONDecodeError") if text not in errors
    ]
    assert errors.count("Traceback") == 1


def test_two_files_of_one_route_end_the_server_with_3(tmp_path: Path) -> None:
    project = site(tmp_path, {"src/pages/x.py": GOOD, "src/pages/x/index.py": GOOD})
    code, errors, _ = failed_start(project, "--workers", "1")
    assert (code, "src/pages/x.py and src/pages/x/index.py are both the route /x" in errors) == (3, True), errors


def test_in_development_only_the_broken_route_fails(tmp_path: Path) -> None:
    files = {"src/pages/x.py": GOOD, "src/pages/x/index.py": GOOD, "src/pages/broken.py": BROKEN}
    with serving(site(tmp_path, files), "--workers", "1", WIXHTTP_MODE="development") as server:
        assert get(server, "/x").text == "good"
        assert get(server, "/broken").status_code == 500
        server.wait_for_message("src/pages/x.py and src/pages/x/index.py are both the route /x")
        server.wait_for_message("broken.py", logger="wixhttp")


def test_sigterm_waits_for_what_runs_behind_middleware(worker_class: str, tmp_path: Path) -> None:
    slow = """
        import {module}
        {kind} GET(params):
            print("began")
            {wait}{module}.sleep(0.5)
            return Response("finished")
        """
    files = {
        "src/middleware.py": middleware("async def", "def"),
        "src/pages/def.py": page(slow, kind="def", wait="", module="time"),
        "src/pages/async.py": page(slow, kind="async def", wait="await ", module="asyncio"),
    }
    files = {name: text.replace("GET(params)", "GET()") for name, text in files.items()}
    with serving(site(tmp_path, files), "--worker-class", worker_class, "--workers", "1") as server:
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(get, server, f"/{kind}", Connection="close") for kind in ("def", "async")]
            server.wait_for_message("began", 2)
            server.terminate()
            assert [each.result().text for each in running] == ["finished"] * 2
        assert server.wait_exit() == 0


def test_handler_that_does_not_end_is_not_waited_for_longer_than_graceful_timeout(tmp_path: Path) -> None:
    stuck = page("""
        import threading
        def GET():
            print("stuck")
            threading.Event().wait(60)
        """)
    project = site(tmp_path, {"src/pages/stuck.py": stuck, "src/middleware.py": middleware("async def")})
    with (
        serving(project, "--workers", "1", WIXHTTP_GRACEFUL_TIMEOUT="0.5") as server,
        connect(server.port) as connection,
    ):
        connection.sendall(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for_message("stuck", logger="print")
        server.terminate()
        assert server.wait_exit() == 0
        assert not any("SIGKILL" in message for message in server.messages())  # 5 seconds after that it would be killed


def test_failure_after_the_time_ran_out_is_in_the_log(tmp_path: Path) -> None:
    late = page("""
        import threading
        @limits(timeout=0.2)
        def GET():
            threading.Event().wait(0.5)
            raise LookupError("too late")
        """)
    project = site(tmp_path, {"src/pages/late.py": late, "src/middleware.py": middleware("async def")})
    with serving(project, "--workers", "1") as server:
        answer = get(server, "/late")
        assert answer.status_code == 504
        server.wait_for_message("failed after it was answered", request_id=answer.headers["X-Request-Id"])


# --- sessions over processes -----------------------------------------------------------------------------------------

SESSION = """
    import os
    {kind} GET(session):
        values = {{key: {wait}session.get(key) for key in {wait}session.keys()}}
        return Response.json(values, headers={{"X-Pid": str(os.getpid())}})
    {kind} POST(session, url):
        key = url.searchParams.get("key")
        {wait}session.set(key, 1 + ({wait}session.get(key) or 0))
        return Response(str({wait}session.get(key)))
    {kind} PUT(session):
        {wait}session.regenerate()
        {wait}session.set("user", "ada")
        return Response("in")
    {kind} DELETE(session):
        {wait}session.destroy()
        return Response("out")
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Four processes that share one embedded database."""
    files = {f"src/pages/s/{kind[0]}.py": page(SESSION, kind=kind, wait=wait) for kind, wait in KINDS.items()}
    project = site(tmp_path_factory.mktemp("sessions"), {**files, "src/middleware.py": middleware("def")})
    with serving(project, "--workers", "4") as server:
        yield server
        assert server.stop() == 0


def in_session(server: Server, method: str, target: str, cookie: str | None) -> requests.Response:
    headers = {"Content-Type": "application/json", **({"Cookie": cookie} if cookie else {})}
    answer = requests.request(method, server.url + target, headers=headers, timeout=PATIENT)
    assert answer.status_code == 200, answer.text
    return answer


def cookie_of(answer: requests.Response) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_changes_of_different_keys_are_not_lost(shared: Server) -> None:
    cookie = cookie_of(in_session(shared, "POST", "/s/d?key=first", None))

    def count(key: int) -> list[str]:
        return [in_session(shared, "POST", f"/s/{'da'[n % 2]}?key=k{key}", cookie).text for n in range(10)]

    with ThreadPoolExecutor(12) as pool:
        counts = list(pool.map(count, range(12)))
    assert counts == [[str(n) for n in range(1, 11)]] * 12
    pids = set()
    for n in range(8):
        answer = in_session(shared, "GET", f"/s/{'da'[n % 2]}", cookie)
        assert answer.json() == {"first": 1, **{f"k{key}": 10 for key in range(12)}}
        pids.add(answer.headers["X-Pid"])
    assert pids <= {str(pid) for pid in shared.workers()}


@pytest.mark.parametrize("kind", "da")
def test_login_and_logout_hold_in_every_process(shared: Server, kind: str) -> None:
    before = cookie_of(in_session(shared, "POST", f"/s/{kind}?key=cart", None))
    after = cookie_of(in_session(shared, "PUT", f"/s/{kind}", before))
    assert before != after
    with ThreadPoolExecutor(8) as pool:
        seen = list(
            pool.map(lambda n: in_session(shared, "GET", f"/s/{'da'[n % 2]}", (before, after)[n % 2]).json(), range(40))
        )
    assert seen == [{}, {"cart": 1, "user": "ada"}] * 20
    in_session(shared, "DELETE", f"/s/{kind}", after)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: in_session(shared, "GET", "/s/a", after).json(), range(20))) == [{}] * 20
