"""Verifiers of tokens: of a JWT by keys from a URL, a file or a secret, or by introspection at its issuer (RFC 7662).

PyJWT and requests are loaded when the first verifier is made.
"""

from __future__ import annotations

import functools
import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote_plus

from wixhttp.errors import ConfigError, SecretNotFound
from wixhttp.messages import brief
from wixhttp.project.auth_settings import AuthConfig
from wixhttp.secrets import getSecret

from .signing_keys import KeySource, RemoteKeySet, SharedSecret, SigningKey, TokenRefused, ask, read_keys

ANSWER_LIFE = 5.0  # seconds for which an answer about a token is cached
MAX_ANSWERS = 1024  # that are kept

_Clock = Callable[[], float]


class Verifier(Protocol):
    """A verifier of tokens. Threads share it."""

    def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a valid token.

        Raises:
            TokenRefused: it is not valid, or cannot be verified now.
            SecretNotFound: a secret that the setting names is not there.
            ConfigError: it is too short.
        """


def make_verifier(config: AuthConfig, root: Path, *, clock: _Clock = time.monotonic) -> Verifier:
    """The verifier for ``config``; a relative ``key_file`` is below ``root``.

    Raises:
        ProjectError: PyJWT or requests are not installed, or the key file cannot be used.
    """
    try:
        import cryptography as _crypto  # noqa: F401 - PyJWT itself says it is missing with the first token only
        import jwt as _jwt  # noqa: F401 - the same
        import requests as _requests  # noqa: F401 - the same
    except ImportError as error:
        raise ConfigError(f"auth is set, and {error.name} is not installed; run: pip install 'wixhttp[auth]'") from None
    if config.introspection_url is not None:
        return IntrospectionVerifier(config, clock)
    keys: KeySource
    if config.secret is not None:
        keys = SharedSecret(config.secret, config.algorithms)
    elif config.jwks_url is not None:
        keys = RemoteKeySet(config.jwks_url, config.algorithms, clock)
    else:
        keys = read_keys(root / str(config.key_file), config.algorithms)
    return JWTVerifier(config, keys)


def shared_verifier(config: AuthConfig, root: Path) -> Verifier:
    """The verifier of this process, with the keys and answers that it caches. Raises as `make_verifier`."""
    with _making:  # single-flight: lru_cache alone lets threads make one each, and fetch keys for each
        return _made(config, root)


_making = threading.Lock()
_made = functools.lru_cache(maxsize=16)(make_verifier)


class JWTVerifier:
    """Checks signature, issuer, audience and times of a JWT (RFC 7519; RFC 8725)."""

    def __init__(self, config: AuthConfig, keys: KeySource) -> None:
        self._config = config
        self._keys = keys

    def verify(self, token: str) -> Mapping[str, Any]:
        """See `Verifier.verify`."""
        import jwt

        config = self._config
        key = self._key(token)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                audience=list(config.audience),
                issuer=config.issuer,
                leeway=config.leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
            raise TokenRefused(f"{type(error).__name__}: {error}") from None
        _check_times(claims)
        return claims

    def _key(self, token: str) -> SigningKey:
        import jwt

        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise TokenRefused(f"it is no JWT: {error}") from None
        algorithm, name = header.get("alg"), header.get("kid")
        if algorithm not in self._config.algorithms:
            expected = ", ".join(self._config.algorithms)
            raise TokenRefused(f"its algorithm is {brief(algorithm)}, and {expected} is configured")
        if "crit" in header:  # RFC 7515, 4.1.11
            raise TokenRefused("it has critical extensions, which are not known here")
        if name is not None and not isinstance(name, str):
            raise TokenRefused("the name of its key (kid) is no text")
        return self._keys.find(name, str(algorithm))


# --- introspection ---------------------------------------------------------------------------------------------------


class IntrospectionVerifier:
    """Asks the issuer about each token (RFC 7662); an answer holds for `ANSWER_LIFE` seconds."""

    def __init__(self, config: AuthConfig, clock: _Clock) -> None:
        self._config = config
        self._clock = clock
        self._answers: OrderedDict[bytes, tuple[float, dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, token: str) -> Mapping[str, Any]:
        """See `Verifier.verify`."""
        digest = hashlib.sha256(token.encode()).digest()
        with self._lock:
            held = self._answers.get(digest)
        if held is not None and self._clock() < held[0]:
            return self._checked(held[1])
        answer = self._asked(token)
        with self._lock:
            self._answers[digest] = (self._clock() + ANSWER_LIFE, answer)
            self._answers.move_to_end(digest)
            while len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
        return self._checked(answer)

    def _asked(self, token: str) -> dict[str, Any]:
        config = self._config
        # Encoded as in forms: RFC 6749, 2.3.1.
        credentials = tuple(quote_plus(each) for each in (str(config.client_id), getSecret(str(config.client_secret))))
        form = {"token": token, "token_type_hint": "access_token"}
        answer = ask("POST", str(config.introspection_url), data=form, auth=credentials)
        if not isinstance(answer, dict) or not isinstance(answer.get("active"), bool):
            raise TokenRefused(f"{config.introspection_url} did not answer whether it is active")
        return answer

    def _checked(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, if the token is valid by it. A configured claim that it lacks makes it invalid."""
        config, now = self._config, time.time()
        if not answer["active"]:
            raise TokenRefused("its issuer says that it is not active")
        _check_times(answer)
        if answer.get("exp") is not None and not now - config.leeway < answer["exp"]:
            raise TokenRefused("it has expired")
        if answer.get("nbf") is not None and not answer["nbf"] <= now + config.leeway:
            raise TokenRefused("it is not valid yet")
        if config.issuer is not None and answer.get("iss") != config.issuer:
            raise TokenRefused("it is of another issuer")
        audience = answer.get("aud")
        if config.audience and not set(config.audience).intersection(
            each for each in (audience if isinstance(audience, list) else [audience]) if isinstance(each, str)
        ):
            raise TokenRefused("it is for another audience")
        return answer


def _check_times(claims: Mapping[str, Any]) -> None:
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) != math.inf
        if value is not None and not (is_number and value == value):  # NaN is not
            raise TokenRefused(f"its {name} is no number")


def check_auth(config: AuthConfig, root: Path) -> None:
    """See to it that tokens can be checked as ``config`` says: with the packages, keys and secrets that it takes.

    Raises:
        ProjectError: as `make_verifier`, or a secret is not there.
    """
    shared_verifier(config, root)
    for name in (config.secret, config.client_secret):
        if name is not None:
            try:
                getSecret(name)
            except SecretNotFound as error:
                raise ConfigError(f"auth: {error.told}") from None
