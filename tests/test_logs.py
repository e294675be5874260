"""The log of a real server: one line per event, with the request's id, and never broken by a value from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

import wixhttp
from tests.servers import SITES, Server, ask, project, serving
from wixhttp.logs.setup import OWN_LOGGERS

SITE = SITES / "served"
PATIENT = 60  # seconds until a request is a failure
ACCESS_KEYS = {
    "timestamp", "severity", "message", "logger", "request_id", "function", "method", "path", "status", "duration_ms",
    "bytes_in", "bytes_out", "client_ip",
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(SITE, "--workers", "1", API_KEY=None, WIXHTTP_SECRETS_FILE=None) as server:
        yield server


def get(server: Server, target: str, **headers: str) -> requests.Response:
    return requests.get(f"{server.url}/_functions/{target}", headers=headers, timeout=PATIENT)


def lines_of(server: Server, request_id: str) -> list[dict[str, Any]]:
    """The lines of a request, once its access line is there, which is its last."""
    server.wait_for(lambda line: line.get("request_id") == request_id and line["logger"] == "wixhttp.access")
    return [line for line in server.lines if line.get("request_id") == request_id]


def test_access_line(server: Server) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = requests.post(
        f"{server.url}/_functions/echo/a%20b?secret=1", data=b"12345", timeout=PATIENT,
        headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01", "X-Request-Id": "access-1"},
    )  # fmt: skip
    assert answer.status_code == 201
    [line] = lines_of(server, "access-1")
    assert set(line) == ACCESS_KEYS | {"trace_id"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert line["duration_ms"] > 0
    expected = {
        "severity": "INFO", "logger": "wixhttp.access", "function": "post_echo", "method": "POST", "status": 201,
        "path": "/_functions/echo/a%20b", "bytes_in": 5, "bytes_out": 5, "client_ip": "127.0.0.1", "trace_id": trace,
    }  # fmt: skip
    assert {key: line[key] for key in expected} == expected


def test_access_line_of_what_is_not_there(server: Server) -> None:
    answer = get(server, "nothing")
    [line] = lines_of(server, answer.headers["X-Request-Id"])
    assert set(line) == ACCESS_KEYS
    assert (line["status"], line["function"]) == (404, "")


def test_access_line_of_a_stream_counts_its_bytes(server: Server) -> None:
    for name in ("stream", "astream"):
        answer = get(server, name)
        [line] = lines_of(server, answer.headers["X-Request-Id"])
        assert line["bytes_out"] == len(answer.content)


def test_request_id_is_taken_or_made(server: Server) -> None:
    for given in ("a", "A-z.0_9", "x" * 128):
        assert get(server, "hello/x", **{"X-Request-Id": given}).headers["X-Request-Id"] == given
    made = set()
    for refused in ("", "x" * 129, "a b", "a/b", "ä".encode("latin-1").decode("latin-1")):
        answer = get(server, "hello/x", **{"X-Request-Id": refused})
        assert answer.headers["X-Request-Id"] != refused
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", answer.headers["X-Request-Id"])
        made.add(answer.headers["X-Request-Id"])
    assert len(made) == 5


def test_traceparent_that_is_none(server: Server) -> None:
    for number, given in enumerate(("", "00-zz-b7-01", f"00-{'0' * 32}-b7ad6b7169203331-01", "ff-x-y-z", "x" * 500)):
        get(server, "hello/x", traceparent=given, **{"X-Request-Id": f"trace-{number}"})
        [line] = lines_of(server, f"trace-{number}")
        assert "trace_id" not in line


@pytest.mark.parametrize("name", ["print", "aprint"])
def test_print_is_logged_at_once_with_the_request_id(server: Server, name: str) -> None:
    answer = get(server, f"{name}?text=one%0Atwo")
    lines = lines_of(server, answer.headers["X-Request-Id"])
    assert [line["message"] for line in lines[:-1]] == ["one", "two"]
    assert {line["logger"] for line in lines[:-1]} == {"print"}
    assert {line["function"] for line in lines} == {f"get_{name}"}


def test_print_is_seen_while_the_function_runs(server: Server) -> None:
    with ThreadPoolExecutor(1) as client:
        waiting = client.submit(get, server, "sleep/seen?seconds=1.5")
        server.wait_for_message("began seen")
        assert not waiting.done()
        waiting.result()


def test_lines_of_threads_do_not_mix(server: Server) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda n: get(server, f"prints/thread{n}"), range(8)))
    for number, answer in enumerate(answers):
        lines = lines_of(server, answer.headers["X-Request-Id"])
        assert [line["message"] for line in lines[:-1]] == [f"thread{number} {line}" for line in range(50)]


def test_logging_of_functions_and_their_threads(server: Server) -> None:
    answer = get(server, "log?text=x")
    [line, _] = lines_of(server, answer.headers["X-Request-Id"])
    assert (line["severity"], line["logger"], line["message"]) == ("WARNING", "shop", "logged x")
    answer = get(server, "thread")
    messages = [line["message"] for line in lines_of(server, answer.headers["X-Request-Id"])]
    assert "logged on a thread" in messages
    server.wait_for_message("no context here")


def test_message_whose_arguments_do_not_fit(server: Server) -> None:
    assert get(server, "badlog").status_code == 200
    server.wait_for_message("%d items")


@pytest.mark.parametrize("name", ["raises", "araises"])
def test_exception_is_logged_once(server: Server, name: str) -> None:
    thing = f"thing-of-{name}"
    answer = get(server, f"{name}/{thing}")
    assert answer.status_code == 500
    assert thing not in answer.text
    lines = lines_of(server, answer.headers["X-Request-Id"])
    [told] = [line for line in lines if "exception" in line]
    assert told["severity"] == "ERROR"
    assert told["function"] == f"get_{name}"
    assert told["exception"].startswith("Traceback (most recent call last):\n  File")
    assert told["exception"].endswith(f"ValueError: no {thing}")
    assert "wixhttp/asgi.py" not in told["exception"]
    lines_of(server, get(server, "hello/x").headers["X-Request-Id"])  # what was still to come of it is here
    assert [line for line in server.lines if f"no {thing}" in str(line)] == [told]
    assert thing not in server.errors


EVIL = "a%0D%0Ab%00c%1B[31md%7Fe%C2%85f%E2%80%A8g%E2%80%A9h%C2%9Bi"


def test_control_characters_never_break_a_line(server: Server) -> None:
    answer = get(server, f"print?text={EVIL}", **{"X-Request-Id": "evil-1"})
    assert answer.status_code == 200
    get(server, f"log?text={EVIL}", **{"X-Request-Id": "evil-2"})
    get(server, f"raises/{EVIL}", **{"X-Request-Id": "evil-3"})
    ask(server.port, b"GET /_functions/\xff\xfe\xc2\x85 HTTP/1.1\r\nHost: x\r\nX-Request-Id: evil-4\r\n\r\n")
    for number in range(1, 4):
        assert lines_of(server, f"evil-{number}")
    assert all(isinstance(line, dict) for line in server.lines)
    [line] = [line for line in lines_of(server, "evil-2") if line["logger"] == "shop"]
    assert line["message"] == "logged a\r\nb\0c\x1b[31md\x7fe\x85f\u2028g\u2029h\x9bi"  # whole, and escaped on the wire


def test_text_on_request_and_control_characters_there(tmp_path: Path) -> None:
    with serving(SITE, "--workers", "1", "--log-format", "text") as server:
        get(server, f"log?text={EVIL}", **{"X-Request-Id": "text-1"})
        get(server, f"raises/{EVIL}", **{"X-Request-Id": "text-2"})
        get(server, "hello/x", **{"X-Request-Id": "text-3"})
        server.wait_for(lambda line: "text-3" in line)
        assert server.stop() == 0
    assert all(isinstance(line, str) for line in server.lines)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "".join(server.lines))
    [line] = [line for line in server.lines if "text-1" in line and "shop" in line]
    assert "logged a" in line
    [line] = [line for line in server.lines if "text-3" in line]
    assert re.fullmatch(
        r"\S+Z INFO +wixhttp\.access \[text-3\]: 127\.0\.0\.1 GET /_functions/hello/x 200 \d+B [\d.]+ms", line
    )
    assert any(line.startswith("  | Traceback") for line in server.lines)


def test_lines_that_are_turned_off(tmp_path: Path) -> None:
    with serving(SITE, "--workers", "1", "--no-access-log", "--log-level", "warning") as server:
        assert get(server, "hello/x").ok
        assert get(server, "log?text=x").ok
        assert server.stop() == 0
    assert [line["message"] for line in server.lines] == ["logged x"]
    assert server.errors == ""


# --- user code that configures logging ---

# What a user's file has; each `configure_` stands for its kind.
CONFIGURES = """
import io, logging, logging.config, warnings
from wixhttp import ok

warnings.simplefilter("always")
TO_STDERR = {"version": 1, "handlers": {"h": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["h"]}}
INI = "[loggers]\\nkeys=root\\n[handlers]\\nkeys=h\\n[formatters]\\nkeys=\\n"
INI += "[logger_root]\\nhandlers=h\\n[handler_h]\\nclass=StreamHandler\\nargs=()\\n"

def configure_dict(): logging.config.dictConfig({"version": 1})
def configure_dict_root(): logging.config.dictConfig(TO_STDERR)
def configure_file(): logging.config.fileConfig(io.StringIO(INI))
def configure_force(): logging.basicConfig(force=True)
def configure_level(): logging.getLogger().setLevel(logging.CRITICAL)
def configure_no_handlers(): logging.getLogger().handlers.clear()
def configure_shutdown(): logging.shutdown()
def configure_disable(): logging.disable(logging.CRITICAL)

def get_configured(request):
    if request.path:
        globals()["configure_" + request.path[0]]()
    print("a print")
    warnings.warn("a warning")
    raise ValueError("an error")
"""
# How often a record of the user's own logger is in the log after each: by a handler of theirs it is a line of stderr.
OF_THE_USER = {
    "dict": 1, "dict_root": 1, "file": 1, "force": 1, "level": 0, "no_handlers": 1, "shutdown": 1, "disable": 0,
}  # fmt: skip


def assert_is_logged(server: Server, target: str) -> None:
    """Each event of a request is one line, in our format: what it prints, its warning, its error, its access line."""
    answer = get(server, target)
    assert answer.status_code == 500
    lines = lines_of(server, answer.headers["X-Request-Id"])
    assert [(line["logger"], line["severity"]) for line in lines] == [
        ("print", "INFO"), ("py.warnings", "WARNING"), ("wixhttp", "ERROR"), ("wixhttp.access", "INFO"),
    ], (target, lines)  # fmt: skip
    assert lines[0]["message"] == "a print"
    assert "UserWarning: a warning" in lines[1]["message"]
    assert lines[2]["exception"].endswith("ValueError: an error")


@pytest.mark.parametrize("worker_class", ["asgi", "gthread"])
def test_log_outlasts_what_a_handler_does_to_logging(tmp_path: Path, worker_class: str) -> None:
    with serving(project(tmp_path, CONFIGURES), "--workers", "1", "--worker-class", worker_class) as server:
        assert_is_logged(server, "configured")
        for name in OF_THE_USER:
            assert_is_logged(server, f"configured/{name}")
            assert_is_logged(server, "configured")
        assert server.stop() == 0
    assert server.messages("gunicorn.error")[-1] == "Shutting down: Master"


@pytest.mark.parametrize("name", OF_THE_USER)
def test_log_outlasts_what_a_file_does_to_logging_at_import(tmp_path: Path, name: str) -> None:
    more = f"configure_{name}()\ndef get_log(request):\n    logging.getLogger('shop').error('of the user')\n"
    more += "    return ok()\n"
    with serving(project(tmp_path, CONFIGURES + more), "--workers", "1", "--log-format", "json") as server:
        assert_is_logged(server, "configured")
        answer = get(server, "log")
        lines = lines_of(server, answer.headers["X-Request-Id"])
        written_as = "shop" if name in ("dict", "shutdown") else "stderr"
        assert [line["logger"] for line in lines[:-1]] == [written_as] * OF_THE_USER[name]
        assert all("of the user" in line["message"] for line in lines[:-1])
        assert server.stop() == 0
    assert server.messages("gunicorn.error")[-1] == "Shutting down: Master"
    assert any(text.startswith("serving ") for text in server.messages("wixhttp"))
    assert server.errors == ""


def test_handlers_that_a_user_adds(tmp_path: Path) -> None:
    """One of the root gets the user's records and none of ours; one of our own loggers gets that logger's."""
    adds = "for name in (None, 'wixhttp'):\n    handler = logging.FileHandler(f'{name}.log')\n"
    adds += "    logging.getLogger(name).addHandler(handler)\nlogging.getLogger('shop').error('of the user')\n"
    with serving(project(tmp_path, CONFIGURES + adds), "--workers", "1") as server:
        assert_is_logged(server, "configured")
        assert [line["logger"] for line in server.wait_for_message("of the user")] == ["shop"]
        assert server.stop() == 0
    assert (tmp_path / "None.log").read_text() == "of the user\n"
    assert "ValueError: an error" in (tmp_path / "wixhttp.log").read_text()


def test_every_logger_of_the_package_is_its_own() -> None:
    named: set[str] = set()
    for file in Path(wixhttp.__file__).parent.rglob("*.py"):
        named |= set(re.findall(r"""getLogger\("(wixhttp[^"]*)"\)""", file.read_text()))
    assert named == {name for name in OWN_LOGGERS if name.partition(".")[0] == "wixhttp"}


def test_secrets_are_masked(tmp_path: Path) -> None:
    for file in (SITE / "backend").glob("*.py"):
        project(tmp_path, file.read_text())
    secrets = tmp_path / "secrets.env"
    secrets.write_text('API_KEY="sk-live-wxyz"\nPEM="first line\\nsecond line"\n')
    secrets.chmod(0o600)
    for log_format in ("json", "text"):
        with serving(tmp_path, "--workers", "1", "--log-format", log_format) as server:
            assert get(server, "secret/x").json() == {"length": 12}
            assert get(server, "secret/raise").status_code == 500
            assert get(server, "hello/sk-live-wxyz?q=sk-live-wxyz").ok
            assert get(server, "log?text=first%20line%0Asecond%20line").ok
            assert server.stop() == 0
        written = "\n".join(map(str, server.lines)) + server.errors
        assert "wxyz" not in written
        assert "second line" not in written
        assert "the key is ***" in written
        assert "bad key ***" in written
        assert "/_functions/hello/***" in written


def test_development_shows_what_production_hides(tmp_path: Path) -> None:
    with serving(SITE, "--workers", "1", WIXHTTP_MODE="development") as server:
        assert "ValueError: no thing" in get(server, "raises/thing").json()["detail"]


def test_allowed_hosts(tmp_path: Path) -> None:
    with serving(SITE, "--workers", "1", WIXHTTP_ALLOWED_HOSTS="*.example.com") as server:
        assert get(server, "hello/x", Host="shop.example.com:443").status_code == 200
        assert get(server, "hello/x", Host="example.org").status_code == 400
        server.wait_for_message("allowed_hosts")
