"""HTTP/1.1 as `wixhttp serve` speaks it: the cases of h1spec under every worker class, and corners of the asgi one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import (
    SITES,
    Server,
    allow_descriptors,
    ask,
    connect,
    failed_start,
    missing,
    project,
    read_all,
    read_answer,
    resident,
    serving,
)

SITE = SITES / "served"
PATIENT = 60  # seconds until a request is a failure
HELLO = b"GET /_functions/ahello/x HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on each of the two event loops."""
    environ: dict[str, Any] = {}
    if request.param == "asyncio":
        folder = tmp_path_factory.mktemp("without-uvloop")
        (folder / "uvloop.py").write_text("raise ImportError\n")
        environ["PYTHONPATH"] = str(folder)
    with serving(SITE, "--workers", "1", **environ) as server:
        loop = requests.get(f"{server.url}/_functions/engine", timeout=PATIENT).json()["loop"]
        assert loop.partition(".")[0] == request.param
        yield server


# --- h1spec ----------------------------------------------------------------------------------------------------------

# The cases of https://github.com/uNetworking/h1spec: what is sent to a server that echoes any body under any method.
GET = "GET /_functions/any HTTP/1.1\r\n"
POST = "POST /_functions/any HTTP/1.1\r\nHost: example.com\r\n"
FRAGMENTS = [
    *("G", "GET ", "GET /hello", "GET /hello ", "GET /hello HTTP"),
    *(f"GET /hello HTTP/1.1{rest}" for rest in (
        "", "\r", "\r\n", "\r\nHos", "\r\nHost:", "\r\nHost: ", "\r\nHost: localhost", "\r\nHost: localhost\r",
        "\r\nHost: localhost\r\n", "\r\nHost: localhost\r\n\r",
    )),
]  # fmt: skip
OK, REFUSED, CLIENTS_FAULT = {200}, set(range(400, 600)), set(range(400, 500))
WHOLE: list[tuple[str, set[int], bytes | None]] = [
    ("GET /_functions/any \r\n\r\n", REFUSED, None),
    (GET + "Host: example.com\r\nExpect: 100-continue\r\n\r\n", {100, 200}, None),
    (GET + "Host: example.com\r\n\r\n", OK, b""),
    (GET + "hoSt:\texample.com\r\nempty:\r\n\r\n", OK, b""),
    (GET + "Host: example.com\r\nX-Invalid[]: test\r\n\r\n", CLIENTS_FAULT, None),
    (GET + "Content-Length: 5\r\n\r\n", CLIENTS_FAULT, None),
    (GET + "Host: example.com\r\nHost: example.org\r\n\r\n", CLIENTS_FAULT, None),
    (GET + "Host: example.com\r\nContent-Length: -123456789123456789123456789\r\n\r\n", CLIENTS_FAULT, None),
    (GET + "Host: example.com\r\nContent-Length: -1234\r\n\r\n", CLIENTS_FAULT, None),
    (GET + "Host: example.com\r\nContent-Length: abc\r\n\r\n", CLIENTS_FAULT, None),
    (GET + "Host: example.com\r\nX-Empty-Header: \r\n\r\n", OK, b""),
    (GET + "Host: example.com\r\nX-Bad-Control-Char: test\x07\r\n\r\n", CLIENTS_FAULT, None),
    ("GET /_functions/any HTTP/9.9\r\nHost: example.com\r\n\r\n", REFUSED, None),
    ("Extra line" + GET + "Host: example.com\r\n\r\n", REFUSED, None),
    (GET + "Host: example.com\r\n\rSome-Header: Test\r\n\r\n", CLIENTS_FAULT, None),
    (POST + "Content-Length: 5\r\n\r\nhello", OK, b"hello"),
    (
        POST + "Transfer-Encoding: chunked\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n", OK, b"HellO world1"
    ),
    (
        POST + "content-LengtH: 5\r\nTransFer-Encoding: chunked\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n",
        CLIENTS_FAULT, None,
    ),
]  # fmt: skip
ECHO = "from wixhttp import ok\n\n\ndef use_any(request):\n    return ok(body=request.body.buffer())\n"


@pytest.mark.parametrize("worker_class", ["asgi", "gthread", "gevent", "sync"])
def test_h1spec(worker_class: str, tmp_path: Path) -> None:
    if worker_class == "gevent" and importlib.util.find_spec("gevent") is None:
        missing("gevent is not installed: pip install 'wixhttp[gevent]'")
    assert len(FRAGMENTS) + len(WHOLE) == 33
    # sync takes one connection after another: it has a process for each fragment that it waits for
    workers = str(len(FRAGMENTS) + 1) if worker_class == "sync" else "1"
    flags = ("--workers", workers, "--worker-class", worker_class)
    with serving(project(tmp_path, ECHO), *flags) as server, contextlib.ExitStack() as stack:
        for text, statuses, body in WHOLE:
            answer = ask(server.port, text.encode("latin-1"))
            assert answer.status in statuses, text
            assert body is None or answer.body == body, text
        waiting = []
        for text in FRAGMENTS:
            waiting.append(stack.enter_context(connect(server.port)))
            waiting[-1].sendall(text.encode())
        # The same 500 ms in which h1spec wants no answer.
        assert select.select(waiting, [], [], 0.5)[0] == []


# --- heads -----------------------------------------------------------------------------------------------------------


def test_a_method_that_no_parser_knows_reaches_the_function_for_all(server: Server) -> None:
    for method in (b"BREW", b"M-SEARCH", b"X!Y"):
        for body in (b"", b"12345"):
            head = b" /_functions/about HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
            assert ask(server.port, method + head + body).json()["method"] == method.decode()


def test_a_target_in_raw_utf_8_is_read_as_if_it_were_encoded(server: Server) -> None:
    for target in ("/_functions/ahello/caf\u00e9?q=\u00fc", "/_functions/ahello/caf%C3%A9?q=%C3%BC"):
        answer = ask(server.port, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.json() == {"hello": "caf\u00e9", "q": "\u00fc"}


def test_an_upgrade_that_is_not_served_is_passed_over(server: Server) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    with connect(server.port) as connection:
        connection.sendall(
            b"POST /_functions/aecho HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + upgrade + b"\r\n12345"
        )
        answer = read_answer(connection)
        assert (answer.status, answer.body) == (201, b"12345")
        connection.sendall(HELLO[:-2] + upgrade + b"\r\n")
        assert read_answer(connection).status == 200
        connection.sendall(HELLO)
        assert read_answer(connection).status == 200


def test_header_names_are_sent_as_they_were_given(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(HELLO)
        assert b"\r\nX-Request-Id: " in connection.recv(65_536)


@pytest.mark.parametrize("which", ["first", "next"])
def test_a_head_in_single_bytes(server: Server, which: str) -> None:
    with connect(server.port) as connection:
        if which == "next":
            connection.sendall(HELLO)
            assert read_answer(connection).status == 200
        for byte in b"\r\n" + HELLO:
            connection.sendall(bytes([byte]))
        assert read_answer(connection).status == 200


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"GET /" + b"x" * 9000, 414),
        (b"GET / HTTP/1.1\r\nX-A: " + b"x" * 9000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000, 431),
        (b"GET / HTTP/1.1\nHost: x\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
    ],
)
def test_a_head_that_cannot_become_good_is_not_waited_for(server: Server, begun: bytes, status: int) -> None:
    answer = ask(server.port, begun)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    server.wait_for_message("refused a request", request_id=answer.headers["x-request-id"])


def test_a_long_head_in_single_bytes_takes_little_time() -> None:
    head = b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"x" * 8000 + b"\r\n"
    times = []
    with serving(SITE, "--workers", "1") as server:
        [worker] = server.workers()
        for begin in (b"GET / HTTP/1.1\r\n", head * 6):
            with connect(server.port) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(begin)
                before = processor_time(worker)
                for byte in b"Y: " + b"y" * 5000:
                    connection.send(bytes([byte]))
                connection.sendall(b"\r\n\r\n")
                assert read_answer(connection).status in (400, 431)
                times.append(processor_time(worker) - before)
    # The arrival of each byte costs some 20 µs; to look through all that came before it would cost a hundred more.
    short, long = times
    assert long < 3 * short + 0.1


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- HTTP/1.0 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stream", "astream"])
def test_streamed_answer_to_http_1_0_ends_with_the_connection(server: Server, name: str) -> None:
    request = f"GET /_functions/{name} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode()
    with connect(server.port) as connection:
        connection.sendall(request)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert body == b"line 0\nline 1\nline 2\n"
    assert b"chunked" not in head.lower()
    assert b"\r\nConnection: close" in head


def test_http_1_0_keeps_a_connection_that_asks_for_it(server: Server) -> None:
    request = b"GET /_functions/hello/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    with connect(server.port) as connection:
        for _ in range(3):
            connection.sendall(request)
            assert read_answer(connection).headers["connection"] == "keep-alive"
        connection.sendall(request.replace(b"Connection: keep-alive\r\n", b""))
        assert read_all(connection).endswith(b'{"hello":"x","q":null}')


def test_http_1_0_is_not_told_to_continue(server: Server) -> None:
    head = b"POST /_functions/aecho HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with connect(server.port) as connection:
        connection.sendall(head + b"12345")
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 201 ")


# --- early answers, further requests ---------------------------------------------------------------------------------


def test_an_answer_before_the_client_was_told_to_continue_ends_the_connection(server: Server) -> None:
    head = b"POST /_functions/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with connect(server.port) as connection:
        connection.sendall(head)
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nConnection: close\r\n" in received


def test_a_body_that_nobody_reads_is_not_taken_for_ever(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(b"POST /_functions/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        answer = read_answer(connection)
        assert (answer.status, answer.headers.get("connection")) == (404, None)
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                connection.sendall(b"x")
                if select.select([connection], [], [], 0.05)[0]:
                    break
            else:
                raise AssertionError("the server takes the body without end")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_ends_its_side_gets_all_of_a_stream(server: Server, version: str) -> None:
    with connect(server.port) as connection:
        connection.sendall(f"GET /_functions/alarge/half HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        received = connection.recv(1)  # it is on its way
        connection.shutdown(socket.SHUT_WR)
        received += read_all(connection)
    assert len(received) > 4_900_000
    assert received.endswith(b"0\r\n\r\n") == (version == "1.1")


@pytest.mark.parametrize("late", [True, False])
def test_a_client_that_ends_its_side_gets_all_of_a_large_answer(server: Server, late: bool) -> None:
    with connect(server.port, receive_buffer=4096) as connection:
        connection.sendall(b"GET /_functions/whole HTTP/1.1\r\nHost: x\r\n\r\n")
        received = connection.recv(1) if late else b""  # the answer is on its way
        connection.shutdown(socket.SHUT_WR)
        received += read_all(connection)
    assert received.endswith(b"\r\n\r\n" + b"x" * 5_000_000)


def test_an_answer_says_once_that_the_connection_ends(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(b"POST /_functions/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n")
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65_536)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert received.lower().count(b"\r\nconnection:") == 1


def test_what_follows_a_request_that_closes_is_not_served(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(HELLO[:-2] + b"Connection: close\r\n\r\n" + HELLO)
        assert read_all(connection).count(b"HTTP/1.1 ") == 1


def test_the_context_of_one_request_is_not_that_of_the_next(tmp_path: Path) -> None:
    site = project(
        tmp_path,
        "import contextvars\nfrom wixhttp import ok\n"
        "seen = contextvars.ContextVar('seen', default='nothing')\n\n\n"
        "async def post_mark(request):\n"
        "    before = seen.get()\n"
        "    seen.set(request.path[0])\n"
        "    return ok(body={'before': before, 'size': len(await request.body.buffer())})\n",
    )
    large = b"x" * 300_000  # reading is paused, and goes on within a request
    with serving(site, "--workers", "1") as server, connect(server.port) as connection:
        heads = [
            b"POST /_functions/mark/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (number, len(large))
            for number in range(4)
        ]
        for head in heads:
            connection.sendall(head + large)
            assert read_answer(connection).json() == {"before": "nothing", "size": len(large)}
        sender = threading.Thread(target=connection.sendall, args=(b"".join(head + large for head in heads),))
        sender.start()
        received = b""
        while received.count(b'"size"') < 4:
            part = connection.recv(65_536)
            assert part, received
            received += part
        sender.join()
    assert received.count(b'"before":"nothing"') == 4


# --- time and memory -------------------------------------------------------------------------------------------------


def test_trailers_are_checked_and_never_become_headers(server: Server) -> None:
    head = b"POST /_functions/aecho HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    for trailer in (b"Content-Type: text/evil", b"Authorization: Bearer x", b"no colon", b"a b: c", b"X: \0"):
        assert ask(server.port, head + trailer + b"\r\n\r\n").status == 400, trailer
    assert ask(server.port, head + b"X-Sum: 1\r\n\r\n").status == 201


def test_tiny_chunks_without_end_are_refused(server: Server) -> None:
    with connect(server.port) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"POST /_functions/aecho HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"1\r\nx\r\n" * 1000)
        assert read_answer(connection).status == 400


def test_a_client_that_reads_nothing_is_ended() -> None:
    with serving(SITE, "--workers", "1", WIXHTTP_SEND_TIMEOUT="1") as server, contextlib.ExitStack() as stack:
        for name in ("whole", "large/1", "alarge/2"):
            idle = stack.enter_context(connect(server.port, receive_buffer=4096))
            idle.sendall(f"GET /_functions/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        server.wait_for_message("(send_timeout)", 3)
        server.wait_for_message("closed", 2)  # their streams
        # one that reads slowly, but reads, is served to the end
        slow = stack.enter_context(connect(server.port, receive_buffer=4096))
        slow.sendall(b"GET /_functions/largefile/slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        until, received = time.monotonic() + 3, 0
        while time.monotonic() < until:
            received += len(slow.recv(16_384))
            time.sleep(0.05)
        assert received + len(read_all(slow)) > 5_000_000


def test_answers_that_nobody_reads_take_bounded_memory() -> None:
    allow_descriptors(2000)
    flags = ("--workers", "1", "--threads", "4")  # what handlers make at once comes on top
    with serving(SITE, *flags, WIXHTTP_MAX_UNSENT="50MB") as server, contextlib.ExitStack() as stack:
        before = max(map(resident, server.workers()))
        readers = [stack.enter_context(connect(server.port, receive_buffer=4096)) for _ in range(200)]
        for reader in readers:
            reader.sendall(b"GET /_functions/whole HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for(lambda line: line.get("status") == 503, 150)
        assert max(map(resident, server.workers())) < before + 130  # an eighth of what the answers take
        for _ in range(10):
            assert requests.get(f"{server.url}/_functions/hello/x", timeout=PATIENT).status_code == 200
        [refused, *_] = [line for line in server.lines if "max_unsent" in str(line)]
        assert refused["function"] == "get_whole"
        # Clients that have not read for a while give way.
        time.sleep(5.5)
        assert len(requests.get(f"{server.url}/_functions/whole", timeout=PATIENT).content) == 5_000_000
        server.wait_for_message("max_unsent is used up")


def test_an_answer_larger_than_max_unsent_is_sent_where_none_waits() -> None:
    with serving(SITE, "--workers", "1", WIXHTTP_MAX_UNSENT="1MB") as server:
        for _ in range(2):
            assert len(requests.get(f"{server.url}/_functions/whole", timeout=PATIENT).content) == 5_000_000


def test_large_chunks_of_streams_count_as_large_answers(tmp_path: Path) -> None:
    site = project(
        tmp_path,
        "from wixhttp import ok\n\n\n"
        "async def get_chunks(request):\n"
        "    async def chunks():\n"
        "        for _ in range(10):\n"
        "            yield b'x' * 5_000_000\n"
        "    return ok(body=chunks())\n",
    )
    flags = ("--workers", "1")
    with serving(site, *flags, WIXHTTP_MAX_UNSENT="50MB") as server, contextlib.ExitStack() as stack:
        before = max(map(resident, server.workers()))
        for _ in range(100):
            reader = stack.enter_context(connect(server.port, receive_buffer=4096))
            reader.sendall(b"GET /_functions/chunks HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for_message("max_unsent is used up", 80)
        assert max(map(resident, server.workers())) < before + 250
    # read, such a stream comes whole
    with serving(site, *flags) as server:
        assert len(requests.get(f"{server.url}/_functions/chunks", timeout=PATIENT).content) == 50_000_000


def test_connections_wait_for_a_busy_server(server: Server) -> None:
    """The listen backlog is gunicorn's, 2048, which the system may lower."""
    count = min(1000, int(Path("/proc/sys/net/core/somaxconn").read_text()) - 50)
    allow_descriptors(count + 200)
    [worker] = server.workers()
    os.kill(worker, signal.SIGSTOP)
    try:
        with contextlib.ExitStack() as stack:
            waiting = [stack.enter_context(connect(server.port, timeout=20)) for _ in range(count)]
            for connection in waiting:
                connection.sendall(HELLO)
            os.kill(worker, signal.SIGCONT)
            assert {read_answer(connection).status for connection in waiting} == {200}
    finally:
        os.kill(worker, signal.SIGCONT)


# --- TLS -------------------------------------------------------------------------------------------------------------


def test_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        missing("openssl is needed to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    code, errors, _ = failed_start(SITE, gunicorn=("--certfile", str(certificate)))  # without its key
    assert code == 3, errors
    assert str(certificate) in errors
    assert "Traceback" not in errors
    options = ("--certfile", str(certificate), "--keyfile", str(key))
    with serving(SITE, "--workers", "1", gunicorn=options, wait=False) as server:
        server.wait_for_message("functions of")
        context = ssl.create_default_context(cafile=str(certificate))
        with context.wrap_socket(connect(server.port), server_hostname="localhost") as connection:
            for _ in range(2):
                connection.sendall(b"GET /_functions/about HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert read_answer(connection).json()["url"] == "https://localhost/_functions/about"
            connection.sendall(b"GET /_functions/whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert len(read_answer(connection).body) == 5_000_000
        assert server.stop() == 0


# --- descriptors -----------------------------------------------------------------------------------------------------

LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_out_of_descriptors_is_a_line_in_the_log() -> None:
    with serving(SITE, "--workers", "1", prefix=[sys.executable, "-c", LIMITED]) as server:
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(connect(server.port))
            [line] = server.wait_for_message("out of file descriptors")
            assert line["severity"] == "ERROR"
            assert "may have 64" in line["message"]
        server.wait_ready()
        assert requests.get(f"{server.url}/_functions/hello/x", timeout=PATIENT).status_code == 200
        assert len(server.wait_for_message("out of file descriptors")) == 1
