"""Clients that a server meets in the open: slow, cut off, too large, malformed; against the real process."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import (
    SITES,
    Answer,
    Server,
    allow_descriptors,
    ask,
    connect,
    read_all,
    read_answer,
    resident,
    serving,
)

SITE = SITES / "served"
PATIENT = 60  # seconds until a request is a failure
AT_ONCE = 5.0  # seconds, on a machine that does other work, too; the crowd's requests take a minute and more
CROWD = 300
MEGABYTES_A_WORKER = 200


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(SITE, "--workers", "1") as server:
        yield server


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server with little patience: 1 s for a function, a body and a thread, 2 threads, 3 requests at once."""
    limits: dict[str, Any] = {
        "WIXHTTP_BODY_TIMEOUT": "1", "WIXHTTP_QUEUE_TIMEOUT": "1", "WIXHTTP_MAX_CONCURRENCY": "3",
        "WIXHTTP_MAX_BODY": "1000",
    }  # fmt: skip
    with serving(SITE, "--workers", "1", "--threads", "2", "--timeout", "1", **limits) as server:
        yield server


@pytest.fixture(autouse=True)
def still_serves(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a client did: the same process answers the next one."""
    name = "strict" if "strict" in request.fixturenames else "server"
    server = request.getfixturevalue(name)
    before = server.workers()
    yield
    assert requests.get(f"{server.url}/_functions/ahello/x", timeout=PATIENT).status_code == 200
    assert server.workers() == before


def problem(answer: Answer, status: int) -> Answer:
    """The answer, seen to be the runtime's own: a problem document."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer.body
    assert answer.json()["status"] == status
    return answer


def ended(connection: socket.socket) -> bool:
    """Wait for the server to end the connection, and return whether it did."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def post(target: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {target} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


# --- many slow ones at once ---


class Crowd:
    """Slow clients: some hold half a head, some send a body slowly, some read a large answer at a trickle."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[socket.socket] = []
        self.senders: list[socket.socket] = []
        self.readers: list[socket.socket] = []
        self.bytes_read = 0
        self.rounds = threading.Semaphore(0)  # released each time that every slow client has sent or read a little
        self.broken: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> Crowd:
        for number in range(CROWD):
            self.heads.append(self._open(b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nX-Half:"))
            begun = b"x" * 20_000  # at the least speed that is more than a minute of sending
            self.senders.append(self._open(post("/_functions/echo", "Content-Length: 100000") + begun))
            kind = ("large", "alarge", "largefile")[number % 3]
            request = f"GET /_functions/{kind}/{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            self.readers.append(self._open(request, receive_buffer=4096))
        self._thread.start()
        return self

    def _open(self, data: bytes, **options: int) -> socket.socket:
        connection = connect(self.port, **options)
        connection.sendall(data)
        connection.setblocking(False)
        return connection

    def _go_on(self) -> None:
        while not self._stopped.wait(0.2):
            for connection in self.senders:
                try:
                    connection.send(b"x")
                except OSError as error:
                    self.broken.append(f"sending: {error}")
            for connection in self.readers:
                try:
                    part = connection.recv(256)
                    self.bytes_read += len(part)
                    if not part:
                        self.broken.append("reading: ended")
                except BlockingIOError:
                    pass
                except OSError as error:
                    self.broken.append(f"reading: {error}")
            self.rounds.release()

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()
        for connection in (*self.heads, *self.senders, *self.readers):
            connection.close()


def test_slow_clients_do_not_keep_others_waiting() -> None:
    allow_descriptors(2000)
    times: dict[str, list[float]] = {"hello": [], "ahello": []}
    with serving(SITE, "--workers", "2") as server:
        with Crowd(server.port) as crowd, requests.Session() as session:
            server.wait_for_message("opened", CROWD)
            most = 0.0
            for _ in range(5):
                assert crowd.rounds.acquire(timeout=PATIENT)
                for name, taken in times.items():
                    started = time.monotonic()
                    # a new connection each: the worker that is free takes it
                    target, fresh = f"{server.url}/_functions/{name}/x", {"Connection": "close"}
                    answer = session.get(target, headers=fresh, timeout=PATIENT)
                    taken.append(time.monotonic() - started)
                    assert answer.status_code == 200
                most = max(most, *map(resident, server.workers()))
            workers = server.workers()
            assert crowd.broken == []
            assert crowd.bytes_read > 0
            assert not [line for line in server.messages("print") if line.startswith("closed")]
        medians = {name: statistics.median(taken) for name, taken in times.items()}
        assert max(medians.values()) < AT_ONCE, f"medians {medians}, worst {max(map(max, times.values())):.3f} s"
        assert most < MEGABYTES_A_WORKER
        # the readers have left: every stream is closed
        closed = {line["message"] for line in server.wait_for_message("closed", CROWD)}
        assert closed == {f"closed {number}" for number in range(CROWD)}
        assert server.workers() == workers
        assert server.stop() == 0


@pytest.mark.parametrize("name", ["endless", "aendless"])
def test_stream_is_closed_when_its_client_leaves(server: Server, name: str) -> None:
    before = len(server.messages("print"))
    with connect(server.port) as connection:
        connection.sendall(f"GET /_functions/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        while received.count(b"tick") < 3:
            received += connection.recv(4096)
    server.wait_for(lambda line: line["message"] == f"{name} closed")
    assert len(server.messages("print")) == before + 1
    [line] = server.wait_for_message(f"/_functions/{name}", logger="wixhttp.access")
    assert line["status"] == 200


def test_large_answer_in_one_piece_is_sent_as_it_is_read(server: Server) -> None:
    before = max(map(resident, server.workers()))
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(connect(server.port, receive_buffer=4096)) for _ in range(20)]
        for reader in readers:
            reader.sendall(b"GET /_functions/whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert requests.get(f"{server.url}/_functions/hello/x", timeout=PATIENT).ok
        # each holds its own answer, once: 20 of 5 MB
        assert max(map(resident, server.workers())) < before + 20 * 5 + 60
        assert all(read_answer(reader).body == b"x" * 5_000_000 for reader in readers[:3])


# --- heads ---

REFUSED = {
    "no Host": (b"GET /_functions/hello/x HTTP/1.1\r\n\r\n", {400}),
    "two Hosts": (b"GET /_functions/hello/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    "two lengths": (post("/_functions/echo", "Content-Length: 1", "Content-Length: 2") + b"xx", {400}),
    "length and chunks": (
        post("/_functions/echo", "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n", {400}),
    "chunks and length": (
        post("/_functions/echo", "Transfer-Encoding: chunked", "Content-Length: 4") + b"0\r\n\r\n", {400}),
    "unknown coding": (post("/_functions/echo", "Transfer-Encoding: rot13") + b"0\r\n\r\n", {400, 501}),
    "packed and chunked": (post("/_functions/echo", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", {400, 501}),
    "negative length": (post("/_functions/echo", "Content-Length: -1"), {400}),
    "length no number": (post("/_functions/echo", "Content-Length: 1e3"), {400}),
    "length with plus": (post("/_functions/echo", "Content-Length: +3") + b"abc", {400}),
    "no version": (b"GET /_functions/hello/x\r\nHost: x\r\n\r\n", {400}),
    "version 9": (b"GET /_functions/hello/x HTTP/9.9\r\nHost: x\r\n\r\n", {400, 505}),
    "no target": (b"GET HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "no method": (b" /_functions/hello/x HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "words": (b"hello hello hello hello\r\n\r\n", {400}),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n", {400}),
    "NUL in the target": (b"GET /_functions/hel\0lo HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "NUL in a header": (b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n", {400}),
    "NUL in a name": (b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nX\0A: b\r\n\r\n", {400}),
    "space before the colon": (b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n", {400}),
    "folded line": (b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nX-A: a\r\n X-Api-Key: k\r\n\r\n", {400}),
    "folded first line": (b"GET /_functions/hello/x HTTP/1.1\r\n X-A: a\r\nHost: x\r\n\r\n", {400}),
    "header without colon": (b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", {400}),
    "chunk size": (post("/_functions/echo", "Transfer-Encoding: chunked") + b"zz\r\nabc\r\n0\r\n\r\n", {400}),
    "chunk end": (post("/_functions/echo", "Transfer-Encoding: chunked") + b"3\r\nabcdef\r\n0\r\n\r\n", {400}),
    "negative chunk": (post("/_functions/echo", "Transfer-Encoding: chunked") + b"-1\r\nabc\r\n0\r\n\r\n", {400}),
    "long target": (b"GET /_functions/hello/" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414}),
    "long query": (b"GET /_functions/hello/x?" + b"q" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414}),
    "long header": (b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * 100_000 + b"\r\n\r\n", {431}),
    "very long header": (
        b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * 3_000_000 + b"\r\n\r\n", {431}),
    "many headers": (
        b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n", {400, 431}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_head(server: Server, case: str) -> None:
    data, statuses = REFUSED[case]
    with connect(server.port) as connection:
        connection.sendall(data)
        answer = read_answer(connection)
        assert answer.status in statuses, answer.body
        problem(answer, answer.status)
        assert answer.status == 414 or json.loads(answer.body)["title"] == HTTPStatus(answer.status).phrase
        connection.shutdown(socket.SHUT_WR)
        assert ended(connection)


def test_odd_heads_that_are_in_order(server: Server) -> None:
    for head in (
        b"GET /_functions/hello/x HTTP/1.0\r\n\r\n",
        b"GET http://x/_functions/hello/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\nGET /_functions/hello/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nX-Latin: \xe4\xff\r\n\r\n",
        b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 90 + b"\r\n",
    ):
        answer = ask(server.port, head)
        assert (answer.status, answer.body) == (200, b'{"hello":"x","q":null}'), head[:80]


def test_targets_from_hell(server: Server) -> None:
    for target in (b"/_functions/__class__", b"/_functions/get_", b"/_functions/../x", b"/_functions", b"/x", b"*"):
        answer = ask(server.port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert problem(answer, answer.status).status in (400, 404), target
    answer = ask(server.port, b"GET /_functions/hello/%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert json.loads(answer.body)["hello"] == "\ufffd\0"
    answer = ask(server.port, b"GET /_functions/hello" + b"/x" * 4000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 200


def test_bad_message_in_the_middle_of_a_body_ends_in_one_answer(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(post("/_functions/echo", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        time.sleep(0.1)  # so that the server waits for more of it
        connection.sendall(b"nonsense\r\n")
        connection.shutdown(socket.SHUT_WR)
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.startswith(b"HTTP/1.1 400 ")


def test_websocket_is_refused(server: Server) -> None:
    upgrade = (
        b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with connect(server.port) as connection:
        connection.sendall(upgrade)
        answer = read_answer(connection)
        assert 400 <= answer.status < 500
        assert ended(connection)


# --- bodies ---


def test_body_shorter_than_announced(server: Server) -> None:
    for name in ("echo", "aecho"):
        with connect(server.port) as connection:
            connection.sendall(post(f"/_functions/{name}", "Content-Length: 10") + b"12345")
            connection.shutdown(socket.SHUT_WR)
            problem(read_answer(connection), 400)
            assert ended(connection)


def test_chunked_body_that_is_cut(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(post("/_functions/echo", "Transfer-Encoding: chunked") + b"a\r\n12345")
        connection.shutdown(socket.SHUT_WR)
        problem(read_answer(connection), 400)


def test_body_longer_than_announced_is_the_next_request(server: Server) -> None:
    # What follows the announced length is another request by the rules, and no good one: the first has its answer.
    with connect(server.port) as connection:
        connection.sendall(post("/_functions/echo", "Content-Length: 5") + b"12345surplus\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        first, second = read_all(connection).split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"201 ")
    assert first.endswith(b"\r\n\r\n12345")
    assert second.startswith(b"400 ")


def test_announced_too_large_is_refused_at_once(server: Server) -> None:
    for extra in ((), ("Expect: 100-continue",)):
        with connect(server.port) as connection:
            connection.sendall(post("/_functions/echo", "Content-Length: 600000", *extra))
            answer = problem(read_answer(connection), 413)  # not one byte of it was sent
            assert answer.headers["connection"] == "close"
    assert not [line for line in server.messages() if "raised" in line]


def test_expect_100_continue(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(post("/_functions/echo", "Content-Length: 5", "Expect: 100-continue"))
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(1)
        assert received.startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"12345")
        answer = read_answer(connection)
        assert (answer.status, answer.body) == (201, b"12345")


@pytest.mark.parametrize("size", [2_000_000, 20_000_000])
@pytest.mark.parametrize("chunked", [True, False])
def test_too_large_while_the_client_still_sends(server: Server, chunked: bool, size: int) -> None:
    """The answer can be read, though it is there long before the client has sent all."""

    def pieces() -> Iterator[bytes]:
        for _ in range(size // 50_000):
            yield b"x" * 50_000

    if chunked:
        answer = requests.post(f"{server.url}/_functions/echo", data=pieces(), timeout=PATIENT)
    else:
        answer = requests.post(f"{server.url}/_functions/echo", data=b"x" * size, timeout=PATIENT)
    assert (answer.status_code, answer.json()["status"]) == (413, 413)


def test_too_large_while_the_client_sends_slowly(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(post("/_functions/echo", "Transfer-Encoding: chunked"))
        for _ in range(11):
            connection.sendall(b"c350\r\n" + b"x" * 50_000 + b"\r\n")
        problem(read_answer(connection), 413)
        connection.sendall(b"c350\r\n" + b"x" * 50_000 + b"\r\n")  # it is still taken, and dropped


def test_limit_of_one_function(server: Server) -> None:
    body = b"x" * 3_000_000
    assert requests.post(f"{server.url}/_functions/aecho", data=body, timeout=PATIENT).content == body
    assert requests.post(f"{server.url}/_functions/echo", data=body, timeout=PATIENT).status_code == 413


def test_body_that_does_not_come(strict: Server) -> None:
    for name in ("echo", "aecho"):
        with connect(strict.port) as connection:
            started = time.monotonic()
            connection.sendall(post(f"/_functions/{name}", "Content-Length: 10") + b"12345")
            answer = problem(read_answer(connection), 408)
            assert 0.9 <= time.monotonic() - started < 20
            assert answer.headers["connection"] == "close"
            connection.shutdown(socket.SHUT_WR)
            assert ended(connection)


def send_slowly(port: int, body: bytes) -> tuple[Answer, float]:
    """The answer to a body whose bytes come 0.2 seconds after each other, and the longest pause that it came to."""
    longest = 0.0
    with connect(port) as connection:
        connection.sendall(post("/_functions/echo", f"Content-Length: {len(body)}"))
        for byte in body:
            began = time.monotonic()
            time.sleep(0.2)
            connection.sendall(bytes([byte]))
            longest = max(longest, time.monotonic() - began)
        return read_answer(connection), longest


def test_body_that_comes_slowly_but_steadily(strict: Server) -> None:
    """No pause is as long as ``body_timeout``, all of them together are longer."""
    answer, longest = send_slowly(strict.port, b"1234567")
    if longest > 0.5:  # the client was held up itself
        answer, longest = send_slowly(strict.port, b"1234567")
    assert answer.body == b"1234567", f"there was a pause of {longest:.1f} seconds"


CHUNKED = post("/_functions/aecho", "Transfer-Encoding: chunked")
BAD_CHUNKS = {
    "overflow": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "16 digits": b"ffffffffffffffff\r\nabc",
    "15 digits": b"7fffffffffffffff\r\nabc",
    "overflow behind zeros": b"0" * 40 + b"3\r\nabc\r\n0\r\n\r\n",
    "bare LF": b"3\nabc\r\n0\r\n\r\n",
    "bare LF and no more": b"3\n",
    "bare LF behind the data": b"3\r\nabc\n0\r\n\r\n",
    "bare LF at the end": b"3\r\nabc\r\n0\n\n",
    "long extension": b"3;a=" + b"x" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
    "extension without end": b"3;a=" + b"x" * 5000,
    "CR in an extension": b"3;a=\rb\r\nabc\r\n0\r\n\r\n",
    "space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "empty": b"\r\nabc\r\n0\r\n\r\n",
    "many trailers": b"0\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n",
    "trailer without end": b"0\r\nX-A: " + b"x" * 10_000,
    "Content-Length as a trailer": b"0\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("case", BAD_CHUNKS)
def test_bad_chunk(server: Server, case: str, at_once: bool) -> None:
    with connect(server.port) as connection:
        if at_once:
            connection.sendall(CHUNKED + BAD_CHUNKS[case])
        else:
            connection.sendall(CHUNKED)
            connection.sendall(BAD_CHUNKS[case][:2])
            time.sleep(0.02)
            connection.sendall(BAD_CHUNKS[case][2:])
        started = time.monotonic()
        answer = read_answer(connection)
        assert answer.status in (400, 431)
        problem(answer, answer.status)
        assert answer.headers["connection"] == "close"
        connection.shutdown(socket.SHUT_WR)
        assert ended(connection)
        assert time.monotonic() - started < 20  # it was not waited for


def test_extension_without_end_takes_no_memory(server: Server) -> None:
    before = max(map(resident, server.workers()))
    with connect(server.port) as connection:
        connection.sendall(CHUNKED + b"3;a=")
        with contextlib.suppress(ConnectionError):
            for _ in range(60):
                connection.sendall(b"x" * 1_000_000)
        assert max(map(resident, server.workers())) < before + 20


def test_odd_chunks_that_are_in_order(server: Server) -> None:
    body = b'3;a=b;c="d e"\r\nabc\r\n0003 ; x\r\ndef\r\nA\r\n0123456789\r\n0;last\r\nX-Trailer: t\r\n\r\n'
    expected = b"abcdef0123456789"
    hello = b"GET /_functions/ahello/x HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(server.port) as connection:
        for cut in range(1, len(body)):  # however it is cut, and whatever was on the connection before
            connection.sendall(CHUNKED + body[:cut])
            connection.sendall(body[cut:])
            assert read_answer(connection).body == expected
        for byte in CHUNKED + body:
            connection.sendall(bytes([byte]))
        assert read_answer(connection).body == expected
        connection.sendall(hello)
        assert read_answer(connection).status == 200
        connection.sendall((CHUNKED + body) * 3 + hello + CHUNKED + body + hello)
        connection.shutdown(socket.SHUT_WR)
        answers = read_all(connection).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"201", b"201", b"201", b"200", b"201", b"200"]
    assert [answer.endswith(expected) for answer in answers] == [True, True, True, False, True, False]


def test_large_chunks_right_behind_each_other(server: Server) -> None:
    piece = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
    requests_ = (CHUNKED + piece * 4 + b"0\r\n\r\n") * 5
    with connect(server.port) as connection, ThreadPoolExecutor(1) as sender:
        sent = sender.submit(connection.sendall, requests_)
        received = b""
        while received.count(b"HTTP/1.1 201 ") < 5 or len(received) < 5 * 400_000:
            part = connection.recv(65_536)
            assert part, len(received)
            received += part
        sent.result()


def test_expect_100_continue_of_a_chunked_body(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(post("/_functions/aecho", "Transfer-Encoding: chunked", "Expect: 100-continue"))
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(1)
        assert received.startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"5\r\n12345\r\n0\r\n\r\n")
        answer = read_answer(connection)
        assert (answer.status, answer.body) == (201, b"12345")


# --- one connection, several requests ---


def test_pipelined_requests(server: Server) -> None:
    requests_ = (
        b"GET /_functions/hello/1 HTTP/1.1\r\nHost: x\r\n\r\n"
        + post("/_functions/echo", "Content-Length: 5")
        + b"12345"
        + b"GET /_functions/ahello/3 HTTP/1.1\r\nHost: x\r\n\r\n"
        + b"GET /_functions/hello/4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    with connect(server.port) as connection:
        connection.sendall(requests_)
        answers = read_all(connection).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"201", b"200", b"200"]
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in answers]
    assert bodies == [b'{"hello":"1","q":null}', b"12345", b'{"hello":"3","q":null}', b'{"hello":"4","q":null}']


def test_large_requests_right_behind_each_other(server: Server) -> None:
    """The next request may arrive while the answer before it is still being finished."""
    head = post("/_functions/aecho", "Content-Length: 300000")
    with connect(server.port) as connection:
        for _ in range(300):
            connection.sendall(b"GET /_functions/ahello/x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(connection).status == 200
            connection.sendall(head + b"x" * 300_000)
            assert len(read_answer(connection).body) == 300_000


def test_pipelined_in_pieces_and_ended(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(b"GET /_functions/asleep/1?seconds=0.5 HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for_message("began 1")
        connection.sendall(post("/_functions/aecho", "Content-Length: 600000") + b"x" * 600_000)
        connection.sendall(b"GET /_functions/hello/3 HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answers = read_all(connection).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"201", b"200"]


def test_unread_body_is_not_the_next_request(server: Server) -> None:
    body = b"GET /_functions/hello/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(server.port) as connection:
        connection.sendall(post("/_functions/nothing", f"Content-Length: {len(body)}") + body)
        connection.sendall(b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = read_all(connection)
    assert b"smuggled" not in received
    assert received.startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("name", ["sleep", "asleep"])
def test_client_that_ends_its_side_still_gets_its_answer(server: Server, name: str) -> None:
    for prelude in (0, 1):  # the first request of a connection, and a later one
        with connect(server.port) as connection:
            for _ in range(prelude):
                connection.sendall(b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_answer(connection).status == 200
            connection.sendall(f"GET /_functions/{name}/half?seconds=0.3 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            connection.shutdown(socket.SHUT_WR)
            started = time.monotonic()
            received = read_all(connection)
            assert received.startswith(b"HTTP/1.1 200 ")
            assert received.endswith(b'"}')
            assert time.monotonic() - started < 10  # the connection is not kept for further requests


def test_function_ends_though_its_client_hung_up(server: Server) -> None:
    """A delivery that has arrived is dealt with, whatever its sender does."""
    names = ("sleep", "asleep")
    for name in names:
        with connect(server.port) as connection:
            connection.sendall(post(f"/_functions/{name}/gone-{name}?seconds=1", "Content-Length: 4") + b"data")
            server.wait_for_message(f"began gone-{name}")
    for name in names:
        server.wait_for_message(f"ended gone-{name}")
        server.wait_for_message(f"/_functions/{name}/gone-{name}", logger="wixhttp.access")


def test_stream_has_the_context_of_its_function(server: Server) -> None:
    for target in ("scope/sync", "scope/async", "ascope/sync", "ascope/async"):
        assert requests.get(f"{server.url}/_functions/{target}", timeout=PATIENT).text == "set"
    server.wait_for_message("scope unset", 4)


# --- time and numbers ---


def test_async_function_past_its_time_is_cancelled(strict: Server) -> None:
    started = time.monotonic()
    answer = requests.get(f"{strict.url}/_functions/asleep/over?seconds=30", timeout=PATIENT)
    assert (answer.status_code, answer.headers["Content-Type"]) == (504, "application/problem+json")
    assert 0.9 <= time.monotonic() - started < 20
    strict.wait_for_message("cancelled over")
    [line] = strict.wait_for_message("ran past its timeout of 1 seconds", request_id=answer.headers["X-Request-Id"])
    assert "get_asleep" in line["message"]


async def visit(port: int, connections: int, rounds: int) -> collections.Counter[int]:
    """The statuses of ``rounds`` requests on each of so many connections, all open before the first is sent."""
    opening = asyncio.Semaphore(100)
    statuses: collections.Counter[int] = collections.Counter()

    async def open_one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with opening:
            return await asyncio.open_connection("127.0.0.1", port)

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(rounds):
            writer.write(b"GET /_functions/hello/x HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            statuses[int(head.split(b" ", 2)[1])] += 1
        writer.close()

    opened = await asyncio.gather(*(open_one() for _ in range(connections)))
    await asyncio.gather(*(send(*each) for each in opened))
    return statuses


@pytest.mark.parametrize(("connections", "rounds"), [(64, 5), (256, 4), (512, 4), (2000, 2)])
def test_plain_load_is_answered(server: Server, connections: int, rounds: int) -> None:
    """More requests at once than threads wait for one; none is refused."""
    allow_descriptors(connections + 200)
    visited = visit(server.port, connections, rounds)
    assert asyncio.run(asyncio.wait_for(visited, PATIENT)) == {200: connections * rounds}


@pytest.mark.parametrize("callers", [1, 50])
def test_function_that_calls_its_own_site_gets_answers(callers: int) -> None:
    """One that has a thread, while each of its 200 calls waits for one; and more callers than there are threads."""
    allow_descriptors(2000)
    calls = 200 // callers
    patience = "1.5" if callers > 1 else "60"
    with serving(SITE, "--workers", "1", WIXHTTP_QUEUE_TIMEOUT=patience) as server:
        target = f"{server.url}/_functions/fan/{calls}?port={server.port}"
        with ThreadPoolExecutor(callers) as clients:
            answers = list(clients.map(lambda _: requests.get(target, timeout=PATIENT), range(callers)))
        assert {answer.status_code for answer in answers} <= {200, 503}
        inner = [status for answer in answers if answer.status_code == 200 for status in answer.json()]
        assert len(inner) >= calls
        assert set(inner) <= {200, 503}
        assert callers > 1 or set(inner) == {200}
        assert requests.get(f"{server.url}/_functions/hello/x", timeout=PATIENT).status_code == 200
        assert server.stop() == 0


def test_request_that_waits_is_handled_though_its_client_hung_up(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with (
        serving(SITE, "--workers", "1", "--threads", "1", "--timeout", "0") as server,
        ThreadPoolExecutor(1) as clients,
    ):
        try:
            held = clients.submit(requests.get, f"{server.url}/_functions/held/x?until={gate}", timeout=PATIENT)
            server.wait_for_message("held x")
            with connect(server.port) as connection:
                connection.sendall(post("/_functions/sleep/waits?seconds=0", "Content-Length: 4") + b"data")
            assert requests.get(f"{server.url}/_functions/ahello/x", timeout=PATIENT).status_code == 200
        finally:
            gate.touch()
        server.wait_for_message("ended waits")
        assert held.result().status_code == 200


def test_thread_past_its_time_counts_until_it_ends(strict: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with ThreadPoolExecutor(4) as clients:
        try:
            target = f"{strict.url}/_functions/held/late?until={gate}"
            late = [clients.submit(requests.get, target, timeout=PATIENT) for _ in range(2)]
            for each in late:
                assert each.result().status_code == 504
            for each in late:
                [line] = strict.wait_for_message("ran past", request_id=each.result().headers["X-Request-Id"])
                assert "get_held" in line["message"]
            # both threads are still taken: a third function waits for one as long as it may ...
            third = clients.submit(requests.get, f"{strict.url}/_functions/hello/x", timeout=PATIENT)
            # ... and an async one does not wait at all
            assert requests.get(f"{strict.url}/_functions/ahello/x", timeout=PATIENT).status_code == 200
            assert (third.result().status_code, third.result().headers["Retry-After"]) == (503, "1")
        finally:
            gate.touch()
    deadline = time.monotonic() + PATIENT
    while requests.get(f"{strict.url}/_functions/hello/x", timeout=PATIENT).status_code != 200:
        assert time.monotonic() < deadline


def test_what_a_late_function_raises_is_logged(strict: Server) -> None:
    answer = requests.get(f"{strict.url}/_functions/late?seconds=2", timeout=PATIENT)
    assert answer.status_code == 504
    [line] = strict.wait_for_message("ValueError", request_id=answer.headers["X-Request-Id"])
    assert "too late to be told" in line["exception"]


@pytest.mark.parametrize("name", ["held", "aheld"])
def test_more_at_once_than_allowed(name: str, tmp_path: Path) -> None:
    allowed, gate = 3, tmp_path / "gate"
    flags = ("--workers", "1", "--threads", str(allowed), "--timeout", "0")
    with serving(SITE, *flags, WIXHTTP_MAX_CONCURRENCY=str(allowed)) as server:
        target = f"{server.url}/_functions/{name}/x?until={gate}"
        with ThreadPoolExecutor(allowed) as clients:
            try:
                served = [clients.submit(requests.get, target, timeout=PATIENT) for _ in range(allowed)]
                server.wait_for_message("held x", allowed)
                for _ in range(9):  # they come while the others are held: there is no queue
                    answer = requests.get(target, timeout=PATIENT)
                    assert (answer.status_code, answer.json()["status"]) == (503, 503)
                    assert int(answer.headers["Retry-After"]) >= 1
            finally:
                gate.touch()
            assert [each.result().status_code for each in served] == [200] * allowed
        assert requests.get(target, timeout=PATIENT).status_code == 200


# --- streams that break ---


@pytest.mark.parametrize("name", ["half", "ahalf"])
def test_stream_that_breaks_cuts_the_connection(server: Server, name: str) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(f"{server.url}/_functions/{name}", timeout=PATIENT)
    lines = server.wait_for_message("broke off", function=f"get_{name}")
    assert len(lines) == 1
    assert "half-way" in lines[0]["exception"]
    server.wait_for_message(f"/_functions/{name}", logger="wixhttp.access")
    told = [line for line in server.lines if line.get("request_id") == lines[0]["request_id"]]
    assert len([line for line in told if "exception" in line]) == 1


def test_stream_that_fails_before_its_first_piece_is_a_500(server: Server) -> None:
    answer = requests.get(f"{server.url}/_functions/atonce", timeout=PATIENT)
    assert (answer.status_code, answer.json()["status"]) == (500, 500)
