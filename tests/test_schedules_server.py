"""Scheduled functions of a real site: two servers on one database, and the commands."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests import commands
from tests.commands import TIMEOUT
from tests.servers import Server, clean, project, serving
from wixhttp.data.stores.factory import open_store
from wixhttp.inbox.schedules.loading import load_schedules
from wixhttp.inbox.schedules.scheduler import watermark_name
from wixhttp.inbox.stores.factory import make_inbox

FUNCTIONS = "from wixhttp import ok\n\n\ndef get_x(request):\n    return ok()\n"
REPORTS = '''
import asyncio
import os
import time
from pathlib import Path

from wixhttp.data import items
from wixhttp.inbox import scheduled

LINES = Path(__file__).parents[1] / "lines.txt"


def note(name, due):
    with open(LINES, "a") as file:
        file.write(f"{name} {due.isoformat()} {os.getpid()}\\n")


@scheduled("CRON")
def send(due):
    """Send the report."""
    note("send", due)
    return items.insert("reports", {"due": due})["_id"]


@scheduled("CRON", name="clean up", missed="skip")
async def clean(due):
    note("clean", due)
    raise AssertionError


def count():
    return {"reports": items.query("reports").count()}


async def fail():
    await asyncio.sleep(0)
    raise ValueError("no report")
'''
CONFIG = """// three jobs
{"jobs": [
  {"functionLocation": "/reports.js", "functionName": "count", "description": "How many",
   "executionConfig": {"time": "00:05", "dayOfWeek": "Sunday"}},
  {"functionLocation": "/reports.js", "functionName": "fail", "executionConfig": {"cronExpression": "0 0 1 1 *"}},
]}
"""


class Site:
    """A project whose functions were due two hours ago, and whose servers were last there an hour before that."""

    def __init__(self, folder: Path) -> None:
        self.root = project(folder, FUNCTIONS)
        self.due = datetime.now(timezone.utc).replace(second=0, microsecond=0) - timedelta(hours=2)
        cron = f"{self.due.minute} {self.due.hour} * * *"
        (folder / "backend" / "reports.py").write_text(REPORTS.replace("CRON", cron))
        (folder / "backend" / "jobs.config").write_text(CONFIG)
        (folder / "data").mkdir()
        (folder / "data" / "collections.toml").write_text('[reports]\npermissions = "private"\n')
        store = open_store(f"sqlite:///{folder}/data/wixhttp.sqlite3", folder)
        inbox = make_inbox(store)
        for function in load_schedules(folder, 10):
            for schedule in function.schedules:
                inbox.advance(watermark_name(function, schedule), (), self.due - timedelta(hours=1))
        store.close()

    def lines(self) -> list[list[str]]:
        """The runs: name, the moment that it was due at, process."""
        file = self.root / "lines.txt"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """`wixhttp jobs ARGUMENTS`: exit code, standard output and error."""
        done = commands.run(["jobs", *arguments], cwd=self.root, env=clean({}))
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def listed(self) -> dict[str, Any]:
        """The documents of `wixhttp jobs list --json`, by name."""
        code, out, _ = self.run("list", "--json")
        assert code == 0
        return {each["name"]: each for each in map(json.loads, out.splitlines())}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose missed functions two servers, of two workers each, have caught up; they have ended."""
    made = Site(tmp_path_factory.mktemp("site"))
    with serving(made.root, "--workers", "2") as first, serving(made.root, "--workers", "2") as second:
        assert len({os.getpgid(server.process.pid) for server in (first, second)}) == 2
        _wait_for_run(made, first, second)
        first.stop()
        second.stop()
    return made


def _wait_for_run(site: Site, *servers: Server) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not site.lines():
        assert time.monotonic() < deadline, [server.errors for server in servers]
        time.sleep(0.05)


def test_what_was_missed_is_run_once_by_two_servers_of_two_workers(site: Site) -> None:
    assert [line[:2] for line in site.lines()] == [["send", site.due.isoformat()]]
    last = site.listed()["reports.send"]["last"]
    assert (last["state"], last["attempt"], last["due"]) == ("done", 1, site.due.strftime("%Y-%m-%dT%H:%M:00Z"))
    # It may write into a collection that nobody else may write into, as on Wix.
    assert site.run("run", "count")[1] == '{"reports": 1}\n'


def test_the_list_has_next_and_last_run_of_each_schedule(site: Site) -> None:
    found = site.listed()
    assert sorted(found) == ["clean up", "reports.count", "reports.fail", "reports.send"]
    count = found["reports.count"]
    assert (count["place"], count["description"], count["last"]) == ("backend/jobs.config:3", "How many", None)
    [schedule] = count["schedules"]
    due = datetime.fromisoformat(schedule.pop("next").replace("Z", "+00:00"))
    assert (due.isoweekday(), due.hour, due.minute) == (7, 0, 5)
    assert schedule == {
        "expression": "5 0 * * 0", "zone": "UTC", "missed": "last", "explanation": "At 00:05 on Sunday",
    }  # fmt: skip
    code, out, _ = site.run("list")
    assert code == 0
    header, *rows = out.splitlines()
    assert header.split() == ["NAME", "SCHEDULE", "ZONE", "NEXT", "LAST", "RUN", "RESULT"]
    assert [row.split("  ")[0] for row in rows] == sorted(found)
    assert rows[-1].endswith("done")


def test_one_is_run_now_whether_it_is_due_or_not(site: Site) -> None:
    code, out, err = site.run("run", "reports.count")
    assert (code, json.loads(out)["reports"] >= 1) == (0, True)
    assert err.startswith("reports.count ended after ")
    code, out, err = site.run("run", "fail")
    assert (code, out) == (1, "")
    assert 'raise ValueError("no report")' in err
    assert "reports.fail failed after " in err
    code, _, err = site.run("run", "clean up")  # an async def
    assert code == 1
    assert "AssertionError" in err


def test_a_name_that_is_none_is_told_with_the_nearest(site: Site) -> None:
    code, _, err = site.run("run", "reports.sent")
    assert code == 2
    assert "there is no scheduled function 'reports.sent'; did you mean 'reports.send'?" in err
    assert site.run("lst")[0] == 2


def test_a_project_that_schedules_nothing_lists_nothing_and_makes_no_database(tmp_path: Path) -> None:
    project(tmp_path, FUNCTIONS)
    done = commands.run(["jobs", "list"], cwd=tmp_path, env=clean({}))
    assert (done.returncode, done.stdout) == (0, b"nothing is scheduled\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backend"]
    done = commands.run(["jobs", "run", "x"], cwd=tmp_path, env=clean({}))
    assert done.returncode == 2
    assert b"the project has none" in done.stderr


def test_a_server_does_not_start_with_a_wrong_jobs_config(tmp_path: Path) -> None:
    project(tmp_path, FUNCTIONS)
    (tmp_path / "backend" / "jobs.config").write_text('{"jobs": [\n  {"functionLocation": "/x.js"')
    for command in (["jobs", "list"], ["check"], ["serve", "--port", "0"]):
        done = commands.run(command, cwd=tmp_path, env=clean({}))
        assert done.returncode == 3
        assert b"backend/jobs.config:2: the file ends before the object { that begins on line 2" in done.stderr
