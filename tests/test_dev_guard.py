"""The guard of the development pages: who may see them, who may change something, and what stands in their headers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from wixhttp.dev.web.guard import check_token, refusal, why_hidden
from wixhttp.dev.web.pages import asset
from wixhttp.errors import HTTPError
from wixhttp.project.config import Config, load_config

TOKEN = "of this server"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(tmp_path, environ={}, flags={"host": "127.0.0.1"})


def allowing(folder: Path, *entries: str, host: str = "0.0.0.0") -> Config:
    return load_config(folder, environ={}, flags={"host": host, "dev_allow": ",".join(entries)})


def scope(
    client: str | None = "127.0.0.1", host: str | None = "localhost:8000", server: str = "127.0.0.1", **headers: str
) -> dict[str, Any]:
    """The scope of a request: by default of a browser on this machine."""
    fields = [] if host is None else [(b"host", host.encode())]
    fields += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "scheme": "http",
        "client": None if client is None else (client, 50_000),
        "server": (server, 8000),
        "headers": fields,
    }


def may_see(asked: dict[str, Any], config: Config) -> bool:
    return not why_hidden(asked, config)


@pytest.mark.parametrize("client", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_this_machine_may_see_them_by_its_own_names(config: Config, client: str, host: str) -> None:
    assert may_see(scope(client, host), config)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "localhost.evil.example", "evil.example:8000", "127.0.0.1.evil.example", "6.6.6.6", "", "[",
        "localhost@evil.example", "0.0.0.0", "2130706433", None,
    ],
)  # fmt: skip
def test_a_name_of_another_may_not(config: Config, host: str | None) -> None:
    assert "dev_allow" in why_hidden(scope(host=host), config)


def test_two_hosts_may_not(config: Config) -> None:
    asked = scope()
    asked["headers"].append((b"host", b"localhost"))
    assert not may_see(asked, config)


@pytest.mark.parametrize("client", ["192.168.1.7", "203.0.113.9", "::ffff:192.168.1.7", "fe80::1%eth0", "", None])
def test_another_machine_may_not(config: Config, client: str | None) -> None:
    assert "dev_allow" in why_hidden(scope(client), config)


def test_this_machine_may_see_them_by_its_address_in_the_network(tmp_path: Path) -> None:
    config = allowing(tmp_path)
    own = "192.168.1.5"
    assert may_see(scope(own, f"{own}:8000", own), config)
    assert may_see(scope(f"::ffff:{own}", f"{own}:8000", own), config)
    assert not may_see(scope(own, "evil.example", own), config)
    assert not may_see(scope(own, f"{own}:8000", own, x_forwarded_for="203.0.113.9"), config)
    assert not may_see(scope("192.168.1.7", f"{own}:8000", own), config)
    assert not may_see(scope(None, f"{own}:8000", ""), config)


@pytest.mark.parametrize(
    "header",
    ["x_forwarded_for", "x_forwarded_host", "x_forwarded_proto", "forwarded", "via", "x_real_ip", "cf_connecting_ip"],
)
def test_what_comes_through_a_tunnel_may_not(config: Config, header: str) -> None:
    reason = why_hidden(scope(**{header: "127.0.0.1"}), config)
    assert "tunnel" in reason
    assert "dev_allow" in reason


def test_the_address_that_it_was_asked_at_is_its_own(tmp_path: Path) -> None:
    config = allowing(tmp_path, "192.168.1.0/24")
    assert may_see(scope("192.168.1.7", "192.168.1.5:8000", "192.168.1.5"), config)
    assert may_see(scope("127.0.0.1", "192.168.1.5:8000", "192.168.1.5"), config)
    assert not may_see(scope("192.168.2.7", "192.168.1.5:8000", "192.168.1.5"), config)
    assert not may_see(scope("192.168.1.7", "evil.example", "192.168.1.5"), config)


def test_those_that_the_setting_names_may(tmp_path: Path) -> None:
    config = allowing(tmp_path, "10.0.0.1", "fd00::/64", "laptop.local", "*.tunnel.example")
    assert may_see(scope("10.0.0.1", "laptop.local:8000"), config)
    assert may_see(scope("::ffff:10.0.0.1", "LAPTOP.local"), config)
    assert may_see(scope("fd00::5", "[fd00::1]:8000"), config)
    assert not may_see(scope("10.0.0.2", "laptop.local"), config)
    assert not may_see(scope("10.0.0.1", "a.tunnel.example.evil"), config)
    assert may_see(scope(host="a.tunnel.example"), config)
    assert not may_see(scope(host="a.tunnel.example", x_forwarded_for="10.0.0.1"), config)
    opened = allowing(tmp_path, "127.0.0.1", "a.tunnel.example")
    assert may_see(scope(host="a.tunnel.example", x_forwarded_for="203.0.113.9"), opened)


def test_the_bound_host_is_its_own_name(tmp_path: Path) -> None:
    assert may_see(scope(host="devbox:8000"), allowing(tmp_path, host="devbox"))
    assert may_see(scope("::1", "[::1]:8000", "::1"), allowing(tmp_path, host="::1"))
    assert not may_see(scope(host="0.0.0.0:8000"), allowing(tmp_path, host="0.0.0.0"))


def test_pages_of_other_sites_may_not_embed_or_read_them(config: Config) -> None:
    image = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
    frame = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert not may_see(scope(**image), config)
    assert not may_see(scope(**frame), config)
    assert may_see(scope(**link), config)
    for origin in ("https://evil.example", "null", "http://localhost.evil.example", "http://[", "file://"):
        assert not may_see(scope(origin=origin), config)
    assert may_see(scope(origin="http://localhost:5173"), config)  # the developer's own frontend, on another port


def test_the_refusal_is_neutral_and_the_log_names_the_way_out(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    assert refusal(scope(), config) is None
    with caplog.at_level(logging.WARNING, "wixhttp"):
        answer = refusal(scope("203.0.113.9"), config)
    assert answer is not None
    assert answer.status == 403
    assert "dev_allow" not in str(answer.body)
    assert "203.0.113.9" in caplog.text
    assert "dev_allow" in caplog.text


# --- changes ---------------------------------------------------------------------------------------------------------


def test_a_change_needs_the_token() -> None:
    check_token(scope(), TOKEN, TOKEN)
    check_token(scope(x_wixhttp_token=TOKEN), TOKEN)
    check_token(scope(origin="http://localhost:8000", sec_fetch_site="same-origin"), TOKEN, TOKEN)
    for given in ("", "another", "of this serve", "of this server ", "\udcff"):
        with pytest.raises(HTTPError, match="token") as caught:
            check_token(scope(), TOKEN, given)
        assert caught.value.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:5173"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "http://localhost:8000", "sec_fetch_site": "cross-site"},
    ],
)
def test_a_change_comes_from_a_page_of_this_server(headers: dict[str, str]) -> None:
    with pytest.raises(HTTPError, match="sent by a page") as caught:
        check_token(scope(**headers), TOKEN, TOKEN)
    assert caught.value.status == 403


# --- assets ----------------------------------------------------------------------------------------------------------


def test_assets_are_files_of_one_folder() -> None:
    style = asset("style.css")
    assert (style.status, style.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert style.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    for name in ("", "..", "../pages.py", "pages.py", "STYLE.CSS", "style.css/", "none.js", "\0"):
        assert asset(name).status == 404


def test_scripts_are_small_and_style_and_scripts_ask_no_other_host() -> None:
    folder = Path(__file__).parents[1] / "wixhttp/dev/web"
    assert sum(len(file.read_bytes()) for file in folder.glob("assets/*.js")) <= 20 * 1024
    for file in (*folder.glob("assets/*"), *folder.glob("templates/*.html")):
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file
        assert "https://" not in text, file
        assert not [each for each in ("<style", "onclick=", "javascript:", " style=") if each in text], file
