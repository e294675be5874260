"""Kept requests: the recorder around a site, the bounded store and its faults, and what is masked."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import os
import resource
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.interfaces import load_app, write_project
from wixhttp.asgi import ASGIApplication
from wixhttp.cli.develop.inspect_views import as_object
from wixhttp.context import current_request
from wixhttp.dev.traffic import recorder as recorder_module
from wixhttp.dev.traffic import store as store_module
from wixhttp.dev.traffic.har import as_archive
from wixhttp.dev.traffic.kept_requests import MOST_BODY, KeptRequest, KeptSummary, LogLine, RequestFilters, header
from wixhttp.dev.traffic.masks import Masks, shown_bytes, shown_header, shown_headers, shown_target
from wixhttp.dev.traffic.recorder import Recorder, recording_of
from wixhttp.dev.traffic.replay import CannotReplay, edited, replay
from wixhttp.dev.traffic.snippets import as_curl, as_requests
from wixhttp.dev.traffic.store import RequestStore
from wixhttp.dispatch.stream_chunks import StreamBroken
from wixhttp.secrets import SecretStore, override

SITE = """
    import asyncio, logging

    def get_hello(request):
        print("said", request.query["name"])
        logging.getLogger("shop").warning("asked by %s", request.query["name"])
        return ok({"body": {"hello": request.query["name"]}})

    async def post_echo(request):
        return ok({"body": await request.body.buffer(), "headers": {"Content-Type": "application/octet-stream"}})

    def post_thread(request):
        return created({"body": request.body.buffer()})

    def get_chunks(request):
        def chunks():
            for number in range(3):
                yield f"{number}\\n".encode()
        return ok({"body": chunks(), "headers": {"Content-Type": "text/plain"}})

    def get_large(request):
        return ok({"body": b"x" * 3_000_000})

    def get_broken_stream(request):
        def chunks():
            yield b"begun"
            raise ValueError("torn")
        return ok({"body": chunks()})

    def get_latin(request):
        return ok({"body": request.headers["x-name"]})

    async def get_open(request):
        async def chunks():
            yield b"first"
            await asyncio.sleep(60)
        return ok({"body": chunks()})
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RequestStore]:
    made = RequestStore(tmp_path / ".wixhttp")
    yield made
    made.close()


@pytest.fixture
def recorder(tmp_path: Path, store: RequestStore) -> Recorder:
    return Recorder(ASGIApplication(load_app(write_project(tmp_path / "site", SITE), max_body=2_000_000)), store)


def send(
    recorder: Recorder,
    method: str,
    target: str,
    body: bytes = b"",
    *headers: tuple[str, str],
    leaves: bool = False,
    stalls: bool = False,
) -> list[Any]:
    """Send a request, and return the messages of its answer. ``leaves``: the client does, instead of its body;
    ``stalls``: its body does not come."""
    sent: list[Any] = []
    path, _, query = target.partition("?")
    length = [("content-length", str(len(body) or 9))] if body or leaves or stalls else []
    fields = [("host", "example.com"), *headers, *length]
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "scheme": "http", "client": ("192.0.2.7", 5), "server": ("127.0.0.1", 8000),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields],
    }  # fmt: skip
    waiting = [{"type": "http.disconnect"}] if leaves else [] if stalls else [{"type": "http.request", "body": body}]

    async def run() -> None:
        done = asyncio.Event()

        async def receive() -> Any:
            if waiting:
                return waiting.pop(0)
            await done.wait()
            return {"type": "http.disconnect"}

        async def keep(message: Any) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                done.set()

        await recorder(scope, receive, keep)

    asyncio.run(run())
    return sent


def last(store: RequestStore) -> KeptRequest:
    store.flush()
    kept = store.get(store.page(limit=1)[0].id)
    assert kept is not None
    return kept


def make(number: int = 1, size: int = 10, **others: Any) -> KeptRequest:
    """A request made up for the store."""
    kept = KeptRequest(
        id=0, request_id=f"r{number}", time=1_795_968_510.0 + number, method="GET",
        target=f"/_functions/hello?n={number}",
        http_version="1.1", scheme="http", host="localhost", client="127.0.0.1", request_headers=[("accept", "*/*")],
        request_body=b"q" * size, request_size=size, function="get_hello", status=200,
        response_headers=[("Content-Type", "text/plain")], response_body=b"a" * size, response_size=size, duration=1.5,
    )  # fmt: skip
    return replace(kept, **others)


# --- the recorder ----------------------------------------------------------------------------------------------------


def test_both_sides_of_a_request_are_kept(recorder: Recorder, store: RequestStore) -> None:
    before = time.time()
    send(recorder, "GET", "/_functions/hello?name=Ada%20L", b"", ("X-Two", "1"), ("X-Two", "2"))
    kept = last(store)
    assert (kept.method, kept.target, kept.function, kept.status) == (
        "GET",
        "/_functions/hello?name=Ada%20L",
        "get_hello",
        200,
    )
    assert kept.request_headers == [("host", "example.com"), ("X-Two", "1"), ("X-Two", "2")]
    assert (kept.host, kept.client, kept.scheme, kept.http_version) == ("example.com", "192.0.2.7", "http", "1.1")
    assert json.loads(kept.response_body) == {"hello": "Ada L"}
    assert kept.response_size == len(kept.response_body)
    assert header(kept.response_headers, "x-request-id") == kept.request_id
    assert before - 1 < kept.time < time.time() + 1
    assert 0 < kept.duration < 20_000
    assert set(kept.timings) == {"handler", "send"}
    assert kept.failure is None


def test_lines_that_are_logged_are_kept_with_their_request(recorder: Recorder, store: RequestStore) -> None:
    send(recorder, "GET", "/_functions/hello?name=Ada")
    logging.getLogger("shop").warning("outside of a request")
    lines = [(line.level, line.logger, line.message) for line in last(store).logs]
    assert ("WARNING", "shop", "asked by Ada") in lines
    assert not any("outside" in message for _, _, message in lines)


@pytest.mark.parametrize("name", ["echo", "thread"])
def test_bodies_are_kept_as_they_are(recorder: Recorder, store: RequestStore, name: str) -> None:
    body = bytes(range(256)) + b"</script>"
    send(recorder, "POST", f"/_functions/{name}", body)
    kept = last(store)
    assert kept.request_body == kept.response_body == body
    assert kept.request_size == kept.response_size == len(body)
    assert kept.timings.keys() == {"body", "handler", "send"}


def test_a_large_body_is_cut_and_its_true_size_is_told(recorder: Recorder, store: RequestStore) -> None:
    send(recorder, "POST", "/_functions/echo", b"z" * 1_500_000)
    kept = last(store)
    assert (len(kept.request_body), kept.request_size) == (MOST_BODY, 1_500_000)
    assert kept.is_cut
    send(recorder, "GET", "/_functions/large")
    kept = last(store)
    assert (len(kept.response_body), kept.response_size) == (MOST_BODY, 3_000_000)


def test_a_stream_is_kept_as_a_whole(recorder: Recorder, store: RequestStore) -> None:
    send(recorder, "GET", "/_functions/chunks")
    assert last(store).response_body == b"0\n1\n2\n"
    with pytest.raises(StreamBroken):
        send(recorder, "GET", "/_functions/broken_stream")
    kept = last(store)
    assert (kept.status, kept.response_body) == (200, b"begun")
    assert "torn" in kept.logs[-1].message


def test_what_is_answered_before_a_handler_is_kept_too(recorder: Recorder, store: RequestStore) -> None:
    cors = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")]
    send(recorder, "GET", "/_functions/nothing")
    send(recorder, "POST", "/_functions/echo", b"z" * 2_000_001)
    send(recorder, "DELETE", "/_functions/hello")
    send(recorder, "OPTIONS", "/_functions/echo", b"", *cors)
    send(recorder, "POST", "/_functions/echo", leaves=True)
    store.flush()
    rows = store.page()
    assert [(row.method, row.status) for row in reversed(rows)][:3] == [("GET", 404), ("POST", 413), ("DELETE", 405)]
    assert rows[1].method == "OPTIONS"
    assert rows[0].status == 400  # the application answers that the body is cut


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/_functions/nothing", 404), ("PUT", "/_functions/echo", 405)]
)
def test_a_body_that_nobody_reads_is_kept_too(
    recorder: Recorder, store: RequestStore, method: str, path: str, status: int
) -> None:
    send(recorder, method, path, b'{"id": "evt_1"}')
    kept = last(store)
    assert (kept.status, kept.request_body, kept.is_cut) == (status, b'{"id": "evt_1"}', False)


def test_a_body_is_there_before_an_application_that_reads_none(store: RequestStore) -> None:
    seen = []

    async def stand_in(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["wixhttp.recording"].kept().request_body)
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body"})

    send(Recorder(stand_in, store, reads_first=True), "POST", "/x", b"a delivery")
    assert seen == [last(store).request_body] == [b"a delivery"]


def test_a_body_that_does_not_come_is_not_waited_for_without_end(
    recorder: Recorder, store: RequestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_PATIENCE", 0.05)
    begun = time.monotonic()
    send(recorder, "POST", "/_functions/nothing", stalls=True)
    kept = last(store)
    assert (kept.status, kept.request_body, kept.request_size) == (404, b"", 0)
    send(recorder, "POST", "/_functions/nothing", b"12345", ("expect", "100-continue"))
    assert last(store).request_size == 0, "its client was not told to send"
    assert time.monotonic() - begun < 20


def test_a_client_that_leaves_without_an_answer_is_499(store: RequestStore) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    send(Recorder(silent, store), "POST", "/x", leaves=True)
    assert last(store).status == 499


def test_requests_for_its_own_pages_are_not_kept(recorder: Recorder, store: RequestStore) -> None:
    send(recorder, "GET", "/_wixhttp/health/live")
    store.flush()
    assert store.page() == []


def test_header_values_in_latin_1_come_through(recorder: Recorder, store: RequestStore) -> None:
    send(recorder, "GET", "/_functions/latin", b"", ("X-Name", "Zoë\xff"))
    assert header(last(store).request_headers, "x-name") == "Zoë\xff"


@pytest.mark.parametrize("target", ["/_functions/hello?name=Ada", "http://example.com/_functions/hello?name=Ada"])
def test_a_request_that_has_ended_is_in_no_reference_cycle(
    recorder: Recorder, store: RequestStore, target: str
) -> None:
    taken: list[Any] = []
    store.add = taken.append  # type: ignore[method-assign, assignment]
    send(recorder, "GET", target)
    assert (taken[0].head.function, taken[0].kept().status) == ("get_hello", 200)
    gone = weakref.ref(taken[0])
    gc.disable()
    try:
        taken.clear()
        assert gone() is None
    finally:
        gc.enable()


def test_outside_of_the_development_server_nothing_is_recorded() -> None:
    assert recording_of(current_request.get()) is None


# --- replay ----------------------------------------------------------------------------------------------------------


def test_a_replay_is_answered_anew_and_kept_with_what_it_repeats(recorder: Recorder, store: RequestStore) -> None:
    send(recorder, "POST", "/_functions/echo", b"\xff\x00", ("content-type", "image/png"), ("x-request-id", "mine"))
    kept = last(store)
    assert kept.request_id == "mine"
    again = asyncio.run(replay(recorder, kept))
    assert (again.replay_of, again.status, again.response_body) == (kept.id, 200, b"\xff\x00")
    assert again.id == last(store).id > kept.id
    assert asyncio.run(replay(recorder, kept)).request_id != kept.request_id
    changed = asyncio.run(replay(recorder, kept, method="GET", target="/_functions/hello?name=Bo", body=b""))
    assert json.loads(changed.response_body) == {"hello": "Bo"}


def test_a_replay_leaves_a_stream_that_does_not_end(
    recorder: Recorder, store: RequestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wixhttp.dev.traffic.replay.MOST_SECONDS", 1)
    begun = time.monotonic()
    again = asyncio.run(replay(recorder, make(target="/_functions/open", request_body=b"", request_size=0)))
    assert again.response_body == b"first"
    assert time.monotonic() - begun < 20


def test_what_cannot_be_sent_again_is_refused() -> None:
    with pytest.raises(CannotReplay, match="send it with another body"):
        edited(make(request_size=11))
    assert edited(make(request_size=11), body=b"short").request_body == b"short"
    for wrong in (
        {"method": "G T"},
        {"target": "hello\x00"},
        {"headers": [("a b", "c")]},
        {"headers": [("a", "b\r\nc: d")]},
    ):
        with pytest.raises(CannotReplay):
            edited(make(), **wrong)


# --- the store -------------------------------------------------------------------------------------------------------


def test_a_request_is_written_soon_and_told(store: RequestStore) -> None:
    told = threading.Event()
    rows: list[KeptSummary] = []

    def note(batch: list[KeptSummary]) -> None:
        rows.extend(batch)
        told.set()

    end = store.subscribe(note)
    begun = time.monotonic()
    store.add(make())
    assert told.wait(20)
    assert time.monotonic() - begun < 20
    assert [row.request_id for row in rows] == ["r1"]
    end()
    store.add(make(2))
    store.flush()
    assert len(rows) == 1


def test_what_was_kept_is_read_as_it_was(store: RequestStore) -> None:
    kept = make(
        3, status=500, failure={"type": "ValueError", "frames": [1, None, {"a": "b"}]}, replay_of=2, function="",
        logs=[LogLine(1.5, "INFO", "print", "a\nb \ud800")], timings={"handler": 1.0}, request_body=b"\x00\xff",
        response_headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")],
    )  # fmt: skip
    store.add(kept)
    store.flush()
    assert store.get(kept.id) == kept
    assert store.get("r3") == kept
    assert store.get(str(kept.id)) == kept
    assert store.get("none") is store.get(99) is store.get("9" * 40) is None


def test_only_the_last_requests_stay(store: RequestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5_000):
        store.add(make(number))
    store.flush()
    rows = store.page(limit=5_000)
    assert len(rows) == 1_000
    assert rows[0].request_id == "r4999"
    assert [row.id for row in rows] == list(range(rows[0].id, rows[0].id - 1_000, -1))


def test_the_file_stays_small(store: RequestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_BYTES", 2_000_000)
    monkeypatch.setattr("wixhttp.dev.traffic.request_file._SPARE", 200_000)
    for number in range(60):
        store.add(make(number, 100_000))
        if number % 5 == 4:
            store.flush()
    rows = store.page()
    assert 5 <= len(rows) <= 10
    assert rows[0].request_id == "r59"
    path = store.folder / "requests.sqlite3"
    assert path.stat().st_size < 3_000_000
    store.clear()
    assert store.page() == []
    assert path.stat().st_size < 100_000
    assert b"q" * 1_000 not in path.read_bytes()


def test_what_waits_in_memory_is_bounded(store: RequestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_BYTES", 2_000_000)
    monkeypatch.setattr(store, "_start", lambda: None)
    for number in range(60):
        store.add(make(number, 100_000))
    assert sum(each.weight for each in store._waiting) <= 2_000_000
    store.flush()
    assert store.page(limit=1)[0].request_id == "r59"


def test_it_is_its_owners_alone_and_ignored_by_git(store: RequestStore) -> None:
    store.add(make())
    store.flush()
    assert (store.folder / ".gitignore").read_text() == "*\n"
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.folder.glob("requests*")}
    assert set(modes.values()) == {0o600}


def test_nothing_is_made_before_the_first_request(tmp_path: Path) -> None:
    made = RequestStore(tmp_path / ".wixhttp")
    made.close()
    assert not (tmp_path / ".wixhttp").exists()


def test_pages_and_filters(store: RequestStore) -> None:
    store.add(make(1, status=404, method="POST", function="post_a", response_body=b'{"Title": "\xc3\x84rger"}'))
    store.add(make(2, request_body=b"\x00\x00Needle\x00", target="/x?q=%20"))
    store.add(make(3, status=503))
    store.flush()

    def found(**filters: str) -> list[str]:
        return [row.request_id for row in store.page(RequestFilters(**filters))]

    assert found() == ["r3", "r2", "r1"]
    assert found(status="404") == found(status="4xx") == found(function="post_a") == found(method="post") == ["r1"]
    assert found(text="neeDLE") == found(text="/X?Q") == ["r2"]
    assert found(text="title") == found(text="Ärger") == ["r1"]
    assert found(text="%") == ["r2"]
    assert found(text="\x00needle") == ["r2"]
    assert found(text="nowhere") == found(status="3xx") == []
    assert store.functions() == ["get_hello", "post_a"]
    for wrong in ("4", "4x", "abc", "-404", "4040"):
        with pytest.raises(ValueError, match="a code such as 404"):
            found(status=wrong)
    first = store.page(limit=1)[0].id
    assert [row.request_id for row in store.page(before_id=first)] == ["r2", "r1"]
    assert [row.request_id for row in store.page(after_id=first - 1)] == ["r3"]


def test_a_text_is_found_fast_in_many_bodies(store: RequestStore) -> None:
    for number in range(450):
        store.add(make(number, 50_000))
    store.flush()
    begun = time.process_time()
    assert store.page(RequestFilters(text="nowhere")) == []
    assert time.process_time() - begun < 2


def test_two_stores_share_a_file(store: RequestStore) -> None:
    other = RequestStore(store.folder)
    store.add(make(1))
    store.flush()
    other.add(make(2))
    other.flush()
    store.add(make(3))
    store.flush()
    assert [row.request_id for row in store.page()] == [row.request_id for row in other.page()] == ["r3", "r2", "r1"]
    assert [row.id for row in store.page()] == [3, 2, 1]
    other.close()


def test_a_store_made_before_a_fork_works_on_both_sides(store: RequestStore) -> None:
    store.add(make(1))
    store.flush()
    pid = os.fork()
    if not pid:
        try:
            store.add(make(2))
            store.flush()
            store.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    store.add(make(3))
    store.flush()
    assert [row.request_id for row in store.page()] == ["r3", "r2", "r1"]


# --- its faults ------------------------------------------------------------------------------------------------------


def damage(folder: Path, kind: str) -> None:
    path = folder / "requests.sqlite3"
    if kind == "random":
        path.write_bytes(os.urandom(20_000))
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:9_000])
    elif kind == "no tables":
        path.unlink()
        sqlite3.connect(path).executescript("CREATE TABLE other (a); PRAGMA user_version = 1")
    elif kind == "another version":
        sqlite3.connect(path).executescript("PRAGMA user_version = 99")
    else:
        path.unlink()
        path.mkdir()
        (path / "file").write_text("of somebody")


@pytest.mark.parametrize("kind", ["random", "truncated", "no tables", "another version", "folder"])
def test_a_damaged_file_is_set_aside(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / ".wixhttp"
    first = RequestStore(folder)
    for number in range(10):
        first.add(make(number))
    first.close()
    damage(folder, kind)
    for number in (1, 2):
        again = RequestStore(folder)
        again.add(make(number))
        again.flush()
        assert again.problem is None
        assert again.page()[0].request_id == f"r{number}"
        again.close()
    assert (folder / "requests.damaged-1.sqlite3").exists()
    assert not (folder / "requests.damaged-2.sqlite3").exists()
    assert caplog.text.count("requests.damaged-1.sqlite3") == 1


def test_a_file_that_is_damaged_while_it_is_open_is_set_aside(
    store: RequestStore, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        store.add(make(number, 3_000))
    store.flush()
    path = store.folder / "requests.sqlite3"
    store._opened().writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with path.open("r+b") as file:
        for at in range(4_096, path.stat().st_size, 4_096):
            file.seek(at)
            file.write(b"\xde\xad" * 100)
    other = RequestStore(store.folder)  # whose cache has no page of it yet
    other.add(make(200))
    other.flush()
    assert other.problem is None
    assert [row.request_id for row in other.page()][:1] == ["r200"]
    assert (store.folder / "requests.damaged-1.sqlite3").exists()
    other.close()


def test_a_project_that_was_moved_away_is_not_made_again(tmp_path: Path) -> None:
    store = RequestStore(tmp_path / "gone" / ".wixhttp")
    store.add(make())
    store.flush()
    assert store.problem is not None
    assert not (tmp_path / "gone").exists()
    store.close()


def test_a_project_that_cannot_be_written_is_kept_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    store = RequestStore(tmp_path / "file" / ".wixhttp")
    store.add(make(1))
    store.flush()
    assert store.page()[0].request_id == "r1"
    assert store.problem is not None
    assert "kept in memory only" in store.problem
    assert store.problem in caplog.text
    for number in range(1_500):
        store.add(make(number))
    store.flush()
    assert len(store.page(limit=2_000)) == 1_000
    store.close()


def test_a_full_disk_ends_in_memory_with_what_there_was(store: RequestStore) -> None:
    for number in range(20):
        store.add(make(number))
    store.flush()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        for number in range(20, 30):
            store.add(make(number, 100_000))
        store.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.problem is not None
    rows = store.page()
    assert [row.request_id for row in rows] == [f"r{number}" for number in range(29, -1, -1)]
    assert rows[0].id == 30


def test_a_listener_that_fails_does_not_stop_the_others(store: RequestStore, caplog: pytest.LogCaptureFixture) -> None:
    rows: list[KeptSummary] = []
    store.subscribe(lambda batch: 1 / 0)  # type: ignore[arg-type]
    store.subscribe(rows.extend)
    store.add(make())
    store.flush()
    assert len(rows) == 1
    assert "ZeroDivisionError" in caplog.text


# --- masks and snippets ----------------------------------------------------------------------------------------------


def test_credentials_are_masked_by_their_names() -> None:
    shown = shown_headers(
        [
            ("Authorization", "Bearer abc.def"),
            ("Proxy-Authorization", "Basic YTpi"),
            ("X-Api-Key", "k"),
            ("Cookie", "sid=1; theme=dark"),
            ("Set-Cookie", "sid=2; Path=/; HttpOnly"),
            ("X-Gitlab-Token", "t"),
            ("Stripe-Signature", "t=1,v1=abc"),
            ("Idempotency-Key", "same"),
            ("X-Request-Id", "r"),
            ("Authorization", "raw"),
        ]
    )
    assert [value for _, value in shown] == [
        "Bearer ***", "Basic ***", "***", "sid=***; theme=***", "sid=***; Path=/; HttpOnly", "***", "t=1,v1=abc",
        "same", "r", "***",
    ]  # fmt: skip


def test_credentials_in_urls_are_masked() -> None:
    target = "/hook?token=abc&accessToken=1&key=2&page=3&sort_key=a&sig=4&monkey=5&X-Amz-Signature=6&empty_token="
    assert shown_target(target) == (
        "/hook?token=***&accessToken=***&key=***&page=3&sort_key=a&sig=***&monkey=5&X-Amz-Signature=***&empty_token="
    )


def test_the_values_of_known_secrets_are_masked_everywhere() -> None:
    with override(SecretStore.from_mapping({"KEY": "s3cr3t/x"})):
        assert shown_target("/a/s3cr3t%2Fx/b?q=s3cr3t%2Fx") == "/a/***/b?q=***"
        assert shown_bytes(b'{"a": "s3cr3t/x"}') == b'{"a": "***"}'
        assert shown_bytes(b"\xff s3cr3t/x") == b"\xff ***"
        assert shown_bytes(b"a=s3cr3t%2Fx&b=1", "application/x-www-form-urlencoded") == b"a=***&b=1"
        assert shown_header("X-Shop", "is s3cr3t/x") == "is ***"


def test_snippets_send_the_same_request(tmp_path: Path) -> None:
    kept = make(
        method="PUT", target="/a[1]?q='x'", request_body=b"it's", request_size=4,
        request_headers=[("Authorization", "Bearer t"), ("X-Empty", ""), ("Content-Length", "4")],
    )  # fmt: skip
    assert as_curl(kept, with_secrets=True) == (
        "curl --globoff --path-as-is -X PUT 'http://localhost/a[1]?q='\"'\"'x'\"'\"'' -H 'Authorization: Bearer t' "
        "-H 'X-Empty;' -H Content-Type: --data-binary 'it'\"'\"'s'"
    )
    assert "Bearer ***" in as_curl(kept)
    assert as_curl(make(method="HEAD", request_body=b"")).startswith("curl --globoff --path-as-is --head 'http")
    assert as_curl(make(method="POST", request_body=b"\x00")).startswith("echo AA== | base64 -d | curl")
    assert "--data-binary @-" in as_curl(make(method="POST", request_body=b"@file"))
    code = as_requests(make(request_body=b"\xff\x00", request_headers=[("a", "1"), ("a", "2")]))
    compile(code, "snippet", "exec")
    assert "'a': '1, 2'" in code
    assert "data=b'\\xff\\x00'" in code


# --- credentials that are echoed --------------------------------------------------------------------------------------

TOKEN = "eyJhbGciOi.J0b2tlbi1vZi1h/ZGE+"
CREDENTIALS = {
    "Authorization": f"Bearer {TOKEN}",
    "Proxy-Authorization": "Basic " + base64.b64encode(b"ada:pass word of ada").decode(),
    "X-Api-Key": "key-of-ada",
    "Cookie": "theme=dark; sid=0123456789abcdef; lang=en",
}


def echoing(*echoed: str) -> KeptRequest:
    """A request whose credentials stand in everything that is shown of it."""
    text = "|".join(echoed)
    return make(
        target=f"/_functions/echo/{quote(text, safe='')}?api_key=key-of-a-query&text={quote(text)}",
        request_headers=[*CREDENTIALS.items(), ("X-Copy", text)],
        request_body=json.dumps({"text": text}).encode(),
        response_headers=[("Location", f"/?next={quote_plus(text)}"), ("Set-Cookie", "sid=fedcba9876543210; Path=/")],
        response_body=text.encode() + b" fedcba9876543210 key-of-a-query",
        logs=[LogLine(1.0, "INFO", "shop", f"got {text}")],
        failure={"message": text, "notes": [text], "frames": [{"locals": [{"name": "value", "value": repr(text)}]}]},
    )


def test_what_echoes_the_credentials_of_a_request_is_masked() -> None:
    echoed = (TOKEN, "ada:pass word of ada", "key-of-ada", "0123456789abcdef", *CREDENTIALS.values())
    kept = echoing(*echoed)
    masks = Masks.of(kept)
    shown = "\n".join([
        masks.target(kept.target), str(masks.headers(kept.request_headers)), str(masks.headers(kept.response_headers)),
        str(masks.body(kept.request_body)), str(masks.body(kept.response_body)), masks.message(kept.logs[0].message),
        json.dumps(masks.report(kept.failure)), as_curl(kept), as_requests(kept), json.dumps(as_object(kept)),
        json.dumps(as_archive([kept], version="1")),
    ])  # fmt: skip
    for credential in (*echoed[:4], "pass word", "fedcba9876543210", "key-of-a-query", "cGFzcyB3b3Jk"):
        for text in (credential, quote(credential, safe=""), quote_plus(credential)):
            assert text not in shown
    assert "dark" in shown
    assert TOKEN in json.dumps(as_archive([kept], version="1", with_secrets=True))


def test_short_credentials_are_ordinary_text() -> None:
    kept = make(request_headers=[("X-Api-Key", "dark"), ("Cookie", "theme=a-longer-theme"), ("Authorization", "en")])
    assert Masks.of(kept).text("dark a-longer-theme en") == "dark a-longer-theme en"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no way to postgresql://ada:p@ss@db/x", "no way to postgresql://ada:***@db/x"),
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("host=db password=hunter2 user=ada", "host=db password=*** user=ada"),
        ("Server=db;Pwd=hunter2;X=1", "Server=db;Pwd=***;X=1"),
        ("connect(password='hunter2', port=1)", "connect(password=***, port=1)"),
        ("http://localhost:8000/users/ada@example.com", "http://localhost:8000/users/ada@example.com"),
        ("mail ada@example.com: see https://example.com/a:b", "mail ada@example.com: see https://example.com/a:b"),
    ],
)
def test_passwords_in_urls_and_dsns_are_masked_in_messages(text: str, shown: str) -> None:
    assert Masks().message(text) == shown
