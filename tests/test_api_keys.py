"""API keys: their store, over every database, the guard through the dispatcher, the commands, and two processes."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from tests import commands
from tests.databases import opened_store
from tests.interfaces import ASGIInterface, Ask, DirectInterface, Interface, Reply, WSGIInterface, write_project
from tests.servers import Server, ask, clean, connect, read_answer, serving
from wixhttp import Response, limits
from wixhttp.access import create_key, key_store, require_key, revoke_key
from wixhttp.access.api_keys import KeyGuard
from wixhttp.access.key_format import is_key, without_keys
from wixhttp.access.key_store import COLLECTION, KeyStore
from wixhttp.cli.openapi.document import openapi_document
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import set_default
from wixhttp.data.stores.contract import Store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.dev.traffic.masks import Masks
from wixhttp.dispatch.app import App
from wixhttp.dispatch.site import load_site
from wixhttp.errors import StoreUnavailable
from wixhttp.logs.masking import masked
from wixhttp.measurements import count_with
from wixhttp.project.config import load_config
from wixhttp.services import load_served_site
from wixhttp.testing import TestClient, fake_data

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


# --- the store -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened_store(request.param, tmp_path) as made, contextlib.closing(made):
        yield made


def test_a_key_is_found_until_it_is_revoked_and_only_its_digest_is_kept(store: Store) -> None:
    keys = KeyStore(store)
    assert (keys.all(), keys.find("x"), keys.revoke("a")) == ([], None, False)
    key, other = keys.create("a", ["orders:write", "orders:read"]), keys.create("Zapier, Ä")
    assert is_key(key)
    assert key != other
    found = keys.find(key)
    assert found is not None
    assert (found.name, sorted(found.scopes)) == ("a", ["orders:read", "orders:write"])
    assert [each.name for each in keys.all()] == ["Zapier, Ä", "a"]
    assert all(key[len(found.hint) :] not in repr(each.row) for each in keys.all())
    assert keys.revoke(" a ")
    assert (keys.find(key), keys.revoke("a"), [each.name for each in keys.all()]) == (None, False, ["Zapier, Ä"])
    assert keys.find(other) is not None
    assert keys.find(keys.create("a")) is not None  # the name is free again


def test_of_many_that_make_a_key_of_one_name_at_once_one_does(store: Store) -> None:
    def make(_: int) -> str | None:
        with contextlib.suppress(ValueError):
            return KeyStore(store).create("one")
        return None

    KeyStore(store).create("another")
    with ThreadPoolExecutor(8) as pool:
        made = [key for key in pool.map(make, range(16)) if key]
    assert len(made) == 1
    assert [each.name for each in KeyStore(store).all()] == ["another", "one"]


def test_the_last_use_is_written_once_a_minute_and_never_brings_a_revoked_key_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    keys = KeyStore(store, clock=clock)
    key = keys.create("a")
    writes = 0
    write = store.write

    def counting(*arguments: Any, **options: Any) -> Any:
        nonlocal writes
        writes += 1
        return write(*arguments, **options)

    monkeypatch.setattr(store, "write", counting)

    def used() -> datetime | None:
        record = keys.find(key)
        assert record is not None
        keys.note_use(record)
        return keys.all()[0].used

    monkeypatch.setattr(key_store, "_noted", {})
    clock.now += MINUTE / 4
    assert [used() for _ in range(5)] == [clock.now] * 5
    assert writes == 1
    clock.now += MINUTE
    assert used() == clock.now - MINUTE  # this process has written it less than a minute of its own ago
    key_store._noted.clear()
    assert used() == clock.now
    assert writes == 2
    record = keys.find(key)
    assert record is not None
    clock.now += MINUTE
    key_store._noted.clear()
    keys.revoke("a")
    keys.note_use(record)
    assert keys.all() == []


def test_a_store_that_takes_no_writes_refuses_no_key(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    key = KeyStore(store).create("a")

    def fail(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the disk is full", code="WDE0091")

    monkeypatch.setattr(store, "write", fail)
    set_default(Collections(store))
    try:
        record = KeyStore(store).find(key)
        assert record is not None
        KeyStore(store).note_use(record)
    finally:
        set_default(None)
    assert "the last use of the API key 'a' cannot be written: WDE0091: the disk is full" in caplog.text


def test_a_key_expires() -> None:
    clock = Clock()
    keys = KeyStore(MemoryStore(), clock=clock)
    record = keys.find(keys.create("a", expires=NOON + DAY))
    assert record is not None
    assert not keys.is_over(record)
    clock.now = NOON + DAY
    assert keys.is_over(record)
    for wrong in (NOON + DAY, NOON, datetime(2030, 1, 1)):  # noqa: DTZ001
        with pytest.raises(ValueError, match="expires"):
            keys.create("b", expires=wrong)


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "a\0", "\ud800", 7, None])
def test_a_name_that_cannot_be_is_told(name: Any) -> None:
    with pytest.raises(ValueError, match="the name of a key"):
        KeyStore(MemoryStore()).create(name)


@pytest.mark.parametrize("scopes", ["orders", [""], ["a b"], ['a"'], ["a\\"], ["ä"], ["a\0"], ["x" * 101], [7], 7])
def test_a_scope_that_cannot_be_is_told_at_once(scopes: Any) -> None:
    with pytest.raises(ValueError, match="scopes"):
        KeyStore(MemoryStore()).create("a", scopes)
    with pytest.raises(ValueError, match="scopes of @require_key"):
        require_key(scopes=scopes)


def test_a_damaged_key_is_the_stores_fault() -> None:
    store = MemoryStore()
    keys = KeyStore(store)
    key = keys.create("a")
    [record] = keys.all()
    store.write(lambda changes: changes.update(COLLECTION, [record.row._replace(text='{"name":"a"}')]))
    with pytest.raises(StoreUnavailable, match="damaged"):
        keys.find(key)


@given(st.text(max_size=30), st.integers(0, 3))
def test_keys_are_masked_wherever_they_stand(around: str, count: int) -> None:
    keys = [f"wixhttp_{chr(97 + number) * 43}" for number in range(count)]
    text = around.join(["<", *keys, ">"])
    shown = without_keys(text)
    assert not any(key in shown for key in keys)
    assert without_keys(shown) == shown


# --- the guard -------------------------------------------------------------------------------------------------------

FUNCTIONS = """
from wixhttp.access import require_key

def said(request):
    return ok({"body": [request.api_key.name, sorted(request.api_key.scopes)]})

@require_key()
def get_def(request):
    return said(request)

@require_key()
async def get_async(request):
    return said(request)

@limits(timeout=5)
@require_key(scopes=["orders:read", "orders:write"])
def get_scoped(request):
    return said(request)

@require_key(None)
def get_free(request):
    return ok(str(request.api_key))

def get_plain(request):
    return ok(str(request.api_key))

@require_key()
def use_every(request):
    return ok("every")

@require_key()
def options_own(request):
    return ok("options")

@require_key()
def get_leaking(request):
    print("printed", request.headers["x-api-key"])
    raise RuntimeError("with " + request.headers["x-api-key"])
"""
PAGES = {
    "src/pages/def.py": """
        from wixhttp.access import require_key
        from wixhttp.endpoints import Response

        @require_key()
        def GET():
            return Response("def")
        """,
    "src/pages/async.py": """
        from wixhttp.access import require_key
        from wixhttp.endpoints import Response

        @require_key()
        async def GET():
            return Response("async")
        """,
    "src/pages/plain.py": """
        from wixhttp.endpoints import Response

        async def GET():
            return Response("plain")
        """,
    "src/pages/free.py": """
        from wixhttp.access import require_key
        from wixhttp.endpoints import Response

        @require_key(None)
        def GET():
            return Response("free")
        """,
}
KINDS: list[type[Interface]] = [DirectInterface, WSGIInterface, ASGIInterface]
BEARER = 'Bearer realm="API"'


class Site:
    """A site whose store is in memory, and two keys of it."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        self.store = MemoryStore()
        set_default(Collections(self.store))
        self.clock = Clock()
        self.key = create_key("zapier")
        self.scoped = create_key("shop", scopes=["orders:read", "orders:write", "more"])

    def __call__(self, target: str, *headers: tuple[str, str], method: str = "GET") -> Reply:
        target = target if target.startswith("/") else f"/_functions/{target}"
        return self.interface.ask(Ask(method, target, headers))


@contextlib.contextmanager
def asking(folder: Path, kind: type[Interface] = DirectInterface, **flags: Any) -> Iterator[Site]:
    interface = kind(App(load_served_site(load_config(folder, environ={}, flags=flags))))
    try:
        yield Site(interface)
    finally:
        set_default(None)
        interface.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(write_project(tmp_path_factory.mktemp("keys"), FUNCTIONS), PAGES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["def", "async", "/def", "/async"])
def test_functions_and_endpoints_of_both_kinds_ask_for_a_key(folder: Path, kind: type[Interface], target: str) -> None:
    with asking(folder, kind) as site:
        refused = site(target)
        assert (refused.status, refused.header("WWW-Authenticate")) == (401, BEARER)
        assert refused.problem["detail"] == "This needs an API key."
        for header in (("X-API-Key", site.key), ("authorization", f"Bearer {site.key}")):
            reply = site(target, header)
            assert reply.status == 200
            assert target.startswith("/") or reply.json() == ["zapier", []]
        assert revoke_key("zapier")
        assert not revoke_key("zapier")
        refused = site(target, ("X-API-Key", site.key))
        assert (refused.status, refused.header("WWW-Authenticate")) == (401, f'{BEARER}, error="invalid_token"')


def test_a_key_without_all_of_the_scopes_is_refused_403(folder: Path) -> None:
    with asking(folder) as site:
        refused = site("scoped", ("X-API-Key", site.key))
        challenge = f'{BEARER}, error="insufficient_scope", scope="orders:read orders:write"'
        assert (refused.status, refused.header("WWW-Authenticate")) == (403, challenge)
        assert refused.problem["detail"] == "This API key is not allowed to do this."
        assert site("scoped", ("X-API-Key", site.scoped)).json() == ["shop", ["more", "orders:read", "orders:write"]]
        assert site("scoped").status == 401


def test_an_expired_key_is_refused(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with asking(folder) as site:
        key = KeyStore(site.store, clock=lambda: NOON).create("old", expires=NOON + DAY)
        assert site("def", ("X-API-Key", key)).status == 401
    assert "GET /_functions/def: the API key 'old' has expired" in caplog.text


def shown(key: str) -> list[tuple[list[tuple[str, str]], int]]:
    """Header fields, and the status of their answer."""
    own, bearer = "X-API-Key", "Authorization"
    return [
        ([(own, "")], 401), ([(own, " ")], 401), ([(own, "x")], 401), ([(own, key[:-1])], 401),
        ([(own, key + "a")], 401), ([(own, key.upper())], 401), ([(own, "Bearer " + key)], 401),
        ([(own, key), (own, key)], 401), ([(own, f"{key},{key}")], 401), ([(own, "é" * 51)], 401),
        ([(own, "\0" * 51)], 401), ([(own, key[:-1] + "\0")], 401), ([(own, "x" * 100_000)], 401),
        ([(own, f"  {key}\t")], 200), ([(own, f'"{key}"')], 401),
        ([(bearer, key)], 401), ([(bearer, "Bearer")], 401), ([(bearer, "Bearer ")], 401), ([(bearer, "")], 401),
        ([(bearer, f"bearer   {key}")], 200), ([(bearer, f"BEARER {key} ")], 200), ([(bearer, f"Basic {key}")], 401),
        ([(bearer, f"Bearer {key} {key}")], 401), ([(bearer, f"Bearer {key}, Bearer {key}")], 401),
        ([(bearer, f"Bearer {key}"), (bearer, f"Bearer {key}")], 401), ([(bearer, f"Bearer\t{key}")], 401),
        ([(bearer, "Bearer " + "x" * 100_000)], 401), ([(bearer, "Bearer é")], 401), ([(bearer, "é")], 401),
        ([(own, key), (bearer, "Bearer a.callers.token")], 200), ([(own, ""), (bearer, f"Bearer {key}")], 200),
        ([(own, "x"), (bearer, f"Bearer {key}")], 401),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [DirectInterface, ASGIInterface])
def test_what_is_sent_as_a_key_and_is_none_is_refused_401(folder: Path, kind: type[Interface]) -> None:
    with asking(folder, kind) as site:
        for headers, status in shown(site.key):
            reply = site("def", *headers)
            assert (reply.status, headers) == (status, headers)
            assert (reply.header("WWW-Authenticate") is None) == (status == 200)


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(max_codepoint=255), max_size=80), st.sampled_from(["X-API-Key", "Authorization"]))
def test_no_text_is_a_key_by_chance(folder: Path, text: str, name: str) -> None:
    with asking(folder) as site:
        assert site("def", (name, text)).status == 401
        assert site("def", (name, f"Bearer {text}")).status == 401


def test_what_has_not_the_form_of_a_key_does_not_reach_the_store(folder: Path) -> None:
    with asking(folder) as site:

        def fail() -> Collections:
            raise AssertionError("the store was asked")

        set_default(fail)
        assert site("def").status == 401
        assert site("def", ("X-API-Key", "x" * 51)).status == 401


def test_the_setting_asks_everybody_for_a_key_but_those_that_are_exempt(folder: Path) -> None:
    with asking(folder, api_keys=True) as site:
        for target in ("plain", "/plain", "def", "/def", "every"):
            assert site(target).status == 401
            assert site(target, ("X-API-Key", site.key)).status == 200
        assert site("scoped", ("X-API-Key", site.key)).status == 403
        assert [site(each).text for each in ("free", "/free")] == ["None", "free"]
        assert site("nothing").status == 404
    with asking(folder) as site:
        assert [site(each).text for each in ("plain", "/plain")] == ["None", "plain"]


def test_preflights_need_no_key_and_nothing_else_runs_by_them(folder: Path) -> None:
    preflight = (("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET"))
    with asking(folder, api_keys=True) as site:
        assert site("own", *preflight, method="OPTIONS").text == "options"
        assert site("own", method="OPTIONS").status == 401
        assert site("every", *preflight, method="OPTIONS").status == 401  # it would run what needs a key
        assert site("every", *preflight).status == 401
    with asking(folder, api_keys=True, cors='{origins = ["https://a.example"]}') as site:
        for target in ("def", "every", "/plain"):
            assert site(target, *preflight, method="OPTIONS").status == 204
            refused = site(target, preflight[0])
            assert (refused.status, refused.header("Access-Control-Allow-Origin")) == (401, "https://a.example")


def test_the_log_has_the_reason_and_never_the_key(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    count_with(lambda event, labels: seen.update([(event, labels.get("reason", ""))]))
    try:
        with asking(folder, DirectInterface) as site:
            unknown = site.key[:-4] + "0000"
            for text in ("", "x", unknown):
                site("def", ("X-API-Key", text))
            site("scoped", ("X-API-Key", site.key))
            reply = site("leaking", ("X-API-Key", site.key))
            assert (reply.status, site.key in reply.text) == (500, False)
    finally:
        count_with(None)
    refused = {what: count for what, count in seen.items() if what[0] == "key_refused"}
    assert refused == {("key_refused", why): 1 for why in ("missing", "malformed", "unknown", "scope")}
    assert [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING] == [
        "GET /_functions/def: no API key was sent",
        "GET /_functions/def: what was sent as an API key has not the form of one",
        "GET /_functions/def: the API key is unknown, or was revoked",
        "GET /_functions/scoped: the API key 'zapier' has not the scope orders:read, orders:write",
    ]
    assert masked(f"a {site.key} b") == "a wixhttp_*** b"
    fields = [("X-API-Key", site.key), ("Authorization", f"Bearer {site.key}"), ("Referer", f"/?api_key={site.key}")]
    assert not any(site.key in value for _, value in Masks().headers(fields))
    assert site.key not in Masks().target(f"/_functions/x/{site.key}?apiKey={site.key}")


def test_in_front_of_an_async_def_a_key_is_looked_up_on_a_thread_and_the_answer_stays_on_the_loop(folder: Path) -> None:
    threads: list[str] = []

    class Noting(MemoryStore):
        def get(self, *arguments: Any) -> Any:
            threads.append(threading.current_thread().name)
            return super().get(*arguments)

    def leave(guard: KeyGuard, request: Any, response: Any) -> Any:
        threads.append(threading.current_thread().name)
        return response

    with asking(folder, ASGIInterface) as site, pytest.MonkeyPatch.context() as patched:
        set_default(Collections(Noting()))
        patched.setattr(KeyGuard, "leave", leave)
        assert site("async", ("X-API-Key", create_key("a"))).status == 200
    looked_up, left = threads
    assert looked_up.startswith("wixhttp-guards")
    assert not left.startswith("wixhttp-guards")


def test_a_store_that_cannot_be_reached_lets_nobody_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with asking(folder) as site:

        def fail(*_: Any) -> None:
            raise StoreUnavailable("it is away")

        monkeypatch.setattr(site.store, "get", fail)
        reply = site("async", ("X-API-Key", site.key))
        assert (reply.status, reply.header("Retry-After")) == (503, "5")


@pytest.mark.parametrize(
    "made",
    [
        lambda: require_key(print),  # type: ignore[arg-type]
        lambda: require_key("orders:read"),  # type: ignore[arg-type]
        lambda: require_key(None, None),
        lambda: require_key(None, scopes=["a"]),
    ],
)
def test_a_decorator_that_is_written_wrong_is_told_at_once(made: Any) -> None:
    with pytest.raises(TypeError, match="require_key"):
        made()


def test_a_function_that_asks_for_a_key_is_called_in_a_test_as_it_is() -> None:
    @limits(timeout=1)
    @require_key(scopes=["a"])
    def get_x(request: object) -> Response:
        return Response(200, "x")

    assert get_x(None).body == "x"


def test_keys_of_a_test_are_made_in_its_data(folder: Path) -> None:
    client = TestClient(folder)
    with fake_data(folder):
        key = create_key("test", scopes=["orders:read", "orders:write"])
        assert client.get("scoped", headers={"X-API-Key": key}).json() == ["test", ["orders:read", "orders:write"]]
        with pytest.raises(ValueError, match="there is a key 'test' already"):
            create_key("test")
    with fake_data(folder):
        assert client.get("scoped", headers={"X-API-Key": key}).status_code == 401


def test_keys_need_neither_the_library_of_rate_limits_nor_a_database_before_a_request() -> None:
    code = """
import sys, wixhttp.access
wixhttp.access.require_key()
print("limits" in sys.modules, "wixhttp.data" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False False\n"


FUNCTIONS_OF_A_DOCUMENT = """
from wixhttp import ok
from wixhttp.access import rate_limit, require_key

@require_key()
def get_keyed():
    return ok()

@require_key(scopes=["b", "a"])
@rate_limit("1/day", key="key")
def get_scoped():
    return ok()

@require_key(None)
@rate_limit(None)
def get_free():
    return ok()

def get_plain():
    return ok()
"""


def test_the_openapi_document_tells_keys_scopes_and_limits(tmp_path: Path) -> None:
    files = {
        "backend/http_functions.py": FUNCTIONS_OF_A_DOCUMENT,
        "src/pages/built.py": """
        from wixhttp.endpoints import Response

        prerender = True

        def GET():
            return Response("for everybody")
        """,
    }

    project = write_project(tmp_path, files)

    def told(**flags: Any) -> dict[str, tuple[Any, list[str]]]:
        document, _ = openapi_document(load_site(load_config(project, environ={}, flags=flags)))
        validate(document)
        schemes = document["components"].get("securitySchemes", {})
        assert schemes.get("apiKey", {"name": "X-API-Key"})["name"] == "X-API-Key"
        return {
            path: (item["get"].get("security"), [each for each in item["get"]["responses"] if each[0] == "4"])
            for path, item in document["paths"].items()
        }

    assert told() == {
        "/_functions/keyed": ([{"apiKey": []}], ["401"]),
        "/_functions/scoped": ([{"apiKey": ["a", "b"]}], ["401", "403", "429"]),
        "/_functions/free": (None, []),
        "/_functions/plain": (None, []),
        "/built": (None, []),
    }
    assert told(api_keys=True, rate_limit="1/day") == {
        "/_functions/keyed": ([{"apiKey": []}], ["401", "429"]),
        "/_functions/scoped": ([{"apiKey": ["a", "b"]}], ["401", "403", "429"]),
        "/_functions/free": (None, []),
        "/_functions/plain": ([{"apiKey": []}], ["401", "429"]),
        "/built": (None, []),
    }


# --- the commands, and two processes ---------------------------------------------------------------------------------


class Project:
    """A project folder, and the commands in it."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.environ = clean(environ)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        done = commands.run(["keys", *arguments], cwd=self.folder, env=self.environ)
        return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_keys_are_made_listed_and_revoked_by_commands(tmp_path: Path) -> None:
    there = Project(write_project(tmp_path, FUNCTIONS))
    assert there.run("list") == (0, "", "there are no keys; make one: wixhttp keys create NAME\n")
    assert not (tmp_path / "data").exists()
    code, out, note = there.run("create", "zapier", "--scope", "b", "--scope", "a", "--expires", "90d")
    assert (code, is_key(out.strip()), "it cannot be shown again" in note) == (0, True, True)
    assert there.run("create", "zapier")[0] == 1
    assert there.run("create", "day", "--expires", "2100-01-31")[0] == 0
    code, out, _ = there.run("list", "--json")
    day, zapier = (json.loads(line) for line in out.splitlines())
    assert (day["name"], day["expires"], day["lastUsed"]) == ("day", "2100-02-01T00:00:00.000Z", None)
    assert (zapier["name"], zapier["scopes"]) == ("zapier", ["a", "b"])
    code, out, _ = there.run("list")
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "day", "zapier"]
    assert there.run("revoke", "day") == (0, "revoked day\n", "")
    assert there.run("revoke", "day") == (1, "", "Error: there is no key 'day'; list them: wixhttp keys list\n")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["create", ""], 1, "the name of a key"), (["create", "a", "--scope", "a b"], 1, "scopes are words"),
        (["create", "a", "--expires", "soon"], 2, "such as 12h, 90d or 8w"), (["create"], 2, "Missing argument"),
        (["create", "a", "--expires", "9999-12-31"], 2, "it is a day"),
        (["create", "a", "--expires", "0h"], 1, "in the future"),
        (["create", "a", "--expires", "2020-01-01"], 1, "in the future"), (["revok", "a"], 2, "did you mean 'revoke'"),
        (["--database-url", "memory://", "list"], 1, "memory://"), (["--database-url", "x", "list"], 3, "sqlite:///"),
    ],
)  # fmt: skip
def test_a_command_that_is_wrong_says_the_way_out(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    found, out, errors = Project(write_project(tmp_path, FUNCTIONS)).run(*arguments)
    assert (found, out) == (code, "")
    assert says in re.sub(r"\s+", " ", errors)
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Server]:
    with serving(folder, "--workers", "2") as server:
        server.wait_for_message("serving ", 2)
        yield server


def statuses(server: Server, key: str) -> Counter[int]:
    request = f"GET /_functions/async HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n".encode()
    with ThreadPoolExecutor(4) as pool:
        return Counter(answer.status for answer in pool.map(lambda _: ask(server.port, request), range(20)))


def test_a_key_opens_all_processes_at_once_and_once_revoked_none(served: Server, folder: Path) -> None:
    there = Project(folder)
    key = there.run("create", "a")[1].strip()
    assert statuses(served, key) == {200: 20}
    used = datetime.fromisoformat(json.loads(there.run("list", "--json")[1])["lastUsed"].replace("Z", "+00:00"))
    assert datetime.now(timezone.utc) - used < timedelta(hours=1)
    request = f"GET /_functions/leaking HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode()
    assert ask(served.port, request).status == 500
    served.wait_for_message("printed wixhttp_***")
    [failed] = served.wait_for_message("get_leaking raised RuntimeError")
    assert "RuntimeError: with wixhttp_***" in failed["exception"]
    assert there.run("revoke", "a")[0] == 0
    assert statuses(served, key) == {401: 20}
    assert key not in repr(served.lines)


@pytest.mark.parametrize("value", [b"", b"x" * 100_000, b"\xff\xfe", b"a\0b", b"\r\nX-API-Key: b"])
@pytest.mark.parametrize("name", [b"X-API-Key: ", b"Authorization: Bearer "])
def test_a_server_answers_what_is_no_key_with_a_refusal(served: Server, name: bytes, value: bytes) -> None:
    with connect(served.port) as connection:
        connection.sendall(b"GET /_functions/def HTTP/1.1\r\nHost: x\r\n" + name + value + b"\r\n\r\n")
        assert read_answer(connection).status in (400, 401, 431)
