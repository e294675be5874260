"""The settings of a project: defaults, ``wixhttp.toml`` or ``[tool.wixhttp]``, environment and flags, as one `Config`.

Nothing else in wixhttp reads the environment, except the secrets. The fields of `Config` are the one table of the
settings; `SETTINGS` shows it to the command line and to the reference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, get_type_hints

from wixhttp.errors import ConfigError
from wixhttp.http.cors import Cors
from wixhttp.http.policy import parse_bytes, parse_seconds
from wixhttp.logs.masking import masked_url
from wixhttp.messages import nearest

from .auth_settings import AuthConfig
from .setting_parsers import (
    Parser,
    parse_base_path,
    parse_boolean,
    parse_choice,
    parse_clients,
    parse_database_url,
    parse_host,
    parse_hosts,
    parse_lifetime,
    parse_locales,
    parse_path,
    parse_public_url,
    parse_rate_storage,
    parse_rates,
    parse_whole,
    read_list,
    read_number,
    read_table,
    read_truth,
)
from .toml_file import line_of, read_toml

_PROJECT = "WIXHTTP_PROJECT"
_MOST_REQUESTS = 10_000  # of each kind at once, where max_concurrency is none
_EMBEDDED = "data/wixhttp.sqlite3"
_DEVELOPMENT_ADDRESS: Mapping[str, object] = MappingProxyType({"host": "127.0.0.1", "port": 8000})
_OWN_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_COMMON_VARIABLES = {"HOST": "host", "PORT": "port", "WEB_CONCURRENCY": "workers"}


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Setting(NamedTuple):
    """One setting: its key, its default, a line of help with the unit, and its two readers.

    ``parse(value, name)`` checks a typed value and raises ValueError with ``name`` in front. ``from_text`` turns the
    text of an environment variable or a flag into such a value.
    """

    key: str
    default: Any
    help: str
    parse: Parser
    from_text: Callable[[str], object]

    @property
    def variable(self) -> str:
        """The environment variable that sets it: ``WIXHTTP_MAX_BODY``."""
        return f"WIXHTTP_{self.key.upper()}"


class Rule(NamedTuple):
    """The annotation of a field of `Config`: the parts of its `Setting` beside key and default."""

    parse: Parser
    help: str
    from_text: Callable[[str], object] = str


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of a project, checked; paths are absolute. Made by `load_config`.

    ``root`` is the project's folder. ``sources`` says of each key where its value came from: ``default``,
    ``wixhttp.toml:3``, ``environment WIXHTTP_PORT``, ``flag --port``. Units stand in `SETTINGS`.

    ``threads`` is the size of each of several thread pools of a process, not of all of them together: the pool of
    ``def`` handlers; that of streamed bodies, so that neither waits for the other; one for each depth of ``def``
    middleware and endpoints behind ``async def`` ones, which with a shared pool would wait for each other without end
    (a deadlock); and one that writes long bodies to files, so that uploads do not wait for handlers. Threads are
    started lazily. Not bounded by it, and with 32 threads each: awaited calls on collections, for each depth of hooks;
    awaited verification of tokens; awaited requests to other servers. With another ``worker_class`` than asgi it is
    handed to gunicorn as well.

    ``queue_timeout`` bounds the wait for a thread of a handler, not that of what has begun: a stream, a session that is
    saved, a long body that is written. With another ``worker_class`` than asgi requests wait in gunicorn's own queue,
    which it does not bound.
    """

    root: Path
    mode: Annotated[str, Rule(parse_choice("production", "development"), "production or development")] = "production"
    public_url: Annotated[
        str | None, Rule(parse_public_url, "scheme://host[:port] in baseUrl and in signatures over URLs")
    ] = None
    base_path: Annotated[str, Rule(parse_base_path, "path in front of /_functions and of endpoints")] = ""
    test_site: Annotated[
        Path | None, Rule(parse_path, "folder served under /_functions-dev and with ?rc=test-site")
    ] = None
    max_body: Annotated[int, Rule(parse_bytes, "bytes of a request's body, or text such as 5MB", read_number)] = 524288
    timeout: Annotated[float, Rule(parse_seconds, "seconds for one handler; 0 is without end", read_number)] = 14.0
    strict_delete: Annotated[bool, Rule(parse_boolean, "whether DELETE follows Velo's rule", read_truth)] = True
    trusted_proxies: Annotated[int, Rule(parse_whole(0), "proxies whose X-Forwarded-* headers count", read_number)] = 0
    allowed_hosts: Annotated[
        tuple[str, ...], Rule(parse_hosts, "hosts that are served, such as *.example.com; none named is any", read_list)
    ] = ()
    cors: Annotated[
        Cors | None, Rule(Cors.parse, "who else may read: {origins = [...], headers, credentials, max_age}", read_table)
    ] = None
    auth: Annotated[
        AuthConfig | None,
        Rule(
            AuthConfig.parse, "whose tokens are valid: {issuer, audience, jwks_url, ...}; none is nobody's", read_table
        ),
    ] = None
    pages: Annotated[Path, Rule(parse_path, "folder whose files are endpoints")] = Path("src/pages")
    pages_prefix: Annotated[str, Rule(parse_base_path, "path in front of the endpoints' routes")] = ""
    trailing_slash: Annotated[
        str, Rule(parse_choice("ignore", "always", "never"), "at the end of endpoints' paths: ignore, always or never")
    ] = "ignore"
    check_origin: Annotated[
        bool, Rule(parse_boolean, "whether forms sent to endpoints come from the site's own origin", read_truth)
    ] = True
    locales: Annotated[
        tuple[str, ...], Rule(parse_locales, "languages of the site, such as en-GB; for preferredLocale", read_list)
    ] = ()
    session_lifetime: Annotated[
        float, Rule(parse_lifetime, "seconds that a session lives after its last change", read_number)
    ] = 1_209_600.0
    build_dir: Annotated[Path, Rule(parse_path, "folder of what 'wixhttp build' makes")] = Path("dist")
    host: Annotated[str, Rule(parse_host, "address to listen on")] = "0.0.0.0"
    port: Annotated[int, Rule(parse_whole(0, 65535), "port to listen on; 0 is any free one", read_number)] = 8080
    workers: Annotated[int, Rule(parse_whole(1), "processes; one per usable core", read_number)] = field(
        default_factory=_usable_cores
    )
    threads: Annotated[int, Rule(parse_whole(1, 10_000), "threads for def handlers in each process", read_number)] = 40
    worker_class: Annotated[
        str, Rule(parse_choice("asgi", "gthread", "gevent", "sync"), "asgi, gthread, gevent or sync")
    ] = "asgi"
    body_timeout: Annotated[
        float, Rule(parse_seconds, "seconds without a byte of the body; 0 is without end", read_number)
    ] = 30.0
    send_timeout: Annotated[
        float,
        Rule(parse_seconds, "seconds in which a client reads nothing of its answer; 0 is without end", read_number),
    ] = 30.0
    max_unsent: Annotated[
        int,
        Rule(
            parse_bytes,
            "bytes of large answers that a process holds at once, or text; 0 is without end",
            read_number,
        ),
    ] = 268_435_456
    max_concurrency: Annotated[
        int | None,
        Rule(
            parse_whole(1),
            "requests at once per process, running or waiting, for def and for async def each; none is 10000",
            read_number,
        ),
    ] = None
    queue_timeout: Annotated[
        float, Rule(parse_seconds, "seconds that a request waits for a thread; 0 is without end", read_number)
    ] = 5.0
    graceful_timeout: Annotated[float, Rule(parse_seconds, "seconds for running requests at stop", read_number)] = 30.0
    import_timeout: Annotated[
        float, Rule(parse_seconds, "seconds for the import of the user's files; 0 is without end", read_number)
    ] = 30.0
    secrets_file: Annotated[Path, Rule(parse_path, "file of the secrets, mode 0600")] = Path("secrets.env")
    database_url: Annotated[
        str | None,
        Rule(parse_database_url, "sqlite:///path, postgresql://..., memory://; none is data/wixhttp.sqlite3"),
    ] = None
    strict_collections: Annotated[
        bool | None,
        Rule(parse_boolean, "whether unknown collections are refused; none is yes in production only", read_truth),
    ] = None
    log_format: Annotated[
        str, Rule(parse_choice("auto", "text", "json"), "auto, text or json; auto is text on a terminal")
    ] = "auto"
    log_level: Annotated[
        str,
        Rule(parse_choice("debug", "info", "warning", "error", "critical"), "debug, info, warning, error or critical"),
    ] = "info"
    access_log: Annotated[bool, Rule(parse_boolean, "whether each request is a line in the log", read_truth)] = True
    rate_limit: Annotated[
        str | None,
        Rule(parse_rates, "requests of one client in a time, such as 10/second;100/minute; none is without end"),
    ] = None
    rate_limit_storage: Annotated[
        str, Rule(parse_rate_storage, "where they are counted: auto, memory:// or redis://host:6379/0")
    ] = "auto"
    api_keys: Annotated[
        bool, Rule(parse_boolean, "whether every function and endpoint asks for an API key", read_truth)
    ] = False
    inbox_concurrency: Annotated[
        int,
        Rule(parse_whole(0, 1000), "deferred functions and jobs that a process runs at once; 0 is none", read_number),
    ] = 4
    inbox_limit: Annotated[
        int, Rule(parse_whole(1), "waiting deferred functions and jobs, past which 503 is answered", read_number)
    ] = 1_000_000
    metrics: Annotated[bool, Rule(parse_boolean, "whether /_wixhttp/metrics answers", read_truth)] = False
    health: Annotated[
        str, Rule(parse_choice("private", "public", "off"), "who may read /_wixhttp/health/: private, public or off")
    ] = "private"
    health_port: Annotated[
        int | None, Rule(parse_whole(0, 65535), "port of /_wixhttp/ alone; none is the port of the site", read_number)
    ] = None
    dev_allow: Annotated[
        tuple[str, ...],
        Rule(parse_clients, "who else sees the pages of 'wixhttp dev': addresses, networks, host names", read_list),
    ] = ()
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for key in ("root", "secrets_file", "test_site", "pages", "build_dir"):
            path = getattr(self, key)
            if path is not None:
                object.__setattr__(self, key, (self.root / path).absolute())

    @property
    def def_concurrency(self) -> int:
        """Requests that ``def`` handlers answer, or are to answer, at once in one process."""
        return self.max_concurrency or _MOST_REQUESTS

    @property
    def async_concurrency(self) -> int:
        """Requests that ``async def`` handlers answer at once in one process."""
        return self.max_concurrency or _MOST_REQUESTS

    @property
    def store_url(self) -> str:
        """The URL of the store that keeps the collections: ``database_url``, or that of `embedded_database`."""
        return self.database_url or f"sqlite:///{_EMBEDDED}"

    @property
    def embedded_database(self) -> Path:
        """The file of the store where ``database_url`` is none."""
        return self.root / _EMBEDDED

    @property
    def refuses_unknown_collections(self) -> bool:
        """Return whether a call on a collection that is not there fails (WDE0025): else its first write makes it."""
        return self.mode == "production" if self.strict_collections is None else self.strict_collections


def _settings() -> dict[str, Setting]:
    hints = get_type_hints(Config, include_extras=True)
    settings = {}
    for each in fields(Config):
        for rule in getattr(hints[each.name], "__metadata__", ()):
            make = each.default_factory
            default = make() if callable(make) else each.default
            settings[each.name] = Setting(each.name, default, rule.help, rule.parse, rule.from_text)
    return settings


SETTINGS: Mapping[str, Setting] = MappingProxyType(_settings())
"""Every setting by its key, in the order of `Config`."""


def load_config(
    root: Path | str | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The settings of the project in ``root``: flags win over environment, environment over file, file over default.

    ``root`` is ``WIXHTTP_PROJECT``, or the current folder, where it is ``None``. ``flags`` are by key; ``None`` is not
    given. ``environ`` is the process environment where it is ``None``.

    Raises:
        ConfigError: no such folder, a file that is not TOML, two files with settings, an unknown key or variable, a
            value of the wrong type or range. Values that a stronger place overrides are checked as well.
    """
    environ = os.environ if environ is None else environ
    folder = _folder_of(root, environ)
    return _config_of(folder, (_from_file(folder), _from_environment(environ), _from_flags(flags or {})))


def load_development_config(
    root: Path | str | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    reads_file: bool = True,
) -> Config:
    """The settings of ``wixhttp dev``: as `load_config`, but for what a file says of the server in production. One
    process serves one port, at the address of flags or environment, else 127.0.0.1:8000; the hosts of this machine are
    among ``allowed_hosts``. Without ``reads_file`` no file is read: the settings for while that one is wrong.

    Raises:
        ConfigError: as `load_config`.
    """
    environ = os.environ if environ is None else environ
    folder = _folder_of(root, environ)
    given = {key: value for layer in (_from_environment(environ), _from_flags(flags or {})) for key, value, _ in layer}
    address = {key: given.get(key, default) for key, default in _DEVELOPMENT_ADDRESS.items()}
    own = {"mode": "development", "workers": 1, "worker_class": "asgi", "health_port": ""}
    layers = (_from_environment(environ), _from_flags({**(flags or {}), **own, **address}))
    config = _config_of(folder, (_from_file(folder), *layers) if reads_file else layers)
    hosts = (*config.allowed_hosts, *_OWN_HOSTS, str(address["host"])) if config.allowed_hosts else ()
    return replace(config, allowed_hosts=hosts)


def _folder_of(root: Path | str | None, environ: Mapping[str, str]) -> Path:
    folder = Path(root or environ.get(_PROJECT) or ".").absolute()
    if not folder.is_dir():
        raise ConfigError(f"the project is a folder, and {str(folder)!r} is none; name another, or set {_PROJECT}")
    return folder


def _config_of(folder: Path, layers: Iterable[_Layer]) -> Config:
    values: dict[str, Any] = {}
    sources = dict.fromkeys(SETTINGS, "default")
    for layer in layers:
        for key, value, source in layer:
            values[key], sources[key] = value, source
    config = Config(root=folder, **values, sources=sources)
    _check_together(config)
    return config


def _check_together(config: Config) -> None:
    """Check settings against each other and against the file system.

    Raises:
        ConfigError: a file or folder is none, or two settings exclude each other.
    """
    sources, site = config.sources, config.test_site
    if site is not None and not _has_functions(site):
        raise ConfigError(
            f"{sources['test_site']}: test_site is a folder with backend/http_functions.py, not {str(site)!r}; "
            "name the folder that holds backend"
        )
    if config.secrets_file.is_dir():
        path = str(config.secrets_file)
        raise ConfigError(
            f"{sources['secrets_file']}: secrets_file is a file, and {path!r} is a folder; name a file in it"
        )
    if config.pages_prefix.startswith(("/_functions", "/_wixhttp")):
        raise ConfigError(
            f"{sources['pages_prefix']}: pages_prefix is a path that is nobody else's, and {config.pages_prefix!r} is "
            "that of the HTTP functions or of wixhttp's own pages; choose another"
        )
    if config.health_port is not None and config.health_port == config.port:
        raise ConfigError(
            f"{sources['health_port']}: health_port is a port of its own, and {config.port} is the port of the site; "
            "choose another, or leave it out"
        )


def _has_functions(folder: Path) -> bool:
    return (folder / "backend/http_functions.py").is_file() or (folder / "backend/http_functions").is_dir()


_Layer = Iterator[tuple[str, Any, str]]


def _from_file(folder: Path) -> _Layer:
    own = read_toml(folder / "wixhttp.toml")
    shared = read_toml(folder / "pyproject.toml")
    tool = shared[1].get("tool")
    table = tool.get("wixhttp") if isinstance(tool, dict) else None
    name, text = "wixhttp.toml", own[0]
    prefix: tuple[str, ...] = ()
    if table is None:
        table = own[1]
    elif (folder / name).exists():
        raise ConfigError(f"settings stand in one file, not in {name} and [tool.wixhttp] of pyproject.toml; remove one")
    else:
        name, text, prefix = "pyproject.toml", shared[0], ("tool", "wixhttp")
        if not isinstance(table, dict):
            raise ConfigError(f"{name}:{line_of(text, prefix)}: tool.wixhttp is a table, not {table!r}")
    for key, value in table.items():
        where = f"{name}:{line_of(text, (*prefix, key))}"
        if key not in SETTINGS:
            raise ConfigError(f"{where}: {key!r} is not a setting; {nearest(key, SETTINGS)}")
        try:
            yield key, SETTINGS[key].parse(value, key), where
        except ValueError as error:
            # The message begins with the name of what is wrong, which may stand deeper: cors.origins.
            named = str(error).split(" ", 1)[0].split(".")
            raise ConfigError(f"{name}:{line_of(text, (*prefix, *named))}: {error}") from None


def _from_environment(environ: Mapping[str, str]) -> _Layer:
    for variable, key in _COMMON_VARIABLES.items():
        if environ.get(variable):
            yield _from_text(SETTINGS[key], environ[variable], f"environment {variable}")
    by_variable = {setting.variable: setting for setting in SETTINGS.values()}
    for variable in environ:
        setting = by_variable.get(variable)
        if setting is not None:
            yield _from_text(setting, environ[variable], f"environment {variable}")
        elif variable.startswith("WIXHTTP_") and not variable.startswith("WIXHTTP_TEST_") and variable != _PROJECT:
            raise ConfigError(f"environment: {variable!r} is not a setting; {nearest(variable, by_variable)}")


def _from_flags(flags: Mapping[str, object]) -> _Layer:
    for key, value in flags.items():
        where = f"flag --{key.replace('_', '-')}"
        if key not in SETTINGS:
            raise ConfigError(f"{where}: {key!r} is not a setting; {nearest(key, SETTINGS)}")
        if value is not None:
            yield _from_text(SETTINGS[key], value, where)


def _from_text(setting: Setting, value: object, where: str) -> tuple[str, Any, str]:
    # Neither the environment nor a flag has a word for none, so empty text takes a value of the file back.
    if value == "" and setting.default is None:
        return setting.key, None, where
    try:
        typed = setting.from_text(value) if isinstance(value, str) else value
        return setting.key, setting.parse(typed, setting.key), where
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def sockets_are_inherited(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether this process inherits listening sockets: from systemd, or from the gunicorn that it replaces."""
    environ = os.environ if environ is None else environ
    return bool(environ.get("LISTEN_FDS") or environ.get("GUNICORN_FD"))


def forwarded_allow_ips_are_set(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether FORWARDED_ALLOW_IPS says whose ``X-Forwarded-Proto`` gunicorn itself may believe."""
    environ = os.environ if environ is None else environ
    return bool(environ.get("FORWARDED_ALLOW_IPS"))


def show_config(config: Config) -> str:
    """Every key, its value and where it came from, one aligned line each. Passwords in URLs are masked."""
    rows = [(key, _shown(getattr(config, key)), config.sources.get(key, "default")) for key in SETTINGS]
    keys, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{key:<{keys}} = {value:<{values}}  {source}" for key, value, source in rows)


def _shown(value: object) -> str:
    if isinstance(value, Cors):
        table = {"origins": sorted(value.origins), "headers": value.headers}
        value = {**table, "credentials": value.credentials, "max_age": value.max_age}
    elif isinstance(value, AuthConfig):
        value = value.table()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_shown(each)}" for key, each in value.items() if each is not None) + "}"
    if value is None:
        return "none"
    text = json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
    return masked_url(text)
