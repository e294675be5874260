"""`wixhttp serve --worker-class gthread|gevent|sync`: the WSGI application, with the same answers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from tests.servers import SITES, Server, ask, connect, drip, missing, read_answer, serving

SITE = SITES / "served"
PATIENT = 60  # seconds until a request is a failure


CLASSES = ("asgi", "gthread", "gevent", "sync")


@pytest.fixture(scope="module", params=CLASSES[1:])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "gevent" and importlib.util.find_spec("gevent") is None:
        missing("gevent is not installed: pip install 'wixhttp[gevent]'")
    flags = ("--worker-class", request.param, "--workers", "2", "--timeout", "1")
    with serving(SITE, *flags, WIXHTTP_BODY_TIMEOUT="1") as server:
        yield server
        assert server.stop() == 0


def get(server: Server, target: str) -> requests.Response:
    return requests.get(f"{server.url}/_functions/{target}", timeout=PATIENT)


def test_start_says_what_the_class_cannot_promise(server: Server) -> None:
    [line] = server.wait_for_message("is less than asgi: ")
    assert (line["severity"], line["logger"]) == ("WARNING", "wixhttp")
    assert "is not answered 504" in line["message"]
    refused = ask(server.port, b"GET /\x00 HTTP/1.1\r\nHost x\r\n\r\n")
    assert (refused.status, refused.headers["content-type"]) == (400, "text/html")


def test_requests_wait_for_a_thread() -> None:
    flags = ("--worker-class", "gthread", "--workers", "1", "--threads", "1")
    with serving(SITE, *flags, WIXHTTP_MAX_CONCURRENCY="1") as server, ThreadPoolExecutor(3) as clients:
        asked = [clients.submit(get, server, f"sleep/{name}?seconds=0.3") for name in "abc"]
        assert [each.result().status_code for each in asked] == [200] * 3


@pytest.mark.parametrize(("threads", "name"), [("1", "sync"), ("2", "gthread")])
def test_sync_with_several_threads_is_gthread(threads: str, name: str) -> None:
    with serving(SITE, "--worker-class", "sync", "--workers", "1", "--threads", threads) as server:
        server.wait_for_message(f"worker_class {name} is less than asgi: ")


def test_asgi_is_not_less() -> None:
    with serving(SITE, "--workers", "1") as server:
        assert server.stop() == 0
    assert [line for line in server.lines if line["severity"] == "WARNING"] == []


def test_answers(server: Server) -> None:
    for name in ("hello", "ahello"):
        assert get(server, f"{name}/x?q=1").json() == {"hello": "x", "q": "1"}
    for name in ("stream", "astream"):
        assert get(server, name).text == "line 0\nline 1\nline 2\n"
    assert get(server, "file").content == b"0123456789" * 20_000
    assert requests.head(f"{server.url}/_functions/astream", timeout=PATIENT).content == b""
    assert get(server, "about").json()["baseUrl"] == f"{server.url}/_functions"


def test_bodies(server: Server) -> None:
    body = bytes(range(256)) * 100
    for name in ("echo", "aecho"):
        assert requests.post(f"{server.url}/_functions/{name}", data=body, timeout=PATIENT).content == body
        chunked = requests.post(f"{server.url}/_functions/{name}", data=iter([body, b"!"]), timeout=PATIENT)
        assert chunked.content == body + b"!"
    assert requests.post(f"{server.url}/_functions/echo", data=b"x" * 600_000, timeout=PATIENT).status_code == 413
    half = b"POST /_functions/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"
    assert ask(server.port, half).status == 408
    assert ask(server.port, b"GET /_functions/hello/x HTTP/1.1\r\n\r\n").status == 400


def test_body_that_comes_too_slowly() -> None:
    """Never half a minute without a byte, and yet no end to it; in all classes at the same time."""
    with ExitStack() as servers, ThreadPoolExecutor(2 * len(CLASSES)) as clients:
        asked = []
        for name in CLASSES:
            server = servers.enter_context(serving(SITE, "--worker-class", name, "--workers", "2"))
            kept = clients.submit(drip, server.port, pause=0.05, part=b"x" * 100)
            asked.append((server, kept, clients.submit(drip, server.port, pause=0.2, part=b"x")))
        for server, kept, refused in asked:
            assert refused.result().status == 408
            assert kept.result().status == 201
            assert get(server, "hello/x").ok


def test_async_functions_share_one_loop_and_keep_their_tasks(server: Server) -> None:
    assert get(server, "task/after?seconds=0.5").json() == {"started": "after"}
    server.wait_for_message("task ended after")
    server.wait_for_message("task of the task ended after")


def test_async_function_past_its_time(server: Server) -> None:
    answer = get(server, "asleep/over?seconds=30")
    assert answer.status_code == 504
    server.wait_for_message("cancelled over")
    server.wait_for_message("get_asleep ran past its timeout", request_id=answer.headers["X-Request-Id"])


def test_def_past_its_time_is_said_in_the_log(server: Server) -> None:
    assert get(server, "sleep/late?seconds=2").status_code == 200  # nothing else can be answered for it here
    server.wait_for_message("get_sleep runs past its timeout")


def test_what_goes_wrong(server: Server) -> None:
    before = set(server.workers())
    for name in "exit aexit interrupt ainterrupt recursion none crlf raises/x araises/x atonce".split():
        assert get(server, name).status_code == 500, name
    for name in ("half", "ahalf"):
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
            get(server, name)
    assert get(server, "hello/x").ok
    assert set(server.workers()) == before


def test_log(server: Server) -> None:
    answer = get(server, "print?text=printed")
    found = server.wait_for(lambda line: line.get("request_id") == answer.headers["X-Request-Id"], 2)
    assert [line["logger"] for line in found] == ["print", "wixhttp.access"]
    answer = get(server, "araises/once")
    server.wait_for_message("/_functions/araises/once", logger="wixhttp.access")
    told = [line for line in server.lines if "exception" in line and "no once" in line["exception"]]
    assert [line["request_id"] for line in told] == [answer.headers["X-Request-Id"]]


def test_stream_is_closed_when_its_client_leaves(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(b"GET /_functions/endless HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while received.count(b"tick") < 2:
            received += connection.recv(4096)
    server.wait_for_message("endless closed")


def test_stream_has_the_context_of_its_function(server: Server) -> None:
    for target in ("scope/sync", "scope/async", "ascope/sync", "ascope/async"):
        assert requests.get(f"{server.url}/_functions/{target}", timeout=PATIENT).text == "set"
    server.wait_for_message("scope unset", 4)


def test_many_at_once(server: Server) -> None:
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda n: get(server, f"{'a' * (n % 2)}hello/{n}"), range(200)))
    assert [answer.json()["hello"] for answer in answers] == [str(n) for n in range(200)]


def test_keep_alive_or_close(server: Server) -> None:
    with connect(server.port) as connection:
        connection.sendall(b"GET /_functions/ahello/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_answer(connection).json() == {"hello": "x", "q": None}
