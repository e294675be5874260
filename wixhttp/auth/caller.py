"""The caller of the request that is handled: its bearer token, verified lazily, when a member is first read."""

from __future__ import annotations

import functools
import logging
import re
import threading
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from wixhttp import context
from wixhttp.concurrency.service_threads import begin_on_thread, is_awaited
from wixhttp.context import using
from wixhttp.http.request_head import Head
from wixhttp.project.active_config import config_to_open, open_later
from wixhttp.project.auth_settings import SUBJECT_TYPES, AuthConfig
from wixhttp.project.config import Config

from .signing_keys import TokenRefused
from .token_verifiers import shared_verifier

logger = logging.getLogger("wixhttp")

MAX_TOKEN = 8192
"""Characters of a token that is looked at."""

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)  # RFC 6750, 2.1
_BEARER_BEHIND = re.compile(r",\s*bearer\s", re.IGNORECASE)


@dataclass(frozen=True)
class TokenInfo:
    """The caller, as the token of a request describes it (Wix: ``TokenInfo``).

    ``active`` is whether there is a valid token. ``subjectType`` is ``APP``, ``USER``, ``MEMBER``, ``VISITOR`` or
    ``UNKNOWN``; without a token ``VISITOR``, with an invalid one ``UNKNOWN``. ``exp`` and ``iat``, when the
    token expires and when it was issued, are in seconds since 1970. ``None`` is what the token does not say.

    It can be awaited, which gives itself.
    """

    active: bool
    subjectType: str
    subjectId: str | None
    exp: int | None
    iat: int | None
    clientId: str | None
    siteId: str | None
    instanceId: str | None

    def __await__(self) -> Generator[Any, None, TokenInfo]:
        yield from ()
        return self


VISITOR = TokenInfo(False, "VISITOR", None, None, None, None, None, None)
"""The caller without a token."""
REFUSED = replace(VISITOR, subjectType="UNKNOWN")
"""The caller with an invalid token."""


class _Unchecked(TokenInfo):
    """A `TokenInfo` whose token is checked when it is awaited, on a thread, or else when it is first looked at."""

    def __init__(self, token: str, config: Config) -> None:
        self._token = token
        self._config = config
        self._checking = threading.Lock()
        self._info: TokenInfo | None = None

    def checked(self) -> TokenInfo:
        """The caller that the token describes; it is verified once. Raises as `getTokenInfo`."""
        with self._checking:
            if self._info is None:
                self._info = _check(self._token, self._config)
            return self._info

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Python itself looks up such names, to copy or to pickle
            raise AttributeError(name)
        return getattr(self.checked(), name)

    def __await__(self) -> Generator[Any, None, TokenInfo]:
        return begin_on_thread("getTokenInfo()", self.checked, "verification").__await__()

    def __repr__(self) -> str:
        return repr(self.checked())

    def __eq__(self, other: object) -> bool:
        return self.checked() == (other.checked() if isinstance(other, _Unchecked) else other)

    def __hash__(self) -> int:
        return hash(self.checked())


def caller_is(info: TokenInfo) -> AbstractContextManager[TokenInfo]:
    """Let `getTokenInfo` give ``info``, in this context and its tasks, until the block ends. For tests."""
    return using(context.current_caller, info)


def settings_are(config: Config) -> AbstractContextManager[Config]:
    """Check tokens as ``config`` says instead of the process's settings, as `caller_is` does. For tests."""
    return using(context.auth_settings, config)


def current_caller() -> TokenInfo:
    """See `wixhttp.auth.getTokenInfo`."""
    info: TokenInfo | None = context.current_caller.get()
    if info is not None:
        return info
    head = _current_head()
    info = getattr(head, "token_info", None)
    if info is None:
        info = head.token_info = _of(head)
    return info.checked() if isinstance(info, _Unchecked) and not is_awaited() else info


def _current_head() -> Head:
    head: Head | None = context.current_request.get()
    if head is None:
        raise RuntimeError(
            "no request is handled here; call it in a handler, or in a test within wixhttp.testing.fake_caller"
        )
    return head


def _of(head: Head) -> TokenInfo:
    try:
        token = _bearer(head)
    except TokenRefused as error:
        logger.warning("the caller's token is not valid: %s", error)
        return REFUSED
    return VISITOR if token is None else _Unchecked(token, _config())


def _bearer(head: Head) -> str | None:
    value = (head.header("authorization") or "").strip(" \t")
    match = _BEARER.fullmatch(value)
    if match is not None:
        if len(match[1]) > MAX_TOKEN:
            raise TokenRefused(f"it is longer than {MAX_TOKEN} characters")
        return match[1]
    if value[:6].lower() == "bearer" and not value[6:7].isalnum():
        raise TokenRefused("the header Authorization is not 'Bearer' and one token")
    if _BEARER_BEHIND.search(value):
        raise TokenRefused("there are two headers Authorization")
    return None  # of another scheme, for the site itself


def _config() -> Config:
    config: Config | None = context.auth_settings.get()
    if config is None:
        config = config_to_open()
        open_later(config)  # or the files of the settings would be read with every token
    return config


@functools.lru_cache(maxsize=16)
def _warn_of_no_auth(root: object) -> None:
    logger.warning("a caller brought a token, and none counts: the setting auth is not there; it says whose do")


def _check(token: str, config: Config) -> TokenInfo:
    if config.auth is None:
        _warn_of_no_auth(config.root)
        return REFUSED
    try:
        return _told(config.auth, shared_verifier(config.auth, config.root).verify(token))
    except TokenRefused as error:
        logger.warning("the caller's token is not valid: %s", error)
        return REFUSED


def _told(config: AuthConfig, claims: Mapping[str, Any]) -> TokenInfo:
    said: dict[str, Any] = {}
    for member, names in config.claims:
        values = (claims.get(name) for name in names)
        texts = (str(each) for each in values if isinstance(each, str | int) and not isinstance(each, bool))
        said[member] = next(filter(None, texts), None)
    kind = config.subject_type or (said["subjectType"] or "").upper()
    if kind not in SUBJECT_TYPES:
        kind = "UNKNOWN"
    elif kind == "MEMBER" and said["subjectId"] is None:
        logger.warning("a token of a member has no id of the member; it counts as one of UNKNOWN")
        kind = "UNKNOWN"
    times = {name: None if claims.get(name) is None else int(claims[name]) for name in ("exp", "iat")}
    return TokenInfo(**{**said, **times, "active": True, "subjectType": kind})


def token_to_send() -> str | None:
    """The caller's token as it came; ``None`` for none. Raises as `current_caller`."""
    if context.current_caller.get() is not None and context.current_request.get() is None:
        return None
    try:
        return _bearer(_current_head())
    except TokenRefused:
        return None
