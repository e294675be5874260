"""`@deferred`: what is accepted and how, the request of a run, and what becomes of it by what it returned or raised."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from tests.databases import in_use
from tests.interfaces import INTERFACES, Ask, write_project
from wixhttp import Response
from wixhttp.cli.openapi.document import openapi_document
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.errors import ProjectError
from wixhttp.guards import SENDER, CheckGuard, GuardedRequest
from wixhttp.http.policy import note_guard
from wixhttp.inbox import Dead, Retry, deferred
from wixhttp.inbox.keys import key_text
from wixhttp.inbox.opened import current_inbox
from wixhttp.inbox.options import JobOptions, parse_options
from wixhttp.inbox.stores.contract import NewJob
from wixhttp.testing import TestClient, fake_data, fake_request
from wixhttp.webhooks.webhook import Webhook

HEAD = """
from wixhttp import HTTPError, limits, ok, response
from wixhttp.inbox import Dead, Retry, deferred
"""


class Verified(CheckGuard):
    """A guard in place of a verified sender: the id of the delivery stands in a header."""

    place, blocks = SENDER, False

    def check(self, request: GuardedRequest) -> None:
        request.notes.webhook = Webhook(request.head.header("x-delivery"), 1_700_000_000, "paid", {"a": [1]})


def verified(function: Any) -> Any:
    """A decorator in place of ``@verified``."""
    return note_guard(Verified(), function)


async def awaited(request: Any) -> str:
    return "key"


Make = Callable[..., TestClient]


@pytest.fixture
def site(tmp_path: Path) -> Make:
    def make(source: str = "", files: dict[str, str] | None = None, **options: Any) -> TestClient:
        found = dict(files or {})
        if source:
            found["backend/http_functions.py"] = HEAD + source
        return TestClient(write_project(tmp_path / "site", found), **{"raise_exceptions": False, **options})

    return make


def states(client: TestClient, **options: bool) -> list[tuple[int, str, str | None]]:
    return [(run.attempt, run.state, run.error) for run in client.run_deferred(**options)]


# --- the same request, later -----------------------------------------------------------------------------------------

FACTS = """
    import json
    seen = []
    def facts(request, body):
        seen.append([
            request.method, request.url, body, request.headers["x-mine"], request.headers["authorization"],
            request.headers["cookie"], request.attempt, request.deferredId,
        ])
"""
KINDS = {
    "def": (
        {"backend/http_functions.py": HEAD + FACTS.replace("\n    ", "\n") + """
@deferred()
def put_thing(request):
    facts(request, list(request.body.buffer()))
    assert request.functionName == "thing" and request.path == ["a/b"] and request.query["q"] == "1"

def get_seen(request):
    return ok(body=json.dumps(seen))
"""},
        "/_functions/thing/a%2Fb",
        "/_functions/seen",
    ),
    "async def": (
        {"backend/http_functions.py": HEAD + FACTS.replace("\n    ", "\n") + """
@deferred()
async def use_thing(request):
    facts(request, list(await request.body.buffer()))
    return ok()

def get_seen(request):
    return ok(body=json.dumps(seen))
"""},
        "/_functions/thing/a%2Fb",
        "/_functions/seen",
    ),
    "endpoint": (
        {"src/pages/api/[name].py": HEAD + FACTS.replace("\n    ", "\n") + """
from wixhttp.endpoints import Response

@deferred()
def PUT(context):
    assert context.params["name"] == "a+b", context.params
    facts(context.request, list(context.request.bytes()))
    return Response(None, status=204)

def GET(context):
    return Response.json(seen)
"""},
        "/api/a+b",
        "/api/x",
    ),
    "async endpoint": (
        {"src/pages/api/[name].py": HEAD + FACTS.replace("\n    ", "\n") + """
from wixhttp.endpoints import Response

@deferred()
async def ALL(context):
    if context.request.method == "GET":
        return Response.json(seen)
    facts(context.request, list(await context.request.bytes()))
    return Response(None, status=204)
"""},
        "/api/a+b",
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_run_gets_the_request_that_was_accepted_but_its_credentials(site: Make, kind: str) -> None:
    files, path, seen_at = KINDS[kind]
    if kind == "async endpoint":  # its GET is deferred, too: what it saw is read from another file
        files = {**files, "src/pages/seen.py": """
import sys
from wixhttp.endpoints import Response
def GET(context):
    module = next(each for name, each in sys.modules.items() if name.endswith("src.pages.api.[name]"))
    return Response.json(module.seen)
"""}  # fmt: skip
        seen_at = "/seen"
    client = site(files=files)
    body = bytes(range(256))
    headers = {"X-Mine": "é".encode().decode("latin-1"), "Authorization": "Bearer x", "Cookie": "session=1"}
    headers["Content-Type"] = "application/octet-stream"
    answer = client.put(f"{path}?q=1", data=body, headers=headers)
    assert (answer.status_code, list(answer.json())) == (202, ["id"])
    assert [(run.state, run.attempt, run.id) for run in client.run_deferred()] == [("done", 1, answer.json()["id"])]
    assert seen_at is not None
    (seen,) = client.get(seen_at).json()
    url = f"http://localhost{path}?q=1"
    assert seen == ["PUT", url, list(body), headers["X-Mine"], None, None, 1, answer.json()["id"]]


def test_a_rewritten_request_runs_the_endpoint_that_it_was_rewritten_to(site: Make) -> None:
    client = site(
        files={
            "src/middleware.py": """
                def onRequest(context, next):
                    return next("/inner/7?way=new") if context.url.pathname == "/outer" else next()
            """,
            "src/pages/inner/[id].py": """
                from wixhttp.inbox import deferred
                from wixhttp.endpoints import Response
                seen = []
                @deferred()
                def POST(context):
                    seen.append([context.params["id"], context.url.searchParams.get("way"), context.request.json()])
                    return Response(None, status=204)
                def GET(context):
                    return Response.json(seen)
            """,
        }
    )
    assert client.post("/outer?way=old", json=[1]).status_code == 202
    assert states(client) == [(1, "done", None)]
    assert client.get("/inner/7").json() == [["7", "new", [1]]]


def test_only_the_headers_that_are_named_are_kept_where_some_are(site: Make) -> None:
    client = site("""
seen = []
@deferred(headers=["X-Kept", "Authorization"])
def post_a(request): seen.append(dict(request.headers))
def get_seen(request): return ok(body=seen)
""")
    client.post("a", headers={"X-Kept": "1", "X-Other": "2", "Authorization": "Bearer x"})
    client.run_deferred()
    assert client.get("seen").json() == [{"x-kept": "1", "authorization": "Bearer x"}]


def test_what_the_guards_have_found_is_there_in_the_run(site: Make) -> None:
    client = site("""
from tests.test_inbox_deferred import verified
seen = []
@deferred(dedup="event")
@verified
async def post_a(request):
    seen.append([request.webhook.id, request.webhook.timestamp, request.webhook.event, request.webhook.payload])
def get_seen(request): return ok(body=seen)
""")
    first = client.post("a", headers={"X-Delivery": "evt_1"}).json()
    assert client.post("a", headers={"X-Delivery": "evt_1"}).json() == first
    assert client.post("a", headers={"X-Delivery": "evt_2"}).json() != first
    client.run_deferred()
    assert client.get("seen").json() == [["evt_1", 1_700_000_000, "paid", {"a": [1]}],
                                         ["evt_2", 1_700_000_000, "paid", {"a": [1]}]]  # fmt: skip
    assert client.post("a", headers={"X-Delivery": "evt_1"}).json() == first, "a done one is known, too"


def test_dedup_by_the_event_takes_a_verified_sender(site: Make) -> None:
    with pytest.raises(ProjectError, match=r"post_a: @deferred.*add @verified"):
        site("@deferred(dedup='event')\ndef post_a(request): pass\n")


def test_dedup_by_the_event_takes_a_sender_whose_deliveries_have_an_id(site: Make) -> None:
    source = """
from wixhttp.webhooks import verified
@verified("zoom", secret="A")
@deferred(dedup="event")
def post_a(request): pass
"""
    with pytest.raises(ProjectError, match=r'post_a: @deferred.dedup="event".*sender have none; write'):
        site(source)


@pytest.mark.parametrize(
    ("dedup", "said"),
    [('"event"', "has no webhook.id"), ('"x-id"', "has no header x-id, by which"), ("of_request", "")],
)
def test_a_request_that_does_not_say_which_it_is_is_refused_unless_a_function_lets_it(
    site: Make, dedup: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = site(f"""
from tests.test_inbox_deferred import verified
def of_request(request): return request.headers["x-id"]
@verified
@deferred(dedup={dedup})
def post_a(request): pass
""")
    assert [client.post("a").status_code for _ in range(2)] == ([400] * 2 if said else [202] * 2)
    assert said in caplog.text
    assert len(client.run_deferred()) == (0 if said else 2)


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("values", [("a", "a"), ("a", "b"), ("a,",), ("",)])
def test_a_header_that_says_which_one_a_request_is_comes_once(
    site: Make, interface: str, values: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    client = site("@deferred(dedup='X-Id')\ndef post_a(request): pass\n")
    headers = tuple(("X-Id", value) for value in values)
    with in_use(MemoryStore()), contextlib.closing(INTERFACES[interface](client.app)) as served:
        assert served.ask(Ask("POST", "/_functions/a", headers, b"{}")).status == 400
        assert current_inbox().list() == []
    assert "header X-Id" in caplog.text


@pytest.mark.parametrize("status", [200, 201, 204])
def test_the_answer_has_the_status_that_the_sender_takes(site: Make, status: int) -> None:
    client = site(f"@deferred(status={status}, dedup='x-id')\ndef post_a(request): pass\n")
    answers = [client.post("a", headers={"x-id": "1"}) for _ in range(2)]
    (run,) = client.run_deferred()
    assert [answer.status_code for answer in answers] == [status] * 2
    assert {answer.text for answer in answers} == {"" if status == 204 else f'{{"id":"{run.id}"}}'}
    document, _ = openapi_document(client.app.site)
    assert list(document["paths"]["/_functions/a"]["post"]["responses"]) == [str(status), "500", "503", "default"]


# --- acceptance ------------------------------------------------------------------------------------------------------


def test_a_repeat_is_answered_with_the_first_id_and_runs_once(site: Make) -> None:
    client = site("""
@deferred(dedup="X-Id")
def post_a(request): pass
@deferred(dedup=lambda request: request.body.json()["id"])
async def post_b(request): pass
@deferred()
def post_c(request): pass
""")
    same = [client.post("a", headers={"x-id": "7"}).json()["id"] for _ in range(3)]
    other = [client.post("b", json={"id": 7}).json()["id"] for _ in range(3)]
    none = [client.post("c").json()["id"] for _ in range(3)]
    assert (len(set(same)), len(set(other)), len(set(none))) == (1, 1, 3)
    assert len({*same, *other, *none}) == 5
    assert len(client.run_deferred()) == 5


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no JSON", "the body is not JSON"),
        (b'{"other": 1}', "post_a: key= of @deferred raised KeyError: 'id'"),
        (b"[]", "key= of @deferred raised TypeError: list indices"),
        (b'{"id": 5}', "key= of @deferred raised AttributeError: 'int' object"),
        (b'{"id": "key"}', "key= of @deferred raised ValueError: not enough values"),
        (b'{"id": "[1]:x"}', "key= of @deferred gave [1], which is neither text nor a whole number"),
        (b'{"id": "true:x"}', "key= of @deferred gave True, which"),
        (b'{"id": "1.5:x"}', "key= of @deferred gave 1.5, which"),
    ],
)
def test_a_request_without_its_key_is_refused_and_the_reason_logged(
    site: Make, body: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = site("""
import json
def key(request):
    first, second = request.body.json()["id"].split(":")
    return json.loads(first)
@deferred(key=key)
def post_a(request): pass
""")
    assert client.post("a", data=body).status_code == 400
    assert reason in caplog.text
    assert client.run_deferred() == []


def test_a_key_function_that_is_wrong_whatever_the_request_is_answered_500(site: Make) -> None:
    client = site("@deferred(key=lambda request: request.headrs['x'])\ndef post_a(request): pass\n")
    assert client.post("a").status_code == 500


def test_a_refusal_of_a_key_function_is_its_answer(site: Make) -> None:
    client = site("""
def key(request): raise HTTPError(403, "No.")
@deferred(key=key)
async def post_a(request): pass
""")
    assert client.post("a").status_code == 403
    assert client.run_deferred() == []


def test_a_body_of_max_body_bytes_is_stored_and_one_more_is_refused(site: Make) -> None:
    client = site("""
seen = []
@deferred()
@limits(max_body="1MB")
def post_a(request): seen.append(len(request.body.buffer()))
def get_seen(request): return ok(body=seen)
""")
    assert client.post("a", data=b"\0" * 1_048_576).status_code == 202
    assert client.post("a", data=b"\0" * 1_048_577).status_code == 413
    client.run_deferred()
    assert client.get("seen").json() == [1_048_576]


def test_past_inbox_limit_a_sender_is_asked_to_come_again(site: Make) -> None:
    client = site("@deferred(dedup='x-id')\ndef post_a(request): pass\n", inbox_limit=2)
    answers = [client.post("a", headers={"X-Id": str(number)}) for number in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 503]
    assert int(answers[2].headers["retry-after"] or "") > 0
    assert len(client.run_deferred()) == 2
    deadline = time.monotonic() + 60
    while (answer := client.post("a", headers={"X-Id": "2"})).status_code == 503:  # a count is believed for a second
        assert time.monotonic() < deadline
    assert answer.status_code == 202


def test_deferred_functions_of_the_test_site_have_names_of_their_own(site: Make) -> None:
    files = {
        name: HEAD + f"seen = []\n@deferred()\ndef post_a(request): print('ran {name[:4]}')\n"
        for name in ("backend/http_functions.py", "test/backend/http_functions.py")
    }
    write = site(files={**files})
    client = TestClient(write.app.config.root, test_site=write.app.config.root / "test")
    client.post("/_functions-dev/a")
    client.post("/_functions/a")
    assert [run.name for run in client.run_deferred()] == ["test-site:post_a", "post_a"]


def test_the_openapi_document_tells_the_answer_of_acceptance(site: Make) -> None:
    client = site("""
@deferred()
def post_a(request):
    \"\"\"Take it.\"\"\"
    return ok(body={"nobody": request.body.json()["x"]})
""")
    document, _ = openapi_document(client.app.site)
    validate(document)
    responses = document["paths"]["/_functions/a"]["post"]["responses"]
    assert list(responses) == ["202", "500", "503", "default"]
    assert responses["202"]["content"]["application/json"]["schema"]["required"] == ["id"]


# --- outcomes --------------------------------------------------------------------------------------------------------

OUTCOMES = [
    ("return None", "done", None),
    ("return 'anything'", "done", None),
    ("return ok()", "done", None),
    ("return response(status=302)", "done", None),
    ("return {'status': 404}", "dead", "it answered 404"),
    ("return {'status': True}", "done", None),
    ("return {'status': 10**5000}", "waiting", "what became of it cannot be told: "),
    ("return (each for each in [1])", "waiting", "it returned a generator, of which nothing has run"),
    ("return response(status=500)", "waiting", "it answered 500"),
    ("raise KeyError('x')", "waiting", "it raised KeyError: 'x'"),
    ("raise HTTPError(503, 'later')", "waiting", "503: later"),
    ("raise HTTPError(422, 'never')", "dead", "422: never"),
    ("request.body.json()", "dead", "400: the body is not JSON"),
    ("raise Retry('the bank sleeps')", "waiting", "the bank sleeps"),
    ("raise Retry(after=60)", "waiting", "it asked to be run again"),
    ("raise Dead('no such customer')", "dead", "no such customer"),
    ("raise SystemExit(1)", "waiting", "it raised SystemExit: 1"),
    ("import asyncio; raise asyncio.TimeoutError", "waiting", "it raised"),
]


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(("code", "state", "error"), OUTCOMES)
def test_the_outcome_of_a_run(site: Make, kind: str, code: str, state: str, error: str | None) -> None:
    body = "await request.body.json()" if kind == "async def" and code == "request.body.json()" else code
    client = site(f"@deferred()\n{kind} post_a(request):\n    {body}\n")
    client.post("a")
    ((attempt, found, said),) = states(client)
    assert (attempt, found) == (1, state)
    assert said is None if error is None else (said or "").startswith(error)


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_run_is_repeated_until_its_attempts_are_used_up(site: Make, kind: str) -> None:
    client = site(f"@deferred(attempts=3)\n{kind} post_a(request):\n    raise KeyError(request.attempt)\n")
    client.post("a")
    assert states(client, retries=True) == [
        (1, "waiting", "it raised KeyError: 1"),
        (2, "waiting", "it raised KeyError: 2"),
        (3, "dead", "it raised KeyError: 3"),
    ]


def test_requests_of_one_key_run_in_the_order_of_their_acceptance_also_over_retries(site: Make) -> None:
    client = site("""
seen = []
@deferred(key=lambda request: request.query["key"], attempts=3)
def post_a(request):
    seen.append(request.query["n"])
    if request.query["n"] == "1" and request.attempt < 3: raise KeyError
@deferred(key=lambda request: request.query["key"], attempts=1, on_dead="hold")
def post_held(request):
    seen.append(request.query["n"])
    if request.query["n"] == "1": raise KeyError
@deferred(key=lambda request: request.query["key"], attempts=1)
def post_gone(request):
    seen.append(request.query["n"])
    if request.query["n"] == "1": raise KeyError
def get_seen(request):
    found = list(seen)
    seen.clear()
    return ok(body=found)
""")
    for name, order in (("a", ["1", "1", "1", "2", "3"]), ("held", ["1"]), ("gone", ["1", "2", "3"])):
        for number in (1, 2, 3):
            client.post(f"{name}?key=k&n={number}")
        client.run_deferred(retries=True)
        assert client.get("seen").json() == order


@pytest.mark.parametrize(
    "source",
    [
        "def post_a(request): return ok(body=chunks())",
        "async def post_a(request): return ok(body=chunks())",
        "async def post_a(request): return ok(body=async_chunks())",
        "def post_a(request): return ok(body=async_chunks())",
    ],
)
def test_a_streamed_body_is_drawn_to_its_end_and_closed(site: Make, source: str) -> None:
    client = site(f"""
seen = []
def chunks():
    try:
        yield b"a"
        seen.append("drawn")
        yield "b"
    finally: seen.append("closed")
async def async_chunks():
    try:
        yield b"a"
        seen.append("drawn")
        yield "b"
    finally: seen.append("closed")
@deferred()
{source}
def get_seen(request): return ok(body=seen)
""")
    client.post("a")
    assert states(client) == [(1, "done", None)]
    assert client.get("seen").json() == ["drawn", "closed"]


def test_a_stream_of_an_async_def_has_its_time_too_and_takes_no_thread_of_the_loop(site: Make) -> None:
    client = site("""
import asyncio, itertools, threading
threads, seen = [], []
def chunks():
    try:
        for number in itertools.count():
            threads.append(threading.current_thread().name)
            yield b"a"
    finally: seen.append("closed")
@deferred()
@limits(timeout=0.05)
async def post_a(request): return ok(body=chunks())
def get_seen(request): return ok(body=[seen, [name for name in set(threads) if name.startswith("asyncio")]])
""")
    client.post("a")
    assert states(client) == [(1, "waiting", "it ran past its timeout of 0.05 seconds, and was cancelled")]
    assert client.get("seen").json() == [["closed"], []]


def test_a_request_that_newer_code_has_stored_is_run_with_what_is_known_of_it(site: Make) -> None:
    client = site("""
@deferred()
def post_a(request):
    if request.webhook.id != "1" or request.api_key.name != "shop": raise Dead(repr(request.webhook))
""")
    stored = {"method": "POST", "mount": "/_functions", "name": "a", "rest": "", "new": 1}
    stored |= {"webhook": {"id": "1", "new": 2}, "api_key": {"name": "shop", "scopes": [], "new": 3}}
    damaged = [json.dumps({**stored, "headers": 7}), json.dumps({**stored, "headers": 7})[:-1]]
    with fake_data(client.app.config.root):
        for payload in (json.dumps(stored), *damaged):
            current_inbox().accept([NewJob("post_a", "request", payload.encode())])
        (known, other, torn) = client.run_deferred()
    assert (known.state, known.error) == ("done", None)
    assert (other.state, torn.state) == ("waiting", "dead"), "the first may be of other code, the second is of none"


def test_an_async_def_that_runs_past_its_timeout_is_cancelled_and_has_ended(site: Make) -> None:
    client = site("""
import asyncio
seen = []
@deferred()
@limits(timeout=0.05)
async def post_a(request):
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.05)
        seen.append("ended")
def get_seen(request): return ok(body=seen)
""")
    client.post("a")
    assert states(client) == [(1, "waiting", "it ran past its timeout of 0.05 seconds, and was cancelled")]
    assert client.get("seen").json() == ["ended"]


def test_a_def_that_runs_past_its_timeout_is_logged_and_goes_on(site: Make, caplog: pytest.LogCaptureFixture) -> None:
    told = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "runs past its timeout" in record.getMessage():
                told.set()

    client = site("""
@deferred()
@limits(timeout=0.01)
def post_a(request):
    assert request_may_end.wait(60)
""")
    client.app.site.functions.find("a")["POST"].target.__globals__["request_may_end"] = told  # type: ignore[index]
    listener = Listener()
    logging.getLogger("wixhttp").addHandler(listener)
    try:
        client.post("a")
        assert states(client) == [(1, "done", None)]
    finally:
        logging.getLogger("wixhttp").removeHandler(listener)
    assert told.is_set()


def test_an_exception_is_raised_in_the_test_where_the_client_does_so(site: Make) -> None:
    client = site("@deferred()\ndef post_a(request): raise KeyError('mine')\n", raise_exceptions=True)
    client.post("a")
    with pytest.raises(KeyError, match="mine"):
        client.run_deferred()


def test_a_site_without_deferred_functions_says_so(site: Make) -> None:
    with pytest.raises(LookupError, match="neither @deferred functions nor jobs"):
        site("def get_a(request): return ok()\n").run_deferred()


# --- the decorator ---------------------------------------------------------------------------------------------------


def test_a_deferred_function_is_called_as_it_is_in_a_unit_test() -> None:
    @deferred(dedup="x-id")
    def post_a(request: Any) -> Response:
        return Response(200, [request.attempt, request.deferredId])

    assert post_a(fake_request("a")).body == [1, None]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"attempts": 0}, "attempts is a whole number from 1 to 1000, not 0"),
        ({"attempts": True}, "attempts"),
        ({"attempts": 2.0}, "attempts"),
        ({"backoff": 2}, r"backoff is a pair of seconds \(base, cap\)"),
        ({"backoff": (5, 1)}, "the cap is at least the base"),
        ({"backoff": (-1, 1)}, "each of backoff is a number of seconds"),
        ({"backoff": (float("nan"), 1)}, "each of backoff is a number of seconds"),
        ({"on_dead": "stop"}, 'on_dead is "go"'),
        ({"priority": 101}, "priority is a whole number from -100 to 100"),
        ({"priority": "high"}, "priority"),
        ({"dedup": "no header"}, 'dedup is "event", the name of a header'),
        ({"dedup": 7}, "dedup is a function"),
        ({"dedup": "evnt"}, "dedup is 'evnt'; did you mean \"event\""),
        ({"dedup": "Event"}, 'did you mean "event"'),
        ({"status": 199}, "status is a whole number from 200 to 299, not 199"),
        ({"status": 300}, "status is"),
        ({"status": True}, "status is"),
        ({"key": "x-id"}, "key is a function of the request"),
        ({"key": awaited}, "key is a function of the request, a def"),
        ({"headers": "x-id"}, "headers is a list of names"),
        ({"headers": ["no header"]}, "headers is a list of names"),
        ({"attempt": 3}, "attempt"),
    ],
)
def test_a_wrong_argument_is_told_at_once(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        deferred(**arguments)


def test_without_parentheses_or_twice_it_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"write @deferred\(\)"):
        deferred(lambda request: None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="two decorators of one kind"):
        deferred()(deferred()(lambda request: None))


@given(st.integers(1, 1000), st.floats(0, 100), st.floats(0, 1000))
def test_the_pause_is_never_longer_than_its_cap_and_than_the_doubled_base(
    attempt: int, base: float, more: float
) -> None:
    options = JobOptions(backoff=(base, base + more))
    assert 0 <= options.pause(attempt) <= min(base + more, base * 2.0 ** min(attempt - 1, 60))


@settings(max_examples=20)
@given(st.text() | st.integers() | st.none())
def test_a_key_is_any_text_or_whole_number(value: str | int | None) -> None:
    assert key_text(value, "key") == (None if value in (None, "") else str(value))


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "x" * 10_000, "ü" * 200])
def test_keys_that_databases_do_not_take_are_keys_too(site: Make, key: str) -> None:
    client = site("""
import json
import time
@deferred(dedup=lambda request: request.body.json()["id"], key=lambda request: request.body.json()["id"])
def post_a(request): pass
""")
    ids = {client.post("a", text=json.dumps({"id": value})).json()["id"] for value in (key, key, key + "y")}
    assert len(ids) == 2
    assert len(client.run_deferred()) == 2


def test_retry_and_dead_say_why() -> None:
    assert (str(Retry("later", after=5)), Retry(after=5).after, Retry().after) == ("later", 5.0, None)
    assert str(Dead("gone")) == "gone"
    for wrong in (-1, float("inf"), "5", True):
        with pytest.raises(ValueError, match="Retry: after is a number of seconds"):
            Retry(after=wrong)  # type: ignore[arg-type]


def test_options_have_their_documented_defaults() -> None:
    assert parse_options("x", 10, (2, 3600), "go", 0) == JobOptions()
