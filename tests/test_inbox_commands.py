"""The commands `wixhttp inbox`, and what `wixhttp check` says of the inbox; run as a user runs them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.interfaces import write_project
from tests.test_cli import Outcome, run
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.inbox.arguments import job_payload
from wixhttp.inbox.stores.contract import Done, Failed, Inbox, NewJob
from wixhttp.inbox.stores.factory import open_inbox

FILES = {
    "backend/http_functions.py": """
        from wixhttp.inbox import deferred
        @deferred(dedup="x-id", headers=["x-id", "authorization"])
        def post_a(request): pass
    """,
    "backend/jobs.py": """
        from wixhttp.inbox import job
        @job("mail")
        def mail(address): pass
    """,
    "secrets.env": "MAIL_KEY=s3cr3t-of-the-mail\n",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = write_project(tmp_path / "site", FILES)
    (folder / "secrets.env").chmod(0o600)
    return folder


def filled(site: Path) -> dict[str, str]:
    """The ids by what they are: a dead job, a done one, one that waits, one of a name that nobody has."""
    store = SQLiteStore(site / "data/wixhttp.sqlite3")
    try:
        return _fill(open_inbox(store))
    finally:
        store.close()


def _fill(inbox: Inbox) -> dict[str, str]:
    names = ("dead", "done", "unknown", "waiting")
    made = [
        NewJob("mail", payload=job_payload(["s3cr3t-of-the-mail"]), key="k"),
        NewJob("mail", payload=job_payload(["b"])),
        NewJob("gone", payload=job_payload(["c"])),
        NewJob("mail", payload=job_payload(["d"]), delay=3600.0),
    ]
    ids = [accepted.id for accepted in inbox.accept(made)]
    dead, done = inbox.claim(["mail"], 2)
    assert inbox.finish(dead, Failed("no s3cr3t-of-the-mail\nin \x1b[31m"))
    assert inbox.finish(done, Done(b'{"status": 200}'))
    return dict(zip(names, ids, strict=True))


def inbox(site: Path, *arguments: str, code: int = 0) -> Outcome:
    return run(site, "inbox", *arguments, code=code)


def listed(site: Path, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in inbox(site, "list", "--json", *arguments).out.splitlines()]


def test_a_project_without_an_inbox_has_nothing_and_no_database_is_made(site: Path) -> None:
    assert inbox(site, "list").out == "nothing is there\n"
    assert listed(site) == []
    assert not (site / "data").exists()


def test_the_list_is_a_table_newest_first_in_which_unknown_names_are_marked(site: Path) -> None:
    ids = filled(site)
    outcome = inbox(site, "list")
    head, *rows = outcome.out.splitlines()
    assert head.split() == ["ID", "STATE", "NAME", "ATTEMPT", "ACCEPTED", "DUE", "KEY", "LAST", "ERROR"]
    assert [row.split()[:3] for row in rows] == [
        [ids["waiting"], "waiting", "mail"],
        [ids["unknown"], "waiting", "gone"],
        [ids["done"], "done", "mail"],
        [ids["dead"], "dead", "mail"],
    ]
    assert "gone (unknown)" in rows[1]
    assert "1/10" in rows[3]
    assert "s3cr3t" not in outcome.out
    assert "\x1b" not in outcome.out
    assert outcome.err.startswith("Warning: 1 of gone wait, and no function of the project has that name")


def test_the_list_is_narrowed_and_read_by_programs(site: Path) -> None:
    ids = filled(site)
    assert [each["id"] for each in listed(site, "--state", "dead")] == [ids["dead"]]
    assert [each["known"] for each in listed(site, "--name", "gone")] == [False]
    assert [each["key"] for each in listed(site, "--key", "k")] == ["k"]
    misspelt = inbox(site, "list", "--name", "mial")
    assert misspelt.out == "nothing is there\n"
    assert "Note: there is no function or job named 'mial'; did you mean 'mail'?" in misspelt.err
    assert len(listed(site, "--limit", "2")) == 2
    (done,) = listed(site, "--state", "done")
    assert (done["result"], done["attempt"], done["error"]) == ({"status": 200}, 1, None)
    assert done["accepted"].endswith("Z")


def test_one_is_shown_with_its_arguments_and_without_secrets(site: Path) -> None:
    ids = filled(site)
    outcome = inbox(site, "show", ids["dead"])
    assert "arguments:" in outcome.out
    assert "s3cr3t" not in outcome.out
    assert "\x1b" not in outcome.out
    shown = json.loads(inbox(site, "show", ids["waiting"], "--json").out)
    assert (shown["arguments"], shown["state"]) == (["d"], "waiting")
    assert "there is no 'nobody'; 'wixhttp inbox list' has the ids" in inbox(site, "show", "nobody", code=1).err


def test_a_request_is_shown_with_its_body_and_without_credentials(site: Path) -> None:
    run(site, "call", "POST", "a", "-d", "{}", "-H", "Authorization: Bearer abc123", "-H", "X-Id: 7")
    (listed_one,) = listed(site)
    shown = json.loads(inbox(site, "show", listed_one["id"], "--json").out)
    assert (shown["name"], shown["dedup"], shown["request"]["body"]) == ("post_a", "7", "{}")
    assert {name.lower(): value for name, value in shown["request"]["headers"].items()} == {
        "authorization": "***", "x-id": "7",
    }  # fmt: skip
    assert "abc123" not in inbox(site, "show", listed_one["id"]).out


def test_dead_ones_begin_anew_and_others_do_not(site: Path) -> None:
    ids = filled(site)
    assert inbox(site, "retry", ids["dead"]).out == "1 retried\n"
    assert [(each["state"], each["attempt"]) for each in listed(site, "--key", "k")] == [("waiting", 0)]
    outcome = inbox(site, "retry", ids["done"], code=1)
    assert outcome.out == "0 retried\n"
    assert "1 were left as they are: only dead and cancelled ones can be" in outcome.err
    assert inbox(site, "retry", "--all-dead").out == "0 retried\n"
    assert "there is no 'nobody'" in inbox(site, "retry", "nobody", ids["dead"], code=1).err
    for arguments in ((), ("--all-dead", ids["dead"])):
        assert "name the ids to retry, or write --all-dead" in inbox(site, "retry", *arguments, code=2).err


def test_what_waits_is_cancelled_and_what_is_over_is_removed(site: Path) -> None:
    ids = filled(site)
    assert inbox(site, "cancel", ids["unknown"], ids["waiting"]).out == "2 cancelled\n"
    assert "one that runs, or is over, cannot be" in inbox(site, "cancel", ids["done"], code=1).err
    assert inbox(site, "purge", "--state", "done", "--older", "7d").out == "0 removed\n"
    assert inbox(site, "purge", "--state", "done", "--older", "0s").out == "1 removed\n"
    assert inbox(site, "purge", "--state", "cancelled", "--older", "0s").out == "2 removed\n"
    assert [each["state"] for each in listed(site)] == ["dead"]
    assert (
        "it is a time such as 12h, 7d or 4w, not 'long'"
        in inbox(site, "purge", "--state", "dead", "--older", "long", code=2).err
    )


def test_a_database_in_memory_has_nothing_to_show(site: Path) -> None:
    assert "each process has its own" in inbox(site, "--database-url", "memory://", "list", code=1).err


def test_a_project_that_cannot_be_loaded_has_its_inbox_shown_all_the_same(site: Path) -> None:
    filled(site)
    (site / "backend/jobs.py").write_text("nothing\n")
    outcome = inbox(site, "list")
    assert len(outcome.out.splitlines()) == 5
    assert "Warning: which names are unknown cannot be said" in outcome.err


def test_check_tells_of_names_that_nothing_runs(site: Path) -> None:
    assert "no problems" in run(site, "check").out
    filled(site)
    assert "1 deferred functions or jobs named 'gone' wait in the inbox" in run(site, "check").err


def test_check_tells_of_an_inbox_of_another_version(site: Path) -> None:
    filled(site)
    with contextlib.closing(apsw.Connection(str(site / "data/wixhttp.sqlite3"))) as database:
        database.execute("UPDATE wixhttp_inbox_facts SET value = 99 WHERE name = 'version'")
    assert "The inbox in the database has version 99" in run(site, "check").err


def test_check_tells_of_jobs_that_are_enqueued_and_not_declared(site: Path) -> None:
    (site / "backend/users.py").write_text(
        """
from wixhttp.inbox import enqueue, job_call
def use(name):
    enqueue("mail", 1), enqueue(name), job_call("mial", 1), enqueue("other")  # a line
    enqueue("later")  # wixhttp: ignore[missing-job]
"""
    )
    told = run(site, "check").err
    assert "backend/users.py:4: 'mial' is no job of the project" in told
    assert "did you mean 'mail'?" in told
    assert "'other' is no job of the project" in told
    assert told.count("[missing-job]") == 2


def test_check_tells_of_two_jobs_of_one_name(site: Path) -> None:
    with (site / "backend/jobs.py").open("a") as file:
        file.write("\n@job('mail')\ndef other(): pass\n")
    assert "there is a job function named 'mail' already" in run(site, "check", code=3).err
