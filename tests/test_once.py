"""``@once`` and ``@idempotent``: the first request runs, and its repeats get its answer."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate

from tests.databases import AwayStore, in_use
from tests.interfaces import ASGIInterface, Reply, Served, load_app, write_project
from wixhttp import ok
from wixhttp.cli.openapi.document import openapi_document
from wixhttp.data.queries.values import format_date, stored_date
from wixhttp.data.stores.contract import Store, Transaction
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.dispatch.site import load_site
from wixhttp.errors import ProjectError
from wixhttp.project.config import load_config
from wixhttp.services import load_served_site
from wixhttp.testing import TestClient, fake_request
from wixhttp.webhooks import idempotent, once, sign
from wixhttp.webhooks.idempotency import idempotency_key
from wixhttp.webhooks.once_claims import COLLECTION

Serve = Callable[..., Served]

SITE = """
import asyncio, threading
from wixhttp import HTTPError, created, ok, response
from wixhttp.webhooks import idempotent, once, verified

runs, begun, goes_on = [], threading.Event(), threading.Event()
by_id = once(key=lambda request: request.headers["x-id"], wait=60)

def counted(request):
    runs.append(request.headers["x-id"])
    return len(runs)

@by_id
KIND post_plain(request):
    return created(body={"run": counted(request)}, headers={"X-A": ["1", "2"], "Set-Cookie": "a=1"})

@by_id
KIND post_says(request):
    count = counted(request)
    said = request.headers["x-say"]
    if said == "raise": raise ValueError("broken")
    if said == "refuse": raise HTTPError(409, "taken")
    if said == "wrong": return {"no": "response"}
    if said == "unsendable": return ok(object())
    return response(status=int(said), body={"run": count}) if said else ok({"run": count})

@by_id
KIND post_streams(request):
    counted(request)
    return created(body=iter(["a", "b"]), headers={"X-A": "1"})

@by_id
KIND get_plain(request):
    return ok({"run": counted(request)})

@verified("github", secret="SECRET")
@once(keep="1d")
KIND post_github(request):
    return ok({"run": counted(request), "id": request.webhook.id})

@once()
KIND post_unverified(request): return ok()

@once(key=lambda request: request.body.json()["id"])
KIND post_odd(request): return ok()

@idempotent()
KIND post_order(request):
    return ok({"run": counted(request)})

@idempotent(required=True)
KIND use_required(request):
    return ok({"run": counted(request)})

@idempotent(required=True)
KIND post_large(request):
    counted(request)
    return ok(iter(["a"]))

@idempotent(client=lambda request: request.body.json()["tenant"])
KIND post_tenant(request): return ok()

@idempotent(client=lambda request: request.headers["x-user"])
KIND post_own(request):
    return ok({"run": counted(request)})
"""


@pytest.fixture
def store() -> Iterator[Store]:
    with in_use(MemoryStore()) as made:
        yield made


@pytest.fixture(params=["def", "async def"])
def served(serve: Serve, store: Store, request: pytest.FixtureRequest) -> Served:
    return serve(SITE.replace("KIND", request.param))


def post(served: Served, name: str, id: str = "", *headers: tuple[str, str], **details: Any) -> Reply:
    return served(name, "POST", *([("X-Id", id)] if id else []), *headers, **details)


def content(reply: Reply) -> tuple[int, bytes, list[tuple[str, str]]]:
    """The part of a reply that is kept."""
    return reply.status, reply.content, [field for field in reply.fields if field[0] != "X-Request-Id"]


@pytest.mark.parametrize("other", ["/_functions-dev/", "/_functions/?rc=test-site"])
@pytest.mark.parametrize("name", ["once", "idempotent", "limited"])
def test_what_the_test_site_keeps_and_counts_is_not_that_of_the_site(
    tmp_path: Path, store: Store, other: str, name: str
) -> None:
    source = """
        from wixhttp import ok
        from wixhttp.access import rate_limit
        from wixhttp.webhooks import idempotent, once

        @once(key=lambda request: 1)
        def post_once(request): return ok("SITE")

        @idempotent()
        def post_idempotent(request): return ok("SITE")

        @rate_limit("1/hour", key=lambda request: TOKEN)
        def post_limited(request): return ok("SITE")
        """.replace("TOKEN", repr(str(tmp_path)))
    write_project(tmp_path / "test", {"backend/http_functions.py": source.replace("SITE", "test")})
    write_project(tmp_path / "site", {"backend/http_functions.py": source.replace("SITE", "live")})
    client = TestClient(load_app(tmp_path / "site", test_site=str(tmp_path / "test")))
    path, mark, query = other.partition("?")
    for _ in "12":
        for url, said in ((f"{path}{name}{mark}{query}", "test"), (f"/_functions/{name}", "live")):
            answer = client.post(url, headers={"Idempotency-Key": "a"})
            assert (answer.status_code, answer.text) == (200, said) or (name == "limited" and _ == "2")


def test_a_repeat_gets_the_answer_of_the_first_and_runs_nothing(served: Served) -> None:
    first = post(served, "plain", "a")
    assert (first.status, first.json(), first.all("X-A")) == (201, {"run": 1}, ["1", "2"])
    assert content(post(served, "plain", "a")) == content(first)
    assert post(served, "plain", "b").json() == {"run": 2}
    assert served("plain", "GET", ("X-Id", "a")).json() == {"run": 3}  # another function's
    assert content(served("plain", "HEAD", ("X-Id", "a")))[:2] == (200, b"")
    assert served.state["runs"] == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("said", "status"),
    [("raise", 500), ("refuse", 409), ("wrong", 500), ("unsendable", 500), ("503", 503), ("429", 429), ("425", 425)],
)
def test_a_delivery_that_failed_is_handled_again(served: Served, said: str, status: int) -> None:
    assert post(served, "says", "a", ("X-Say", said)).status == status
    assert post(served, "says", "a").json() == {"run": 2}
    assert post(served, "says", "a", ("X-Say", said)).json() == {"run": 2}


def test_a_refusal_that_the_handler_returns_is_an_answer(served: Served) -> None:
    for _ in range(2):
        reply = post(served, "says", "a", ("X-Say", "404"))
        assert (reply.status, reply.json()) == (404, {"run": 1})


def test_of_an_answer_that_cannot_be_kept_a_repeat_gets_the_status(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    assert post(served, "streams", "a").text == "ab"
    again = post(served, "streams", "a")
    assert (again.status, again.content, again.header("X-A")) == (201, b"", None)
    post(served, "streams", "b")
    assert caplog.text.count("post_streams: an answer that is streamed, or longer than 1 MB, is not kept") == 1
    assert post(served, "large", "a", ("Idempotency-Key", "a")).text == "a"
    assert post(served, "large", "a", ("Idempotency-Key", "a")).status == 409
    assert served.state["runs"] == ["a", "b", "a"]


def test_a_delivery_is_told_by_the_id_of_its_verified_sender(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SECRET", "hush")
    body = b'{"a":1}'
    named = list(sign("github", body, secret="hush", id="d-1").items())
    for _ in range(2):
        reply = served("github", "POST", *named, body=body)
        assert (reply.status, reply.json()) == (200, {"run": 1, "id": "d-1"})
    nameless = [field for field in named if field[0].lower() != "x-github-delivery"]
    assert served("github", "POST", *nameless, body=body).status == 400
    assert "senders without one need @once(key=...)" in caplog.text
    assert (
        served("github", "POST", ("X-GitHub-Delivery", "d-1"), body=body).status == 401
    )  # who is not verified learns nothing


def test_a_request_without_a_key_is_refused_and_the_developer_told(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    assert post(served, "plain").status == 400
    assert "key= of @once gave None" in caplog.text
    assert post(served, "unverified").status == 500
    assert "@once() has no key; add @verified(...)" in caplog.text
    for body, said in ((b"{}", "raised KeyError: 'id'"), (b'{"id": 1.5}', "gave 1.5, which is neither text nor")):
        assert served("odd", "POST", body=body).status == 400
        assert f"post_odd: key= of @once {said}" in caplog.text
    for body, status in ((b'{"tenant": 5}', 200), (b'{"tenant": null}', 200), (b"{}", 400), (b'{"tenant": []}', 400)):
        assert post(served, "tenant", "", ("Idempotency-Key", f"k{len(body)}"), body=body).status == status
    assert "post_tenant: client= of @idempotent raised KeyError: 'tenant'" in caplog.text


@pytest.mark.parametrize(
    ("decorators", "message"),
    [
        ("@once()", r"^backend/http_functions.py:\d+: @once\(\) of post_a has no key: add @verified"),
        ('@once()\n@verified("zoom", secret="A")', "by the scheme 'zoom' have no id"),
        ('@verified("hmac", secret="A", header="X-Mac", signed="{body}")\n@once()', "by the scheme 'hmac' have no id"),
        ('@verified("zoom", secret="A")\n@once(key=str)', None),
        ('@verified("github", secret="A")\n@once()', None),
        ('@verified("wix", secret="A")\n@once()', None),
        ("@idempotent()", None),
    ],
)
def test_deliveries_that_cannot_be_told_apart_are_refused_when_the_site_is_loaded(
    decorators: str, message: str | None, tmp_path: Path
) -> None:
    source = f"from wixhttp.webhooks import idempotent, once, verified\n\n{decorators}\ndef post_a(request): ...\n"
    config = load_config(write_project(tmp_path / "site", source), environ={}, flags={})
    if message is None:
        load_served_site(config)
        return
    with pytest.raises(ProjectError, match=message):
        load_served_site(config)


def test_the_openapi_document_tells_keys(tmp_path: Path) -> None:
    source = """
        from wixhttp import ok
        from wixhttp.webhooks import idempotent, once

        @idempotent(required=True)
        def use_order(request): return ok(request.headers["Idempotency-Key"])

        @idempotent()
        def post_free(request): return ok()

        @once(key=lambda request: request.headers["x-id"])
        def post_hook(request): return ok()

        def post_plain(request): return ok()
    """
    document, _ = openapi_document(load_site(load_config(write_project(tmp_path, source), environ={}, flags={})))
    validate(document)

    def told(name: str, method: str = "post") -> tuple[list[tuple[str, bool]], bool]:
        operation = document["paths"][f"/_functions/{name}"][method]
        parameters = [(each["name"], each["required"]) for each in operation.get("parameters", [])]
        return parameters, "409" in operation["responses"]

    assert told("order") == ([("Idempotency-Key", True)], True)
    assert told("order", "get") == ([("Idempotency-Key", False)], True)
    assert told("free") == ([("Idempotency-Key", False)], True)
    assert told("hook") == ([], True)
    assert told("plain") == ([], False)


def move(store: Store, seconds: float) -> None:
    """Let everything that is kept be older."""

    def work(changes: Transaction) -> None:
        rows = [*store._rows[COLLECTION].values()]  # type: ignore[attr-defined]  # in memory
        aged = [
            row._replace(updated=format_date(stored_date(row.updated) - timedelta(seconds=seconds))) for row in rows
        ]
        changes.update(COLLECTION, aged)

    store.write(work)


def test_after_its_time_a_delivery_is_handled_again(served: Served, store: Store) -> None:
    assert post(served, "plain", "a").json() == {"run": 1}
    move(store, 7 * 86_400 - 60)
    assert post(served, "plain", "a").json() == {"run": 1}
    move(store, 120)
    assert post(served, "plain", "a").json() == {"run": 2}


# --- Idempotency-Key --------------------------------------------------------------------------------------------------


def ordered(served: Served, name: str, key: str | None, *headers: tuple[str, str], **details: Any) -> Reply:
    fields = [] if key is None else [("Idempotency-Key", key)]
    return served(name, "POST", ("X-Id", "a"), *fields, *headers, **details)


def test_requests_with_one_idempotency_key_are_one(served: Served) -> None:
    first = ordered(served, "order?a=1", '"k-1"', body=b"one")
    assert first.json() == {"run": 1}
    assert content(ordered(served, "order?a=1", "k-1", body=b"one")) == content(first)
    assert ordered(served, "order?a=1", '"k-1"', body=b"two").status == 422
    assert ordered(served, "order?a=2", '"k-1"', body=b"one").status == 422
    assert ordered(served, "order/1?a=1", '"k-1"', body=b"one").status == 422
    assert ordered(served, "order", '"k-2"').json() == {"run": 2}
    assert ordered(served, "order", None).json() == {"run": 3}


MALFORMED = (
    "", '""', '"a', 'a"', '"a", "b"', "a, b", "a b", '"a\\b"', '"é"', "é", '"' + "a" * 256 + '"', "a" * 100_000, "\x7f",
)  # fmt: skip


def test_a_malformed_idempotency_key_is_refused(served: Served) -> None:
    assert [ordered(served, "order", key).status for key in MALFORMED] == [400] * len(MALFORMED)
    assert served.state["runs"] == []


def test_a_repeated_idempotency_key_is_refused(served: Served) -> None:
    assert ordered(served, "order", "a", ("Idempotency-Key", "a")).status == 400


def test_a_required_idempotency_key_is_asked_of_methods_that_change_something(served: Served) -> None:
    reply = ordered(served, "required", None)
    assert (reply.status, "Idempotency-Key" in reply.problem["detail"]) == (400, True)
    assert served("required", "GET", ("X-Id", "a")).status == 200
    assert ordered(served, "required", "k").status == 200


def test_a_key_is_that_of_its_client(served: Served) -> None:
    runs = [ordered(served, "own", "k", ("X-User", user)).json()["run"] for user in ("ann", "bob", "ann", "bob")]
    assert runs == [1, 2, 1, 2]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=255))
def test_every_text_in_quotes_is_a_key(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert idempotency_key(f'"{escaped}"') == text


# --- two at the same time ---------------------------------------------------------------------------------------------

SLOW = """
import asyncio, threading
from wixhttp import ok
from wixhttp.webhooks import once

runs, begun, goes_on = [], threading.Event(), threading.Event()

@once(key=lambda request: "one", wait=WAIT)
def post_slow(request):
    runs.append(1)
    begun.set()
    assert goes_on.wait(60)
    return ok({"run": len(runs)})

@once(key=lambda request: "one", wait=WAIT)
async def post_async(request):
    runs.append(1)
    begun.set()
    while not goes_on.is_set():
        await asyncio.sleep(0.005)
    return ok({"run": len(runs)})

async def get_other(request): return ok("here")
"""


@contextlib.contextmanager
def slow_site(folder: Path, wait: float, **settings: Any) -> Iterator[Served]:
    interface = ASGIInterface(load_app(write_project(folder, SLOW.replace("WAIT", str(wait))), **settings))
    try:
        yield Served(interface)
    finally:
        interface.close()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["slow", "async"])
def test_the_second_of_two_waits_for_the_first_and_gets_its_answer(name: str, tmp_path: Path) -> None:
    with slow_site(tmp_path, 60, timeout=60) as served:
        replies: list[Reply] = []
        threads = [threading.Thread(target=lambda: replies.append(served(name, "POST"))) for _ in range(40)]
        for each in threads:
            each.start()
        assert served.state["begun"].wait(60)
        assert served("other").text == "here"  # nobody holds the loop
        served.state["goes_on"].set()
        for each in threads:
            each.join()
        assert [(each.status, each.json()) for each in replies] == [(200, {"run": 1})] * 40


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["slow", "async"])
@pytest.mark.parametrize(("wait", "timeout"), [(0.1, 60.0), (60.0, 0.5)], ids=["wait", "timeout"])
def test_who_waits_too_long_is_told_to_come_again(name: str, wait: float, timeout: float, tmp_path: Path) -> None:
    with slow_site(tmp_path, wait, timeout=timeout) as served:
        first = threading.Thread(target=served, args=(name, "POST"))
        first.start()
        assert served.state["begun"].wait(60)
        reply = served(name, "POST")
        assert reply.status in ((409,) if wait < 60 or name == "slow" else (409, 200))
        if reply.status == 409:
            assert reply.header("Retry-After") == "5"
        served.state["goes_on"].set()
        first.join()


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_while_the_store_is_away_the_sender_is_told_to_come_again(serve: Serve, kind: str) -> None:
    with in_use(AwayStore()) as store:
        served = serve(SITE.replace("KIND", kind))
        assert isinstance(store, AwayStore)
        store.is_away = True
        reply = post(served, "plain", "a")
        assert (reply.status, reply.header("Retry-After")) == (503, "5")
        store.is_away = False
        assert post(served, "plain", "a").json() == {"run": 1}


# --- endpoints, and the decorators themselves -------------------------------------------------------------------------

PAGE = """
from wixhttp.endpoints import Response
from wixhttp.webhooks import once
runs = []

@once(key=lambda request: request.headers["x-id"])
KIND POST(request, cookies):
    runs.append(1)
    cookies.set("seen", str(len(runs)))
    return Response.json({"run": len(runs)}, status=201, headers={"X-A": "1"})

@once(key=lambda request: request.body.json()["id"])
KIND PUT(request):
    runs.append(1)
    return Response(await_(request.text()))

@once(key=lambda request: "one")
KIND GET():
    runs.append(1)
    return Response(None, 204)
"""


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_deliveries_to_an_endpoint_are_handled_once(serve: Serve, kind: str) -> None:
    page = PAGE.replace("KIND", kind).replace("await_", "await " if kind == "async def" else "")
    served = serve({"src/pages/hook.py": page})
    json = ("Content-Type", "application/json")
    first = served("/hook", "POST", json, ("X-Id", "a"))
    assert (first.status, first.json(), first.header("Set-Cookie") is not None) == (201, {"run": 1}, True)
    again = served("/hook", "POST", json, ("X-Id", "a"))
    assert (again.status, again.json(), again.header("X-A")) == (201, {"run": 1}, "1")
    assert again.header("Set-Cookie") is None  # what context.cookies sets is no part of the answer
    for _ in range(2):
        assert served("/hook", "PUT", json, body=b'{"id": 7}').text == '{"id": 7}'
        assert (served("/hook").status, served("/hook").content) == (204, b"")
    assert served("/hook", "POST", json, ("X-Id", "b")).json() == {"run": 4}


def test_a_decorated_function_is_called_in_a_test_as_it_is() -> None:
    runs = []

    @once()
    def post_a(request: Any) -> Any:
        runs.append(1)
        return ok(request.method)

    @idempotent(required=True)
    async def post_b(request: Any) -> Any:
        return ok(request.method)

    for _ in range(2):
        assert post_a(fake_request("a", "POST")).body == "POST"
    assert asyncio.run(post_b(fake_request("a", "POST"))).body == "POST"
    assert runs == [1, 1]


async def awaited(request: Any) -> str:
    return "key"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: once(keep=0), ValueError, "@once: keep is a time above 0"),
        (lambda: once(keep="7 days"), ValueError, "7d"),
        (lambda: once(keep=True), ValueError, "keep"),
        (lambda: once(wait=-1), ValueError, "@once: wait .*; 0 is not at all"),
        (lambda: once(key="id"), TypeError, "key is a def"),  # type: ignore[arg-type]
        (lambda: once(key=awaited), TypeError, "key is a def"),
        (lambda: once(test_a_malformed_idempotency_key_is_refused), TypeError, r"write @once\(\)"),  # type: ignore[arg-type]
        (lambda: once(kepe="7d"), TypeError, "kepe"),  # type: ignore[call-arg]
        (lambda: idempotent(keep="x"), ValueError, "@idempotent: keep"),
        (lambda: idempotent(required="yes"), TypeError, "required"),  # type: ignore[arg-type]
        (lambda: idempotent(client=awaited), TypeError, "client is a def"),
        (lambda: idempotent(awaited), TypeError, r"write @idempotent\(\)"),  # type: ignore[arg-type]
        (lambda: once()(idempotent()(lambda request: None)), TypeError, "two decorators of one kind"),
    ],
)
def test_a_misspelt_decorator_is_refused_at_once(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()
