"""``backend/jobs.config`` and ``@scheduled``: the forms that are read, and the file and line of each mistake."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.interfaces import write_project
from wixhttp.cli.project_checks import check_project
from wixhttp.errors import ProjectError, WixDataError
from wixhttp.inbox import scheduled
from wixhttp.inbox.schedules.commented_json import LocatedValue, read_commented
from wixhttp.inbox.schedules.decorator import declaration_of
from wixhttp.inbox.schedules.loading import ScheduledFunction, load_schedules
from wixhttp.inbox.schedules.schedule import Schedule
from wixhttp.inbox.service import jobs_of
from wixhttp.project.config import load_config
from wixhttp.project.findings import Finding
from wixhttp.project.inbox_files import uses_inbox
from wixhttp.services import load_served_site
from wixhttp.testing import TestClient, fake_data

CONFIG = "backend/jobs.config"
NOON = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
FUNCTIONS = {"backend/http_functions.py": "from wixhttp import ok\n\n\ndef get_x(request):\n    return ok()\n"}
REPORTS = "def send():\n    return 'sent'\n\n\nasync def clean(due):\n    return due.isoformat()\n\n\nLIMIT = 5\n"


def plain(value: LocatedValue) -> Any:
    """A value without its lines."""
    inner = value.value
    if isinstance(inner, dict):
        return {key: plain(each) for key, each in inner.items()}
    return [plain(each) for each in inner] if isinstance(inner, list) else inner


def loaded(tmp_path: Path, files: dict[str, str]) -> dict[str, ScheduledFunction]:
    """The scheduled functions of a project, by name."""
    found = load_schedules(write_project(tmp_path, {**FUNCTIONS, **files}), 10)
    return {each.name: each for each in found}


def error_of(tmp_path: Path, files: dict[str, str]) -> str:
    """The error of a project that is not loaded, which `check` and a load both tell."""
    root = write_project(tmp_path, {**FUNCTIONS, **files})
    config = load_config(root, environ={})
    with pytest.raises(ProjectError) as caught:
        load_served_site(config)
    assert str(caught.value) in check_project(config).problems
    return str(caught.value)


def job(**changes: Any) -> str:
    """A file with one job of `REPORTS`, each key on a line, with changes; ``None`` leaves a key out."""
    keys = {
        "functionLocation": "/reports.js",
        "functionName": "send",
        "executionConfig": {"cronExpression": "0 8 * * *"},
    } | changes
    return json.dumps({"jobs": [{key: value for key, value in keys.items() if value is not None}]}, indent=1)


def at(time: object, more: dict[str, Any] | None = None) -> str:
    """A file with one job that runs at a time of day."""
    return job(executionConfig={"time": time, **(more or {})})


# --- JSON with comments ----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None)
@given(value=st.lists(JSON, max_size=4), indent=st.none() | st.integers(0, 3), is_ascii=st.booleans())
def test_whatever_is_json_is_read_as_json(value: list[Any], indent: int | None, is_ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    assert plain(read_commented(text, "x")) == json.loads(text)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_and_last_commas_are_passed_over_but_not_in_text(end: str) -> None:
    text = end.join(
        [
            "/* two",
            '   lines, "jobs" */',
            "// https://example.com",
            '{ "url": "http://x/*y*/", // "no": 1,',
            '  "list": [ 1, /* 2, */ 3, ],',
            '  "quote": "\\" // no comment",',
            "}",
        ]
    )
    value = read_commented(text, "x")
    assert plain(value) == {"url": "http://x/*y*/", "list": [1, 3], "quote": '" // no comment'}
    assert {key: each.line for key, each in value.value.items()} == {"url": 4, "list": 5, "quote": 6}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x:1: the file is empty"),
        ("// nothing\n", "x:2: the file is empty"),
        ("export function config() {}", "x:1: the file begins with 'export'; it is one JSON object"),
        ("/{\n}", "x:1: the file begins with '/'"),
        ('{\n "jobs": [\n', "x:3: the file ends before the list [ that begins on line 2 is closed"),
        ('{\n "jobs"', "x:2: the file ends before the object { that begins on line 1 is closed"),
        ('{"a":', "x:1: the file ends before the object {"),
        ('{\n"a": "b', "x:2: a text is not right: it stands in double quotes, on one line"),
        ("{} /* x", "x:1: the comment /* is not closed"),
        ("{}\n{}", "x:2: the file goes on behind the end of its object, with '{'"),
        ("{'a': 1}", "x:1: text stands in straight double quotes"),
        ('{"a":\n\u201cb\u201d}', "x:2: text stands in straight double quotes"),
        ("{a: 1}", "x:1: a key in double quotes is expected, not 'a'"),
        ('{"time": String}', "x:1: 'String' is no value; text stands in double quotes"),
        ('{"a": NaN}', "x:1: NaN is no value of JSON"),
        ('{"a": 1\n"b": 2}', "x:2: a comma or } is expected, not '\"'"),
        ('{"a" 1}', "x:1: a colon is expected behind the key 'a', not '1'"),
        ('{"a": 1,\n"a": 2}', "x:2: the key 'a' stands twice in one object; keep one"),
        ("[" * 60, "x:1: values are nested deeper than 50 levels"),
        ('{"a": ' + "9" * 5000 + "}", "x:1: a number has too many digits"),
    ],
)
def test_what_is_no_json_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        read_commented(text, "x")
    assert str(caught.value).startswith(message)


# --- jobs.config -----------------------------------------------------------------------------------------------------


def test_the_forms_of_velo(tmp_path: Path) -> None:
    text = """// Relative to the backend folder, begun by a slash
{
  "jobs": [ // up to 20 of them
    {
      "functionLocation": "/reports.js",
      "functionName": "send",
      "description": "Status report", // optional
      "executionConfig": {"cronExpression": "0 */2 * * *"}
    },
    {"functionLocation": "/reports.js", "functionName": "send",
     "executionConfig": {"time": "08:05", "dayOfWeek": "Monday"}},
    /* {
      "functionLocation": "/gone.jsw",
    }, */
    {"functionLocation": "/reports.web.js", "functionName": "clean", "executionConfig": {"time": "23:30"}},
    {"functionLocation": "/nightly-jobs/seo-sweep.jsw", "functionName": "sweep",
     "executionConfig": {"time": "7:00", "dateInMonth": 31}},
    {"functionLocation": "backend/pings.js", "functionName": "ping",
     "executionConfig": {"cronExpression": "*/5 * * * *"}},
  ]
}
"""
    files = {
        CONFIG: text,
        "backend/reports.py": REPORTS,
        "backend/nightly_jobs/seo_sweep.py": "def sweep(): ...\n",
        "backend/pings/__init__.py": "def ping(): ...\n",
    }
    found = loaded(tmp_path, files)
    assert {name: [each.expression for each in job.schedules] for name, job in found.items()} == {
        "nightly_jobs.seo_sweep.sweep": ["0 7 31 * *"],
        "pings.ping": ["*/5 * * * *"],
        "reports.clean": ["30 23 * * *"],
        "reports.send": ["0 */2 * * *", "5 8 * * 1"],
    }
    assert {(each.zone, each.missed) for job in found.values() for each in job.schedules} == {("UTC", "last")}
    send, clean = found["reports.send"], found["reports.clean"]
    assert (send.place, send.description, send.is_async) == (f"{CONFIG}:4", "Status report", False)
    assert (clean.place, clean.is_async) == (f"{CONFIG}:15", True)
    assert send.call("2026-01-05T08:05:00+00:00") == send.call() == "sent"


def test_a_file_without_jobs_and_no_file_schedule_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, {CONFIG: '{"jobs": []}'}) == {}
    (tmp_path / CONFIG).unlink()
    assert load_schedules(tmp_path, 10) == ()
    assert not uses_inbox(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"job": []}', ":1: there is no key 'job' here; did you mean 'jobs'?"),
        ("{}", ':1: the object has no "jobs"'),
        ('{"jobs": {}}', ':1: "jobs" is a list [...], not an object {...}'),
        ('{"jobs": [\n5]}', ":2: a job is an object {...}, not a number"),
        (job(functionLocation=None), ":3: the job has no functionLocation"),
        (job(functionName=None), ":3: the job has no functionName"),
        (job(executionConfig=None), ":3: the job has no executionConfig"),
        (job(functionNames="x"), ":9: there is no key 'functionNames' here; did you mean 'functionName'?"),
        (job(functionName=None, functionLocation="/reports.send"),
         ':4: write the name of the function apart: "functionLocation": "/reports.js", "functionName": "send"'),
        (job(functionName=None, functionLocation="/a.js.send"), ":4: write the name of the function apart: "),
        (at("08:00", {"timeZone": "UTC"}), ":8: there is no key 'timeZone' here; all times are in UTC; for"),
        (job(functionName=""), ":5: functionName is the name of the function to run, not ''"),
        (job(functionName=["send"]), ":5: functionName is the name of the function to run, not a list [...]"),
        (job(description=5), ":9: description is text, not a number"),
        (job(executionConfig="0 8 * * *"), ":6: executionConfig is an object {...}, not text"),
        (job(executionConfig={}), ":6: executionConfig has a cronExpression, or a time"),
        (job(executionConfig={"cron": "0 8 * * *"}), ":7: there is no key 'cron' here; "),
        (at("08:00", {"daysOfWeek": []}), ":8: there is no key 'daysOfWeek' here; did you mean 'dayOfWeek'?"),
        (at("08:00", {"dateOfMonth": 1}), ":8: there is no key 'dateOfMonth' here; did you mean 'dateInMonth'?"),
        (job(executionConfig={"dayOfWeek": "Monday"}), ":6: executionConfig has a cronExpression, or a time"),
        (at("24:00"), ':7: time is text from "00:00" to "23:59", in UTC, not \'24:00\''),
        (at("8am"), ":7: time is text from"),
        (at(8), ":7: time is text from"),
        (at("08:00", {"dayOfWeek": "Mon"}), ":8: dayOfWeek is a name such as"),
        (at("08:00", {"dayOfWeek": 1}), ":8: dayOfWeek is a name"),
        (at("08:00", {"dateInMonth": "1"}), ":8: dateInMonth is a number from 1 to 31, not '1'"),
        (at("08:00", {"dateInMonth": 32}), ":8: dateInMonth is a number from 1 to 31, not 32"),
        (at("08:00", {"dateInMonth": True}), ":8: dateInMonth is a number"),
        (at("08:00", {"dayOfWeek": "Monday", "dateInMonth": 1}), ":9: a job has dayOfWeek or dateInMonth, not both"),
        (job(executionConfig={"cronExpression": 5}), ":7: a cron expression is text"),
        (job(executionConfig={"cronExpression": "61 * * * *"}), ":7: the minute '61' of the cron expression"),
        (job(executionConfig={"cronExpression": "0 0 30 2 *"}), ":7: the cron expression '0 0 30 2 *' is never due"),
        (job(executionConfig={"cronExpression": "0 0 8 * * *"}), ":7: a cron expression has five fields"),
        (job(functionLocation="/reports"), ":4: functionLocation is a file below backend"),
        (job(functionLocation="/../reports.js"), ":4: functionLocation is a file below backend"),
        (job(functionLocation="/reports.send"), ":4: functionLocation is a file below backend"),
        (job(functionLocation="/report.js"), ":4: there is no backend/report.py for '/report.js'; did"),
        (job(functionLocation="/old.jsw"), ":4: backend/old.jsw is JavaScript; write backend/old.py in Python"),
        (job(functionName="sent"), ":5: backend/reports.py has no function 'sent'; did you mean 'send'?"),
        (job(functionName="LIMIT"), ":5: 'LIMIT' of backend/reports.py is no function"),
        (job()[:-30], ":7: "),
    ],
)  # fmt: skip
def test_a_mistake_in_jobs_config_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    files = {CONFIG: text, "backend/reports.py": REPORTS, "backend/old.jsw": ""}
    assert error_of(tmp_path, files).startswith(CONFIG + message)


def test_check_tells_all_mistakes_of_a_file(tmp_path: Path) -> None:
    wrong = [json.loads(job(functionName=name))["jobs"][0] for name in ("a", "send", "b")]
    root = write_project(tmp_path, {**FUNCTIONS, CONFIG: json.dumps({"jobs": wrong}), "backend/reports.py": REPORTS})
    problems = check_project(load_config(root, environ={})).problems
    assert len([each for each in problems if "has no function" in each]) == 2


def test_bytes_that_are_no_text_and_a_folder_of_that_name_are_told(tmp_path: Path) -> None:
    root = write_project(tmp_path, FUNCTIONS)
    (root / CONFIG).write_bytes(b'{"jobs": []} // \xff')
    with pytest.raises(ProjectError, match=r"jobs\.config cannot be read: .*UTF-8"):
        load_schedules(root, 10)
    (root / CONFIG).unlink()
    (root / CONFIG).mkdir()
    with pytest.raises(ProjectError, match=r"jobs\.config cannot be read: .*make it a readable file"):
        load_schedules(root, 10)


def test_a_time_beside_a_cron_expression_is_warned_of(tmp_path: Path) -> None:
    execution = {"cronExpression": "0 8 * * *", "time": "09:00"}
    root = write_project(tmp_path, {**FUNCTIONS, CONFIG: job(executionConfig=execution), "backend/reports.py": REPORTS})
    warnings: list[Finding] = []
    [found] = load_schedules(root, 10, warnings=warnings)
    assert [each.expression for each in found.schedules] == ["0 8 * * *"]
    assert [str(each) for each in warnings] == [
        f"{CONFIG}:8: time has no effect beside cronExpression, here as on Wix; leave one of them out [schedule]"
    ]
    report = check_project(load_config(root, environ={}))
    assert (report.problems, report.warnings) == ([], [str(warnings[0])])


def test_the_example_of_the_editor_of_wix_is_left_out(tmp_path: Path) -> None:
    example = json.loads(job(functionLocation="/module/filename.js(w)", functionName="funcName"))["jobs"]
    old = {"functionLocation": "/module/filename.funcName", "executionConfig": {"time": "String"}}
    jobs = [*example, old, *json.loads(job())["jobs"]]
    root = write_project(tmp_path, {**FUNCTIONS, CONFIG: json.dumps({"jobs": jobs}), "backend/reports.py": REPORTS})
    report = check_project(load_config(root, environ={}))
    assert report.problems == []
    assert report.warnings == 2 * [
        f"{CONFIG}:1: the example of Wix's editor is not run, as on Wix; remove it [schedule]"
    ]
    assert [each.name for each in load_schedules(root, 10)] == ["reports.send"]


# --- @scheduled ------------------------------------------------------------------------------------------------------

DECORATED = """
from wixhttp.inbox import scheduled


@scheduled("30 2 * * *", tz="Europe/Berlin")
def nightly(due):
    '''Send the report.'''
    return due.isoformat()


@scheduled("0 8 * * mon", name="weekly report", missed="all", attempts=1)
@scheduled("0 20 * * fri", missed="skip")
async def weekly():
    return "sent"
"""


def test_a_decorated_function_is_found_in_any_module_of_backend(tmp_path: Path) -> None:
    root = write_project(
        tmp_path, {**FUNCTIONS, "backend/mails/reports.py": DECORATED, "backend/mails/__init__.py": ""}
    )
    assert uses_inbox(root)
    nightly, weekly = load_schedules(root, 10)
    assert (nightly.name, nightly.description, nightly.attempts) == ("mails.reports.nightly", "Send the report.", 3)
    assert (nightly.place, nightly.is_async) == ("backend/mails/reports.py:5", False)
    assert nightly.schedules == (Schedule("30 2 * * *", "Europe/Berlin"),)
    # The moment that it is due at, as the clock of its zone shows it.
    assert nightly.call("2026-07-01T00:30:00+00:00") == "2026-07-01T02:30:00+02:00"
    assert (weekly.name, weekly.is_async, weekly.attempts) == ("weekly report", True, 1)
    assert weekly.schedules == (
        Schedule("0 8 * * mon", missed="all"),
        Schedule("0 20 * * fri", missed="skip"),
    )


def test_a_decorated_function_stays_callable(tmp_path: Path) -> None:
    @scheduled("0 8 * * *")
    def send(due: datetime | None = None) -> str:
        return f"sent {due}"

    assert send() == "sent None"
    assert declaration_of(send) is not None


def test_in_a_test_a_function_runs_as_its_time_runs_it_with_the_rights_of_the_owner(tmp_path: Path) -> None:
    text = """
from wixhttp import data
from wixhttp.data import aio
from wixhttp.inbox import scheduled

@scheduled("0 8 * * *", tz="Europe/Berlin")
def count(due):
    return [data.query("orders").count(), due.isoformat()]

@scheduled("0 8 * * *", name="later")
async def counted_later():
    return await aio.query("orders").count()

@scheduled("0 9 * * *")
def fail():
    raise KeyError("mine")
"""
    tables = {"data/collections.toml": '[orders]\npermissions = "private"\n'}
    client = TestClient(write_project(tmp_path, {**FUNCTIONS, **tables, "backend/reports.py": text}))
    count = sys.modules["backend.reports"].count
    with fake_data(tmp_path) as data:
        data.seed("orders", [{"_id": "1"}])
        with pytest.raises(WixDataError, match="WDE0027"):
            count(NOON)
        assert client.run_scheduled(count, at=NOON) == [1, "2026-07-01T14:00:00+02:00"]
        assert client.run_scheduled("reports.count")[0] == 1
        assert client.run_scheduled("later") == 1
        with pytest.raises(KeyError, match="mine"):
            client.run_scheduled("reports.fail")
        with pytest.raises(LookupError, match=r"'reports.cont' is no scheduled function .* 'reports.count'"):
            client.run_scheduled("reports.cont")
        with pytest.raises(TypeError, match="at is a datetime with a time zone"):
            client.run_scheduled(count, at=NOON.replace(tzinfo=None))


def test_a_function_that_is_imported_elsewhere_is_scheduled_once(tmp_path: Path) -> None:
    using = "from wixhttp import inbox\nfrom backend.reports import nightly, weekly\nnow = nightly\n"
    found = loaded(tmp_path, {"backend/reports.py": DECORATED, "backend/users.py": using})
    assert sorted(found) == ["reports.nightly", "weekly report"]


def test_jobs_and_schedules_share_one_table_whatever_file_they_stand_in(tmp_path: Path) -> None:
    text = DECORATED + "\n\nfrom wixhttp.inbox import job\n\n\n@job('mail')\ndef mail(to): ...\n"
    root = write_project(tmp_path, {**FUNCTIONS, "backend/reports.py": text})
    service = jobs_of(load_served_site(load_config(root, environ={})))
    assert service is not None
    assert {each.name: each.kind for each in service.table} == {
        "mail": "job",
        "reports.nightly": "scheduled",
        "weekly report": "scheduled",
    }
    assert service.make_scheduler is not None
    assert check_project(load_config(root, environ={})).problems == []


def test_a_job_and_a_schedule_of_one_name_are_told(tmp_path: Path) -> None:
    text = DECORATED + "\n\nfrom wixhttp.inbox import job\n\n\n@job('weekly report')\ndef mail(to): ...\n"
    assert "there is a job function named 'weekly report' already" in error_of(tmp_path, {"backend/reports.py": text})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'61 * * * *'", "the minute '61' of the cron expression '61 \\* \\* \\* \\*' is wrong; it is 0 to 59"),
        ("'0 25 * * *'", "the hour '25'"),
        ("'0 0 0 * *'", "the day of the month '0'"),
        ("'0 0 * 13 *'", "the month '13'"),
        ("'0 0 * * 8'", "the day of the week '8'"),
        ("'0 0 * *'", "a cron expression has five fields"),
        ("'0 0 0 * * *'", "it has no seconds"),
        ("'@daily'", 'write "0 0 \\* \\* \\*"'),
        ("'0 0 31 2,4,6 *'", "is never due: there is no such day"),
        ("'* * * * *' * 100", "a cron expression has five fields"),
        ("''", "a cron expression has five fields"),
        ("5", "a cron expression is text"),
        ("'0 8 * * *', tz='Berlin'", "there is no time zone 'Berlin'; did you mean 'Europe/Berlin'\\?"),
        ("'0 8 * * *', tz='europe/berlin'", "did you mean 'Europe/Berlin'\\?"),
        ("'0 8 * * *', tz='America/NewYork'", "did you mean 'America/New_York'\\?"),
        ("'0 8 * * *', tz=''", "there is no time zone ''; zones are named"),
        ("'0 8 * * *', tz='../../etc/passwd'", "there is no time zone"),
        ("'0 8 * * *', tz='x/y.' * 9000", "there is no time zone"),
        ("'0 8 * * *', tz=1", "tz is the name of a time zone"),
        ("'0 8 * * *', missed='lost'", 'missed is one of "last", "all", "skip", not \'lost\'; did you mean'),
        ("'0 8 * * *', missed=None", "missed is one of"),
        ("'0 8 * * *', attempts=0", "attempts is a whole number from 1 to 100, not 0"),
        ("'0 8 * * *', attempts=True", "attempts is a whole number"),
        ("'0 8 * * *', name=''", "name is text of 1 to 100 characters"),
    ],
)  # fmt: skip
def test_a_wrong_value_of_the_decorator_raises_at_once(arguments: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        eval(f"scheduled({arguments})")  # noqa: S307  # of this file


def test_what_is_no_function_that_can_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="write @scheduled"):
        scheduled(lambda: None)  # type: ignore[arg-type]  # without parentheses
    with pytest.raises(TypeError, match="stands above a function"):
        scheduled("0 8 * * *")(str)
    with pytest.raises(TypeError, match="has a yield, so that a call of it runs nothing"):

        @scheduled("0 8 * * *")
        def lazy() -> Any:
            yield 1

    with pytest.raises(ValueError, match="a function has one name, not 'a' and 'b'"):
        scheduled("0 8 * * *", name="b")(scheduled("0 9 * * *", name="a")(lambda: None))
    with pytest.raises(ValueError, match="stands twice"):
        scheduled("0 8 * * *")(scheduled("0 8 * * *")(lambda: None))
    with pytest.raises(TypeError, match="has no argument 'timezone'"):
        scheduled("0 8 * * *", timezone="UTC")  # type: ignore[call-arg]  # a wrong name


def test_a_machine_without_time_zones_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import zoneinfo

    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(ValueError, match="this machine has no time zones; run: pip install tzdata"):
        Schedule("0 8 * * *", "Europe/Nowhere")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"backend/a.py": DECORATED, "backend/b.py": DECORATED},
            "backend/b.py:11: two functions are scheduled as 'weekly report', here and in backend/a.py:11; say name=",
        ),
        (
            {"backend/a.py": DECORATED, CONFIG: job(functionLocation="/a.js", functionName="nightly")},
            f"{CONFIG}:3: a.nightly has @scheduled, too; keep one of them",
        ),
        (
            {CONFIG: json.dumps({"jobs": json.loads(job())["jobs"] * 2}), "backend/reports.py": REPORTS},
            f"{CONFIG}:1: reports.send has the same times in {CONFIG}:1; leave one out",
        ),
        (
            {CONFIG: job(), "backend/reports.py": "def send(due, other): ...\n"},
            "reports.send (",
        ),
    ],
)
def test_schedules_that_contradict_each_other_are_told(tmp_path: Path, files: dict[str, str], message: str) -> None:
    assert error_of(tmp_path, files).startswith(message)


def test_a_wrong_decorator_is_told_with_its_line(tmp_path: Path) -> None:
    text = "from wixhttp.inbox import scheduled\n\n@scheduled('0 0 30 2 *')\ndef f(): ...\n"
    root = write_project(tmp_path, {**FUNCTIONS, "backend/reports.py": text})
    with pytest.raises(ProjectError) as caught:
        load_served_site(load_config(root, environ={}))
    assert "reports.py cannot be imported: ValueError: the cron expression '0 0 30 2 *' is never due" in str(
        caught.value
    )
    assert caught.value.__cause__ is not None  # with the traceback, which shows the line
    assert any("is never due" in each for each in check_project(load_config(root, environ={})).problems)


def test_the_next_occurrence_of_a_rare_day_is_found() -> None:
    leap = Schedule("0 0 29 2 1")  # on the 29th of February, or any Monday of it
    both = Schedule("0 0 * 2 MON#5")  # the fifth Monday of a February
    now = datetime(2026, 3, 1, tzinfo=timezone.utc)
    assert leap.next(now) == datetime(2027, 2, 1, tzinfo=timezone.utc)
    assert both.next(now) == datetime(2044, 2, 29, tzinfo=timezone.utc)
