"""Requests that pass in tests and `wixhttp call` as from a page of the site, and the answers of a server to others."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

from wixhttp.cli.commands import main
from wixhttp.errors import MisuseWarning
from wixhttp.testing import TestClient

PAGES = """
from wixhttp import check_origin, cors
from wixhttp.endpoints import Response

def POST(request):
    return Response("got")

DELETE = PUT = POST
"""
WAYS = (
    "Other senders, such as webhooks: send Content-Type: application/json, or take their forms by @check_origin(False)"
    " in front of the handler."
)
RULE = "Forms, and requests without a Content-Type of their own, are taken from the site's own pages only."
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.example"}
SIGNED = {
    "decided": "@check_origin(True)",
    "open": "@check_origin(False)",
    "shared": "@cors(origins=['https://a.example'])",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "src/pages"
    folder.mkdir(parents=True)
    (folder / "hook.py").write_text(PAGES)
    for name, decorator in SIGNED.items():
        (folder / f"{name}.py").write_text(PAGES.replace("def POST", f"{decorator}\ndef POST"))
    (tmp_path / "backend").mkdir()
    functions = "from wixhttp import ok\ndef post_hook(request): return ok('f')\n"
    (tmp_path / "backend/http_functions.py").write_text(functions)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("sent", [{"form": {"a": "1"}}, {"text": "x"}, {"data": b"x"}, {"files": {"f": b"x"}}])
@pytest.mark.usefixtures("site")
def test_the_client_warns_of_a_request_that_a_server_refuses_from_other_senders(sent: dict[str, Any]) -> None:
    client = TestClient()
    with pytest.warns(MisuseWarning) as given:
        assert client.post("/hook", **sent).text == "got"
    [warning] = given.list
    assert str(warning.message) == (
        "POST /hook was sent as from a page of the site, with its Origin. From anywhere else the server answers it 403."
        f" {WAYS} @check_origin(True) says that only the site's pages send it."
    )
    assert warning.filename == __file__


@pytest.mark.usefixtures("site")
def test_the_client_does_not_warn_where_it_is_clear_who_sends() -> None:
    client = TestClient()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert client.post("/hook", json={"a": 1}).ok
        assert client.delete("/hook").ok, "without a body it is the call of an API"
        assert client.post("hook", form={"a": "1"}).ok, "functions take forms from everywhere"
        assert client.post("/decided", form={"a": "1"}).ok
        assert client.post("/open", form={"a": "1"}).ok
        assert client.post("/hook", form={"a": "1"}, headers={"Origin": "http://localhost"}).ok
        assert client.post("/hook", form={"a": "1"}, headers=FORM).status_code == 403
        assert client.post("/nothing", form={"a": "1"}).status_code == 404
        assert TestClient(check_origin=False).post("/hook", form={"a": "1"}).ok


@pytest.mark.usefixtures("site")
def test_the_403_names_the_ways_out_in_development_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for mode, detail in (("development", f"{RULE} {WAYS}"), ("production", RULE)):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "wixhttp"):
            answer = TestClient(mode=mode).post("/hook", data=b"a=1", headers=FORM)
        assert (answer.status_code, answer.json()["detail"]) == (403, detail)
        [line] = [record.getMessage() for record in caplog.records]
        assert line == (
            "POST /hook: the header Origin is 'https://evil.example', not 'http://localhost'"
            f" (settings check_origin, public_url). {WAYS}"
        )


def call(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """Status line, and standard error."""
    with pytest.raises(SystemExit) as exited:
        main(["call", *arguments])
    shown = capsys.readouterr()
    assert exited.value.code == code, shown
    return shown.out.partition("\n")[0].removeprefix("HTTP/1.1 "), shown.err


@pytest.mark.usefixtures("site")
def test_call_says_when_a_server_would_refuse(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["POST", "/hook", "-F", "a=1"], ["POST", "/hook", "-d", "x"], ["DELETE", "/hook"]):
        status, said = call(capsys, *arguments)
        assert status == "200 OK"
        assert said.startswith(f"Note: {arguments[0]} /hook was sent as from a page of the site, with its Origin. ")
        assert said.count("\n") == 1
    for arguments in (["POST", "/hook", "-d", "{}"], ["POST", "hook", "-F", "a=1"], ["POST", "/open", "-F", "a=1"]):
        assert call(capsys, *arguments) == ("200 OK", "")


@pytest.mark.usefixtures("site")
def test_call_sends_as_a_browser_does_from_a_page_of_another_origin(capsys: pytest.CaptureFixture[str]) -> None:
    evil, friend = ["--origin", "https://evil.example"], ["--origin", "https://a.example"]
    assert call(capsys, "POST", "/hook", "-F", "a=1", *evil)[0] == "403 Forbidden"
    status, said = call(capsys, "POST", "/open", "-F", "a=1", *evil)
    assert status == "200 OK"
    assert said == (
        "Note: a page of https://evil.example cannot read this answer: it has no Access-Control-Allow-Origin for it; "
        "allow it by @cors(origins=['https://evil.example']) in front of the handler, or by the setting cors.\n"
    )
    for arguments in (
        ["POST", "/shared", "-d", "{}"],
        ["DELETE", "/open"],
        ["POST", "hook", "-d", "x", "-H", "X-A: 1"],
    ):
        said = call(capsys, *arguments, *evil)[1]
        assert "Note: a browser would not send this from a page of https://evil.example: it asks by a preflight" in said
    assert call(capsys, "POST", "/shared", "-d", "{}", *friend) == ("200 OK", "")
    assert call(capsys, "POST", "/hook", "-F", "a=1", "--origin", "http://localhost") == ("200 OK", "")


@pytest.mark.usefixtures("site")
def test_an_origin_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--origin is an origin" in call(capsys, "GET", "/hook", "--origin", "evil.example", code=2)[1]
    assert "one Origin" in call(capsys, "GET", "/hook", "--origin", "https://a.example", "-H", "Origin: x", code=2)[1]
