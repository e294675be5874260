"""Prints of functions, and of functions that set up logging themselves, in a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.servers import Server, project, serving

PATIENT = 60  # seconds until a request is a failure

PRINTS = """
import faulthandler
import logging
import subprocess
import sys

from wixhttp import ok

faulthandler.enable()
logging.getLogger().addHandler(logging.StreamHandler())


def get_unended():
    print("no end", end="")
    return ok()


async def get_aunended():
    print("no end", end="")
    return ok()


def get_bytes():
    sys.stdout.buffer.write(b"in bytes\\n")
    return ok()


def get_program():
    subprocess.run(["echo", "from a program"], stdout=sys.stdout, check=True)
    return ok()


def get_logs():
    logging.getLogger("shop").warning("sold out")
    return ok()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(project(tmp_path_factory.mktemp("prints"), PRINTS), "--workers", "1") as server:
        yield server


def get(server: Server, name: str) -> None:
    answer = requests.get(f"{server.url}/_functions/{name}", headers={"X-Request-Id": name}, timeout=PATIENT)
    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["unended", "aunended"])
def test_a_line_without_an_end_is_logged_with_its_request(server: Server, name: str) -> None:
    get(server, name)
    line = server.wait_for(lambda line: isinstance(line, dict) and line.get("message") == "no end")[-1]
    assert line["request_id"] in ("unended", "aunended")
    server.wait_for(lambda line: isinstance(line, dict) and line["message"] == "no end" and line["request_id"] == name)


def test_bytes_are_printed_as_text(server: Server) -> None:
    get(server, "bytes")
    line = server.wait_for(lambda line: isinstance(line, dict) and line.get("message") == "in bytes")[0]
    assert line["request_id"] == "bytes"


def test_a_program_may_print_to_standard_output(server: Server) -> None:
    get(server, "program")
    server.wait_for(lambda line: line == "from a program")


def test_a_handler_of_the_users_on_standard_error_does_not_log_without_end(server: Server) -> None:
    get(server, "logs")
    server.wait_for(lambda line: isinstance(line, dict) and line.get("logger") == "shop")
    get(server, "bytes")
    assert len([line for line in server.lines if isinstance(line, dict) and line.get("logger") == "shop"]) == 1


def test_a_secret_in_an_error_at_load_is_masked(tmp_path: Path) -> None:
    source = "from wixhttp.secrets import getSecret\nraise RuntimeError('refused ' + getSecret('API_KEY'))\n"
    with serving(project(tmp_path, source), wait=False, API_KEY="k-1234567890") as server:
        assert server.process.wait(PATIENT) == 3
        server.end()
    assert "RuntimeError: refused ***" in server.errors
    assert "k-1234567890" not in server.errors
