"""`@job` and `enqueue`: arguments, times, keys, names; and jobs in one commit with a write of collections."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.interfaces import write_project
from wixhttp import data as wix_data
from wixhttp.errors import ProjectError, StoreUnavailable, WixDataError
from wixhttp.inbox import deferred, enqueue, job, job_call
from wixhttp.inbox.arguments import MOST_BYTES, job_payload, read_payload
from wixhttp.inbox.opened import current_inbox
from wixhttp.inbox.process_jobs import note_jobs
from wixhttp.inbox.stores.contract import NewJob
from wixhttp.testing import TestClient, fake_data

HEAD = """
from wixhttp import limits, ok
from wixhttp.inbox import enqueue, job, job_call
from wixhttp import data as wix_data
seen = []
"""
JOBS = """
@job("note")
def note(*arguments): seen.append(list(arguments))

@job("note-async")
async def note_async(*arguments): seen.append(list(arguments))

@job("pair", priority=5)
def pair(one, two=2): seen.append([one, two])

@job("fails", attempts=2)
def fails(): raise KeyError("mine")
"""
FUNCTIONS = """
from backend import jobs
from backend.jobs import seen
from wixhttp.inbox import deferred, enqueue, job_call
from wixhttp import ok
from wixhttp import data as wix_data

def post_enqueue(request):
    asked = request.body.json()
    return ok(body=[enqueue(*asked.get("arguments", []), **asked.get("keywords", {}))])

async def post_awaited(request):
    asked = await request.body.json()
    return ok(body=[await enqueue(*asked.get("arguments", []), **asked.get("keywords", {}))])

async def post_unawaited(request):
    promise = enqueue("note", "unawaited")
    return ok()

@deferred()
def post_later(request): pass

def post_order(request):
    call = job_call("note", "order")
    item = wix_data.insert("orders", request.body.json(), enqueue=call)
    return ok(body=[item["_id"], call.id])
"""

Make = Callable[..., TestClient]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Make]:
    def make(jobs: str = JOBS, functions: str = FUNCTIONS, **options: Any) -> TestClient:
        files = {"backend/jobs.py": HEAD + jobs, "backend/http_functions.py": functions}
        return TestClient(write_project(tmp_path / "site", files), **options)

    yield make
    note_jobs(None)


def seen(client: TestClient) -> list[Any]:
    return client.app.site.functions.find("enqueue")["POST"].target.__globals__["seen"]  # type: ignore[index,no-any-return]


def ran(client: TestClient, **options: bool) -> list[Any]:
    client.run_deferred(**options)
    found = list(seen(client))
    seen(client).clear()
    return found


@pytest.mark.parametrize("way", ["enqueue", "awaited"])
@pytest.mark.parametrize("name", ["note", "note-async"])
def test_a_job_runs_with_the_arguments_that_were_enqueued(site: Make, way: str, name: str) -> None:
    client = site()
    arguments: list[Any] = [None, True, 1, 0.1, "é\0", [], {"a": [{"b": None}]}]
    (job_id,) = client.post(way, text=json.dumps({"arguments": [name, *arguments]})).json()
    ((run_id, run_name, attempt, state, error),) = client.run_deferred()
    assert (run_id, run_name, attempt, state, error) == (job_id, name, 1, "done", None)
    assert seen(client) == [arguments]


def test_what_a_job_returns_is_kept_as_far_as_json_has_it_and_it_is_short(site: Make) -> None:
    jobs = """
@job("date")
def date():
    import datetime
    return {"at": datetime.datetime(2026, 3, 1, 12)}

@job("object")
async def an_object(): return object()

@job("answer")
def answer(): return {"_id": "a", "status": 404}

@job("vast")
def vast():
    from collections import UserDict
    class Vast(UserDict):
        def __iter__(self): raise SystemExit("all of it is read")
    return [Vast(), {"x": "y" * 5000}, "z" * 5000]

@job("long")
def long(): return "x" * 10_000
"""
    client = site(jobs)
    kept = {}
    with fake_data(client.app.config.root):
        for name in ("date", "object", "answer", "long", "vast"):
            (job_id,) = client.post("enqueue", text=json.dumps({"arguments": [name]})).json()
            ((_, _, _, state, _),) = client.run_deferred()
            stored = current_inbox().get(job_id)
            assert state == "done"
            assert stored is not None
            kept[name] = stored.result
    assert kept == {
        "date": b'{"at":"2026-03-01T12:00:00.000Z"}',
        "object": None,
        "answer": b'{"_id":"a","status":404}',
        "long": None,
        "vast": None,
    }


def test_a_failure_is_kept_with_its_traceback_below_the_first_line(site: Make) -> None:
    client = site()
    with fake_data(client.app.config.root):
        (job_id,) = client.post("enqueue", text=json.dumps({"arguments": ["fails"]})).json()
        *_, (_, _, _, state, why) = client.run_deferred(retries=True)
        stored = current_inbox().get(job_id)
    assert stored is not None
    assert stored.error is not None
    assert state == "dead"
    assert why == stored.why == stored.error.split("\n")[0] == "it raised KeyError: 'mine'"
    assert 'backend/jobs.py", line' in stored.error
    assert "in fails" in stored.error


def test_the_function_itself_names_its_job_and_a_job_enqueues_others(site: Make) -> None:
    client = site(JOBS + """
@job("chain")
async def chain(left):
    if left: await enqueue(chain, left - 1)
    seen.append([left])
""")  # fmt: skip
    client.post("enqueue", json={"arguments": ["chain", 2]})
    assert ran(client) == [[2], [1], [0]]


def test_an_awaited_enqueue_that_nobody_awaits_stores_its_job(site: Make) -> None:
    client = site()
    client.post("unawaited")
    deadline = time.monotonic() + 60
    while not (found := ran(client)):  # a thread stores it, which nobody waited for
        assert time.monotonic() < deadline
    assert found == [["unawaited"]]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(JSON, max_size=4))
def test_whatever_json_has_arrives_as_it_was(arguments: list[Any]) -> None:
    assert read_payload(job_payload(arguments, "id")) == {"arguments": arguments, "request_id": "id"}


def test_numbers_and_text_that_few_readers_of_json_take_arrive_too() -> None:
    assert read_payload(job_payload([2**80, "\ud800\0"])) == {"arguments": [2**80, "\ud800\0"]}


class Anything:
    pass


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (Anything(), "argument 1 is of type Anything"),
        ({"a": [1, {2}]}, r"argument 1\['a'\]\[1\] is of type set"),
        (b"x", "type bytes"),
        (datetime(2026, 1, 1, tzinfo=timezone.utc), "type datetime"),
        ({1: 2}, "argument 1 has the key 1; the keys of JSON are text"),
        ([math.nan], r"argument 1\[0\] is nan, a number that JSON does not have"),
        (math.inf, "is inf"),
        ("x" * MOST_BYTES, "at most 1048576 bytes of JSON"),
    ],
)
def test_what_json_does_not_have_is_told_with_its_place(argument: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        enqueue("note", argument)


def test_what_holds_itself_is_told() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="nested more than 100 deep, or in itself"):
        enqueue("note", value)


@pytest.mark.parametrize(
    ("arguments", "keywords", "said"),
    [
        (["note"], {"dely": 5}, r"no keyword 'dely'; did you mean 'delay'\?"),
        (["note"], {"customer": 5}, r'goes into a dict: enqueue\(name, \{"customer": ...\}\)'),
        (["note"], {"delay": -1}, "delay is a number of seconds"),
        (["note"], {"delay": "1h"}, "delay is a number of seconds"),
        (["note"], {"delay": 1, "at": datetime.now(timezone.utc)}, "one of delay and at"),
        (["note"], {"at": datetime(2026, 1, 1)}, "at is a datetime with a time zone"),  # noqa: DTZ001  # the mistake
        (["note"], {"at": "2026-01-01"}, "at is a datetime with a time zone"),
        (["note"], {"key": 1.5}, "key is text, a whole number or None"),
        (["note"], {"dedup": ["x"]}, "dedup is text"),
        (["note"], {"priority": 1000}, "priority is a whole number from -100"),
        ([7], {}, "takes the name of a job, or its function, not 7"),
        ([len], {}, "'len', which has no @job"),
        ([""], {}, "a name is printable text"),
        (["a\nb"], {}, "a name is printable text"),
        (["x" * 201], {}, "a name is printable text"),
    ],
)
def test_a_wrong_call_is_told_and_stores_nothing(arguments: list[Any], keywords: dict[str, Any], said: str) -> None:
    with fake_data():
        with pytest.raises((TypeError, ValueError), match=said):
            enqueue(*arguments, **keywords)
        assert current_inbox().stats().is_empty


def test_keywords_of_a_job_say_when_it_runs_and_what_runs_first(site: Make) -> None:
    client = site()
    later = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
    for arguments, keywords in [
        (["note", 1], {}),
        (["note", 2], {"priority": 9}),
        (["pair", 3], {}),  # the decorator's priority is 5
        (["pair", 4], {"priority": -1}),
        (["note", 5], {"delay": 3600}),
    ]:
        client.post("enqueue", json={"arguments": arguments, "keywords": keywords})
    with pytest.raises(TypeError, match="with a time zone"):
        client.post("enqueue", json={"arguments": ["note"], "keywords": {"at": later}})
    assert ran(client) == [[2], [3, 2], [1], [4, 2]]
    assert ran(client) == []
    assert ran(client, delayed=True) == [[5]]


def test_a_time_to_run_at_is_a_moment(site: Make) -> None:
    client = site()
    with fake_data(client.app.config.root):
        enqueue("note", "past", at=datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=5))))
        enqueue("note", "future", at=datetime.now(timezone.utc) + timedelta(days=1))
        assert ran(client) == [["past"]]
        assert ran(client, delayed=True) == [["future"]]


def test_a_repeat_gives_the_first_id_and_names_do_not_share_their_values(site: Make) -> None:
    client = site()
    with fake_data(client.app.config.root):
        first = enqueue("note", 1, dedup="x")
        assert enqueue("note", 2, dedup="x") == first
        assert enqueue("pair", 3, dedup="x") != first
        assert ran(client) == [[3, 2], [1]]
        assert enqueue("note", 4, dedup="x") == first, "it is known after it is done, too"


def test_jobs_of_one_key_run_one_after_the_other(site: Make) -> None:
    client = site(JOBS + """
@job("step", attempts=3)
def step(number):
    seen.append([number])
    if number == 1 and len(seen) < 3: raise KeyError
""")  # fmt: skip
    with fake_data(client.app.config.root):
        for number in (1, 2, 3):
            enqueue("step", number, key="k")
        assert ran(client, retries=True) == [[1], [1], [1], [2], [3]]


@pytest.mark.parametrize("arguments", [(), (1, 2, 3)])
def test_arguments_that_a_job_does_not_take_are_told_where_it_is_enqueued(site: Make, arguments: Any) -> None:
    client = site()
    target = sys.modules["backend.jobs"].pair
    with fake_data(client.app.config.root):
        for name, call in (("pair", enqueue), (target, enqueue), ("pair", job_call)):
            with pytest.raises(
                TypeError, match=r"the job 'pair' does not take these \d arguments, .*pair\(one, two=2\)"
            ):
                call(name, *arguments)
        assert current_inbox().stats().is_empty


def test_a_decorator_may_take_other_arguments_than_its_function(site: Make) -> None:
    client = site(JOBS + """
import functools

def with_place(function):
    @functools.wraps(function)
    def wrapper(*arguments): return function("here", *arguments)
    return wrapper

@job("placed")
@with_place
def placed(place, one): seen.append([place, one])
""")  # fmt: skip
    client.post("enqueue", json={"arguments": ["placed", 1]})
    assert ran(client) == [["here", 1]]


def test_a_stored_job_whose_function_takes_other_arguments_by_now_is_told_without_our_frames_and_tried_again(
    site: Make, caplog: pytest.LogCaptureFixture
) -> None:
    client = site(raise_exceptions=False)
    with fake_data(client.app.config.root):
        current_inbox().accept([NewJob("pair", payload=job_payload([]))])
        ((job_id, *_, state, error),) = client.run_deferred()
        stored = current_inbox().get(job_id)
    told = "the job 'pair' does not take these 0 arguments, missing a required argument: 'one'; it is pair(one, two=2)"
    assert (state, error) == ("waiting", told)
    assert stored is not None
    assert stored.error == told
    assert "Traceback" not in caplog.text


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_name_that_this_process_does_not_know_is_stored_with_a_warning_and_fails_a_test(
    site: Make, caplog: pytest.LogCaptureFixture
) -> None:
    client = site()
    with fake_data(client.app.config.root):
        enqueue("notes", 1)
        assert "enqueue('notes'): this process knows no such job" in caplog.text
        assert "did you mean 'note'?" in caplog.text
        with pytest.raises(LookupError, match=r"a job named 'notes' waits.*; did you mean 'note'\?"):
            client.run_deferred()
        assert current_inbox().unknown_names(["note"]) == {"notes": 1}


def test_a_deferred_function_takes_no_arguments_of_enqueue(site: Make) -> None:
    client = site()
    with pytest.raises(ValueError, match="'post_later' is a deferred function, which takes requests"):
        client.post("enqueue", json={"arguments": ["post_later"]})


def test_two_jobs_of_one_name_are_told_with_their_places(site: Make) -> None:
    with pytest.raises(
        ProjectError, match=r"jobs.py:\d+: there is a job function named 'note' already, at .*jobs.py:\d+"
    ):
        site(JOBS + "\n@job('note')\ndef other(): pass\n")


def test_a_job_with_the_name_of_a_deferred_function_is_told(site: Make) -> None:
    with pytest.raises(ProjectError, match="there is a deferred function named 'post_later' already"):
        site(JOBS + "\n@job('post_later')\ndef other(): pass\n")


def test_jobs_stand_in_any_module_of_the_project_and_their_file_is_always_imported(tmp_path: Path) -> None:
    files = {
        "backend/jobs.py": HEAD + "import backend.mail\n@job('one')\ndef one(): seen.append(['one'])\n",
        "backend/mail.py": HEAD + "from backend.jobs import seen\n@job('two')\ndef two(): seen.append(['two'])\n",
        "backend/http_functions.py": "def get_a(request): pass\n",
    }
    client = TestClient(write_project(tmp_path, {**files, "backend/jobs.py": HEAD + files["backend/jobs.py"]}))
    with fake_data(tmp_path):
        enqueue("one")
        enqueue("two")
        assert [run.name for run in client.run_deferred()] == ["one", "two"]


def test_a_file_of_jobs_that_cannot_be_imported_ends_the_start(site: Make) -> None:
    with pytest.raises(ProjectError, match=r"jobs\.py cannot be imported: NameError"):
        site("nothing\n", "def get_a(request): pass\n")


def yields() -> Iterator[int]:
    yield 1


async def yields_later() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: job(len),  # type: ignore[arg-type]  # the mistake
            'write @job\\("send-mail"\\)',
        ),
        (
            lambda: job("a", "b"),  # type: ignore[arg-type]  # the mistake
            "takes one name, not 'b' too",
        ),
        (lambda: job(" a"), "a name is printable text"),
        (lambda: job("a", attempts=0), "@job: attempts"),
        (lambda: job("a")(Anything), "stands in front of a function"),
        (lambda: job("a")(job("b")(lambda: None)), "has two @job"),
        (lambda: job("a")(yields), "@job: yields has a yield, so that a call of it runs nothing"),
        (lambda: deferred()(yields_later), "@deferred: yields_later has a yield, so that a call of it runs nothing"),
        (
            lambda: job("a", attempt=1),  # type: ignore[call-arg]  # the mistake
            "attempt",
        ),
    ],
)
def test_a_wrong_declaration_is_told_at_once(make: Callable[[], Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        make()


def test_a_job_is_called_as_it_is_in_a_unit_test() -> None:
    assert job("add")(lambda a, b: a + b)(1, 2) == 3


# --- in one commit ---------------------------------------------------------------------------------------------------


def test_a_job_in_one_commit_with_a_write_is_stored_with_it_or_not_at_all(site: Make) -> None:
    client = site()
    with fake_data(client.app.config.root):
        item_id, job_id = client.post("order", json={"_id": "1"}).json()
        assert item_id == "1"
        with pytest.raises(WixDataError, match="WDE0074"):
            client.post("order", json={"_id": "1"})
        assert [run.id for run in client.run_deferred()] == [job_id]
        assert seen(client) == [["order"]]


def test_past_the_limit_neither_the_job_nor_the_item_is_stored(site: Make) -> None:
    client = site(inbox_limit=1)
    with fake_data(client.app.config.root):
        client.post("order", json={"_id": "1"})
        answer = client.post("order", json={"_id": "2"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        with pytest.raises(StoreUnavailable):
            enqueue("note")
        assert wix_data.get("orders", "2") is None
        assert len(client.run_deferred()) == 1


def test_a_job_call_is_checked_when_it_is_made() -> None:
    with fake_data():
        with pytest.raises(TypeError, match=r"job_call\(\) has no keyword 'dely'"):
            job_call("note", dely=1)
        with pytest.raises(TypeError, match="type set"):
            job_call("note", {1})


@pytest.mark.parametrize("keys", ["abc", "cba", "bca"])
def test_jobs_of_one_write_are_stored_in_one_order_so_that_no_two_writes_wait_for_each_other(
    site: Make, keys: str
) -> None:
    client = site()
    with fake_data(client.app.config.root):
        jobs = [
            *(job_call("note", key, key=key) for key in keys),
            job_call("note", "first"),
            job_call("note", "second"),
        ]
        wix_data.insert("orders", {"_id": "1"}, enqueue=jobs)
        stored = [json.loads(each.payload)["arguments"][0] for each in reversed(current_inbox().list())]
        assert stored == ["first", "second", "a", "b", "c"]
        assert [each.id for each in jobs[-2:]] == [each.id for each in reversed(current_inbox().list())][:2]
