"""Tests from traffic: what `wixhttp inspect to-test` writes passes on the code that answered, and fails on another."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.interfaces import write_project
from tests.test_cli import ENVIRON, run
from tests.test_dev_traffic import make
from wixhttp.asgi import ASGIApplication
from wixhttp.context import current_collections, using
from wixhttp.data.collections import open_collections
from wixhttp.dev.traffic.changing_values import ChangingValues, joined, json_of
from wixhttp.dev.traffic.differences import differences
from wixhttp.dev.traffic.python_text import literal
from wixhttp.dev.traffic.recorder import Recorder
from wixhttp.dev.traffic.replay import edited, replay
from wixhttp.dev.traffic.store import RequestStore
from wixhttp.dev.traffic.to_test import CannotTest, TestCase, as_test
from wixhttp.dev.traffic.trial import Trial, items_before
from wixhttp.dispatch.app import App
from wixhttp.dispatch.site import load_site
from wixhttp.project.config import load_development_config
from wixhttp.secrets import SecretStore, override
from wixhttp.testing import ANY_DATE, ANY_NUMBER, ANY_TEXT, ANY_UUID, like

FUNCTIONS = """
import datetime, hashlib, hmac, json, random, time, uuid
from wixhttp import *
from wixhttp import data as wix_data
from wixhttp.secrets import getSecret

VERSION = "one"

def get_made(request):
    now = datetime.datetime.now(datetime.timezone.utc)
    return ok({"body": {
        "v": VERSION, "id": str(uuid.uuid4()), "at": now.isoformat(), "epoch": time.time(), "draw": random.random(),
        "token": hashlib.sha256(str(random.random()).encode()).hexdigest(), "born": "1815-12-10T00:00:00Z",
        "echo": request.query["id"], "list": [1, None, True, "é</script>"],
    }})

def get_text(request):
    return ok(f"{VERSION}: order {uuid.uuid4()} of {datetime.date.today()}\\nis {{kept}} under </script>\\n")

def get_page(request):
    rows = "".join(f"<li>{number} {VERSION}</li>\\n" for number in range(400))
    return ok({"body": f"<ul>{rows}</ul> {uuid.uuid4()}", "headers": {"Content-Type": "text/html"}})

def get_many(request):
    return ok({"body": {"v": VERSION, "rows": [{"n": n, "id": str(uuid.uuid4())} for n in range(300)]}})

def get_picture(request):
    return ok({"body": b"\\x89PNG\\x00" + VERSION.encode(), "headers": {"Content-Type": "image/png"}})

async def post_echo(request):
    body = await request.body.buffer()
    return ok({"body": VERSION.encode() + body, "headers": {"Content-Type": "application/octet-stream"}})

def post_json(request):
    order = request.body.json()
    return created({"body": {"v": VERSION, "order": order}, "headers": {"Location": f"{request.baseUrl}/order/7"}})

def get_moved(request):
    return response({"status": 302, "headers": {"Location": f"/new/{VERSION}"}})

def get_raises(request):
    if VERSION == "one":
        raise ValueError("broken")
    return ok()

def get_refused(request):
    return notFound({"body": {"error": VERSION}})

def get_key(request):
    if request.headers["x-api-key"] != getSecret("SHOP_KEY"):
        return forbidden()
    return ok({"body": {"v": VERSION, "yours": getSecret("SHOP_KEY")}})

def get_deep(request):
    return ok({"body": "[" * 5000 + f'"{VERSION}"' + "]" * 5000, "headers": {"Content-Type": "application/json"}})

def get_agent(request):
    return ok({"body": {"agent": request.headers["user-agent"], "v": VERSION}})

def get_books(request):
    found = wix_data.query("books").eq("author", request.query["author"]).ascending("title").find()
    return ok({"body": {"v": VERSION, "items": found.items, "count": wix_data.query("books").count()}})

def post_books(request):
    return created({"body": {"v": VERSION, "inserted": wix_data.insert("books", request.body.json())}})

def post_stripe(request):
    body = request.body.buffer()
    stamp, signature = (part.partition("=")[2] for part in request.headers["stripe-signature"].split(","))
    made = hmac.new(getSecret("STRIPE").encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if abs(time.time() - int(stamp)) > 300 or made != signature:
        return badRequest({"body": {"error": "signature"}})
    return ok({"body": {"received": json.loads(body)["id"], "v": VERSION}})

def get_empty(request):
    return ok() if VERSION == "one" else notFound()
"""
FORM = """
from wixhttp.endpoints import Response

VERSION = "one"

async def POST(context):
    form = await context.request.formData()
    return Response.json({"name": form.get("name"), "v": VERSION})
"""
STRIPE = b'{ "id":"evt_1",  "n": 1.0 }'
HOUR_AGO = int(time.time()) - 3600


def signed(at: int) -> str:
    return f"t={at},v1={hmac.new(b'whsec_5', b'%d.' % at + STRIPE, hashlib.sha256).hexdigest()}"


TAGGED = """
[tags]
[books.references.tags]
collection = "tags"
many = true
"""
JSON_TYPE = ("Content-Type", "application/json")
TRAFFIC: list[tuple[str, str, bytes, list[tuple[str, str]]]] = [
    ("GET", "/_functions/made?id=0b5f9a3e-6a0e-4a55-9d7b-0f2f6a8f3c11", b"", []),
    ("GET", "/_functions/text", b"", []),
    ("GET", "/_functions/page", b"", []),
    ("GET", "/_functions/many", b"", []),
    ("GET", "/_functions/picture", b"", []),
    ("POST", "/_functions/echo", bytes(range(256)) * 10, []),
    ("POST", "/_functions/echo", "Zoë 'says' \"hello\"\n</script>".encode(), [("Content-Type", "text/plain")]),
    ("POST", "/_functions/json", b'{"item": "tea", "n": [1, 2.5, null, true], "nested": {"a": "b"}}', [JSON_TYPE]),
    ("POST", "/_functions/json", json.dumps({f"key{n}": n for n in range(1000)}).encode(), [JSON_TYPE]),
    ("GET", "/_functions/moved", b"", []),
    ("GET", "/_functions/raises", b"", []),
    ("GET", "/_functions/refused", b"", []),
    ("GET", "/_functions/key", b"", [("X-Api-Key", "the-key-of-the-shop")]),
    ("GET", "/_functions/deep", b"", []),
    ("GET", "/_functions/agent", b"", [("User-Agent", "Shop/1.0")]),
    ("GET", "/_functions/books?author=Jane", b"", []),
    ("POST", "/_functions/books", b'{"_id": "persuasion", "title": "Persuasion"}', [JSON_TYPE]),
    ("POST", "/_functions/stripe", STRIPE, [("Stripe-Signature", signed(HOUR_AGO)), JSON_TYPE]),
    ("POST", "/form", b"name=Zo%C3%AB", [
        ("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "http://127.0.0.1:8000"),
    ]),
    ("GET", "/_functions/empty", b"", []),
]  # fmt: skip
# Answers that do not depend on the version of the code; the test of the sender that is refused holds for any.
SAME = [
    ("POST", "/form", b"name=a", [("Content-Type", "application/x-www-form-urlencoded")]),
    ("GET", "/_functions/nothing", b"", []),
    ("HEAD", "/_functions/text", b"", []),
]


def record(site: Path, traffic: list[Any]) -> RequestStore:
    """Have a site answer requests in this process, as its server would, and keep them."""
    config = load_development_config(site)
    store = RequestStore(site / ".wixhttp")
    recorder = Recorder(ASGIApplication(App(load_site(replace(config, access_log=False)))), store)

    async def send_all() -> None:
        for method, target, body, headers in traffic:
            await asyncio.sleep(0.002)  # so that what one makes is older than the next
            kept = make(
                method=method, target=target, request_body=body, request_size=len(body), host="127.0.0.1:8000",
                request_headers=[("Host", "127.0.0.1:8000"), ("Accept", "*/*"), *headers],
            )  # fmt: skip
            await replay(recorder, kept)

    with override(SecretStore.from_config(config)), using(current_collections, open_collections(config)):
        asyncio.run(send_all())
    return store


def pytest_of(site: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *arguments]
    environ = {**ENVIRON, "PYTHONDONTWRITEBYTECODE": "1", **environ}
    return subprocess.run(command, cwd=site, env=environ, capture_output=True, text=True, check=False)


def test_written_tests_pass_on_the_code_that_answered_and_fail_on_another(tmp_path: Path) -> None:
    site = write_project(tmp_path, {"backend/http_functions.py": FUNCTIONS, "src/pages/form.py": FORM})
    (site / ".env").write_text("STRIPE=whsec_5\nSHOP_KEY=the-key-of-the-shop\n")
    (site / "data").mkdir()
    (site / "data/collections.toml").write_text("[books]\n")
    run(site, "data", "insert", "books", '[{"_id": "emma", "title": "Emma", "author": "Jane"}, {"_id": "dune"}]')
    with patch("time.time", lambda: float(HOUR_AGO)):  # of the handlers alone
        store = record(site, TRAFFIC)
    rows = store.page()
    assert [row.status for row in reversed(rows)] == [
        200, 200, 200, 200, 200, 200, 200, 201, 201, 302, 500, 404, 200, 200, 200, 200, 201, 200, 200, 200
    ]  # fmt: skip
    stripe = store.get(18)
    assert stripe is not None
    store.add(replace(stripe, id=0, time=HOUR_AGO + 1.5, replay_of=None))
    store.close()
    record(site, SAME).close()
    written = run(site, "inspect", "to-test", *map(str, [*range(1, 18), 19, 20, 21]), "-o", "tests/test_kept.py")
    assert "tests/test_kept.py  20 tests" in written.out
    assert written.err == "Note: request 1: values that were others when it was tried are matched by their kind\n"
    same = run(site, "inspect", "to-test", "22", "23", "24", "-o", "tests/test_same.py")
    text = (site / "tests/test_kept.py").read_text() + (site / "tests/test_same.py").read_text()
    files = [path for path in (site / "tests").rglob("*") if path.is_file()]
    assert not any(secret in path.read_bytes() for path in files for secret in (b"whsec_5", b"the-key-of-the-shop"))
    assert same.out == "tests/test_same.py  3 tests\n"
    for part in (
        'headers={"x-api-key": getSecret("SHOP_KEY")}', "with at_time(", '"id": ANY_UUID', '"at": ANY_DATE',
        '"epoch": ANY_NUMBER', '"draw": ANY_NUMBER', '"born": "1815-12-10T00:00:00Z"', 'json={"item": "tea"',
        '"echo": "0b5f9a3e-6a0e-4a55-9d7b-0f2f6a8f3c11"', "client.raise_exceptions = False", "wix_data.seed(",
        '"user-agent": "Shop/1.0"', "def test_get_raises_500(client):", "def test_post_echo_2(client):",
        '"origin": "http://localhost"', '"Origin": "null"',
    ):  # fmt: skip
        assert part in text, part
    assert all(len(line) < 140 for line in text.splitlines())
    done = pytest_of(site)
    assert "23 passed" in done.stdout, done.stdout
    for name in ("backend/http_functions.py", "src/pages/form.py"):
        path = site / name
        path.write_text(path.read_text().replace('VERSION = "one"', 'VERSION = "two"'))
    done = pytest_of(site, "tests/test_kept.py")
    assert "20 failed" in done.stdout, done.stdout


def test_a_trial_begins_with_the_last_items_from_before_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write_project(
        tmp_path, {"backend/http_functions.py": "def get_x(request): ...", "data/collections.toml": TAGGED}
    )
    config = load_development_config(site)
    assert items_before(config, time.time()) == {}
    assert not list((site / "data").glob("*.sqlite3"))
    rows = [
        {"_id": str(number), "_createdDate": {"$date": f"2026-01-0{number}T00:00:00Z"}, "tags": ["t"]}
        for number in range(1, 7)
    ]
    (site / "books.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (site / "tags.jsonl").write_text('{"_id": "t", "_createdDate": {"$date": "2026-01-01T00:00:00Z"}}\n')
    run(site, "data", "import", "tags.jsonl")
    run(site, "data", "import", "books.jsonl")
    monkeypatch.setattr("wixhttp.dev.traffic.trial.MOST_ITEMS", 3)
    found = items_before(config, datetime(2026, 1, 5, 12, tzinfo=timezone.utc).timestamp())
    assert [(item["_id"], item["tags"]) for item in found["books"]] == [("3", ["t"]), ("4", ["t"]), ("5", ["t"])]
    trial = Trial(config)
    trial.begin(found)
    assert trial.touched == set()


# --- values that change ----------------------------------------------------------------------------------------------

UUID = "0b5f9a3e-6a0e-4a55-9d7b-0f2f6a8f3c11"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (UUID, ANY_UUID),
        (f"id {UUID}.", like("id {uuid}.")),
        ("2026-11-29T16:08:30.556Z", ANY_DATE),
        ("2026-11-29", ANY_DATE),
        ("Sun, 29 Nov 2026 16:08:30 GMT", ANY_DATE),
        ("1815-12-10T00:00:00Z", "1815-12-10T00:00:00Z"),
        (1_795_968_511, ANY_NUMBER),
        (1_795_968_511_123, ANY_NUMBER),
        (1_700_000_000, 1_700_000_000),
        ("1795968600", like("{number}")),
        ("3fa85f64571b4562b3fc2c963f66afa6", ANY_TEXT),
        ("pi_3OqK2xLkdIwHu7ix0kTt8vQp", ANY_TEXT),
        ({"id": "22-0f3a96f2c11d4b5e"}, {"id": ANY_TEXT}),  # of a deferred function or job
        ("1-1234567890123456", ANY_TEXT),
        ("a plain sentence of words", "a plain sentence of words"),
        ("12345678901234567890", "12345678901234567890"),
        ("the request's id r1", like("the request's id {text}")),
        (True, True),
        (None, None),
        ({"a": [UUID, 1.5]}, {"a": [ANY_UUID, 1.5]}),
    ],
)
def test_values_that_change_are_told_from_others(value: Any, expected: Any) -> None:
    found = ChangingValues(make(1, request_headers=[])).expected(value)
    assert repr(found) == repr(expected)
    assert found == value


def test_what_the_request_has_said_does_not_change() -> None:
    kept = make(
        target=f"/x?id={UUID}", request_body=b'{"at": "2026-11-29T16:08:30Z"}', request_headers=[("t", "1795968511")]
    )
    value = {"id": UUID, "at": "2026-11-29T16:08:30Z", "n": 1_795_968_511}
    assert ChangingValues(kept).expected(value) is not value
    assert repr(ChangingValues(kept).expected(value)) == repr(value)
    assert ChangingValues(make(), given=UUID).expected_text(UUID) == UUID


def test_values_that_were_others_are_matched_by_their_kind() -> None:
    assert repr(joined({"a": 1, "b": "x"}, {"a": 2, "b": "x"})) == "{'a': ANY_NUMBER, 'b': 'x'}"
    assert joined({"a": 1}, {"a": "1"}) == {"a": 1}
    assert joined([1, 2], [1]) == [1, 2]
    assert joined(True, False) is True


def test_matchers_are_equal_to_what_they_stand_for() -> None:
    assert UUID == ANY_UUID
    assert {"a": ANY_NUMBER} == {"a": 1.5}
    assert like("{number}") == "17"
    assert like("{number}") == 17
    assert ANY_NUMBER != True  # noqa: E712 - it is what is asked
    assert ANY_NUMBER != "1"
    assert ANY_DATE == "2026-11-29T16:08:30+01:00"
    assert ANY_DATE != "yesterday"
    assert ANY_TEXT != ""
    assert like("{name} is {number}") == "{name} is 5"
    assert like("{name} is {number}") != "Ada is 5"
    assert like({"n": "{number}", "s": ["{date}", "x"]}) == {"n": 7, "s": ["2026-11-29", "x"]}
    assert like("plain") == "plain"


def test_differences_are_of_status_headers_and_body() -> None:
    before = make(
        response_headers=[("Content-Type", "application/json"), ("Date", "x"), ("X-A", "1")],
        response_body=b'{"a": 1, "id": "%s", "b": [1]}' % UUID.encode(),
    )  # fmt: skip
    same = replace(
        before, response_body=b'{"b":[1],"a":1,"id":"11111111-6a0e-4a55-9d7b-0f2f6a8f3c11"}',
        response_headers=[("content-type", "application/json"), ("Date", "y"), ("x-a", "1")],
    )  # fmt: skip
    assert differences(before, same) == []
    other = replace(
        same, status=500, response_headers=[("Content-Type", "text/html"), ("X-B", "2")],
        response_body=b'{"a": 2, "id": "22222222-6a0e-4a55-9d7b-0f2f6a8f3c11", "b": [1]}',
    )  # fmt: skip
    found = differences(before, other)
    assert [each.part for each in found] == ["status", "header content-type", "header x-a", "header x-b", "body"]
    assert [line for line in found[-1].diff if line[:1] in "+-"][2:] == ['-  "a": 1,', '+  "a": 2,']
    failed = replace(other, failure={"exception": "ValueError"})
    assert [each.part for each in differences(before, failed)] == ["status"]
    binary = differences(make(response_body=b"\xff\x00a"), make(response_body=b"\xff\x00b"))
    assert binary[0].after.endswith("the first difference is at byte 2")
    large = differences(make(response_body=b"a\n" * 500_000), make(response_body=b"b\n" * 500_000))
    assert large[0].diff == []
    numbers = [b"\n".join(b"%d" % (number * factor) for number in range(15_000)) for factor in (1, 7)]
    begun = time.process_time()
    assert differences(make(response_body=numbers[0]), make(response_body=numbers[1]))[0].diff == []
    assert time.process_time() - begun < 2


def test_json_that_is_too_deep_is_no_json() -> None:
    assert json_of(b"[" * 10_000 + b"]" * 10_000) is json_of(b"") is json_of(b"{") is json_of(b"\xff")
    assert json_of(b"null") is None


def test_literals_are_laid_out_as_a_formatter_would() -> None:
    value = {"a": "it's", "b": ["x" * 50, "y" * 50], "c": {}}
    assert literal({"a": "x"}) == '{"a": "x"}'
    lines = [
        "{",
        '    "a": "it\'s",',
        '    "b": [',
        *(f'        "{each * 50}",' for each in "xy"),
        "    ],",
        '    "c": {},',
        "}",
    ]
    assert literal(value).splitlines() == lines
    assert eval(literal("line\n" * 30)) == "line\n" * 30  # noqa: S307 - written by the test


def test_of_what_is_not_whole_no_test_is_made() -> None:
    event_stream = [("Content-Type", "text/event-stream")]
    for kept in (make(request_size=99), make(status=499), make(status=0), make(response_headers=event_stream)):
        with pytest.raises(CannotTest):
            TestCase.of(kept)
        assert as_test([kept]).startswith("# No test can be made of this request: ")


def test_credentials_that_are_no_secrets_of_the_project_are_left_out() -> None:
    fields = [("Authorization", "Bearer abc"), ("Cookie", "sid=1"), ("X-Shop", "a")]
    case = TestCase.of(make(request_headers=fields))
    assert case.left_out == ["Authorization", "Cookie"]
    text = as_test([make(request_headers=fields)])
    assert "abc" not in text
    assert '"X-Shop": "a"' in text


ODD = [b'{"a":1e999}', b'[1,{"a":"\\ud800"}]', b'"text"', b"null", b"[-1e999]", b'{"n":123456789012345678901234567890}']


def test_a_test_of_a_page_compiles_whatever_it_holds() -> None:
    for body in (
        b"</script>",
        b"\xff" * 30_000,
        "é\u2028\n'\"\\".encode(),
        b"{" * 20_000,
        b'{"a": "{uuid}"}',
        b"",
        b"\n",
    ):
        for kind in ("text/plain", "application/json"):
            kept = make(
                method="POST", request_body=body, request_size=len(body), response_body=body, response_size=len(body),
                request_headers=[("Content-Type", kind)], response_headers=[("Content-Type", kind)],
            )  # fmt: skip
            text = as_test([kept, kept])
            assert "inf" not in text
            compile(text.encode(), "test", "exec")
            assert differences(kept, replace(kept, response_body=b"other")) != []
            assert edited(kept).request_body == body


def test_the_name_of_a_test_says_what_it_sends() -> None:
    text = as_test([make(), make(status=404), make(method="PROPFIND", target="/a/b%20c/"), make(target="/")])
    assert re.findall(r"def (\w+)", text) == [
        "test_get_hello",
        "test_get_hello_404",
        "test_propfind_a_b_20c",
        "test_get_home",
    ]
    assert 'client.request("PROPFIND", "/a/b%20c/"' in text
