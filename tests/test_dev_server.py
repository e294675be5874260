"""`wixhttp dev` as a process: its start and end, its address, its children, and what production does not load of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dev_servers import FUNCTIONS, command_of, developing, is_alive, returning, save_at_once, wait_until
from tests.servers import TIMEOUT, ask, children, clean, connect, free_port, project, read_answer, serving

BLOCKED = "import sys\nsys.modules['watchfiles'] = None\nsys.modules['jinja2'] = None\n"
BLOCKED += "sys.modules['uvloop'] = None\n"
"""A sitecustomize.py for a Python in which the extra ``dev`` is not installed, nor is uvloop."""


def test_without_the_extra_files_are_looked_for_and_pages_say_what_to_install(tmp_path: Path) -> None:
    folder = project(tmp_path / "site", returning("one"))
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked/sitecustomize.py").write_text(BLOCKED)
    with developing(folder, PYTHONPATH=str(tmp_path / "blocked")) as site:
        site.server.wait_for_message("changed files are looked for four times a second: watchfiles is not installed")
        site.server.wait_for_message("The pages of wixhttp dev need Jinja2; run: pip install 'wixhttp[dev]'")
        with connect(site.port) as kept:  # it is handed over by asyncio's own event loop
            for value in (b"two", b"three"):
                site.save(returning(value.decode()))
                kept.sendall(b"GET /_functions/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert read_answer(kept).body == value
        site.save("def get_version(:\n")
        assert site.failure()["exception"] == "SyntaxError"
        status, text = site.get("/_wixhttp/")
        assert status == 501
        assert "pip install 'wixhttp[dev]'" in text


def test_requests_wait_for_a_slow_import_and_then_learn_that_it_goes_on(tmp_path: Path) -> None:
    folder = project(tmp_path / "site", returning("one"))
    patient = "import wixhttp.dev.supervisor as it; it.PATIENCE = 0.5; from wixhttp.cli.commands import main; main()"
    with developing(folder, start=[sys.executable, "-c", patient]) as site:
        slow = "import pathlib, time\n"
        slow += f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists():\n    time.sleep(0.01)\n"
        with site.reloading():
            save_at_once(folder / FUNCTIONS, returning("two", slow))
            wait_until(lambda: site.get()[0] == 503)
            site.server.wait_for_message("the project is still being loaded; until it is, requests are answered 503")
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=TIMEOUT)) as kept:
                kept.request("GET", "/_functions/version")
                answer = kept.getresponse()
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                assert "still being loaded" in json.loads(answer.read())["detail"]
                assert "<h1>Still loading</h1>" in site.get("/any/path", Accept="text/html")[1]
                (tmp_path / "go").touch()
                site.server.wait_for_message("reloaded")
                kept.request("GET", "/_functions/version")  # by the same connection, which is the next worker's now
                assert kept.getresponse().read() == b"two"


def test_the_pages_are_for_this_machine_and_its_names(tmp_path: Path) -> None:
    folder = project(tmp_path, returning("one"), 'allowed_hosts = ["a.example"]\nport = 9999\nmode = "production"\n')
    with developing(folder, "--host", "0.0.0.0") as site:
        site.server.wait_for_message("other machines can reach this server")
        assert site.get() == (200, "one")  # by 127.0.0.1, which allowed_hosts does not name
        assert site.get("/_wixhttp/", Host="evil.example")[0] == 403
        assert site.get("/_wixhttp/live", Host="evil.example")[0] == 403
        assert site.get("/_wixhttp/", **{"X-Forwarded-For": "9.9.9.9"})[0] == 403
        assert site.get("/_functions/version", Host="evil.example")[0] == 400
        assert site.get("/_wixhttp/", Host=f"localhost:{site.port}")[0] == 200
        assert site.get("/_wixhttp/health/ready") == (200, '{"status":"ok"}')


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_all_processes(tmp_path: Path, number: int, code: int) -> None:
    with developing(project(tmp_path, returning("one"))) as site:
        found = children(site.server.process.pid)
        assert len(found) == 2
        site.server.process.send_signal(number)
        assert site.server.wait_exit() == code
        wait_until(lambda: not any(map(is_alive, found)))


def test_no_process_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    source = f"import pathlib, re\n{returning('one')}\n\nasync def get_blocked(request):\n"
    source += f"    pathlib.Path({str(tmp_path / 'began')!r}).touch()\n"
    source += "    re.match('(a+)+$', 'a' * 60 + 'b')\n"  # for years, in code that is not Python's
    folder = project(tmp_path / "site", source)
    with developing(folder) as site, connect(site.port) as connection:
        found = children(site.server.process.pid)
        connection.sendall(b"GET /_functions/blocked HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until((tmp_path / "began").exists)
        os.kill(site.server.process.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, found)))


def test_two_servers_of_one_project_reload_alike_and_a_port_is_taken_once(tmp_path: Path) -> None:
    folder = project(tmp_path, returning("one"))
    with developing(folder) as first, developing(folder) as second:
        with first.reloading(), second.reloading():
            save_at_once(folder / FUNCTIONS, returning("two"))
        assert first.get() == second.get() == (200, "two")
        done = subprocess.run(
            [part.replace("{port}", str(first.port)) for part in command_of(folder)], capture_output=True, timeout=60,
            env=clean({}), check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert f"port {first.port} on 127.0.0.1 is in use" in done.stderr.decode()


def test_an_address_comes_from_the_environment_and_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    port = str(free_port())
    folder = project(tmp_path / "site", returning("one"), "port = 1\n")
    start = [sys.executable, "-m", "wixhttp", "--project", str(folder), "dev"]
    with serving(folder, command=start, wait=False, port=int(port), PORT=port) as server:
        server.wait_for_message(f"at http://127.0.0.1:{port}/")
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [*start[:4], str(tmp_path / "empty"), "dev", "--port", port], capture_output=True, timeout=60, env=clean({}),
        check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "'wixhttp init' makes a project" in done.stderr.decode()


def test_the_inspector_is_opened_in_a_browser(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho noise\necho "$1" > {tmp_path}/new\nmv {tmp_path}/new {tmp_path}/opened\n')
    browser.chmod(0o755)
    with developing(project(tmp_path / "site", returning("one")), "--open", BROWSER=f"{browser} %s") as site:
        wait_until((tmp_path / "opened").exists)
        assert (tmp_path / "opened").read_text() == f"http://127.0.0.1:{site.port}/_wixhttp/\n"
        assert "noise" not in site.server.lines


def test_a_project_that_is_broken_from_the_start_is_served_and_mended(tmp_path: Path) -> None:
    folder = project(tmp_path, "def get_version(:\n", "timeout = 'long'\n")
    with developing(folder) as site:
        assert "timeout" in site.failure()["message"]
        site.save("", "wixhttp.toml")
        assert site.failure()["exception"] == "SyntaxError"
        site.save(returning("good"))
        assert site.get() == (200, "good")


def test_warnings_of_the_import_are_told_once(tmp_path: Path) -> None:
    with developing(project(tmp_path, "import warnings\nwarnings.warn('look')\n" + returning("one"))) as site:
        site.save("import warnings\nwarnings.warn('look')\n" + returning("two"))
        site.save("import warnings\nwarnings.warn('look')\nwarnings.warn('again')\n" + returning("three"))
        told = [message for message in site.server.messages("py.warnings") if "look" in message or "again" in message]
        assert len(told) == 2


def test_a_project_that_cannot_be_written_is_served(tmp_path: Path) -> None:
    folder = project(tmp_path / "site", returning("one"))
    (folder / ".wixhttp").write_text("a file in the place of the folder, so that root cannot write there either")
    with developing(folder) as site:
        assert site.get() == (200, "one")
        site.save(returning("two"))
        assert site.get() == (200, "two")
        assert site.get("/_wixhttp/")[0] == 200


def test_production_loads_nothing_of_development(tmp_path: Path) -> None:
    source = "import sys\nfrom wixhttp import ok\n\n\ndef get_modules(request):\n    return ok(sorted(sys.modules))\n"
    foreign = ("wixhttp.dev", "jinja2", "playwright")  # uvicorn itself loads watchfiles, where that is installed
    with serving(project(tmp_path, source), PYTHONNOUSERSITE="1") as server:  # of its own: nothing is preloaded
        request = b"GET /_functions/modules HTTP/1.1\r\nHost: localhost\r\n\r\n"
        worker = ask(server.port, request).json()
    code = "import sys, wixhttp.cli.serve, wixhttp.server.serve, wixhttp.server.worker; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    for loaded in (worker, done.stdout.decode().split()):
        assert "wixhttp.server.worker" in loaded
        assert [name for name in loaded if name.startswith(foreign)] == []
