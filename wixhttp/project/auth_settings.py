"""The setting ``auth``: the issuer of valid tokens, and the keys or the URL to verify them with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wixhttp.logs.masking import masked_url
from wixhttp.messages import nearest

from .dotenv import check_name

SUBJECT_TYPES = ("APP", "USER", "MEMBER", "VISITOR", "UNKNOWN")
SYMMETRIC = ("HS256", "HS384", "HS512")
ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")

_SOURCES = ("jwks_url", "key_file", "secret", "introspection_url")
_KEYS = (
    "issuer", "audience", "algorithms", *_SOURCES, "client_id", "client_secret", "leeway", "claims", "subject_type",
)  # fmt: skip
_CLAIMS = {
    "subjectType": ("subjectType",),
    "subjectId": ("sub",),
    "clientId": ("client_id", "azp"),
    "siteId": ("siteId",),
    "instanceId": ("instanceId",),
}
_LEEWAY = 5.0
# By one expression over the whole text: where two parsers of URLs disagree, a token could go to another host.
_GUARDED_URL = re.compile(
    r"https://[^/?#\\\s@]+(?:[/?#][^\\\s]*)?"
    r"|http://(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?(?:[/?#][^\\\s]*)?",
    re.IGNORECASE,
)


def is_guarded_url(url: str) -> bool:
    """Return whether a token sent to ``url`` cannot be read on the way: https, or http to this machine; no user in it.

    >>> is_guarded_url("https://id.example.com/keys"), is_guarded_url("http://127.0.0.1:8000/keys")
    (True, True)
    >>> is_guarded_url("http://id.example.com/keys"), is_guarded_url("http://localhost@example.com/")
    (False, False)
    """
    return _GUARDED_URL.fullmatch(url) is not None


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """The setting ``auth``. One of ``jwks_url``, ``key_file``, ``secret`` and ``introspection_url`` is not ``None``.

    ``secret`` and ``client_secret`` are names of secrets. ``leeway`` is in seconds. ``claims`` says for each member of
    a `wixhttp.auth.TokenInfo` which claims may hold it; the first that is there is taken. ``subject_type`` is that of
    every token, where it is not ``None``.
    """

    issuer: str | None = None
    audience: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    jwks_url: str | None = None
    key_file: str | None = None
    secret: str | None = None
    introspection_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    leeway: float = _LEEWAY
    claims: tuple[tuple[str, tuple[str, ...]], ...] = tuple(_CLAIMS.items())
    subject_type: str | None = None

    @classmethod
    def parse(cls, value: object, where: str) -> AuthConfig:
        """From a mapping of the fields; ``audience``, ``algorithms`` and each of ``claims`` are a text or a list.

        Raises:
            ValueError: an unknown key, a wrong type, no source of keys or two, algorithms that do not fit to it, no
                issuer or audience for tokens that are checked here, a URL that others can listen to. The message
                begins with ``where``, a dot and the key.
        """
        if not isinstance(value, Mapping):
            # Without the value: it may be a secret.
            raise ValueError(
                f"{where} is a table; write {{issuer = '...', audience = '...', jwks_url = 'https://...'}}"
            )
        for key in value:
            if key not in _KEYS:
                raise ValueError(f"{where}.{key} is not a key of {where}; {nearest(str(key), _KEYS)}")
        source = _source(value, where)
        algorithms = _algorithms(value, where, source)
        _check_source(value, where, source)
        found = {
            key: check(value[key], f"{where}.{key}") for key, check in _CHECKS.items() if value.get(key) is not None
        }
        claims = value.get("claims")
        if "subject_type" in found and isinstance(claims, Mapping) and "subjectType" in claims:
            raise ValueError(f"{where}.subject_type is that of every token, and claims has one of each; leave one out")
        return cls(algorithms=algorithms, **found)

    def table(self) -> dict[str, Any]:
        """The fields that were set, as `parse` takes them: there is nothing secret in it."""
        names = {member: list(names) for member, names in self.claims if names != _CLAIMS[member]}
        shown = {key: getattr(self, key) for key in _KEYS} | {"claims": names}
        return {
            key: list(each) if isinstance(each, tuple) else each for key, each in shown.items() if each or each == 0
        }


def _source(value: Mapping[Any, Any], where: str) -> str:
    given = [key for key in _SOURCES if value.get(key) is not None]
    if len(given) != 1:
        said = f"and {' and '.join(given)} are given" if given else "and none is given"
        raise ValueError(f"{where} has one source of keys, {said}; it is one of {', '.join(_SOURCES)}")
    return given[0]


def _algorithms(value: Mapping[Any, Any], where: str, source: str) -> tuple[str, ...]:
    name, given = f"{where}.algorithms", value.get("algorithms")
    if source == "introspection_url":
        if given is not None:
            raise ValueError(f"{name} belongs to tokens that are checked here; leave it out with introspection_url")
        return ()
    fitting = SYMMETRIC if source == "secret" else ASYMMETRIC
    if given is None:
        return fitting[:1]
    algorithms = _texts(given, name)
    for each in algorithms:
        if each not in (*ASYMMETRIC, *SYMMETRIC):
            known = f"known are {', '.join((*ASYMMETRIC, *SYMMETRIC))}"
            raise ValueError(f"{name} holds algorithms that prove who signed, not {each!r}; {known}")
        if each not in fitting:
            rule = "signs with a shared secret" if each in SYMMETRIC else "signs with a private key"
            raise ValueError(f"{name}: {each} {rule}, which does not fit {source}; write {list(fitting[:1])!r}")
    return algorithms


def _check_source(value: Mapping[Any, Any], where: str, source: str) -> None:
    """Raise for a source that lacks what belongs to it, or has what belongs to another."""
    if source == "introspection_url":
        _need(value, where, ("client_id", "client_secret"), "an introspection_url")
        return
    _need(value, where, ("issuer", "audience"), f"a {source}: without it tokens for other sites count here")
    for key in ("client_id", "client_secret"):
        if value.get(key) is not None:
            raise ValueError(f"{where}.{key} belongs to an introspection_url; leave it out with {source}")


def _need(value: Mapping[Any, Any], where: str, keys: tuple[str, ...], what: str) -> None:
    for key in keys:
        if value.get(key) is None:
            raise ValueError(f"{where}.{key} is missing, it is needed with {what}")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is a text that is not empty, not {value!r}")
    return value


def _texts(value: object, name: str) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(each, str) and each for each in texts):
        raise ValueError(f"{name} is a text or a list of texts, none empty, not {value!r}")
    return tuple(texts)


def _url(value: object, name: str) -> str:
    if not isinstance(value, str) or not is_guarded_url(value):
        shown = masked_url(repr(value))
        raise ValueError(
            f"{name} is a URL of https, or of http on this machine, without a user in it, not {shown}; "
            "write it like 'https://id.example.com/...'"
        )
    return value


def _secret_name(value: object, name: str) -> str:
    try:
        if isinstance(value, str):
            return check_name(value)
    except ValueError:
        pass
    # Without the value, and without a cause that has it: it may be the secret itself.
    raise ValueError(
        f"{name} is the name of a secret, such as 'AUTH_KEY', not the secret itself; run: wixhttp secrets set NAME"
    ) from None


def _leeway(value: object, name: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 300:
        return float(value)
    raise ValueError(f"{name} is a number of seconds from 0 to 300 by which clocks may differ, not {value!r}")


def _claims(value: object, name: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is a table, not {value!r}; write {{subjectType = 'type', subjectId = 'sub'}}")
    for member in value:
        if member not in _CLAIMS:
            raise ValueError(f"{name}.{member} is not a member of a TokenInfo; {nearest(str(member), _CLAIMS)}")
    given = {member: _texts(names, f"{name}.{member}") for member, names in value.items()}
    return tuple((_CLAIMS | given).items())


def _subject_type(value: object, name: str) -> str:
    if value not in SUBJECT_TYPES:
        raise ValueError(f"{name} is one of {', '.join(SUBJECT_TYPES)}, not {value!r}")
    return str(value)


# In the order in which errors are reported.
_CHECKS: dict[str, Callable[[object, str], Any]] = {
    "issuer": _text,
    "audience": _texts,
    "jwks_url": _url,
    "key_file": _text,
    "secret": _secret_name,
    "introspection_url": _url,
    "client_id": _text,
    "client_secret": _secret_name,
    "leeway": _leeway,
    "claims": _claims,
    "subject_type": _subject_type,
}
