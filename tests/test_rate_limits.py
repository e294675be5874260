"""Rate limits: the counters against those of the library `limits`, the guard through the dispatcher, and servers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond, parse_many
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter

from tests.interfaces import ASGIInterface, Ask, DirectInterface, Interface, Reply, WSGIInterface, write_project
from tests.servers import Answer, Server, ask, missing, project, serving
from wixhttp import Response, limits
from wixhttp.access import counter_table, counters, rate_limit
from wixhttp.access.counter_table import CounterTable
from wixhttp.access.counters import PATIENCE, RedisCounters
from wixhttp.access.key_store import KeyStore
from wixhttp.access.rate_limits import client_group
from wixhttp.access.timely_calls import TimelyCalls
from wixhttp.cli.project_checks import check_project
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import set_default
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.dispatch.app import App
from wixhttp.errors import ConfigError, ProjectError
from wixhttp.measurements import count_with
from wixhttp.project.config import load_config
from wixhttp.project.setting_parsers import parse_rates
from wixhttp.services import load_served_site
from wixhttp.testing import TestClient

REDIS = "redis://127.0.0.1:6379/0"
TIMEOUT = 60.0

# --- the counters ----------------------------------------------------------------------------------------------------


class Clock:
    """The clock of the modules that count, in place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody else has the lock")


class TableStorage(Storage):
    """The table as a storage of the library `limits`."""

    STORAGE_SCHEME = None  # no URL leads to it

    def __init__(self, table: CounterTable, clock: Clock) -> None:
        super().__init__()
        self.table = table
        self.clock = clock

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self.table.hit(key, expiry, amount)[0]

    def get(self, key: str) -> int:
        return self.table.get(key)[0]

    def get_expiry(self, key: str) -> float:
        return self.clock.now + self.table.get(key)[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        return None

    def clear(self, key: str) -> None:
        raise NotImplementedError


steps = st.lists(
    st.tuples(st.just("hit"), st.sampled_from("abc"), st.integers(1, 3))
    | st.tuples(st.sampled_from(["test", "stats"]), st.sampled_from("abc"), st.just(1))
    | st.tuples(st.just("wait"), st.just(""), st.integers(1, 40)),
    max_size=40,
)


@settings(deadline=None)
@given(steps=steps, amount=st.integers(1, 5), seconds=st.integers(1, 60))
def test_a_table_counts_as_the_storage_in_memory_of_the_library(steps: list[Any], amount: int, seconds: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        now = Clock()
        for module in ("wixhttp.access.counter_table", "limits.storage.memory"):
            patched.setattr(f"{module}.time", now)
        item = RateLimitItemPerSecond(amount, seconds)
        ours = FixedWindowRateLimiter(TableStorage(CounterTable(64), now))
        theirs = FixedWindowRateLimiter(MemoryStorage())
        for step, key, number in steps:
            if step == "wait":
                now.now += number
                continue
            found: list[object] = []
            for limiter in (ours, theirs):
                if step == "hit":
                    found.append(limiter.hit(item, key, cost=number))
                elif step == "test":
                    found.append(limiter.test(item, key))
                else:
                    stats = limiter.get_window_stats(item, key)
                    found.append((max(stats.reset_time - now.now, 0), stats.remaining))
            assert found[:1] == found[1:], (step, key)


@settings(deadline=None)
@given(hits=st.lists(st.integers(0, 40), max_size=200))
def test_a_full_table_never_counts_too_high_and_forgets_nothing_while_there_is_room(hits: list[int]) -> None:
    table, true = CounterTable(1), Counter[int]()
    for key in hits:
        true[key] += 1
        number, left = table.hit(str(key), 1000)
        assert 0 < number <= true[key]
        assert 0 < left <= 1000
        if len(true) <= counter_table.PLACES:
            assert number == true[key]


def test_a_counter_stops_at_its_most() -> None:
    table = CounterTable(1)
    table.hit("a", 1000, counter_table.MOST)
    assert table.hit("a", 1000)[0] == counter_table.MOST


def test_threads_count_exactly() -> None:
    table = CounterTable()
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: table.hit("a", 1000)[0], range(2000)))
    assert sorted(numbers) == list(range(1, 2001))


PROCESSES = """
import os, signal, sys
from wixhttp.access.counter_table import CounterTable

table = CounterTable()
children = []
for _ in range(4):
    children.append(os.fork())
    if not children[-1]:
        for _ in range(500):
            table.hit("a", 1000)
        os._exit(0)
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(table.get("a")[0])

reading, writing = os.pipe()
killed = os.fork()
if not killed:
    while True:  # until it is killed, most likely while it counts
        if table.hit("b", 1000)[0] == 100:
            os.write(writing, b"x")
os.read(reading, 1)
os.kill(killed, signal.SIGKILL)
os.waitpid(killed, 0)
there = table.get("b")[0]
print(table.hit("b", 1000)[0] - there)

class Stopping(CounterTable):
    def _hit(self, *arguments):
        os.write(writing, b"x")
        os.kill(os.getpid(), signal.SIGSTOP)

stopped = os.fork()
if not stopped:
    table.__class__ = Stopping
    table.hit("c", 1000)
os.read(reading, 1)
print(table.hit("c", 1000)[0])
os.kill(stopped, signal.SIGKILL)
os.waitpid(stopped, 0)
"""


def test_forked_processes_count_together_and_one_that_is_killed_or_stopped_locks_nobody_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROCESSES], check=False, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.stdout.split() == ["2000", "1", "1"], done.stderr


def test_a_table_of_one_process_needs_no_file() -> None:
    table = CounterTable(is_shared=False)
    assert [table.hit("a", 1000)[0] for _ in range(3)] == [1, 2, 3]


# --- what limits are -------------------------------------------------------------------------------------------------

units = st.sampled_from(["second", "minute", "hour", "day"])
single = st.tuples(
    st.integers(1, 10**9 - 1), st.sampled_from(["/", " per ", " / ", "/ "]), st.integers(1, 366), units,
    st.sampled_from(["", "s"]),
)  # fmt: skip


@given(st.lists(single, min_size=1, max_size=4))
def test_a_limit_means_what_the_library_reads(parts: list[Any]) -> None:
    text = "; ".join(f"{amount}{sign}{count} {unit}{plural}" for amount, sign, count, unit, plural in parts)
    whole = parse_many(text)
    if len({item.get_expiry() for item in whole}) < len(whole):
        with pytest.raises(ValueError, match="one number for each time"):
            parse_rates(text, "rate_limit")
    else:
        parsed = parse_rates(text, "rate_limit")
        assert parse_many(parsed) == sorted(whole, key=lambda item: item.get_expiry())
        assert parse_rates(parsed, "rate_limit") == parsed


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("100/minuet", "did you mean 'minute'"),
        ("100/fortnight", "known are second, minute, hour, day"),
        ("100/month", "write 100/30 days"),
        ("100", "such as"), ("", "such as"), ("minute", "such as"), ("100/minute;", "such as"),
        ("-1/minute", "such as"),
        ("1.5/minute", "such as"), ("100 requests/minute", "such as"), (100, "such as"), (True, "such as"),
        ("\u0661/minute", "such as"), ("100/\0minute", "such as"), ("9" * 100_000, "such as"),
        ("1/" + " " * 100_000, "such as"),
        ("0/minute", "1 request or more"), ("5/0 minutes", "1 request or more"), ("5/400 days", "366 days"),
        ("5/minute;6/60 seconds", "leave one out"),
    ],
)  # fmt: skip
def test_a_limit_that_is_none_is_refused_with_the_way_out(value: Any, says: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_rates(value, "rate_limit")
    assert str(error.value).startswith("rate_limit ")
    assert says in str(error.value)
    assert len(str(error.value)) < 300
    if not isinstance(value, str):
        with pytest.raises(ValueError):
            rate_limit(value)
    else:
        with pytest.raises(ValueError, match="@rate_limit"):
            rate_limit(value)


async def waits(request: Any) -> str:
    return ""


@pytest.mark.parametrize(
    ("made", "error", "says"),
    [
        (lambda: rate_limit(lambda request: None), TypeError, "write @rate_limit"),  # type: ignore[arg-type]
        (lambda: rate_limit("1/second", key="adress"), ValueError, "did you mean 'address'"),  # type: ignore[arg-type]
        (lambda: rate_limit("1/second", key=None), ValueError, "not None"),  # type: ignore[arg-type]
        (lambda: rate_limit("1/second", key=waits), ValueError, "async def"),
        (lambda: rate_limit(None, key="key"), ValueError, "takes no key"),
    ],
)
def test_a_decorator_that_is_wrong_is_told_at_once(
    made: Callable[[], object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=re.escape(says)):
        made()


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        ("auto", True), ("memory://", True), ("redis://h:1/0", True), ("rediss://u:p@h:1", True),
        ("redis+unix:///run/redis.sock", True), ("memory", False), ("redis://", False), ("memcached://h:1", False),
        ("redis://user:hidden@h:1/0 x", False), ("", False), (7, False),
    ],
)  # fmt: skip
def test_the_setting_of_the_storage_is_checked_and_shows_no_password(value: Any, is_good: bool, tmp_path: Path) -> None:
    flags = {"rate_limit_storage": value}
    if is_good:
        assert load_config(tmp_path, environ={}, flags=flags).rate_limit_storage == value
    else:
        with pytest.raises(ConfigError, match="redis://user") as error:
            load_config(tmp_path, environ={}, flags=flags)
        assert "hidden" not in str(error.value)


def test_without_the_client_of_redis_the_extra_is_told_when_the_site_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'wixhttp[redis]'")):
        TestClient(folder, rate_limit_storage="redis://127.0.0.1:6379/0")


def test_a_redis_with_an_option_that_there_is_not_is_told_when_the_site_is_loaded(tmp_path: Path) -> None:
    folder = write_project(tmp_path, "def get_x(request):\n    return ok()")
    with pytest.raises(ConfigError, match="rate_limit_storage is the URL of a Redis") as error:
        TestClient(folder, rate_limit="1/day", rate_limit_storage="redis://u:hidden@h:port/0")
    assert "hidden" not in str(error.value)


# --- the guard -------------------------------------------------------------------------------------------------------

FUNCTIONS = """
from wixhttp.access import rate_limit, require_key

SHARED = ok("the same")

@rate_limit("2/minute")
def get_def(request):
    return ok("def")

@rate_limit("2/minute")
async def get_async(request):
    return ok("async")

@rate_limit("1/second;3/minute")
def get_two(request):
    return SHARED

@limits(timeout=5)
@rate_limit("2/minute", key=lambda request: request.headers["x-shop"])
def post_shop(request):
    return ok("shop")

@rate_limit("2/minute")
@rate_limit("1/minute", key=lambda request: 7)
def get_both(request):
    return ok("both")

@rate_limit("5/minute")
def get_refused(request):
    raise HTTPError(422, "no")

@rate_limit("5/minute")
def get_own(request):
    return ok(body="own", headers={"ratelimit": "mine"})

@rate_limit("5/minute", key=lambda request: request.body.json()["customer"])
def post_read(request):
    return ok("read")

@rate_limit("5/minute", key=lambda request: 1.5)
def get_odd(request):
    return ok("odd")

@rate_limit(None)
def get_free(request):
    return ok("free")

def get_plain(request):
    return ok("plain")

def use_every(request):
    return ok("every")
"""
PAGES = {
    "src/pages/def.py": """
        from wixhttp.access import rate_limit
        from wixhttp.endpoints import Response

        @rate_limit("2/minute")
        def GET():
            return Response("def")
        """,
    "src/pages/async.py": """
        from wixhttp.access import rate_limit
        from wixhttp.endpoints import Response

        ANSWER = Response("async", headers={"X-Own": "1"})

        @rate_limit("2/minute")
        async def GET():
            return ANSWER
        """,
    "src/pages/plain.py": """
        from wixhttp.endpoints import Response

        async def GET():
            return Response("plain")
        """,
}
KINDS: list[type[Interface]] = [DirectInterface, WSGIInterface, ASGIInterface]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("limited"), FUNCTIONS)
    return write_project(folder, PAGES)


class Asked:
    """A site behind an interface, with counters of its own."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface

    def __call__(self, target: str, method: str = "GET", *headers: tuple[str, str], **details: Any) -> Reply:
        target = target if target.startswith("/") else f"/_functions/{target}"
        return self.interface.ask(Ask(method, target, headers, **details))

    def statuses(self, target: str, count: int, *arguments: Any, **details: Any) -> list[int]:
        return [self(target, *arguments, **details).status for _ in range(count)]


@contextlib.contextmanager
def asking(folder: Path, kind: type[Interface] = DirectInterface, **flags: Any) -> Iterator[Asked]:
    interface = kind(App(load_served_site(load_config(folder, environ={}, flags=flags))))
    try:
        yield Asked(interface)
    finally:
        interface.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["def", "async", "/def", "/async"])
def test_functions_and_endpoints_of_both_kinds_are_limited_and_say_so(
    folder: Path, kind: type[Interface], target: str
) -> None:
    with asking(folder, kind) as asked:
        for left in (1, 0):
            reply = asked(target)
            assert (reply.status, reply.text) == (200, target.removeprefix("/"))
            assert reply.header("RateLimit-Policy") == '"address-60";q=2;w=60'
            assert re.fullmatch(rf'"address-60";r={left};t=(60|[1-5]?[0-9])', reply.header("RateLimit") or "")
        reply = asked(target)
        assert reply.status == 429
        assert re.fullmatch(r"Too many requests\. Try again in [0-9]+ seconds?\.", reply.problem["detail"])
        assert 0 < int(reply.header("Retry-After") or "") <= 60
        assert (reply.header("RateLimit") or "").startswith('"address-60";r=0;t=')
        assert asked(target, client="203.0.113.9").status == 200


def test_of_several_limits_the_first_that_is_used_up_refuses_and_an_answer_names_all(folder: Path) -> None:
    with asking(folder) as asked:
        reply = asked("two")
        assert reply.header("RateLimit-Policy") == '"address-1";q=1;w=1, "address-60";q=3;w=60'
        assert re.fullmatch('"address-1";r=0;t=1, "address-60";r=2;t=[0-9]+', reply.header("RateLimit") or "")
        reply = asked("two")
        assert (reply.status, reply.header("Retry-After")) == (429, "1")
        assert reply.header("RateLimit") == '"address-1";r=0;t=1'


def test_an_answer_that_a_handler_returns_to_many_is_not_changed(folder: Path) -> None:
    with asking(folder) as asked:
        assert [asked("/async").header("X-Own") for _ in range(2)] == ["1", "1"]
        seen = [asked("/async", client=f"10.0.0.{number}").header("RateLimit") for number in range(3)]
        assert all("r=1" in (text or "") for text in seen)


def test_a_function_of_the_request_says_what_counts_as_one_client_and_none_is_the_address(folder: Path) -> None:
    with asking(folder) as asked:
        for shop in ("a", "b", "é", "x" * 8000):
            header = ("X-Shop", shop.encode().decode("latin-1"))
            assert asked.statuses("shop", 3, "POST", header) == [200, 200, 429]
        assert asked.statuses("shop", 2, "POST") == [200, 200]
        assert asked.statuses("shop", 1, "POST", ("X-Shop", "")) == [429]
        assert asked.statuses("shop", 1, "POST", client="10.1.1.1") == [200]
        assert asked.statuses("read", 1, "POST", body=b"{") == [400]
        assert asked.statuses("read", 1, "POST", body=b'{"customer": "c"}') == [200]
        assert asked.statuses("odd", 1) == [400]


def test_limits_by_address_and_by_something_else_both_hold(folder: Path) -> None:
    with asking(folder) as asked:
        reply = asked("both", client="10.0.0.1")
        assert reply.header("RateLimit-Policy") == '"address-60";q=2;w=60, "client-60";q=1;w=60'
        refused = asked("both", client="10.0.0.2")
        assert (refused.status, refused.header("RateLimit-Policy")) == (429, reply.header("RateLimit-Policy"))


def test_the_setting_counts_all_that_have_no_limit_of_their_own_together(folder: Path) -> None:
    with asking(folder, rate_limit="3/minute") as asked:
        assert [asked(each).status for each in ("plain", "/plain", "every", "plain")] == [200, 200, 200, 429]
        assert asked("/plain").status == 429
        assert asked.statuses("def", 3) == [200, 200, 429]  # by itself
        assert asked.statuses("free", 5) == [200] * 5
        assert asked("free").header("RateLimit") is None
        assert asked("nothing").status == 404  # no handler runs
        assert asked("both").status == 200
        assert asked.statuses("shop", 1, "POST") == [429]  # beside the setting


def test_preflights_are_not_counted(folder: Path) -> None:
    flags: dict[str, Any] = {"rate_limit": "1/minute", "cors": '{origins = ["https://a.example"]}'}
    with asking(folder, **flags) as asked:
        preflight = (("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET"))
        assert asked.statuses("every", 5, "OPTIONS", *preflight) == [204] * 5
        assert asked.statuses("every", 2) == [200, 429]
        assert asked("every", "GET", preflight[0]).header("Access-Control-Allow-Origin") == "https://a.example"


def test_errors_that_are_answers_tell_what_is_left_and_a_handlers_own_header_stays(folder: Path) -> None:
    with asking(folder) as asked:
        assert (asked("refused").header("RateLimit") or "").startswith('"address-60";r=4;')
        reply = asked("own")
        assert (reply.all("RateLimit"), reply.header("RateLimit-Policy")) == (["mine"], None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["busy", "/busy"])
def test_an_error_that_is_raised_for_many_is_not_changed(tmp_path: Path, kind: type[Interface], target: str) -> None:
    source = """
        from wixhttp import HTTPError
        from wixhttp.access import rate_limit

        BUSY = HTTPError(503, "Busy.", headers={"Retry-After": "9"})

        @rate_limit("5/minute")
        def NAME(request):
            raise BUSY

        def OTHER(request):
            raise BUSY
        """
    for file, names in (
        ("backend/http_functions.py", ("use_busy", "use_free")),
        ("src/pages/busy.py", ("GET", "POST")),
    ):
        text = source.replace("NAME", names[0]).replace("OTHER", names[1])
        write_project(tmp_path, {file: text if file.startswith("b") else text.replace("(request)", "()")})
    with asking(tmp_path, kind) as asked:
        for left in "43":
            reply = asked(target)
            assert (reply.status, reply.header("Retry-After")) == (503, "9")
            assert (reply.header("RateLimit") or "").startswith(f'"address-60";r={left};')
        other = asked("free") if target == "busy" else asked("/busy", "POST", ("Content-Type", "application/json"))
        assert (other.status, other.header("RateLimit"), other.header("RateLimit-Policy")) == (503, None, None)


@given(st.ip_addresses(v=6))
def test_one_network_of_ipv6_counts_as_one_client(address: Any) -> None:
    if not address.is_link_local and int(address) >> 64 not in (0, 0x64FF9B << 32):
        assert client_group(str(address)) == client_group(f"{address}%eth0") == client_group(address.exploded)
        same, other = (int(address) ^ 2**bit for bit in (63, 64))
        assert client_group(str(type(address)(same))) == client_group(str(address))
        assert client_group(str(type(address)(other))) != client_group(str(address))


@given(st.ip_addresses(v=4))
def test_one_address_of_ipv4_counts_as_one_client_however_it_is_written(address: Any) -> None:
    for network in ("::ffff:", "64:ff9b::", "::ffff:0:"):
        assert client_group(f"{network}{address}") == client_group(str(address)) == str(address)


@given(st.ip_addresses(v=6, network="fe80::/64"))
def test_link_local_clients_count_by_themselves(address: Any) -> None:
    assert client_group(f"{address}%eth0") == client_group(str(address)) == str(address)


@pytest.mark.parametrize("client", ["", "unix:", "x" * 100_000, "1.2.3", "é", "::1%" + "e" * 1000])
def test_a_client_without_an_address_counts_by_what_it_has(folder: Path, client: str) -> None:
    with asking(folder) as asked:
        assert asked.statuses("def", 3, client=client) == [200, 200, 429]


def test_behind_proxies_the_address_that_they_vouch_for_counts(folder: Path) -> None:
    def forwarded(value: str) -> tuple[str, str]:
        return "X-Forwarded-For", value

    with asking(folder, trusted_proxies=1) as asked:
        assert asked.statuses("def", 3, "GET", forwarded("6.6.6.6, 203.0.113.9")) == [200, 200, 429]
        assert asked.statuses("def", 1, "GET", forwarded("203.0.113.9, 6.6.6.6")) == [200]
        strange = ["", "unknown", "é", "\0", "1.2.3.4," * 10_000, "x" * 100_000]
        assert [asked("def", "GET", forwarded(each)).status for each in strange] == [200, 200, 429, 429, 429, 429]
    with asking(folder) as asked:
        assert [asked("def", "GET", forwarded(f"203.0.113.{n}")).status for n in range(3)] == [200, 200, 429]


def test_a_limit_by_key_where_nothing_asks_for_one_is_told_when_the_site_is_loaded_and_checked(tmp_path: Path) -> None:
    text = """
    from wixhttp.access import rate_limit, require_key

    {0}
    @rate_limit("1/minute", key="key")
    def get_x(request):
        return ok()
    """
    for above, settings_, is_good in (
        ("", {}, False), ("@require_key()", {}, True), ("", {"api_keys": True}, True),
        ("@require_key(None)", {"api_keys": True}, False),
    ):  # fmt: skip
        folder = write_project(tmp_path / secrets.token_hex(4), text.format(above))
        with contextlib.nullcontext() if is_good else pytest.raises(ProjectError, match="and nothing asks for one"):
            TestClient(folder, **settings_)
        report = check_project(load_config(folder, environ={}, flags=settings_))
        assert [each for each in report.problems if "nothing asks for one" in each] == report.problems
        assert bool(report.problems) != is_good


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["x", "/x"])
def test_a_limit_by_key_counts_each_key_by_itself_from_wherever_it_comes(
    tmp_path: Path, kind: type[Interface], target: str
) -> None:
    decorated = """
    from wixhttp.access import rate_limit, require_key
    from wixhttp.endpoints import Response

    @rate_limit("2/minute", key="key")
    @require_key()
    {0}
        return Response(request.api_key.name)
    """
    files = {
        "backend/http_functions.py": decorated.format("def get_x(request):"),
        "src/pages/x.py": decorated.format("async def GET(request):"),
    }
    store = MemoryStore()
    set_default(Collections(store))
    try:
        first, second = (("X-API-Key", KeyStore(store).create(name)) for name in ("first", "second"))
        with asking(write_project(tmp_path, files), kind, rate_limit="100/day") as asked:
            assert [asked(target, "GET", first, client=f"10.0.0.{n}").status for n in range(3)] == [200, 200, 429]
            reply = asked(target, "GET", second)
            assert (reply.text, reply.header("RateLimit-Policy")) == (
                "second",
                '"address-86400";q=100;w=86400, "key-60";q=2;w=60',
            )
            assert asked.statuses(target, 3) == [401] * 3  # of which none is counted by a key
            assert asked(target, "GET", second).status == 200
    finally:
        set_default(None)


def test_two_limits_of_one_kind_are_told_when_the_file_is_loaded(tmp_path: Path) -> None:
    folder = write_project(
        tmp_path,
        """
        from wixhttp.access import rate_limit

        @rate_limit("1/minute")
        @rate_limit("1/hour")
        def get_x(request):
            return ok()
        """,
    )
    with pytest.raises(ProjectError):
        TestClient(folder)


def test_a_limited_function_is_called_in_a_test_as_it_is() -> None:
    @rate_limit("1/day")
    @limits(timeout=1)
    def get_x(request: object) -> Response:
        return Response(200, "x")

    assert [get_x(None).body for _ in range(3)] == ["x"] * 3


def test_a_refusal_is_an_event_for_metrics_and_its_reason_in_the_log_alone(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, dict[str, str]]] = []
    count_with(lambda event, labels: seen.append((event, labels)))
    try:
        with asking(folder) as asked:
            asked.statuses("def", 4)
    finally:
        count_with(None)
    assert seen == [("rate_limited", {"function": "get_def", "by": "address"})] * 2
    assert [each.getMessage() for each in caplog.records] == [
        "GET /_functions/def: more than 2/minute of one address"
    ] * 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["def", "/async"])
def test_at_most_as_many_as_are_allowed_pass_at_the_same_time(folder: Path, kind: type[Interface], target: str) -> None:
    with asking(folder, kind) as asked, ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: asked(target).status, range(40)))
    assert Counter(statuses) == {200: 2, 429: 38}


# --- servers ---------------------------------------------------------------------------------------------------------


def statuses_of(ports: list[int], name: str, count: int, threads: int = 8) -> Counter[int]:
    request = f"GET /_functions/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    with ThreadPoolExecutor(threads) as pool:
        answers: list[Answer] = list(pool.map(lambda n: ask(ports[n % len(ports)], request), range(count)))
    return Counter(answer.status for answer in answers)


SERVED = """
import os
from wixhttp import ok
from wixhttp.access import rate_limit

@rate_limit("20/hour")
def get_def(request):
    return ok(str(os.getpid()))

@rate_limit("20/hour")
async def get_{0}(request):
    return ok(str(os.getpid()))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = project(tmp_path_factory.mktemp("served"), SERVED.format("async"))
    with serving(folder, "--workers", "4") as server:
        server.wait_for_message("serving ", 4)
        yield server


def test_the_workers_of_a_server_count_together_and_those_that_follow_a_killed_one(server: Server) -> None:
    for name in ("def", "async"):
        assert statuses_of([server.port], name, 100) == {200: 20, 429: 80}
    for worker in server.workers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    server.wait_for_message("serving ", 8)
    assert statuses_of([server.port], "def", 20) == {429: 20}


def test_with_memory_each_process_counts_alone(tmp_path: Path) -> None:
    folder = project(tmp_path, SERVED.format("async"), 'rate_limit_storage = "memory://"')
    with serving(folder, "--workers", "2") as server:
        server.wait_for_message("serving ", 2)
        by_worker: Counter[bytes] = Counter()
        request = b"GET /_functions/def HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        deadline = time.monotonic() + TIMEOUT
        while sum(by_worker.values()) < 40 and time.monotonic() < deadline:
            answer = ask(server.port, request)
            by_worker[answer.body if answer.status == 200 else b""] += answer.status == 200
    assert sorted(by_worker.values())[-2:] == [20, 20]


# --- Redis -----------------------------------------------------------------------------------------------------------


def redis_url() -> str:
    """The URL of a Redis that answers."""
    import redis

    try:
        redis.Redis.from_url(REDIS).ping()
    except redis.RedisError as error:
        missing(f"no Redis at {REDIS}: {error}")
    return REDIS


def test_several_servers_count_together_in_redis(tmp_path: Path) -> None:
    name = f"h{secrets.token_hex(8)}"
    folder = project(tmp_path, SERVED.format(name), f'rate_limit_storage = "{redis_url()}"')
    with serving(folder, "--workers", "1") as first, serving(folder, "--workers", "1") as second:
        assert statuses_of([first.port, second.port], name, 60) == {200: 20, 429: 40}
        answer = ask(first.port, f"GET /_functions/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert 3500 < int(answer.headers["retry-after"]) <= 3600


@contextlib.contextmanager
def own_redis(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis of a test's own, by a socket: its URL and its process."""
    import redis

    path = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        missing("no redis-server on PATH")
    try:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                with contextlib.closing(redis.Redis(unix_socket_path=str(path))) as client:
                    client.ping()
                break
            except redis.RedisError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield f"redis+unix://{path}", process
    finally:
        process.kill()
        process.wait()


def test_while_redis_is_away_this_machine_counts_alone_and_says_so_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[RedisCounters] = []

    def hits(count: int) -> list[int]:
        return [made[0].hit("a", 1000)[0] for _ in range(count)]

    def said() -> int:
        return sum("counts rate limits alone" in each.getMessage() for each in caplog.records)

    now = Clock()
    with own_redis(tmp_path) as (url, process):
        made.append(RedisCounters(url, counters.LocalCounters(CounterTable())))
        assert hits(3) == [1, 2, 3]
        monkeypatch.setattr("wixhttp.access.counters.time", now)
        process.send_signal(signal.SIGSTOP)  # it takes connections, and does not answer
        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(lambda _: hits(1)[0], range(4))) == [1, 2, 3, 4]
        process.send_signal(signal.SIGCONT)
    now.now += 10
    assert hits(2) == [5, 6]
    assert said() == 1
    now.now += 60
    assert hits(1) == [7]
    assert said() == 2
    with own_redis(tmp_path):
        assert hits(1) == [8]  # it is asked every two seconds
        now.now += 10
        assert hits(2) == [1, 2]


def answering(answer: bytes, pause: float = 0) -> int:
    """The port of a server that answers whatever it is asked with ``answer``, a byte each so many seconds, until the
    process ends."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while connection.recv(65_536):
                for part in (answer,) if not pause else (bytes([each]) for each in answer * 1000):
                    connection.sendall(part)
                    time.sleep(pause)

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listening.getsockname()[1])


@pytest.mark.parametrize(
    "answer",
    [
        b":abc\r\n" * 5, b"$-1\r\n" * 5, b"$3\r\nabc\r\n" * 5, b"*1\r\n" * 5000, b":" + b"9" * 5000 + b"\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xfe\r\n", b"*2\r\n:-5\r\n:1\r\n" * 5, b"%1\r\n+proto\r\n:3\r\n" * 5,
    ],
    ids=["number", "nothing", "text", "deep", "digits", "http", "garbage", "negative", "map"],
)  # fmt: skip
def test_whatever_answers_in_place_of_a_redis_makes_no_error(folder: Path, answer: bytes) -> None:
    with asking(folder, ASGIInterface, rate_limit_storage=f"redis://127.0.0.1:{answering(answer)}/0") as asked:
        assert asked.statuses("def", 3) == [200, 200, 429]


def test_a_redis_that_is_slow_delays_a_request_with_several_limits_as_long_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    result_of = TimelyCalls.result_of

    def noted(self: TimelyCalls[Any], work: Callable[[], Any], seconds: float) -> Any:
        waits.append(seconds)
        time.sleep(0.05)  # a slow network
        return result_of(self, work, seconds)

    monkeypatch.setattr(TimelyCalls, "result_of", noted)
    own = f"{secrets.randbelow(10**9) + 1000}/day"  # the Redis keeps the counts of earlier runs of the tests
    with asking(
        write_project(tmp_path, LIMITED), ASGIInterface, rate_limit=own, rate_limit_storage=redis_url()
    ) as asked:
        assert asked("x").status == 200
    assert len(waits) == 3
    assert waits == sorted(waits, reverse=True)
    assert waits[0] == PATIENCE >= waits[-1] + 0.1


LIMITED = f"""
from wixhttp.access import rate_limit

@rate_limit("5/minute; 6/{secrets.randbelow(900) + 2} hours", key=lambda request: "{secrets.token_hex(8)}")
def get_x(request):
    return ok()
"""


def test_a_call_that_does_not_end_in_time_is_left_alone() -> None:
    calls: TimelyCalls[int] = TimelyCalls()
    ends = threading.Event()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            calls.result_of(lambda: int(ends.wait(TIMEOUT)), 0.01)
    assert calls.result_of(lambda: 1, TIMEOUT) == 1
    with pytest.raises(ZeroDivisionError):
        calls.result_of(lambda: 1 // 0, TIMEOUT)
    ends.set()


def test_a_redis_that_answers_bit_by_bit_is_not_waited_for() -> None:
    table = counters.LocalCounters(CounterTable())
    redis_counters = RedisCounters(f"redis://127.0.0.1:{answering(b':1', 0.02)}/0", table)
    assert redis_counters.hit("a", 60, 0.1) == (1, 60)


def test_a_counter_that_never_ends_gets_an_end() -> None:
    import redis

    with contextlib.closing(redis.Redis.from_url(redis_url())) as client:
        mine = RedisCounters(redis_url(), counters.LocalCounters(CounterTable()))
        key = secrets.token_hex(8)
        assert mine.hit(key, 60) == (1, 60)
        name = f"wixhttp:{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"
        client.persist(name)
        assert mine.hit(key, 60) == (2, 60)
        assert 0 < client.pttl(name) <= 60_000


def test_a_site_whose_redis_is_away_answers(folder: Path) -> None:
    with asking(folder, ASGIInterface, rate_limit_storage="redis://127.0.0.1:1/0") as asked:
        assert counters.counters_in_use().blocks
        assert asked.statuses("async", 3) == [200, 200, 429]
        assert asked.statuses("/def", 3) == [200, 200, 429]
