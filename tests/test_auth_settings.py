"""The setting ``auth``: what it may say, and that it says so with the place of what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wixhttp.errors import ConfigError
from wixhttp.project.auth_settings import ASYMMETRIC, SYMMETRIC, AuthConfig, is_guarded_url
from wixhttp.project.config import load_config, show_config

BASE = {"issuer": "https://id.example.com", "audience": "site"}
REMOTE = {**BASE, "jwks_url": "https://id.example.com/keys"}
ASKED = {"introspection_url": "https://id.example.com/ask", "client_id": "site", "client_secret": "CLIENT_SECRET"}


def test_the_least() -> None:
    config = AuthConfig.parse(REMOTE, "auth")
    assert config == AuthConfig(
        "https://id.example.com", ("site",), ("RS256",), "https://id.example.com/keys", leeway=5.0
    )
    assert dict(config.claims)["clientId"] == ("client_id", "azp")
    assert hash(config) == hash(AuthConfig.parse(dict(REMOTE), "auth"))
    assert AuthConfig.parse({**BASE, "secret": "KEY"}, "auth").algorithms == ("HS256",)
    assert AuthConfig.parse(ASKED, "auth").algorithms == ()


def test_everything() -> None:
    config = AuthConfig.parse(
        {
            **BASE, "audience": ["a", "b"], "key_file": "keys/site.pem", "algorithms": ["ES256", "EdDSA"], "leeway": 0,
            "claims": {"subjectType": "kind", "subjectId": ["uid", "sub"]},
        },
        "auth",
    )  # fmt: skip
    assert (config.audience, config.algorithms, config.leeway) == (("a", "b"), ("ES256", "EdDSA"), 0.0)
    assert dict(config.claims) == {
        "subjectType": ("kind",), "subjectId": ("uid", "sub"), "clientId": ("client_id", "azp"),
        "siteId": ("siteId",), "instanceId": ("instanceId",),
    }  # fmt: skip
    assert AuthConfig.parse({**REMOTE, "subject_type": "MEMBER"}, "auth").subject_type == "MEMBER"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("s3cret-text", "auth is a table; write {"),
        ({**REMOTE, "isuer": "x"}, "auth.isuer is not a key of auth; did you mean 'issuer'?"),
        ({"jwks_url": REMOTE["jwks_url"], "audience": "a"}, "auth.issuer is missing, it is needed with a jwks_url"),
        ({"jwks_url": REMOTE["jwks_url"], "issuer": "a"}, "auth.audience is missing"),
        (BASE, "auth has one source of keys, and none is given; it is one of jwks_url, key_file, secret"),
        ({**REMOTE, "secret": "KEY"}, "auth has one source of keys, and jwks_url and secret are given"),
        ({**REMOTE, "audience": []}, "auth.audience is a text or a list of texts"),
        ({**REMOTE, "audience": ["a", ""]}, "auth.audience is a text or a list of texts"),
        ({**REMOTE, "issuer": " "}, "auth.issuer is a text that is not empty"),
        ({**REMOTE, "algorithms": ["none"]}, "auth.algorithms holds algorithms that prove who signed, not 'none'"),
        ({**REMOTE, "algorithms": ["rs256"]}, "not 'rs256'; known are RS256, "),
        ({**REMOTE, "algorithms": ["RS256", "HS256"]}, "auth.algorithms: HS256 signs with a shared secret"),
        ({**BASE, "key_file": "k", "algorithms": "HS512"}, "which does not fit key_file; write ['RS256']"),
        (
            {**BASE, "secret": "KEY", "algorithms": ["HS256", "RS256"]},
            "auth.algorithms: RS256 signs with a private key",
        ),
        ({**REMOTE, "algorithms": []}, "auth.algorithms is a text or a list"),
        ({**ASKED, "algorithms": ["RS256"]}, "auth.algorithms belongs to tokens that are checked here"),
        ({**REMOTE, "jwks_url": "http://id.example.com/keys"}, "auth.jwks_url is a URL of https"),
        ({**REMOTE, "jwks_url": "file:///etc/passwd"}, "auth.jwks_url is a URL of https"),
        ({**REMOTE, "client_id": "a"}, "auth.client_id belongs to an introspection_url"),
        ({"introspection_url": "https://a", "client_id": "a"}, "auth.client_secret is missing"),
        ({**ASKED, "introspection_url": "http://192.168.0.1/"}, "auth.introspection_url is a URL of https"),
        ({**REMOTE, "leeway": True}, "auth.leeway is a number of seconds from 0 to 300"),
        ({**REMOTE, "leeway": 301}, "auth.leeway is a number of seconds from 0 to 300"),
        ({**REMOTE, "claims": "sub"}, "auth.claims is a table"),
        (
            {**REMOTE, "claims": {"subjectTyp": "a"}},
            "auth.claims.subjectTyp is not a member of a TokenInfo; did you mean",
        ),
        ({**REMOTE, "claims": {"siteId": 1}}, "auth.claims.siteId is a text or a list of texts"),
        ({**REMOTE, "subject_type": "member"}, "auth.subject_type is one of APP, USER, MEMBER, VISITOR, UNKNOWN"),
        (
            {**REMOTE, "subject_type": "USER", "claims": {"subjectType": "t"}},
            "auth.subject_type is that of every token",
        ),
    ],
)
def test_what_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        AuthConfig.parse(value, "auth")
    assert message in str(caught.value)
    assert str(caught.value).startswith("auth")


@pytest.mark.parametrize("key", ["secret", "client_secret"])
@pytest.mark.parametrize("value", ["pa$$ word=", 17, ""])
def test_a_secret_in_place_of_its_name_is_not_repeated(key: str, value: object) -> None:
    table = {**BASE, "secret": value} if key == "secret" else {**ASKED, "client_secret": value}
    with pytest.raises(ValueError, match=rf"auth\.{key} is the name of a secret") as caught:
        AuthConfig.parse(table, "auth")
    assert str(value) == "" or str(value) not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"auth\.jwks_url is a URL of https") as caught:
        AuthConfig.parse({**REMOTE, "jwks_url": "https://ada:hunter22@id.example.com/keys"}, "auth")
    assert "hunter22" not in str(caught.value)


def test_no_algorithm_is_of_both_kinds() -> None:
    assert not set(ASYMMETRIC) & set(SYMMETRIC)
    assert "none" not in {each.lower() for each in ASYMMETRIC + SYMMETRIC}


@pytest.mark.parametrize(
    ("url", "guarded"),
    [
        ("https://id.example.com", True),
        ("HTTPS://id.example.com:8443/a?b#c", True),
        ("http://localhost:80/", True),
        ("http://127.0.0.53/a", True),
        ("http://[::1]:8000/a", True),
        ("http://id.example.com/", False),
        ("http://localhost.example.com/", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://localhost@example.com/", False),
        ("http://localhost\\@example.com/", False),
        ("http://localhost:80@example.com/", False),
        ("https://user:word@example.com/", False),
        (" http://localhost/", False),
        ("http://localhost/\n", False),
        ("//localhost/", False),
        ("ftp://localhost/", False),
        ("", False),
    ],
)
def test_guarded_urls(url: str, guarded: bool) -> None:
    assert is_guarded_url(url) is guarded


def test_from_the_file_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "wixhttp.toml").write_text(
        'port = 8000\n[auth]\nissuer = "https://id.example.com"\naudience = "site"\nsecret = "AUTH_KEY"\n'
        'claims = {subjectType = "kind"}\n'
    )
    config = load_config(tmp_path, environ={})
    assert config.auth is not None
    assert (config.auth.secret, config.sources["auth"]) == ("AUTH_KEY", "wixhttp.toml:2")
    shown = next(line for line in show_config(config).splitlines() if line.startswith("auth "))
    assert shown.split("= ", 1)[1].startswith(
        '{issuer = "https://id.example.com", audience = ["site"], algorithms = ["HS256"], secret = "AUTH_KEY", '
        'leeway = 5.0, claims = {subjectType = ["kind"]}}'
    )
    inline = '{introspection_url = "https://a.example/", client_id = "x", client_secret = "KEY"}'
    config = load_config(tmp_path, environ={"WIXHTTP_AUTH": inline})
    assert config.auth == AuthConfig(introspection_url="https://a.example/", client_id="x", client_secret="KEY")
    assert load_config(tmp_path, environ={"WIXHTTP_AUTH": ""}).auth is None


def test_what_is_shown_can_be_set(tmp_path: Path) -> None:
    config = load_config(tmp_path, environ={}, flags={"auth": {**REMOTE, "leeway": 0, "claims": {"siteId": "site"}}})
    line = next(line for line in show_config(config).splitlines() if line.startswith("auth "))
    shown = line.split("= ", 1)[1].rsplit("  flag", 1)[0].strip()
    assert load_config(tmp_path, environ={"WIXHTTP_AUTH": shown}).auth == config.auth


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "wixhttp.toml").write_text('[auth]\nissuer = "a"\naudience = "b"\njwks_url = "http://example.com"\n')
    with pytest.raises(ConfigError, match=r"^wixhttp\.toml:4: auth\.jwks_url is a URL of https"):
        load_config(tmp_path, environ={})
