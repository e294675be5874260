"""Sessions, over every store, and through the server interfaces."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.databases import in_use, opened_store
from tests.interfaces import TIMEOUT, DirectInterface, Interface, Reply, Served, load_app, write_project
from wixhttp import data
from wixhttp.concurrency.bridge import Bridge
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import set_default
from wixhttp.data.queries.tree import EVERYTHING
from wixhttp.data.queries.values import format_date
from wixhttp.data.schema.declarations import COLLECTION_NAME
from wixhttp.data.stores.contract import Row, Store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.endpoints.session import AsyncSession, Session
from wixhttp.endpoints.session_store import COLLECTION, MAX_SIZE, NAME, SessionState, remove_expired
from wixhttp.endpoints.session_values import decode_values, encode_values, held
from wixhttp.endpoints.web.cookies import Cookies
from wixhttp.errors import InvalidInput, StoreUnavailable, WixDataError

LIFETIME = 1000.0
NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened_store(request.param, tmp_path) as made, in_use(made):
        yield made


@pytest.fixture
def memory() -> Iterator[Store]:
    with in_use(MemoryStore()) as made:
        yield made


@pytest.fixture
def no_store() -> Iterator[None]:
    """A site whose store must not be asked."""

    def fail() -> Collections:
        raise AssertionError("the store was asked")

    set_default(fail)
    yield
    set_default(None)


class Visitor:
    """A browser: it keeps the cookie, and makes the session of a request. ``now`` is the server's clock."""

    def __init__(self, cookie: str | None = None) -> None:
        self.cookie = cookie
        self.now = NOON

    def comes(self, **details: Any) -> SessionState:
        cookies = Cookies(None if self.cookie is None else f"theme=dark; {NAME}={self.cookie}")
        self.cookies = cookies
        return SessionState(cookies, LIFETIME, clock=lambda: self.now, **details)

    def leaves(self, state: SessionState) -> list[str]:
        """The ``Set-Cookie`` headers of the answer."""
        state.save()
        self.take(self.cookies)
        return self.cookies.headers()

    def take(self, cookies: Cookies) -> None:
        if cookies.headers():
            held = cookies.get(NAME)
            self.cookie = None if held is None else held.value

    def sets(self, **values: Any) -> list[str]:
        state = self.comes()
        for key, value in values.items():
            state.set(key, value)
        return self.leaves(state)

    def values(self) -> dict[str, Any]:
        state = self.comes()
        return {key: state.get(key) for key in state.keys()}  # noqa: SIM118  # it is no dict


def rows(store: Store) -> list[Row]:
    return store.find(COLLECTION, EVERYTHING) if COLLECTION in store.collections() else []


# --- over every store ------------------------------------------------------------------------------------------------


def test_values_are_kept(store: Store) -> None:
    visitor = Visitor()
    given = {"n": 1, "f": 1.5, "t": "ä", "none": None, "list": [1, {"when": NOON}], "when": NOON, "_id": "x"}
    [field] = visitor.sets(**given)
    assert re.fullmatch(rf"{NAME}=[A-Za-z0-9_-]{{43}}; Path=/; HttpOnly; Secure; SameSite=Lax", field)
    state = visitor.comes()
    assert {key: state.get(key) for key in given} == given
    assert sorted(state.keys()) == sorted(given)
    assert (state.has("none"), state.has("other"), state.get("other")) == (True, False, None)
    state.delete("n")
    state.delete("other")
    assert visitor.leaves(state) == [], "the id is the same"
    assert sorted(visitor.values()) == sorted({*given} - {"n"})


def test_reading_writes_nothing(store: Store) -> None:
    visitor = Visitor()
    state = visitor.comes()
    assert (state.get("a"), state.has("a"), state.keys()) == (None, False, [])
    assert visitor.leaves(state) == []
    assert Visitor("A" * 43).values() == {}
    assert store.collections() == {}
    visitor.sets(a=1)
    before = rows(store)
    visitor.now += timedelta(seconds=LIFETIME / 10 - 1)
    state = visitor.comes()
    assert state.get("a") == 1
    assert visitor.leaves(state) == []
    assert rows(store) == before


def test_deleting_what_is_not_there_and_destroying_nothing_begin_no_session(store: Store) -> None:
    visitor = Visitor()
    for change in (lambda state: state.delete("a"), SessionState.destroy, SessionState.regenerate):
        state = visitor.comes()
        change(state)
        assert visitor.leaves(state) == []
    state = visitor.comes()
    state.set("a", 1)
    state.delete("a")
    assert visitor.leaves(state) == []
    assert store.collections() == {}


@pytest.mark.parametrize(
    "cookie",
    ["", "x", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "%0A", "A" * 42 + "ä", "A" * 2**20, "../" + "A" * 40, "%"],
    ids=lambda text: f"{text[:5]}-{len(text)}",
)
def test_a_cookie_that_is_no_id_asks_no_store(no_store: None, cookie: str) -> None:
    visitor = Visitor(cookie)
    assert visitor.values() == {}
    state = visitor.comes()
    state.destroy()
    [field] = visitor.leaves(state)
    assert field.startswith(f"{NAME}=; Path=/; Expires=Thu, 01 Jan 1970"), "what is sent is deleted all the same"


@pytest.mark.parametrize("cookie", ["A" * 43, "A" * 42, "x" * 10_000])
def test_an_id_that_was_made_up_is_never_adopted(store: Store, cookie: str) -> None:
    Visitor().sets(other=1)
    visitor = Visitor(cookie)
    assert visitor.values() == {}
    [field] = visitor.sets(user="ada")
    assert visitor.cookie != cookie
    assert cookie not in field
    assert visitor.values() == {"user": "ada"}
    assert Visitor(cookie).values() == {}


def test_the_store_does_not_hold_the_id(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(a=1)
    [row] = rows(store)
    assert visitor.cookie is not None
    assert row.id == hashlib.sha256(visitor.cookie.encode()).hexdigest()
    assert visitor.cookie not in str(row)
    assert Visitor(row.id[:43]).values() == {}


def test_a_session_ends_its_lifetime_after_the_last_change(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(a=1)
    old = visitor.cookie
    visitor.now += timedelta(seconds=LIFETIME - 1)
    visitor.sets(b=2)
    visitor.now += timedelta(seconds=LIFETIME - 1)
    assert visitor.values() == {"a": 1, "b": 2}
    visitor.now += timedelta(seconds=1)
    assert visitor.values() == {}
    assert visitor.sets(c=3)
    assert visitor.cookie != old
    assert visitor.values() == {"c": 3}


def test_a_session_that_is_read_lives_on(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(a=1)
    for _ in range(30):
        visitor.now += timedelta(seconds=LIFETIME / 10)
        state = visitor.comes()
        assert state.get("a") == 1
        assert visitor.leaves(state) == []
    [row] = rows(store)
    assert (row.created, row.updated) == (format_date(NOON), format_date(visitor.now))


def test_regenerate(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(cart=[1], gone=1)
    thief = Visitor(visitor.cookie)
    state = visitor.comes()
    state.regenerate()
    state.set("user", "ada")
    state.delete("gone")
    assert len(visitor.leaves(state)) == 1
    assert visitor.values() == {"cart": [1], "user": "ada"}
    assert visitor.cookie != thief.cookie
    assert thief.values() == {}
    thief.sets(user="eve")
    assert visitor.values() == {"cart": [1], "user": "ada"}
    assert len(rows(store)) == 2


def test_destroy(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(user="ada")
    thief = Visitor(visitor.cookie)
    state = visitor.comes()
    state.set("b", 2)
    state.destroy()
    state.regenerate()
    assert (state.get("user"), state.keys()) == (None, [])
    [field] = visitor.leaves(state)
    assert field.startswith(f"{NAME}=; Path=/; Expires=Thu, 01 Jan 1970")
    assert rows(store) == []
    assert thief.values() == {}
    assert visitor.values() == {}


def test_what_is_set_after_destroy_begins_another_session(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(user="ada")
    old = visitor.cookie
    state = visitor.comes()
    state.destroy()
    state.set("flash", "bye")
    assert len(visitor.leaves(state)) == 1
    assert visitor.values() == {"flash": "bye"}
    assert visitor.cookie != old
    assert len(rows(store)) == 1


def test_requests_at_once_lose_nothing(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(start=0, gone=0)
    count = 8
    loaded = threading.Barrier(count, timeout=TIMEOUT)
    failed: list[BaseException] = []

    def request(number: int) -> None:
        try:
            state = Visitor(visitor.cookie).comes()
            state.set(f"k{number}", number)
            if number == 0:
                state.delete("gone")
            loaded.wait()
            state.save()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=request, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert failed == []
    assert visitor.values() == {"start": 0, **{f"k{number}": number for number in range(count)}}


@pytest.mark.parametrize("ending", [SessionState.destroy, SessionState.regenerate])
def test_what_changes_while_the_session_ends_is_dropped(store: Store, ending: Callable[[SessionState], None]) -> None:
    visitor = Visitor()
    visitor.sets(user="ada")
    slow = Visitor(visitor.cookie)
    late = slow.comes()
    late.set("cart", [1])
    state = visitor.comes()
    ending(state)
    visitor.leaves(state)
    assert slow.leaves(late) == [], "it keeps the cookie of the answer that overtook it"
    assert visitor.values() == ({} if ending is SessionState.destroy else {"user": "ada"})
    assert len(rows(store)) == (ending is SessionState.regenerate)


@pytest.mark.parametrize("ending", [SessionState.destroy, SessionState.regenerate])
def test_two_that_end_a_session_at_once(store: Store, ending: Callable[[SessionState], None]) -> None:
    visitor = Visitor()
    visitor.sets(user="ada")
    first, second = Visitor(visitor.cookie), Visitor(visitor.cookie)
    states = first.comes(), second.comes()
    for state in states:
        ending(state)
    first.leaves(states[0])
    second.leaves(states[1])
    is_ended = ending is SessionState.destroy
    assert first.values() == ({} if is_ended else {"user": "ada"})
    assert len(rows(store)) == (not is_ended)


def test_64_kb(store: Store) -> None:
    visitor = Visitor()
    state = visitor.comes()
    capacity = MAX_SIZE - len('{"a":""}')
    state.set("a", "x" * capacity)
    with pytest.raises(ValueError, match="a session holds 65536 bytes, and with 'a' it has 65537; keep the rest"):
        state.set("a", "x" * (capacity + 1))
    with pytest.raises(ValueError, match="with 'b' it has"):
        state.set("b", 1)
    visitor.leaves(state)
    assert visitor.values() == {"a": "x" * capacity}


def test_64_kb_of_what_two_requests_set(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(a=1)
    first, second = visitor.comes(), Visitor(visitor.cookie).comes()
    first.set("b", "ä" * 20_000)
    second.set("c", "x" * 30_000)
    first.save()
    with pytest.raises(ValueError, match="a session holds 65536 bytes, and it has 70"):
        second.save()
    assert sorted(visitor.values()) == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), "'k'.*object"),
        ({"deep": [{1}]}, r"'k'\.deep\[0\].*set"),
        ([{"x" * 10**6: {1}}], r"'k'\[0\]\.x.*set"),
        (b"x", "'k'.*bytes"),
        ({1: 2}, "'k'.*keys are text"),
    ],
)
def test_what_no_session_holds(no_store: None, value: object, told: str) -> None:
    state = Visitor().comes()
    with pytest.raises(ValueError, match=told):
        state.set("k", value)
    assert state.keys() == []


def test_keys(no_store: None) -> None:
    state = Visitor().comes()
    number: Any = 5
    for call in (
        lambda: state.set(number, 1),
        *(partial(each, number) for each in (state.get, state.has, state.delete)),
    ):
        with pytest.raises(TypeError, match=r"is a str, not 5 \(int\)"):
            call()


@pytest.mark.parametrize("value", [[], {}, ()])
@pytest.mark.parametrize("depth", [101, 1000, 100_000])
def test_what_is_nested_too_deep_is_too_much(no_store: None, value: Any, depth: int) -> None:
    for number in range(depth):
        value = {"a": value} if number % 2 else [value]
    with pytest.raises(InvalidInput, match=r"'k'(\.a|\[0\]).*more than 100 levels") as caught:
        Visitor().comes().set("k", value)
    assert caught.value.status == 413
    while value:  # or Python takes it apart recursively
        [value] = value.values() if isinstance(value, dict) else value


ODD = {
    "": "", "$a": "$", "$": 1, "$$": 2, "$date": "2024-05-01T12:00:00.000Z", "$$date": {"$date": "x", "$b": [1]},
    "a\0b": "\0", "\ud800": "\udfff\ud800", "\U0001f600": "\u2028", "a.b": {"": None}, "__proto__": 10**40,
    "x y": -1e300,
    "when": [NOON, {"$date": "2024"}, {"a\0": {"\ud83d": "\ude00"}}], "whole": 2**64, "1": [1.5, True, {}],
}  # fmt: skip


def test_any_key_and_any_text_come_back(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(**ODD)
    assert visitor.values() == ODD
    state = visitor.comes()
    for key, value in ODD.items():
        assert (state.has(key), state.get(key)) == (True, value)
        state.delete(key)
    visitor.leaves(state)
    assert visitor.values() == {}


HELD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(sorted(ODD)), inner),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(st.text(), HELD))
def test_any_json_is_kept(values: dict[str, Any]) -> None:
    assert decode_values(encode_values({key: held(each, key) for key, each in values.items()})) == values


def test_a_session_of_plain_values_is_read(memory: Store) -> None:
    visitor = Visitor()
    visitor.sets(a=1)
    [row] = rows(memory)
    memory.write(lambda changes: changes.update(COLLECTION, [row._replace(text='{"values":{"b":2}}')]))
    assert visitor.values() == {"b": 2}


def test_what_is_changed_in_a_value_is_not_set(memory: Store) -> None:
    visitor = Visitor()
    cart = [1]
    state = visitor.comes()
    state.set("cart", cart)
    cart.append(2)
    state.get("cart").append(3)
    assert state.get("cart") == [1]
    visitor.leaves(state)
    assert visitor.values() == {"cart": [1]}


def test_it_is_written_once(memory: Store) -> None:
    visitor = Visitor()
    state = visitor.comes()
    state.set("a", 1)
    visitor.leaves(state)
    before = visitor.cookie
    for change in (partial(state.set, "b", 2), partial(state.delete, "a"), state.destroy, state.regenerate):
        with pytest.raises(RuntimeError, match="when the handler returned"):
            change()
    state.save()
    assert visitor.cookies.headers()[0].startswith(f"{NAME}={before};")
    assert state.get("a") == 1
    assert visitor.values() == {"a": 1}


def test_expired_sessions_are_removed_the_oldest_first(store: Store) -> None:
    store.create(COLLECTION)
    dates = [format_date(NOON + timedelta(seconds=number)) for number in range(150)]
    made = [Row(f"{number:064d}", '{"values":{}}', dates[0], date, None) for number, date in enumerate(dates)]
    store.write(lambda changes: changes.insert(COLLECTION, made))
    assert remove_expired(store, NOON + timedelta(seconds=119)) == 100
    assert [row.id for row in rows(store)] == [row.id for row in made[100:]]
    assert remove_expired(store, NOON + timedelta(seconds=119)) == 20
    assert remove_expired(store, NOON + timedelta(seconds=119)) == 0
    assert len(rows(store)) == 30
    [indexes] = store.collections().values()
    assert [index.paths for index in indexes] == [(("_updatedDate",),)]


def test_expired_sessions_are_removed_now_and_then(store: Store) -> None:
    Visitor().sets(a=1)
    [old] = rows(store)
    for _ in range(1000):
        visitor = Visitor()
        visitor.now += timedelta(seconds=LIFETIME)
        visitor.sets(b=1)
        if not store.get(COLLECTION, [old.id]):
            return
    raise AssertionError("after a thousand new sessions an expired one is still there")


def test_calls_on_collections_do_not_reach_sessions(store: Store) -> None:
    assert not COLLECTION_NAME.fullmatch(COLLECTION)
    Visitor().sets(user="ada")
    before = rows(store)
    [row] = before
    options = {"suppressAuth": True}
    for call in (
        lambda: data.get(COLLECTION, row.id, options),
        lambda: data.query(COLLECTION).find(options),
        lambda: data.insert(COLLECTION, {"values": {}}, options),
        lambda: data.update(COLLECTION, {"_id": row.id}, options),
        lambda: data.remove(COLLECTION, row.id, options),
        lambda: data.truncate(COLLECTION, options),
    ):
        with pytest.raises(WixDataError, match="WDE0025"):
            call()
    assert rows(store) == before


def test_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with in_use(SQLiteStore(tmp_path / "file" / "site.sqlite3")):
        visitor = Visitor()
        state = visitor.comes()
        state.set("a", 1)
        with pytest.raises(StoreUnavailable):
            state.save()
        assert visitor.cookies.headers() == []
        with pytest.raises(StoreUnavailable):
            Visitor("A" * 43).values()


def test_both_faces_are_of_one_session(memory: Store) -> None:
    state = Visitor().comes()
    session = Session(state)
    session.set("a", [1])
    session.set("n", 1)
    session.delete("n")

    async def use() -> None:
        awaited = AsyncSession(state, Bridge(2))
        assert await awaited.get("a") == [1]
        assert await awaited.has("a")
        await awaited.set("b", 2)
        await awaited.delete("a")
        assert await awaited.keys() == ["b"]
        await awaited.regenerate()
        await awaited.destroy()

    asyncio.run(use())
    assert (session.keys(), session.has("b"), session.get("b")) == ([], False, None)


def test_what_is_set_while_another_task_loads_stays(store: Store) -> None:
    visitor = Visitor()
    visitor.sets(**{f"k{number}": 0 for number in range(10)})
    state = visitor.comes()

    async def use() -> None:
        session = AsyncSession(state, Bridge(10))
        await asyncio.gather(*[session.set(f"k{number}", 1) for number in range(10)])

    asyncio.run(use())
    assert [state.get(f"k{number}") for number in range(10)] == [1] * 10
    visitor.leaves(state)
    assert set(visitor.values().values()) == {1}


KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("xyz", max_size=2), inner, max_size=2),
    max_leaves=3,
)
CALLS = st.one_of(
    st.tuples(st.just("set"), KEYS, VALUES),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("destroy")),
    st.tuples(st.just("regenerate")),
)
REQUESTS = st.lists(st.tuples(st.lists(CALLS, max_size=5), st.booleans()), max_size=8)


@settings(max_examples=200, deadline=None)
@given(REQUESTS)
def test_it_behaves_as_a_dict_that_requests_pass_on(requests: list[tuple[list[Any], bool]]) -> None:
    with in_use(MemoryStore()) as memory:
        visitor, kept, is_there = Visitor(), dict[str, Any](), False
        refused: set[str] = set()
        for calls, fails in requests:
            state, model, old = visitor.comes(), dict(kept), visitor.cookie
            is_ended = is_renewed = is_set = False
            for name, *arguments in calls:
                getattr(state, name)(*arguments)
                if name == "set":
                    model[arguments[0]] = arguments[1]
                elif name == "delete":
                    model.pop(arguments[0], None)
                elif name == "destroy":
                    model, is_ended, is_renewed = {}, True, False
                else:
                    is_renewed = not is_ended
                assert {key: state.get(key) for key in state.keys()} == model  # noqa: SIM118  # it is no dict
                assert all(state.has(key) == (key in model) for key in "abc")
            if fails:
                continue
            visitor.leaves(state)
            is_set = bool(model)
            is_new = is_set if is_ended or not is_there else is_renewed
            if is_there and (is_ended or is_renewed):
                assert old is not None
                refused.add(old)
            assert (visitor.cookie != old) == (is_new or (is_ended and is_there))
            is_there, kept = is_new or (is_there and not is_ended), model
            assert visitor.values() == kept
            assert len(rows(memory)) == is_there
        assert all(Visitor(each).values() == {} for each in refused)


# --- through the interfaces ------------------------------------------------------------------------------------------

SITE = {
    "src/pages/plain.py": """
        from wixhttp.endpoints import Response

        def GET(session):
            return Response.json({key: session.get(key) for key in session.keys()})

        def POST(session, url, redirect):
            for key, value in url.searchParams:
                session.set(key, value)
            return redirect("/plain")

        def PUT(session):
            session.regenerate()
            session.set("user", "ada")
            return Response(None, 204)

        def DELETE(session):
            session.destroy()
            return Response(None, 204)
    """,
    "src/pages/awaited.py": """
        from wixhttp.endpoints import Response

        async def GET(session):
            return Response.json({key: await session.get(key) for key in await session.keys()})

        async def POST(session, url, redirect):
            for key, value in url.searchParams:
                await session.set(key, value)
            return redirect("/awaited")

        async def PUT(session):
            await session.regenerate()
            await session.set("user", "ada")
            return Response(None, 204)

        async def DELETE(session):
            await session.destroy()
            return Response(None, 204)
    """,
    "src/pages/fails.py": """
        from wixhttp import HTTPError

        def POST(session, url):
            session.set("failed", True)
            if url.searchParams.has("status"):
                raise HTTPError(int(url.searchParams.get("status")))
            raise LookupError("on purpose")
    """,
    "src/pages/streams.py": """
        from wixhttp.endpoints import Response

        def POST(session):
            def lines():
                try:
                    session.set("late", 1)
                except RuntimeError as error:
                    yield str(error)

            session.set("early", 1)
            return Response(lines())
    """,
    "src/pages/forward.py": """
        def POST(rewrite, url):
            return rewrite("/plain" + url.search)
    """,
    "src/pages/both.py": """
        def POST(session, rewrite, url):
            session.set("first", "1")
            return rewrite("/awaited" + url.search)
    """,
}
JSON = ("Content-Type", "application/json")


class Browser:
    """A browser at a site behind a server interface, with one cookie."""

    def __init__(self, interface: Interface) -> None:
        self.served = Served(interface)
        self.cookie: str | None = None

    def __call__(self, target: str, method: str = "GET") -> Reply:
        headers = [JSON] if self.cookie is None else [JSON, ("Cookie", f"{NAME}={self.cookie}")]
        reply = self.served(target, method, *headers)
        for field in reply.all("Set-Cookie"):
            value, _, attributes = field.removeprefix(f"{NAME}=").partition(";")
            self.cookie = value if "Expires" not in attributes else None
        return reply


@pytest.fixture
def browse(interface: type[Interface], memory: Store, tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    with contextlib.ExitStack() as stack:

        def make(files: dict[str, str] | None = None, **details: Any) -> Browser:
            write_project(tmp_path, {**SITE, **(files or {})})
            return Browser(stack.enter_context(contextlib.closing(interface(load_app(tmp_path, **details)))))

        yield make


@pytest.mark.parametrize("path", ["/plain", "/awaited"])
def test_a_visit(browse: Callable[..., Browser], path: str, memory: Store) -> None:
    browser = browse()
    reply = browser(path)
    assert (reply.json(), reply.all("Set-Cookie"), memory.collections()) == ({}, [], {})
    reply = browser(f"{path}?cart=1", "POST")
    assert (reply.status, reply.header("Location"), len(reply.all("Set-Cookie"))) == (302, path, 1)
    reply = browser(path)
    assert (reply.json(), reply.all("Set-Cookie")) == ({"cart": "1"}, [])
    before = browser.cookie
    assert browser(path, "PUT").status == 204
    assert browser.cookie != before
    assert browser("/plain").json() == browser("/awaited").json() == {"cart": "1", "user": "ada"}
    after, browser.cookie = browser.cookie, before
    assert browser(path).json() == {}
    browser.cookie = after
    reply = browser(path, "DELETE")
    assert (reply.status, len(reply.all("Set-Cookie")), browser.cookie) == (204, 1, None)
    assert rows(memory) == []
    browser.cookie = after
    assert browser(path).json() == {}


@pytest.mark.parametrize(
    ("details", "attributes"),
    [
        ({}, "Path=/; HttpOnly; Secure; SameSite=Lax"),
        ({"mode": "development"}, "Path=/; HttpOnly; SameSite=Lax"),
        ({"base_path": "/shop"}, "Path=/shop; HttpOnly; Secure; SameSite=Lax"),
    ],
)
def test_the_cookie(browse: Callable[..., Browser], details: dict[str, str], attributes: str) -> None:
    browser = browse(**details)
    field = browser(f"{details.get('base_path', '')}/plain?a=1", "POST").header("Set-Cookie")
    assert field == f"{NAME}={browser.cookie}; {attributes}"


HTTPS = ("X-Forwarded-Proto", "https")


@pytest.mark.parametrize(
    ("details", "headers", "prefix"),
    [
        ({}, (), ""),
        ({}, (HTTPS,), ""),
        ({"trusted_proxies": 1}, (), ""),
        ({"trusted_proxies": 1}, (HTTPS,), "__Host-"),
        ({"trusted_proxies": 1}, (HTTPS, ("X-Forwarded-Prefix", "/shop")), "__Secure-"),
        ({"public_url": "https://shop.example"}, (), "__Host-"),
        ({"public_url": "http://shop.example", "trusted_proxies": 1}, (HTTPS,), ""),
        ({"public_url": "https://shop.example", "base_path": "/shop"}, (), "__Secure-"),
        ({"public_url": "https://shop.example", "base_path": "/a;b"}, (), "__Secure-"),
        ({"public_url": "https://shop.example", "mode": "development"}, (), ""),
        ({"mode": "development", "trusted_proxies": 1}, (HTTPS,), ""),
    ],
)  # fmt: skip
def test_the_prefix_of_the_cookie(
    browse: Callable[..., Browser], details: dict[str, Any], headers: tuple[tuple[str, str], ...], prefix: str
) -> None:
    served, path = browse(**details).served, f"{details.get('base_path', '')}/plain"
    field = served(f"{path}?a=1", "POST", JSON, *headers).header("Set-Cookie") or ""
    name, _, rest = field.partition("=")
    value, _, attributes = rest.partition("; ")
    assert name == prefix + NAME
    is_root = "base_path" not in details and len(headers) < 2
    assert ("Path=/;" in attributes) == is_root
    assert "Domain" not in attributes
    assert ("Secure" in attributes) == (details.get("mode") != "development")
    for other in {"", "__Host-", "__Secure-"} - {prefix}:  # planted by another subdomain, or over plain http
        assert served(path, "GET", *headers, ("Cookie", f"{other}{NAME}={value}")).json() == {}
    both = ("Cookie", f"{NAME if prefix else '__Host-' + NAME}=x; {name}={value}")
    assert served(path, "GET", *headers, both).json() == {"a": "1"}
    gone = served(path, "DELETE", JSON, *headers, ("Cookie", f"{name}={value}")).header("Set-Cookie") or ""
    assert gone.startswith(f"{name}=; Path=")
    assert ("Secure" in gone) == bool(prefix)


@pytest.mark.parametrize("path", ["/plain", "/awaited"])
@pytest.mark.parametrize(
    "middleware",
    [
        """
        def onRequest(context, next):
            context.session.set("before", context.session.get("a"))
            response = next()
            context.session.set("behind", context.session.get("a"))
            return response
        """,
        """
        async def onRequest(context, next):
            await context.session.set("before", await context.session.get("a"))
            response = await next()
            await context.session.set("behind", await context.session.get("a"))
            return response
        """,
    ],
    ids=["def", "async def"],
)
def test_middleware_and_handler_share_it(browse: Callable[..., Browser], path: str, middleware: str) -> None:
    browser = browse({"src/middleware.py": middleware})
    assert browser(f"{path}?a=1", "POST").status == 302
    assert browser(path).json() == {"a": "1", "before": "1", "behind": "1"}


def test_a_handler_that_raises_writes_nothing(browse: Callable[..., Browser], memory: Store) -> None:
    browser = browse()
    reply = browser("/fails", "POST")
    assert (reply.status, reply.all("Set-Cookie")) == (500, [])
    assert rows(memory) == []


def test_an_http_error_is_an_answer(browse: Callable[..., Browser]) -> None:
    browser = browse()
    reply = browser("/fails?status=403", "POST")
    assert (reply.status, len(reply.all("Set-Cookie"))) == (403, 1)
    assert browser("/plain").json() == {"failed": True}


def test_what_a_stream_sets_is_too_late(browse: Callable[..., Browser]) -> None:
    browser = browse()
    reply = browser("/streams", "POST")
    assert "before the handler returns" in reply.text
    assert browser("/plain").json() == {"early": 1}


@pytest.mark.parametrize(("path", "values"), [("/forward", {"a": "1"}), ("/both", {"a": "1", "first": "1"})])
def test_rewrites_share_it(browse: Callable[..., Browser], path: str, values: dict[str, str]) -> None:
    browser = browse()
    assert browser(f"{path}?a=1", "POST").status == 302
    assert browser("/plain").json() == values


def test_the_page_for_errors_does_not_write_what_the_handler_set(browse: Callable[..., Browser]) -> None:
    page = """
        from wixhttp.endpoints import Response

        def ALL(session):
            session.set("seen", True)
            return Response("sorry", 500)
    """
    browser = browse({"src/pages/500.py": page})
    assert browser("/fails", "POST").text == "sorry"
    assert browser("/plain").json() == {"seen": True}


def test_a_static_endpoint_has_no_session(browse: Callable[..., Browser], caplog: pytest.LogCaptureFixture) -> None:
    page = """
        from wixhttp.endpoints import Response

        prerender = True

        def GET(session):
            return Response("never")
    """
    assert browse({"src/pages/static.py": page})("/static").status == 500
    assert "context.session is not available in src/pages/static.py" in caplog.text


def test_a_store_that_is_away_is_503(interface: type[Interface], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    write_project(tmp_path, SITE)
    with (
        in_use(SQLiteStore(tmp_path / "file" / "site.sqlite3")),
        contextlib.closing(interface(load_app(tmp_path))) as opened,
    ):
        reply = Browser(opened)("/plain?a=1", "POST")
        assert (reply.status, reply.all("Set-Cookie"), reply.header("Retry-After")) == (503, [], "5")


def test_two_requests_at_once(store: Store, tmp_path: Path) -> None:
    page = """
        import threading
        from wixhttp.endpoints import Response

        meeting = threading.Barrier(2, timeout=20)

        def PUT(session, url):
            session.set(url.searchParams.get("key"), session.get("start"))
            meeting.wait()
            return Response(None, 204)
    """
    write_project(tmp_path, {**SITE, "src/pages/meet.py": page})
    browser = Browser(DirectInterface(load_app(tmp_path)))
    browser("/plain?start=1", "POST")
    replies: list[Reply] = []
    threads = [
        threading.Thread(target=lambda key=key: replies.append(browser(f"/meet?key={key}", "PUT"))) for key in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert [reply.status for reply in replies] == [204, 204]
    assert browser("/plain").json() == {"a": "1", "b": "1", "start": "1"}
