"""Parsers of single settings: ``read_...`` from the text of a variable or flag, ``parse_...`` from a typed value.

A ``parse_...`` checks its value, and raises ValueError with the setting's name in front; `config` has the settings.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wixhttp.http.cors import parse_origin
from wixhttp.logs.masking import masked_url
from wixhttp.messages import brief, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Parser = Callable[[object, str], Any]

_HOST_PATTERN = re.compile(r"(?:\*?\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_LOCALE_PATTERN = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_RATE_PATTERN = re.compile(r"([0-9]{1,9}) ?(?:/|per ) ?([0-9]{1,6})? ?([A-Za-z]{1,20})")
_RATE_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_RATE_DAYS = {"week": 7, "month": 30, "year": 365}  # of times that are no fixed number of seconds to everybody
_LONGEST_RATE = 366 * 86_400  # seconds
_RATE_STORAGES = ("redis", "rediss", "redis+unix")
_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def read_number(text: str) -> object:
    """A number for the text of one; other text as it is, for the parser to refuse."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def read_truth(text: str) -> object:
    """A truth value for ``1 true yes on 0 false no off``; other text as it is."""
    return _BOOLEANS.get(text.strip().lower(), text)


def read_list(text: str) -> object:
    """The entries of a list that is written with commas."""
    return [each.strip() for each in text.split(",") if each.strip()]


def read_table(text: str) -> object:
    """The value of an inline TOML table; other text as it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def parse_boolean(value: object, name: str) -> bool:
    """``True`` or ``False``; ValueError for anything else, as from every parser here."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, not {value!r}")
    return value


def parse_whole(least: int, most: int | None = None) -> Parser:
    """A parser of whole numbers in a range."""
    span = f">= {least}" if most is None else f"from {least} to {most}"

    def parse(value: object, name: str) -> int:
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and least <= value
            and (most is None or value <= most)
        ):
            return value
        raise ValueError(f"{name} is a whole number {span}, not {value!r}")

    return parse


def parse_choice(*names: str) -> Parser:
    """A parser of one word out of several."""

    def parse(value: object, name: str) -> str:
        if value not in names:
            raise ValueError(f"{name} is one of {', '.join(names)}, not {value!r}")
        return str(value)

    return parse


def parse_public_url(value: object, name: str) -> str:
    """``scheme://host[:port]``, by http or https."""
    origin = parse_origin(value, name)
    if not origin.startswith(("http://", "https://")):
        raise ValueError(f"{name} begins with http:// or https://, not {value!r}")
    return origin


def parse_base_path(value: object, name: str) -> str:
    """A path without a slash at its end; empty for none."""
    if not isinstance(value, str) or re.search(r"[?#\s\\]|//", value) or (value and not value.startswith("/")):
        raise ValueError(f"{name} is empty or a path that begins with '/', without query, not {value!r}; write '/api'")
    return value.rstrip("/")


def parse_path(value: object, name: str) -> Path:
    """A path in the file system."""
    if not isinstance(value, (str, Path)) or not str(value).strip() or "\0" in str(value):
        raise ValueError(f"{name} is a path, relative to the project's folder or absolute, not {value!r}")
    return Path(value)


def parse_host(value: object, name: str) -> str:
    """An address or a name to listen on."""
    if not isinstance(value, str) or not value or re.search(r"[\s/]", value):
        raise ValueError(f"{name} is an address or a name to listen on, not {value!r}; write '127.0.0.1' or '0.0.0.0'")
    return value


def parse_hosts(value: object, name: str) -> tuple[str, ...]:
    """Names of hosts, in lower case; ``*.example.com`` is every host below."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{name} is a list of host names, not {value!r}; write ['example.com', '*.example.com']")
    for each in value:
        if not isinstance(each, str) or not _HOST_PATTERN.fullmatch(each.lower()):
            raise ValueError(f"{name} holds host names without scheme and port, not {each!r}; an empty list allows any")
    return tuple(each.lower() for each in value)


def parse_clients(value: object, name: str) -> tuple[str, ...]:
    """Addresses, networks (``192.168.1.0/24``) and names of hosts in one list, in lower case."""
    rule = "holds addresses, networks and host names, such as ['192.168.1.0/24', 'laptop.local']"
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{name} {rule}, in a list, not {value!r}")
    found = []
    for each in value:
        text = each.lower().strip("[]") if isinstance(each, str) else ""
        try:
            network = ipaddress.ip_network(text, strict=False)
            found.append(str(network.network_address if network.num_addresses == 1 else network))
        except ValueError:
            if not _HOST_PATTERN.fullmatch(text) or text.rpartition(".")[2].isdecimal():
                raise ValueError(f"{name} {rule}, and not {each!r}; leave out scheme and port") from None
            found.append(text)
    return tuple(found)


def parse_locales(value: object, name: str) -> tuple[str, ...]:
    """Language tags (BCP 47), as written."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{name} is a list of languages, not {value!r}; write ['en', 'de-CH']")
    for each in value:
        if not isinstance(each, str) or not _LOCALE_PATTERN.fullmatch(each):
            raise ValueError(f"{name} holds languages such as 'en' or 'de-CH', not {each!r}")
    return tuple(value)


def parse_lifetime(value: object, name: str) -> float:
    """Seconds, more than none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1e9:
        return float(value)
    raise ValueError(f"{name} is a number of seconds above 0 and up to 1e9, not {value!r}; write 86400 for a day")


def parse_database_url(value: object, name: str) -> str:
    """The URL of a store of collections: of a SQLite file, of a PostgreSQL database, or for one in memory."""
    if isinstance(value, str) and not re.search(r"[\s\x00]", value):
        scheme, _, rest = value.partition("://")
        if scheme in ("postgresql", "postgres") and rest.strip("/"):
            return value
        if value == "memory://" or (scheme == "sqlite" and rest.startswith("/") and rest.strip("/")):
            return value
    shown = masked_url(repr(value))
    raise ValueError(
        f"{name} is sqlite:///file below the project, sqlite:////absolute/file, postgresql://user:password@host/name "
        f"or memory://, not {shown}"
    )


def parse_rates(value: object, name: str) -> str:
    """One or several numbers of requests in a time, ``10/second;100/minute``, each as ``10/second`` or ``100/15
    minutes``, those of the shortest time first.

    >>> parse_rates("100 per minute; 5/1 second", "rate_limit")
    '5/second;100/minute'
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} {_RATE_RULE}, not {value!r}")
    found: dict[int, str] = {}
    for text in value.split(";"):
        match = _RATE_PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{name} {_RATE_RULE}, not {brief(value)}")
        unit = match[3].lower().removesuffix("s")
        if unit not in _RATE_SECONDS:
            days = _RATE_DAYS.get(unit)
            remedy = f"write {match[1]}/{days} days" if days else nearest(unit, _RATE_SECONDS)
            raise ValueError(f"{name} {_RATE_RULE}, and has no time {match[3]!r}; {remedy}")
        amount, count = int(match[1]), int(match[2] or 1)
        seconds = count * _RATE_SECONDS[unit]
        if not amount or not 0 < seconds <= _LONGEST_RATE:
            raise ValueError(f"{name} allows 1 request or more, in at most 366 days, not {brief(text.strip())}")
        if seconds in found:
            raise ValueError(f"{name} has one number for each time, and {brief(value)} has two; leave one out")
        found[seconds] = f"{amount}/{unit}" if count == 1 else f"{amount}/{count} {unit}s"
    return ";".join(found[seconds] for seconds in sorted(found))


_RATE_RULE = 'is a number of requests in a time, such as "100/minute" or "10/second;100/minute"'


def parse_rate_storage(value: object, name: str) -> str:
    """The place in which rate limits are counted: ``auto``, ``memory://``, or the URL of a Redis."""
    if isinstance(value, str) and not re.search(r"[\s\x00]", value):
        scheme, _, rest = value.partition("://")
        if value in ("auto", "memory://") or (scheme in _RATE_STORAGES and rest.strip("/")):
            return value
    raise ValueError(
        f"{name} is auto (the processes of this server together), memory:// (each process alone), or "
        f"redis://user:password@host:6379/0, rediss://... or redis+unix:///path, not {masked_url(repr(value))}"
    )
