"""Secrets and credentials in what is made of traffic for others: tests and archives have none of them, however they are
spelled; tests get secrets by their names, and do without credentials."""

from __future__ import annotations

import ast
import base64
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interfaces import write_project
from tests.test_cli import run
from tests.test_dev_traffic import make
from tests.test_dev_traffic_tests import HOUR_AGO, pytest_of, record
from wixhttp.dev.traffic.har import as_archive
from wixhttp.dev.traffic.hidden_values import HiddenValues
from wixhttp.dev.traffic.kept_requests import KeptRequest
from wixhttp.dev.traffic.snippets import as_curl, as_requests
from wixhttp.dev.traffic.to_test import CannotTest, TestCase, as_test, write_tests
from wixhttp.logs.secret_spellings import codes, spellings
from wixhttp.secrets import SecretStore, override
from wixhttp.testing import ANY_NUMBER, at_time

NASTY = 'Sup3r"<s>&key-77'
SECRETS = {"SHOP_KEY": NASTY, "GITHUB": "gh_secret_of_the_shop", "UMLAUT": "zoë=schlüssel/1\\n", "PIN": "73519482"}
JSON = [("Content-Type", "application/json")]
PERCENT = re.compile("%..")
FORM = [("Content-Type", "application/x-www-form-urlencoded")]
BINARY = [("Content-Type", "application/octet-stream")]
LONG = "x" * 7_000


def written(kept: KeptRequest, secrets: dict[str, str], folder: str = "beside") -> Iterator[tuple[str, bytes]]:
    """The parts of a test file of a request: its text, the values of its constants, and files."""
    text, files = write_tests([TestCase.of(kept, secrets)], folder)
    yield "text", text.encode("utf-8", "surrogatepass")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            value = node.value
            yield "constant", value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    yield from files.items()


def leaks(data: bytes, value: str) -> list[str]:
    """The spellings of a value that are in data."""
    spelled = {*spellings(value), *codes(value)}
    return [each for each in spelled if each.encode("utf-8", "surrogatepass") in data or each in data.decode("latin-1")]


def encodings(value: str) -> list[str]:
    return [
        value, quote(value, ""), quote(value), quote_plus(value), quote(value, "!'()*~"),
        PERCENT.sub(lambda found: found[0].lower(), quote(value, "")),
        json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], base64.b64encode(value.encode()).decode(),
        repr(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1].replace("<", "\\u003c"),
        json.dumps(json.dumps(value))[3:-3], quote(value[:5], "") + value[5:].replace("%", "%25"),
    ]  # fmt: skip


def places(text: str) -> dict[str, KeptRequest]:
    """Requests that have a text in some place."""
    raw = text.encode()
    posts: dict[str, Any] = {"method": "POST", "target": "/_functions/a"}

    def sent(body: bytes, headers: list[tuple[str, str]]) -> KeptRequest:
        return make(request_body=body, request_size=len(body), request_headers=headers, **posts)

    def got(body: bytes, headers: list[tuple[str, str]]) -> KeptRequest:
        return make(response_body=body, response_size=len(body), response_headers=headers, request_headers=[])

    return {
        "path": make(target=f"/_functions/a/{text}", request_headers=[]),
        "query": make(target=f"/_functions/a?k={text}&b=1", request_headers=[]),
        "query credential": make(target=f"/_functions/a?key={text}&token=a{text}", request_headers=[]),
        "header": make(request_headers=[("X-Key", text), ("X-Note", f"a {text} b"), ("Referer", f"http://x/?a={text}")]),
        "cookie": make(request_headers=[("Cookie", f"sid={text}"), ("Authorization", f"Bearer {text}")]),
        "json": sent(json.dumps({"a": text, text: [f"b {text}"]}).encode(), JSON),
        "long json": sent(json.dumps({"a": text, "b": LONG}).encode(), JSON),
        "form": sent(f"a={text}&b=1".encode(), FORM),
        "form credential": sent(f"a=b{text}&password={text}&token={text}".encode(), FORM),
        "text": sent(b"a " + raw, [("Content-Type", "text/plain")]),
        "long text": sent(LONG.encode() + raw, [("Content-Type", "text/plain")]),
        "binary": sent(b"\xff\x00" + raw + b"\xfe", BINARY),
        "long binary": sent(b"\xff\x00" + raw + bytes(range(256)) * 40, BINARY),
        "signed": make(
            request_body=b'{ "a":"' + raw + b'"}', request_size=len(raw) + 9,
            request_headers=[*JSON, ("X-Signature", "a")], **posts,
        ),
        "got json": got(json.dumps({"a": text, text: [f"b {text}"]}).encode(), JSON),
        "got long json": got(json.dumps({"a": text, "b": LONG}).encode(), JSON),
        "got long keys": got(json.dumps({text: LONG}).encode(), JSON),
        "got text": got(b"a " + raw + b" b", [("Content-Type", "text/html")]),
        "got long text": got(LONG.encode() + raw, [("Content-Type", "text/html")]),
        "got binary": got(b"\xff" + raw, BINARY),
        "got cut": replace(got(b"a" + raw, BINARY), response_size=9_999_999),
        "got headers": make(request_headers=[], response_headers=[("Content-Type", f"text/x; a={text}"),
                            ("Location", f"/a?token={text}&b={text}#{text}"), ("Set-Cookie", f"a={text}")]),
    }  # fmt: skip


SECRET_TEXTS = st.text(st.sampled_from("aZ9\"'\\<>&%+/=é~ {}\n*"), min_size=6, max_size=12).map(
    lambda text: f"s{text}7K"
)


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(SECRETS.values())) | SECRET_TEXTS, st.integers(0, 12), st.sampled_from(["beside", ""]))
def test_no_secret_stands_in_a_test_however_it_is_spelled(value: str, encoding: int, folder: str) -> None:
    text = encodings(value)[encoding]
    made = 0
    with override(SecretStore.from_mapping({"KEY": value})):
        for place, kept in places(text).items():
            try:
                found = list(written(kept, {"KEY": value}, folder))
            except CannotTest:
                continue
            made += 1
            assert not [(place, text, part, leaks(data, value)) for part, data in found if leaks(data, value)]
            assert not [(place, text, part) for part, data in found if text.encode() in data]
    assert made >= 5


@pytest.mark.parametrize("value", SECRETS.values())
def test_a_test_sends_the_secrets_that_were_sent(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wixhttp.secrets.getSecret", lambda name: {"KEY": value}[name])
    for text in encodings(value)[:5] + encodings(value)[6:8]:
        for place in ("query", "path", "json", "form", "text", "binary", "signed"):
            kept = places(text)[place]
            source = write_tests([TestCase.of(kept, {"KEY": value})], "")[0]
            calls: list[tuple[Any, ...]] = []

            class Client:
                def __getattr__(self, name: str) -> Any:
                    def call(target: str, **options: Any) -> Any:
                        calls.append((target, options))  # noqa: B023  # it is called in the same round
                        raise StopIteration

                    return call

            names: dict[str, Any] = {"__name__": "made"}
            exec(compile(source, "made", "exec"), names)  # noqa: S102  # written by the test
            (function,) = [each for name, each in names.items() if name.startswith("test_")]
            with pytest.raises(StopIteration):
                function(Client())
            ((target, options),) = calls
            assert target == kept.target, place
            body = options.get("data", b"")
            if "json" in options:
                assert options["json"] == json.loads(kept.request_body), place
            else:
                assert body == kept.request_body, place


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/_functions/payment/cb9c73fe-e577-4f0a-9d7b-0f2f6a8f3c11", "get_payment"),
        ("/_functions/orders/pi_3OqK2xLkdIwHu7ix0kTt8vQp/items", "get_orders_pi_items"),
        ("/_functions/order/12", "get_order_12"),
        (f"/_functions/a/{quote(NASTY)}/b", "get_a_b"),
        (f"/_functions/a/{NASTY.upper()}", "get_a_sup3r_s_key_77"),
        ("/", "get_home"),
    ],
)
def test_names_of_tests_have_no_ids_and_no_secrets(path: str, name: str) -> None:
    text = write_tests([TestCase.of(make(target=path, request_headers=[]), SECRETS)], "")[0]
    assert f"def test_{name}(client):" in text


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(SECRETS.values())) | SECRET_TEXTS, st.integers(0, 9))
def test_no_secret_stands_in_an_export(value: str, encoding: int) -> None:
    text = encodings(value)[encoding]
    with override(SecretStore.from_mapping({"KEY": value})):
        for place, kept in places(text).items():
            archive = json.dumps(as_archive([kept], version="1"), ensure_ascii=False)
            for shown in (as_curl(kept), as_requests(kept), archive):
                found = leaks(shown.encode("utf-8", "surrogatepass"), value)
                assert not found, (place, text, shown)


CREDENTIAL = "tokenXYZ-of-somebody-81"


def credentials_sent() -> list[KeptRequest]:
    echo = json.dumps({"all": f"it was {CREDENTIAL}", "sid": "sid=abc"}).encode()
    long = json.dumps({"all": CREDENTIAL, "long": LONG}).encode()
    ways: list[dict[str, Any]] = [
        {"request_headers": [("Authorization", f"Bearer {CREDENTIAL}"), ("Cookie", "sid=abc"), ("X-A", CREDENTIAL)]},
        {"request_headers": [("X-Api-Key", CREDENTIAL), ("Cookie", "sid=abc")]},
        {"request_headers": [("Cookie", "sid=abc")], "target": f"/_functions/a?api_key={CREDENTIAL}&b=1"},
        {
            "request_headers": [*FORM, ("Cookie", "sid=abc")], "method": "POST",
            "request_body": f"name=ada&password={CREDENTIAL}".encode(), "request_size": 41,
        },
        {"request_headers": [("Referer", f"http://x/?token={CREDENTIAL}"), ("Cookie", "sid=abc")]},
    ]  # fmt: skip
    answers: list[dict[str, Any]] = [
        {"response_body": echo, "response_headers": JSON},
        {"response_body": long, "response_headers": JSON},
        {"response_body": echo, "response_headers": [("Content-Type", "text/html")]},
        {"response_body": b"\xff" + echo, "response_headers": BINARY},
        {"response_body": b"", "response_headers": [("Location", f"/a?x={CREDENTIAL}")]},
    ]
    return [make(**{"response_size": len(got["response_body"]), **way, **got}) for way in ways for got in answers]


def test_no_credential_stands_in_a_test_where_it_was_sent_or_echoed() -> None:
    for kept in credentials_sent():
        case = TestCase.of(kept, {})
        assert case.left_out, kept
        for part, data in written(kept, {}):
            assert CREDENTIAL.encode() not in data, (part, kept)
            assert b"sid=abc" not in data, (part, kept)
        if kept.method == "POST" or kept.request_headers[0][0] == "Referer":
            continue
        for shown in (as_test([kept]), as_curl(kept), as_requests(kept), json.dumps(as_archive([kept], version="1"))):
            assert CREDENTIAL not in shown


def test_a_credential_that_is_a_secret_of_the_project_is_sent() -> None:
    for kept in credentials_sent()[:20:5]:
        case = TestCase.of(kept, {"KEY": CREDENTIAL})
        assert case.left_out == ["Cookie"]
        text = write_tests([case], "")[0]
        assert 'getSecret("KEY")' in text or "getSecret('KEY')" in text


def test_what_cannot_be_named_is_refused_with_the_reason() -> None:
    coded = base64.b64encode(b"a:" + NASTY.encode())
    kept = make(method="POST", request_body=coded, request_size=len(coded), request_headers=[])
    with pytest.raises(CannotTest, match="a secret or a credential would stand in it"):
        write_tests([TestCase.of(kept, SECRETS)], "")
    assert as_test([kept], SECRETS).startswith("# No test can be made of this request: a secret or a credential")


def test_settings_beside_secrets_are_no_secrets() -> None:
    hidden = HiddenValues({"DEBUG": "true", "N": "1", "PIN": "73519482"})
    assert hidden.expected({"a": "true", "n": 1, "pin": 73519482}) == {"a": "true", "n": 1, "pin": ANY_NUMBER}
    assert hidden.expected(True) is True
    kept = make(request_headers=[("X-Test", "a")], response_body=b'{"a": 1}', response_size=8)
    names = {"A": "test", "B": "client", "C": "json", "D": "location", "E": "content-type", "F": "answer"}
    assert "assert answer.json() ==" in as_test([kept], names)


# --- the whole way ---------------------------------------------------------------------------------------------------

FUNCTIONS = """
import datetime as dates
import hashlib, hmac
from datetime import datetime, timezone
from time import time as now
from wixhttp import *
from wixhttp import data as wix_data
from wixhttp.secrets import getSecret

SEEN = hashlib.md5

def post_echo(request):
    return ok({"body": request.body.json()})

def post_who(request):
    return ok({"body": {"auth": request.headers["authorization"] or "nobody", "key": request.query["api_key"]}})

def post_binary(request):
    body = request.body.buffer()
    return ok({"body": str(body.index(getSecret("SHOP_KEY").encode()))})

def get_note(request):
    return ok({"body": {"items": wix_data.query("notes").ascending("text").find().items}})

def get_environ(request):
    return ok({"body": {"is": request.query["k"] == getSecret("IN_ENVIRON")}})

def _is_fresh(seconds, request):
    return ok({"body": "fresh"}) if abs(seconds - int(request.headers["x-signature"])) < 300 else badRequest()

def post_by_datetime(request):
    return _is_fresh(datetime.now(timezone.utc).timestamp(), request)

def post_by_module(request):
    return _is_fresh(dates.datetime.now().timestamp(), request)

def post_by_name(request):
    return _is_fresh(now(), request)
"""


def test_written_tests_pass_without_the_secrets_that_were_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = write_project(tmp_path, {"backend/http_functions.py": FUNCTIONS})
    (site / ".env").write_text(f"SHOP_KEY='{NASTY}'\nGITHUB=gh_secret_of_the_shop\n")
    (site / "data").mkdir()
    (site / "data/collections.toml").write_text('[notes]\npermissions = "public-content"\n')
    notes = [{"_id": "a", "text": NASTY}, {"_id": "b", "text": "plain"}, {"_id": "gh_secret_of_the_shop", "text": "z"}]
    run(site, "data", "insert", "notes", json.dumps(notes))
    environ: dict[str, Any] = {"IN_ENVIRON": "secret-of-the-environment"}
    monkeypatch.setenv("IN_ENVIRON", environ["IN_ENVIRON"])
    signature = [("X-Signature", str(HOUR_AGO))]
    traffic: list[Any] = [
        ("POST", "/_functions/echo", json.dumps({"k": NASTY}).encode(), JSON),
        ("POST", "/_functions/echo", json.dumps({"k": "gh_secret_of_the_shop", "pad": LONG}).encode(), JSON),
        ("POST", f"/_functions/echo?k={quote(NASTY, '')}", b'{"k": 1}', JSON),
        ("POST", "/_functions/binary", b"\xff\x00" + NASTY.encode() * 2, BINARY),
        ("POST", "/_functions/binary", b"\xff\x00" + bytes(2_000) + NASTY.encode() * 2, BINARY),
        ("GET", "/_functions/environ?k=secret-of-the-environment", b"", []),
        *(("POST", f"/_functions/by_{name}", b"{}", signature) for name in ("datetime", "module", "name")),
    ]
    with at_time(HOUR_AGO):
        store = record(site, traffic)
    for number in (7, 8, 9):
        kept = store.get(number)
        assert kept is not None
        assert kept.status == 200
        store.add(replace(kept, id=0, time=HOUR_AGO + 1.5, replay_of=None))
    store.close()
    ids = ["1", "2", "3", "4", "5", "6", "10", "11", "12"]
    made = run(site, "inspect", "to-test", *ids, **environ)
    assert made.err == ""
    record(site, [
        ("GET", "/_functions/note", b"", []),
        ("POST", "/_functions/who?api_key=urlKEY1234", b"{}", [*JSON, ("Authorization", "Bearer tokenXYZ")]),
    ]).close()  # fmt: skip
    made = run(site, "inspect", "to-test", "13", "-o", "tests/test_notes.py", code=1)
    assert "secrets in the items of collections are *** in the test" in made.err
    made = run(site, "inspect", "to-test", "14", "-o", "tests/test_who.py")
    assert "the test does not send authorization, api_key, which is no secret of the project" in made.err
    files = [path for path in (site / "tests").rglob("*") if path.is_file()]
    assert len(files) > 5
    values = [NASTY, "gh_secret_of_the_shop", "secret-of-the-environment", "urlKEY1234", "tokenXYZ"]
    assert [(path.name, each) for path in files for each in values if leaks(path.read_bytes(), each)] == []
    done = pytest_of(site, "tests/test_traffic.py", "tests/test_who.py", **environ)
    assert "10 passed" in done.stdout, done.stdout


# --- the clock -------------------------------------------------------------------------------------------------------

CLOCK = """
import datetime as dates
import time as times
from datetime import date, datetime, timezone
from time import time, time_ns

class Order:
    at: datetime

def read():
    return {
        times.time(), time(), time_ns() / 1e9, datetime.now(timezone.utc).timestamp(), dates.datetime.now().timestamp(),
        datetime.utcnow().replace(tzinfo=timezone.utc).timestamp(), datetime.today().timestamp(),
    }
"""


def module(name: str) -> ModuleType:
    made = ModuleType(name)
    exec(CLOCK, vars(made))  # noqa: S102  # written above
    return made


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_the_clock_stands_for_all_modules_and_goes_on() -> None:
    before = module("site_before")
    real = sys.modules["datetime"].datetime
    names = {name: value for name, value in vars(before).items() if name != "read"}
    with at_time(1_700_000_000):
        within = module("site_within")
        assert before.read() == within.read() == {1_700_000_000.0}
        assert time.gmtime().tm_year == time.localtime().tm_year == 2023
        assert before.date.today().year == 2023
        for made in (before.datetime(2020, 1, 1), before.datetime.fromisoformat("2020-01-01")):
            assert type(made) is real
            assert isinstance(made, before.datetime)
            assert isinstance(made, before.date)
        assert {real: 1}[before.datetime] == 1
        assert issubclass(before.datetime, before.date)
        with at_time(real.fromisoformat("2001-09-09T01:46:40+00:00")):
            assert before.read() == {1_000_000_000.0}
        assert before.read() == {1_700_000_000.0}
    assert {name: value for name, value in vars(before).items() if name != "read"} == names
    assert within.datetime is real
    assert within.time is time.time
    assert min(before.read() | within.read()) > 1_790_000_000
    with pytest.raises(ValueError, match="a date needs a time zone"), at_time(real(2020, 1, 1)):
        pass
