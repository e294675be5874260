"""wixhttp.http.policy: limits and CORS, as values and as decorators."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp import access, inbox, testing, webhooks
from wixhttp.http.cors import Cors, parse_origin
from wixhttp.http.policy import Policy, cors, limits, parse_bytes, parse_seconds, policy_of
from wixhttp.public_calls import MODULES

SITE = "https://www.example.com"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (524288, 524288),
        ("17", 17),
        ("17B", 17),
        ("512 KB", 512 * 1024),
        ("512KiB", 512 * 1024),
        ("5MB", 5 * 1024**2),
        ("5mib", 5 * 1024**2),
        ("1GiB", 1024**3),
    ],
)
def test_bytes(value: object, expected: int) -> None:
    assert parse_bytes(value, "max_body") == expected


@pytest.mark.parametrize(
    "value", [True, -1, 1.0, None, "", "MB", "1.5MB", "-1", "5 XB", "5M", "1iB", "5MB ", "٣", b"5"]
)
def test_what_is_no_number_of_bytes(value: object) -> None:
    with pytest.raises(ValueError, match="max_body is a number of bytes") as caught:
        parse_bytes(value, "max_body")
    assert repr(value) in str(caught.value)


@given(st.integers(0, 10**12), st.sampled_from(["", "B", "KB", "MB", "GB"]))
def test_a_unit_multiplies_by_1024(number: int, unit: str) -> None:
    assert parse_bytes(f"{number}{unit}", "x") == number * 1024 ** (max(0, ["B", "KB", "MB", "GB"].index(unit or "B")))


def test_seconds() -> None:
    assert [parse_seconds(each, "timeout") for each in (0, 14, 0.5)] == [0.0, 14.0, 0.5]
    assert isinstance(parse_seconds(14, "timeout"), float)


@pytest.mark.parametrize("value", [True, -0.1, float("nan"), float("inf"), 10**400, "14", None])
def test_what_is_no_number_of_seconds(value: object) -> None:
    with pytest.raises(ValueError, match="timeout is a number of seconds"):
        parse_seconds(value, "timeout")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SITE, SITE),
        ("HTTPS://WWW.Example.com", SITE),
        ("https://www.example.com:443", SITE),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_origins(value: str, expected: str) -> None:
    assert parse_origin(value, "origins") == expected


@pytest.mark.parametrize(
    "value", ["https://www.example.com/", "https://WWW.example.com/a?b#c", "https://www.example.com#"]
)
def test_an_origin_with_a_path_is_refused_with_the_right_spelling(value: str) -> None:
    with pytest.raises(ValueError, match=f"write '{SITE}'"):
        parse_origin(value, "origins")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "www.example.com",
        "//x",
        "https://",
        "https://*.example.com",
        "https://a b",
        "https://a:99999",
        "https://ü",
        1,
    ],
)
def test_what_is_no_origin(value: object) -> None:
    with pytest.raises(ValueError, match=r"origins is an origin"):
        parse_origin(value, "origins")


def test_cors_from_a_table() -> None:
    table = {"origins": [SITE.upper(), "null"], "headers": ["X-A"], "credentials": True, "max_age": 0}
    assert Cors.parse(table, "cors") == Cors(frozenset({SITE, "null"}), ("X-A",), True, 0)
    assert Cors.parse({"origins": "*"}, "cors") == Cors(frozenset({"*"}))
    assert Cors.parse({"origins": SITE, "headers": []}, "cors").headers == ()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (["*"], "cors is a table"),
        ({}, "cors.origins is a list of texts, not None"),
        ({"origins": []}, "cors.origins is empty"),
        ({"origins": [1]}, "cors.origins is a list of texts"),
        ({"origins": "example.com"}, "cors.origins is an origin"),
        ({"origins": "*", "hedaers": []}, "cors.hedaers is not a key of a CORS policy; did you mean 'headers'"),
        ({"origins": "*", "zzz": 1}, "known are origins, headers, credentials, max_age"),
        ({"origins": "*", "headers": ["X A"]}, "cors.headers names headers, not 'X A'"),
        ({"origins": "*", "headers": 1}, "cors.headers is a list of texts"),
        ({"origins": SITE, "credentials": 1}, "cors.credentials is true or false, not 1"),
        ({"origins": ["*", SITE], "credentials": True}, "cors.credentials excludes"),
        ({"origins": SITE, "headers": ["*"], "credentials": True}, "cors.credentials excludes"),
        ({"origins": SITE, "max_age": -1}, "cors.max_age is a whole number"),
        ({"origins": SITE, "max_age": True}, "cors.max_age is a whole number"),
        ({"origins": SITE, "max_age": 1.5}, "cors.max_age is a whole number"),
    ],
)
def test_cors_refuses(table: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Cors.parse(table, "cors")
    assert message in str(caught.value)


def test_answer_to_an_allowed_origin_echoes_it_as_it_was_sent() -> None:
    policy = Cors(frozenset({SITE, "null"}), credentials=True)
    assert policy.answer_headers("https://WWW.example.com") == [
        ("Vary", "Origin"),
        ("Access-Control-Allow-Origin", "https://WWW.example.com"),
        ("Access-Control-Allow-Credentials", "true"),
    ]
    assert ("Access-Control-Allow-Origin", "null") in policy.answer_headers("null")


@pytest.mark.parametrize("origin", [None, "", "https://evil.example", f"{SITE}.evil.example", f"{SITE}/", "null"])
def test_other_origins_get_vary_only(origin: str | None) -> None:
    policy = Cors(frozenset({SITE}), ("X-A",), credentials=True)
    assert policy.answer_headers(origin) == [("Vary", "Origin")]
    assert policy.preflight_headers(origin, "X-A", ["GET"]) == [("Vary", "Origin")]
    assert not policy.allows(origin)


@pytest.mark.parametrize("origin", [None, SITE])
def test_any_origin_needs_no_vary(origin: str | None) -> None:
    assert Cors(frozenset({"*"})).answer_headers(origin) == [("Access-Control-Allow-Origin", "*")]


def test_preflight_reflects_well_formed_headers_only() -> None:
    answer = Cors(frozenset({SITE}), max_age=60).preflight_headers(SITE, " X-A,x-b,, a b, é", ["GET", "PUT"])
    assert answer == [
        ("Vary", "Origin, Access-Control-Request-Headers"),
        ("Access-Control-Allow-Origin", SITE),
        ("Access-Control-Allow-Methods", "GET, PUT"),
        ("Access-Control-Allow-Headers", "X-A, x-b"),
        ("Access-Control-Max-Age", "60"),
    ]


@pytest.mark.parametrize(
    ("headers", "vary", "allowed"),
    [
        (None, "Access-Control-Request-Headers", "X-A"),
        (("*",), None, "*"),
        (("X-B", "X-C"), None, "X-B, X-C"),
        ((), None, None),
    ],
)
def test_headers_of_a_preflight_from_anywhere(
    headers: tuple[str, ...] | None, vary: str | None, allowed: str | None
) -> None:
    answer = dict(Cors(frozenset({"*"}), headers).preflight_headers(SITE, "X-A", ["GET"]))
    assert answer.get("Vary") == vary
    assert answer.get("Access-Control-Allow-Headers") == allowed


def test_preflight_without_requested_headers() -> None:
    assert "Access-Control-Allow-Headers" not in dict(Cors(frozenset({"*"})).preflight_headers(SITE, None, ["GET"]))


@given(st.text(), st.text())
def test_nothing_outside_reaches_a_header_unchecked(origin: str, requested: str) -> None:
    for policy in (Cors(frozenset({SITE})), Cors(frozenset({"*"}))):
        for _, value in policy.preflight_headers(origin, requested, ["GET"]):
            assert value.isascii()
            assert value.isprintable()


def test_decorators_return_the_same_function_and_merge() -> None:
    def get_hello(request: object) -> str:
        return "hello"

    decorated = cors(origins=SITE)(limits(timeout=60)(limits(max_body="5MB")(get_hello)))
    assert decorated is get_hello
    assert decorated(None) == "hello"
    assert policy_of(get_hello) == Policy(60.0, 5 * 1024**2, Cors(frozenset({SITE})))


def test_a_later_wish_replaces_the_same_wish_only() -> None:
    @limits(timeout=0)
    @limits(timeout=60, max_body=10)
    def get_hello(request: object) -> None: ...

    assert policy_of(get_hello) == Policy(timeout=0.0, max_body=10)


def test_the_wish_is_seen_through_wrappers() -> None:
    @limits(timeout=60)
    def get_hello(request: object) -> None: ...

    @functools.wraps(get_hello)
    def wrapped(*args: Any) -> None: ...

    def bare(*args: Any) -> None: ...

    vars(bare)["__wrapped__"] = functools.partial(get_hello)
    assert {policy_of(each) for each in (wrapped, bare, functools.partial(bare))} == {Policy(timeout=60.0)}
    assert policy_of(limits(max_body=1)(bare)) == Policy(timeout=60.0, max_body=1)
    assert policy_of(get_hello) == Policy(timeout=60.0)


def test_no_wish() -> None:
    def circle() -> None: ...

    vars(circle)["__wrapped__"] = circle
    assert [policy_of(each) for each in (circle, print, None, object())] == [Policy()] * 4


def test_without_parentheses() -> None:
    def get_hello(request: object) -> None: ...

    with pytest.raises(TypeError, match=r"write @limits\(timeout=60\)"):
        limits(get_hello)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"write @cors\(origins="):
        cors(get_hello, origins="*")  # type: ignore[arg-type]


def named_function(request: object) -> None: ...


async def aio(request: object) -> None: ...


def of(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Callable[[], Any]:
    """A call for later, which no type checker looks at."""
    return functools.partial(function, *arguments, **keywords)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (of(webhooks.verified, named_function), '@verified is written without parentheses; write @verified("str'),
        (of(webhooks.once, named_function), "@once is written without parentheses; write @once()"),
        (of(webhooks.idempotent, named_function), "write @idempotent()"),
        (of(access.require_key, named_function), "write @require_key()"),
        (of(access.rate_limit, named_function), 'write @rate_limit("100/minute")'),
        (of(inbox.deferred, named_function), "write @deferred()"),
        (of(inbox.job, named_function), 'write @job("send-mail")'),
        (of(inbox.scheduled, named_function), 'write @scheduled("30 2 * * *")'),
        (of(limits, named_function), "write @limits(timeout=60)"),
        (of(webhooks.verified, "stripe", secrt="A"), "verified() has no argument 'secrt'; did you mean 'secret'?"),
        (of(webhooks.verify, None, "stripe", secret="A", tolerence=1), "did you mean 'tolerance'?"),
        (of(webhooks.sign, "stripe", b"", secret="A", nw=1), "sign() has no argument 'nw'; did you mean 'now'?"),
        (of(webhooks.once, keys=str), "once() has no argument 'keys'; did you mean 'key'?"),
        (of(webhooks.idempotent, require=True), "did you mean 'required'?"),
        (of(access.require_key, scope=["a"]), "require_key() has no argument 'scope'; did you mean 'scopes'?"),
        (of(access.rate_limit, "1/hour", kee="key"), "did you mean 'key'?"),
        (of(access.create_key, "shop", scope=["a"]), "did you mean 'scopes'?"),
        (of(inbox.deferred, attemps=3), "deferred() has no argument 'attemps'; did you mean 'attempts'?"),
        (of(inbox.job, "a", attemps=3), "did you mean 'attempts'?"),
        (of(inbox.scheduled, "* * * * *", timezone="UTC"), "scheduled() has no argument 'timezone'"),
        (of(inbox.enqueue, "a", dely=3), "enqueue() has no keyword 'dely'; did you mean 'delay'? What the job"),
        (of(limits, time_out=3), "limits() has no argument 'time_out'; did you mean 'timeout'?"),
        (of(cors, origin="*"), "did you mean 'origins'?"),
        (of(testing.fake_request, "x", webhok={}), "fake_request() has no argument 'webhok'; did you mean 'webhook'"),
        (of(testing.fake_async_request, "x", apikey="a"), "did you mean 'api_key'?"),
        (of(testing.fake_context, "/x", jsn=1), "fake_context() has no argument 'jsn'; did you mean 'json'?"),
        (of(testing.call_endpoint, named_function, "/x", hedaers={}), "did you mean 'headers'?"),
        (of(testing.TestClient.request, None, "GET", "/x", jsn=1), "did you mean 'json'?"),
        (of(testing.TestClient.run_deferred, None, delay=True), "did you mean 'delayed'?"),
        (of(testing.TestClient.run_scheduled, None, "a", att=1), "run_scheduled() has no argument 'att'"),
        (of(testing.fake_caller, "MEMBER", subjectid="a"), "fake_caller() has no argument 'subjectid'; did you mean"),
        (of(testing.fake_data, projct="."), "did you mean 'project'?"),
        (of(testing.at_time, momnt=1), "at_time() has no argument 'momnt'; did you mean 'moment'?"),
        (of(access.ApiKey, "a", scope=["a"]), "ApiKey() has no argument 'scope'; did you mean 'scopes'?"),
        (of(inbox.Retry, afer=3), "Retry() has no argument 'afer'; did you mean 'after'?"),
        (of(inbox.enqueue, object()), "its function, not an object of the class object"),
        (of(testing.TestClient, ".", max_bdy=1), "'max_bdy' is none; did you mean 'max_body'?"),
        (of(webhooks.once, key=aio), "key is a def that takes the request, not the function 'aio'; write key="),
        (of(webhooks.idempotent, client=object()), "not an object of the class object"),
        (of(access.require_key, dict), "@require_key is written without parentheses"),
        (of(inbox.job("a"), object()), "not of an object of the class object"),
    ],
)
def test_a_public_function_that_is_called_wrong_says_what_to_write(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError) as refused:
        call()
    assert message in str(refused.value)
    assert " at 0x" not in str(refused.value)


def test_a_public_name_that_is_looked_for_elsewhere_is_told_with_its_module() -> None:
    modules = {name: importlib.import_module(f"wixhttp.{name}") for name in MODULES}
    for name, module in modules.items():
        assert set(MODULES[name]) <= set(module.__all__)
        for other in (importlib.import_module("wixhttp"), webhooks, inbox, access, testing):
            for public in MODULES[name]:
                if public not in dir(other):  # wixhttp.testing.deferred is a module, once it is loaded
                    with pytest.raises(ImportError, match=f"write: from wixhttp.{name} import {public}"):
                        getattr(other, public)
    assert not hasattr(webhooks, "nothing")
    from wixhttp import auth, data, fetch  # noqa: F401  # no name hides a module


def test_decorators_refuse_at_once() -> None:
    with pytest.raises(ValueError, match="@limits: timeout is a number of seconds"):
        limits(timeout=-1)
    with pytest.raises(ValueError, match="@limits: max_body is a number of bytes"):
        limits(max_body="5 apples")
    with pytest.raises(ValueError, match=r"@cors\.origins is an origin"):
        cors(origins=["example.com"])
