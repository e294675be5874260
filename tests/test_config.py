"""wixhttp.project.config: where settings come from, and what is refused."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.data.stores.factory import open_store
from wixhttp.errors import ConfigError
from wixhttp.http.cors import Cors
from wixhttp.project.auth_settings import AuthConfig
from wixhttp.project.config import SETTINGS, Config, load_config, show_config

SITE = "https://www.example.com"


def project(folder: Path, toml: str, name: str = "wixhttp.toml") -> Path:
    (folder / name).write_text(toml, encoding="utf-8")
    return folder


def refusal(folder: Path, *, environ: dict[str, str] | None = None, flags: dict[str, object] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(folder, environ=environ or {}, flags=flags)
    return str(caught.value)


ID = "https://id.example.com"


def test_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path, environ={})
    assert (config.mode, config.port, config.max_body, config.timeout) == ("production", 8080, 524288, 14.0)
    assert config.secrets_file == tmp_path / "secrets.env"
    assert config.workers >= 1
    assert set(config.sources) == set(SETTINGS)
    assert set(config.sources.values()) == {"default"}
    assert config == Config(root=tmp_path)


def test_every_default_passes_its_own_parser() -> None:
    for setting in SETTINGS.values():
        if setting.default is not None:
            assert setting.parse(setting.default, setting.key) == setting.default
        assert setting.help
        assert "\n" not in setting.help


def test_settings_are_the_fields_of_config() -> None:
    names = [each.name for each in dataclasses.fields(Config)]
    assert list(SETTINGS) == [name for name in names if name not in ("root", "sources")]


def test_every_key_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "next/backend").mkdir(parents=True)
    (tmp_path / "next/backend/http_functions.py").touch()
    (tmp_path / "routes").mkdir()
    text = f"""
mode = "development"
public_url = "HTTPS://Example.com:8443"
base_path = "/api/"
test_site = "next"
max_body = "5MB"
timeout = 0
strict_delete = false
trusted_proxies = 2
allowed_hosts = ["Example.com", "*.example.com", ".example.org", "[::1]"]
host = "127.0.0.1"
port = 0
workers = 3
threads = 5
worker_class = "gevent"
body_timeout = 1.5
send_timeout = 2.5
max_unsent = "1MB"
max_concurrency = 7
queue_timeout = 0.5
graceful_timeout = 2
import_timeout = 3
secrets_file = "/run/secrets.env"
database_url = "postgresql://db/site"
strict_collections = true
log_format = "json"
log_level = "debug"
access_log = false
rate_limit = "100/minute"
rate_limit_storage = "memory://"
api_keys = true
inbox_concurrency = 9
inbox_limit = 1000
metrics = true
health = "off"
health_port = 9000
dev_allow = ["[FD00::1]", "192.168.1.7/24", "10.0.0.1", "*.Example.com"]
pages = "routes"
pages_prefix = "/v1/"
trailing_slash = "never"
check_origin = false
locales = ["en", "de-CH"]
session_lifetime = 60
build_dir = "out"
[cors]
origins = ["{SITE}"]
max_age = 5
[auth]
issuer = "https://id.example.com"
audience = "shop"
jwks_url = "https://id.example.com/keys"
"""
    config = load_config(project(tmp_path, text), environ={})
    assert config == Config(
        root=tmp_path,
        mode="development",
        public_url="https://example.com:8443",
        base_path="/api",
        test_site=tmp_path / "next",
        max_body=5 * 1024**2,
        timeout=0.0,
        strict_delete=False,
        trusted_proxies=2,
        allowed_hosts=("example.com", "*.example.com", ".example.org", "[::1]"),
        cors=Cors(frozenset({SITE}), max_age=5),
        host="127.0.0.1",
        port=0,
        workers=3,
        threads=5,
        worker_class="gevent",
        body_timeout=1.5,
        send_timeout=2.5,
        max_unsent=1024**2,
        max_concurrency=7,
        queue_timeout=0.5,
        graceful_timeout=2.0,
        import_timeout=3.0,
        secrets_file=Path("/run/secrets.env"),
        database_url="postgresql://db/site",
        strict_collections=True,
        log_format="json",
        log_level="debug",
        access_log=False,
        rate_limit="100/minute",
        rate_limit_storage="memory://",
        api_keys=True,
        inbox_concurrency=9,
        inbox_limit=1000,
        metrics=True,
        health="off",
        health_port=9000,
        dev_allow=("fd00::1", "192.168.1.0/24", "10.0.0.1", "*.example.com"),
        pages=tmp_path / "routes",
        pages_prefix="/v1",
        trailing_slash="never",
        check_origin=False,
        locales=("en", "de-CH"),
        session_lifetime=60.0,
        build_dir=tmp_path / "out",
        auth=AuthConfig.parse({"issuer": ID, "audience": "shop", "jwks_url": f"{ID}/keys"}, "auth"),
    )
    assert "default" not in config.sources.values()
    assert config.sources["mode"] == "wixhttp.toml:2"
    assert config.sources["cors"] == "wixhttp.toml:45"


def test_flags_over_environment_over_file_over_default(tmp_path: Path) -> None:
    project(tmp_path, "port = 1\nthreads = 1\nworkers = 1\n")
    environ = {"WIXHTTP_PORT": "2", "WIXHTTP_THREADS": "2", "PATH": "/bin"}
    config = load_config(tmp_path, environ=environ, flags={"port": 3, "threads": None, "access_log": False})
    assert (config.port, config.threads, config.workers, config.timeout) == (3, 2, 1, 14.0)
    assert not config.access_log
    assert [config.sources[key] for key in ("port", "threads", "workers", "timeout", "access_log")] == [
        "flag --port",
        "environment WIXHTTP_THREADS",
        "wixhttp.toml:3",
        "default",
        "flag --access-log",
    ]


def test_environment(tmp_path: Path) -> None:
    environ = {
        "WIXHTTP_MAX_BODY": "1 MB",
        "WIXHTTP_TIMEOUT": "2.5",
        "WIXHTTP_BODY_TIMEOUT": "3",
        "WIXHTTP_STRICT_DELETE": "No",
        "WIXHTTP_ALLOWED_HOSTS": "a.example, *.b.example,",
        "WIXHTTP_CORS": f'{{origins = ["{SITE}"], credentials = true}}',
        "WIXHTTP_MAX_CONCURRENCY": "9",
        "WIXHTTP_BASE_PATH": "/api",
    }
    config = load_config(tmp_path, environ=environ)
    assert (config.max_body, config.timeout, config.body_timeout) == (1024**2, 2.5, 3.0)
    assert config.strict_delete is False
    assert config.allowed_hosts == ("a.example", "*.b.example")
    assert config.cors == Cors(frozenset({SITE}), credentials=True)
    assert (config.max_concurrency, config.base_path) == (9, "/api")


@pytest.mark.parametrize("text", ["1", "true", "YES", "on"])
def test_words_for_true(tmp_path: Path, text: str) -> None:
    project(tmp_path, "access_log = false")
    assert load_config(tmp_path, environ={"WIXHTTP_ACCESS_LOG": text}).access_log is True


def test_variables_of_the_platform(tmp_path: Path) -> None:
    environ = {"HOST": "127.0.0.1", "PORT": "81", "WEB_CONCURRENCY": "2", "WIXHTTP_PORT": "82"}
    config = load_config(project(tmp_path, "workers = 9"), environ=environ)
    assert (config.host, config.port, config.workers) == ("127.0.0.1", 82, 2)
    assert config.sources["workers"] == "environment WEB_CONCURRENCY"
    empty = load_config(tmp_path, environ={"HOST": "", "PORT": "", "WEB_CONCURRENCY": ""})
    assert (empty.host, empty.port, empty.workers) == ("0.0.0.0", 8080, 9)
    assert refusal(tmp_path, environ={"PORT": "http"}).startswith("environment PORT: port is a whole number from 0")


def test_empty_text_takes_back_what_may_be_none(tmp_path: Path) -> None:
    project(tmp_path, f'public_url = "{SITE}"\nmax_concurrency = 3\nallowed_hosts = ["a"]')
    environ = {"WIXHTTP_PUBLIC_URL": "", "WIXHTTP_MAX_CONCURRENCY": "", "WIXHTTP_ALLOWED_HOSTS": ""}
    config = load_config(tmp_path, environ=environ)
    assert (config.public_url, config.max_concurrency, config.allowed_hosts) == (None, None, ())
    assert "threads is a whole number" in refusal(tmp_path, environ={"WIXHTTP_THREADS": ""})


def test_unknown_variables(tmp_path: Path) -> None:
    message = refusal(tmp_path, environ={"WIXHTTP_MAXBODY": "1"})
    assert message == "environment: 'WIXHTTP_MAXBODY' is not a setting; did you mean 'WIXHTTP_MAX_BODY'?"
    load_config(tmp_path, environ={"WIXHTTP_PROJECT": "/elsewhere", "WIXHTTP_TEST_POSTGRES": "x", "XWIXHTTP_A": "1"})
    assert "environment WIXHTTP_TEST_SITE: test_site" in refusal(tmp_path, environ={"WIXHTTP_TEST_SITE": "nowhere"})
    assert "WIXHTTP_PROJECTS" in refusal(tmp_path, environ={"WIXHTTP_PROJECTS": "x"})


def test_unknown_flag(tmp_path: Path) -> None:
    assert refusal(tmp_path, flags={"prot": 1}) == "flag --prot: 'prot' is not a setting; did you mean 'port'?"


@pytest.mark.parametrize(
    ("toml", "line", "text"),
    [
        ("# note\n\nmaxbody = 1", 3, "'maxbody' is not a setting; did you mean 'max_body'?"),
        ("port = 1\nzzzzzz = 1", 2, "known are mode, public_url"),
        ("port = 1\n'work ers' = 1", 2, "did you mean 'workers'?"),
        ("[server]\nport = 1", 1, "'server' is not a setting"),
        ("port = 1\nserver.port = 1", 2, "'server' is not a setting"),
        ("\n[cors]\norigins = ['*']\nhedaers = []", 4, "cors.hedaers is not a key"),
        ("\ncors.origins = '*'\ncors.max_age = 'x'", 3, "cors.max_age is a whole number"),
        ("[cors]\n'origins' = [\n  'https://a.example',\n  'b',\n]", 2, "cors.origins is an origin"),
        ("port = 1\ncors = {origins = ['x']}", 2, "cors.origins is an origin"),
        ("\ncors = 'all'", 2, "cors is a table"),
        ("\n\"port\" = '80'", 2, "port is a whole number from 0 to 65535, not '80'"),
        ("port = 65536", 1, "not 65536"),
        ("port = true", 1, "not True"),
        ("workers = 0", 1, "workers is a whole number >= 1, not 0"),
        ("threads = 1.5", 1, "not 1.5"),
        ("max_concurrency = 0", 1, ">= 1"),
        ("trusted_proxies = -1", 1, ">= 0"),
        ("timeout = nan", 1, "timeout is a number of seconds"),
        ("max_body = '5 apples'", 1, "max_body is a number of bytes"),
        ("strict_delete = 1", 1, "strict_delete is true or false, not 1"),
        ("mode = 'prod'", 1, "mode is one of production, development, not 'prod'"),
        ("worker_class = ['asgi']", 1, "worker_class is one of asgi"),
        ("public_url = 'https://www.example.com/'", 1, "write 'https://www.example.com'"),
        ("public_url = 'ftp://www.example.com'", 1, "public_url begins with http:// or https://"),
        ("base_path = 'api'", 1, "write '/api'"),
        ("base_path = '/api?x'", 1, "without query"),
        ("base_path = '//api'", 1, "not '//api'"),
        ("allowed_hosts = 'example.com'", 1, "allowed_hosts is a list"),
        ("allowed_hosts = ['example.com:80']", 1, "without scheme and port, not 'example.com:80'"),
        ("allowed_hosts = ['*']", 1, "an empty list allows any"),
        ("host = ''", 1, "host is an address"),
        ("host = 'http://x'", 1, "host is an address"),
        ("secrets_file = ''", 1, "secrets_file is a path"),
        ("health_port = -1", 1, "health_port is a whole number"),
        ("dev_allow = 'laptop'", 1, "dev_allow holds addresses, networks and host names"),
        ("dev_allow = ['laptop:8000']", 1, "'laptop:8000'; leave out scheme and port"),
        ("dev_allow = ['10.0.0.300']", 1, "and not '10.0.0.300'"),
        ("dev_allow = ['*']", 1, "dev_allow holds addresses"),
    ],
)
def test_the_file_is_refused_with_its_line(tmp_path: Path, toml: str, line: int, text: str) -> None:
    message = refusal(project(tmp_path, toml))
    assert message.startswith(f"wixhttp.toml:{line}: ")
    assert text in message


@pytest.mark.parametrize(("toml", "line"), [("port = 1\nport =", 2), ("a = 1\n\nb = '", 3), ("x", 1), ("a = [\n", 1)])
def test_a_file_that_is_not_toml(tmp_path: Path, toml: str, line: int) -> None:
    assert refusal(project(tmp_path, toml)).startswith(f"wixhttp.toml:{line}: the file is not TOML: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "wixhttp.toml").write_bytes(b"mode = '\xff'")
    assert "wixhttp.toml cannot be read" in refusal(tmp_path)
    (tmp_path / "wixhttp.toml").unlink()
    (tmp_path / "wixhttp.toml").mkdir()
    assert "wixhttp.toml cannot be read" in refusal(tmp_path)


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "wixhttp.toml").write_bytes(b"\xef\xbb\xbfport = 1\r\nthreads = 2\r\n")
    config = load_config(tmp_path, environ={})
    assert (config.port, config.sources["threads"]) == (1, "wixhttp.toml:2")


def test_pyproject(tmp_path: Path) -> None:
    project(
        tmp_path,
        "[project]\nname = 'x'\n[tool.wixhttp]\nport = 1\n[tool.wixhttp.cors]\norigins = '*'",
        "pyproject.toml",
    )
    config = load_config(tmp_path, environ={})
    assert (config.port, config.cors) == (1, Cors(frozenset({"*"})))
    assert (config.sources["port"], config.sources["cors"]) == ("pyproject.toml:4", "pyproject.toml:5")
    project(tmp_path, "")
    assert "in one file" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("toml", "line", "text"),
    [
        ("[project]\nport = 1\n[tool.wixhttp]\nprot = 1", 4, "did you mean 'port'?"),
        ("[tool.ruff]\n[tool]\nwixhttp = {prot = 1}", 3, "did you mean 'port'?"),
        ("[tool]\nwixhttp.port = 'x'", 2, "port is a whole number"),
        ("[tool]\nwixhttp = 3", 2, "tool.wixhttp is a table, not 3"),
        ("[tool.wixhttp.cors]\nmax_age = 1\norigins = 3", 3, "cors.origins is a list"),
    ],
)
def test_pyproject_is_refused_with_its_line(tmp_path: Path, toml: str, line: int, text: str) -> None:
    message = refusal(project(tmp_path, toml, "pyproject.toml"))
    assert message.startswith(f"pyproject.toml:{line}: ")
    assert text in message


def test_a_pyproject_of_others_is_left_alone(tmp_path: Path) -> None:
    project(tmp_path, "tool = 3", "pyproject.toml")
    assert load_config(project(tmp_path, "port = 5"), environ={}).port == 5


def test_a_value_that_is_overridden_is_checked_too(tmp_path: Path) -> None:
    project(tmp_path, "port = 'x'")
    assert "wixhttp.toml:1" in refusal(tmp_path, flags={"port": 1})


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, "port = 1")
    assert load_config(environ={"WIXHTTP_PROJECT": str(tmp_path)}).port == 1
    monkeypatch.chdir(tmp_path)
    assert load_config(environ={"WIXHTTP_PROJECT": ""}).root == tmp_path
    assert load_config(".", environ={}).root.is_absolute()
    assert f"{str(tmp_path / 'no')!r} is none" in refusal(tmp_path / "no")
    assert "is none" in refusal(tmp_path / "wixhttp.toml")


def test_the_process_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIXHTTP_THREADS", "3")
    assert load_config(tmp_path).threads == 3


def test_test_site_may_be_a_package(tmp_path: Path) -> None:
    (tmp_path / "next/backend/http_functions").mkdir(parents=True)
    assert load_config(tmp_path, environ={}, flags={"test_site": "next"}).test_site == tmp_path / "next"
    message = refusal(project(tmp_path, "\ntest_site = 'next/backend'"))
    assert message.startswith("wixhttp.toml:2: test_site is a folder with backend/http_functions.py")


def test_concurrency(tmp_path: Path) -> None:
    config = Config(root=tmp_path, threads=5)
    assert (config.def_concurrency, config.async_concurrency) == (10_000, 10_000)
    config = dataclasses.replace(config, max_concurrency=3)
    assert (config.def_concurrency, config.async_concurrency) == (3, 3)


def test_workers_are_the_usable_cores(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert load_config(tmp_path, environ={}).workers == cores


def test_show_config(tmp_path: Path) -> None:
    project(tmp_path, f"cors = {{origins = ['{SITE}'], headers = ['X-A']}}\nallowed_hosts = ['a', 'b']")
    lines = show_config(load_config(tmp_path, environ={"PORT": "81"})).splitlines()
    shown = {line.split(" = ", 1)[0].rstrip(): line.split(" = ", 1)[1] for line in lines}
    assert list(shown) == list(SETTINGS)
    assert len({line.index(" = ") for line in lines}) == 1
    assert shown["port"].split() == ["81", "environment", "PORT"]
    assert shown["public_url"].split() == ["none", "default"]
    assert shown["strict_delete"].split() == ["true", "default"]
    assert shown["allowed_hosts"].startswith('["a", "b"] ')
    cors = f'{{origins = ["{SITE}"], headers = ["X-A"], credentials = false, max_age = 86400}}'
    assert shown["cors"] == f"{cors}  wixhttp.toml:1"


def test_show_config_masks_passwords_of_urls(tmp_path: Path) -> None:
    shown = show_config(Config(root=tmp_path, host="postgres://user:hunter2@db/x"))
    assert '"postgres://user:***@db/x"' in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "url",
    ["postgresql://ada:hunter2@db/x", "postgres://ada:hun@ter2@db", "postgresql://db/x?user=ada&password=hunter2"],
)
def test_the_password_of_the_database_is_shown_nowhere(tmp_path: Path, url: str) -> None:
    config = load_config(tmp_path, environ={"WIXHTTP_DATABASE_URL": url})
    assert config.database_url == config.store_url == url
    assert "***" in show_config(config)
    assert "ter2" not in show_config(config)
    wrong = refusal(tmp_path, environ={"WIXHTTP_DATABASE_URL": url.replace("postgres", "oracle", 1)})
    assert "***" in wrong
    assert "ter2" not in wrong


@pytest.mark.parametrize(
    "url", ["sqlite:///a.db", "sqlite:////tmp/a.db", "memory://", "postgres://db", "postgresql://db"]
)
def test_urls_of_databases(tmp_path: Path, url: str) -> None:
    assert load_config(tmp_path, environ={}, flags={"database_url": url}).database_url == url


@pytest.mark.parametrize(
    "url",
    [
        "data.db",
        "sqlite://a.db",
        "sqlite:///",
        "sqlite:a.db",
        "memory://x",
        "postgresql://",
        "mysql://db/x",
        "a b",
        "://",
    ],
)
def test_what_is_no_url_of_a_database(tmp_path: Path, url: str) -> None:
    message = refusal(tmp_path, environ={"WIXHTTP_DATABASE_URL": url})
    assert message.startswith("environment WIXHTTP_DATABASE_URL: database_url is sqlite:///file below the project, ")
    assert message.endswith(f"not {url!r}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql://ada:p@ss@host/db?sslpassword=word&x=1", "mysql://ada:***@host/db?sslpassword=***&x=1"),
        ("mysql://host/db?password=word", "mysql://host/db?password=***"),
    ],
)
def test_the_url_of_an_unknown_store_is_shown_without_its_passwords(tmp_path: Path, url: str, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store(url, tmp_path)
    assert str(caught.value).endswith(f"not {shown!r}")


def test_the_embedded_database_is_below_the_project(tmp_path: Path) -> None:
    config = load_config(tmp_path, environ={})
    assert (config.database_url, config.store_url) == (None, "sqlite:///data/wixhttp.sqlite3")
    assert config.embedded_database == tmp_path / "data/wixhttp.sqlite3"


@pytest.mark.parametrize(
    ("settings", "refuses"),
    [
        ({}, True),
        ({"mode": "development"}, False),
        ({"strict_collections": "false"}, False),
        ({"mode": "development", "strict_collections": "yes"}, True),
    ],
)
def test_unknown_collections_are_refused_in_production(
    tmp_path: Path, settings: dict[str, object], refuses: bool
) -> None:
    assert load_config(tmp_path, environ={}, flags=settings).refuses_unknown_collections is refuses


@given(st.integers(0, 65535), st.integers(1, 10**4), st.floats(0, 1e9), st.booleans())
def test_every_layer_means_the_same(port: int, threads: int, timeout: float, access_log: bool) -> None:
    values: dict[str, object] = {"port": port, "threads": threads, "timeout": timeout, "access_log": access_log}
    environ = {SETTINGS[key].variable: str(value) for key, value in values.items()}
    root = Path(__file__).parent
    flags = {key: str(value) for key, value in values.items()}
    assert load_config(root, environ=environ) == load_config(root, environ={}, flags=values)
    assert load_config(root, environ={}, flags=flags) == load_config(root, environ={}, flags=values)


def test_a_health_port_is_not_the_port_of_the_site(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"flag --health-port: health_port is a port of its own, and 9000"):
        load_config(tmp_path, environ={}, flags={"port": 9000, "health_port": 9000})


def test_the_secrets_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"secrets_file is a file, and .* is a folder"):
        load_config(tmp_path, environ={"WIXHTTP_SECRETS_FILE": "."})
