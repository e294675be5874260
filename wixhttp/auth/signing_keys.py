"""The keys that tokens are signed with: of an issuer's JWK Set (RFC 7517), of a file, or a secret.

PyJWT, cryptography and requests are loaded when they are used.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wixhttp.errors import ConfigError, ProjectError
from wixhttp.messages import brief
from wixhttp.secrets import getSecret

logger = logging.getLogger("wixhttp")

TIMEOUT = 5.0  # seconds for an answer of the issuer
MAX_ANSWER = 1 << 20  # bytes of it
KEYS_LIFE = 600.0  # seconds after which keys are fetched again
SEARCH_PAUSE = 10.0  # seconds between two searches for unknown keys: anybody can make up a kid
SEARCH_WAIT = 1.0  # seconds from the beginning of a search for which other threads wait for its keys
RETRY_PAUSE = 5.0  # seconds after which an issuer that did not answer is asked again

_LEAST_RSA_BITS = 2048  # RFC 7518, 3.3
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")  # the members of a public JWK


class TokenRefused(Exception):
    """A token that is not valid. The text is the reason, and holds no part of the token that could be used."""


class SigningKey(NamedTuple):
    """A public key, or a secret; ``algorithms`` are the configured ones that it can be used with."""

    name: str | None
    key: Any
    algorithms: tuple[str, ...]


class KeySource(Protocol):
    """The source of a `JWTVerifier`'s keys: a secret, a file, or the issuer's JWK Set."""

    def find(self, name: str | None, algorithm: str) -> SigningKey:
        """The key that a token names, ``None`` for no name, for an algorithm.

        Raises:
            TokenRefused: there is none, or the issuer cannot be asked.
            SecretNotFound: it is a secret, which is not there.
            ConfigError: it is too short for the algorithm (RFC 7518, 3.2).
        """


class SharedSecret:
    """A secret as the key, read with every token: it may change."""

    def __init__(self, name: str, algorithms: tuple[str, ...]) -> None:
        self._name = name
        self._algorithms = algorithms

    def find(self, name: str | None, algorithm: str) -> SigningKey:
        """See `KeySource.find`."""
        secret = getSecret(self._name)
        least = int(algorithm[2:]) // 8
        if len(secret.encode()) < least:
            raise ConfigError(f"auth.secret: {self._name} has less than {least} bytes, too few for {algorithm}")
        return SigningKey(None, str(secret), self._algorithms)


class FixedKeySet:
    """Keys that do not change: of a file."""

    def __init__(self, keys: list[SigningKey]) -> None:
        self._keys = keys

    def find(self, name: str | None, algorithm: str) -> SigningKey:
        """See `KeySource.find`."""
        found = choose(self._keys, name, algorithm)
        if found is None:
            raise _unknown(name, algorithm)
        return found


class RemoteKeySet:
    """The keys of an issuer (RFC 7517, a JWK Set), fetched when they are needed, and kept.

    A key that is not known is searched for at once, then at most every `SEARCH_PAUSE` seconds (back-off: anybody can
    make up a key's name). Stale keys stay in use while others are fetched, or cannot be.

    One thread fetches at a time (single-flight). A token with an unknown key that comes meanwhile waits for that fetch,
    until `SEARCH_WAIT` seconds after it began; then, or at once if that is over, it is refused. So the first tokens
    after a rotation of the keys are accepted, since issuers answer sooner; and with a slow issuer made-up names block
    one thread until it answers, and others for at most one second of that. A valid token that is refused because a
    slow issuer has new keys is accepted with the next attempt.
    """

    def __init__(self, url: str, algorithms: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._url = url
        self._algorithms = algorithms
        self._clock = clock
        self._fetching = threading.Lock()
        self._keys: list[SigningKey] = []
        self._failure = ""
        self._begun: float | None = None  # when the fetch that is under way began
        self._old_at = self._search_at = self._retry_at = -math.inf

    def find(self, name: str | None, algorithm: str) -> SigningKey:
        """See `KeySource.find`."""
        keys = self._kept()
        found = choose(keys, name, algorithm) or choose(self._searched(keys), name, algorithm)
        if found is None:
            raise _unknown(name, algorithm)
        return found

    def _kept(self) -> list[SigningKey]:
        if self._clock() < self._old_at:
            return self._keys
        # Single-flight: without any keys, wait for those that another thread fetches; else use the stale ones.
        if self._fetching.acquire(blocking=not self._keys):
            try:
                if self._clock() >= self._old_at:
                    self._fetch()
            finally:
                self._fetching.release()
        if not self._keys:
            raise TokenRefused(f"there are no keys: {self._failure}")
        return self._keys

    def _searched(self, known: list[SigningKey]) -> list[SigningKey]:
        begun = self._begun
        waited = 0.0 if begun is None else self._clock() - begun
        if self._fetching.acquire(timeout=max(SEARCH_WAIT - waited, 0)):
            try:
                if self._keys is known and self._clock() >= self._search_at:
                    self._search_at = self._clock() + SEARCH_PAUSE
                    self._fetch()
            finally:
                self._fetching.release()
        return self._keys

    def _fetch(self) -> None:
        now = self._clock()
        if now < self._retry_at:
            return
        self._begun = now
        try:
            self._keys = parse_keys(ask("GET", self._url), self._algorithms, self._url)
            self._old_at = self._clock() + KEYS_LIFE
        except TokenRefused as error:
            self._failure = str(error)
            self._retry_at = self._clock() + RETRY_PAUSE
            if self._keys:
                logger.warning("the keys that are known stay in use: %s", error)
        finally:
            self._begun = None


def _unknown(name: str | None, algorithm: str) -> TokenRefused:
    if name is None:
        return TokenRefused(f"it names no key (kid), and not one alone is for {algorithm}")
    return TokenRefused(f"there is no key {brief(name)} for {algorithm}")


def choose(keys: list[SigningKey], name: str | None, algorithm: str) -> SigningKey | None:
    """The key of that name; without a name, the only one there is for the algorithm."""
    fitting = [each for each in keys if algorithm in each.algorithms]
    if name is None:
        return fitting[0] if len(fitting) == 1 else None
    return next((each for each in fitting if each.name == name), None)


def parse_keys(value: object, algorithms: tuple[str, ...], where: str) -> list[SigningKey]:
    """The keys of a JWK Set that sign by one of ``algorithms``. Symmetric, weak, private and unknown ones are left out.

    Raises:
        TokenRefused: it is no JWK Set, or there is no such key. The message begins with ``where``.
    """
    listed = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise TokenRefused(f"{where} has no JWK Set")
    keys = [key for each in listed if isinstance(each, dict) and (key := _public_key(each, algorithms)) is not None]
    if not keys:
        raise TokenRefused(f"{where} has no key for {', '.join(algorithms)}")
    return keys


def _public_key(member: dict[str, Any], algorithms: tuple[str, ...]) -> SigningKey | None:
    import jwt

    operations = member.get("key_ops")
    if member.get("use") not in (None, "sig") or (isinstance(operations, list) and "verify" not in operations):
        return None
    fitting = tuple(
        each
        for each in algorithms
        if member.get("alg") in (None, each) and _fits(member.get("kty"), member.get("crv"), each)
    )
    if not fitting:
        return None
    try:
        key = jwt.PyJWK({name: member[name] for name in _PUBLIC if name in member}, fitting[0]).key
    except (jwt.PyJWTError, TypeError, ValueError):
        return None
    if getattr(key, "key_size", _LEAST_RSA_BITS) < _LEAST_RSA_BITS and member.get("kty") == "RSA":
        return None
    name = member.get("kid")
    return SigningKey(name if isinstance(name, str) else None, key, fitting)


def _fits(kind: object, curve: object, algorithm: str) -> bool:
    if algorithm == "EdDSA":
        return kind == "OKP" and curve in ("Ed25519", "Ed448")
    if algorithm in _CURVES:
        return kind == "EC" and curve == _CURVES[algorithm]
    return kind == "RSA" and algorithm[:2] in ("RS", "PS")


def read_keys(path: Path, algorithms: tuple[str, ...]) -> KeySource:
    """The keys of a file: a JWK Set in JSON, or one public key or certificate in PEM, which is that of every token.

    Raises:
        ProjectError: the file cannot be read, or has no such key.
    """
    try:
        data = path.read_bytes()
        if data.lstrip()[:1] == b"{":
            return FixedKeySet(parse_keys(json.loads(data), algorithms, str(path)))
        return SingleKey(_pem_key(data, algorithms, str(path)))
    except OSError as error:
        reason = error.strerror
    except (TokenRefused, ValueError) as error:
        # Not the text of a ValueError: it may quote the file.
        reason = str(error) if isinstance(error, TokenRefused) else "it is neither a JWK Set nor a public key in PEM"
    raise ProjectError(f"auth.key_file: {str(path)!r} cannot be used: {reason}; save the issuer's public key there")


class SingleKey:
    """The key of every token, whatever name the token has for it."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    def find(self, name: str | None, algorithm: str) -> SigningKey:
        """See `KeySource.find`."""
        if algorithm not in self._key.algorithms:
            raise TokenRefused(f"the key is not one for {algorithm}")
        return self._key


def _pem_key(data: bytes, algorithms: tuple[str, ...], where: str) -> SigningKey:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    is_certificate = b"-----BEGIN CERTIFICATE-----" in data
    key = x509.load_pem_x509_certificate(data).public_key() if is_certificate else load_pem_public_key(data)
    kind = curve = None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        kind = "RSA"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        kind, curve = "EC", {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(key.curve.name)
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        kind, curve = "OKP", "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "Ed448"
    fitting = tuple(each for each in algorithms if _fits(kind, curve, each))
    if not fitting:
        raise TokenRefused(f"{where} has no key for {', '.join(algorithms)}")
    return SigningKey(None, key, fitting)


def unrelayed(url: str) -> dict[str, Any]:
    """Options of requests with which what is sent to this machine without TLS does not leave it by a proxy."""
    return {} if url[:6].lower() == "https:" else {"proxies": {"http": "", "all": ""}}


def ask(method: str, url: str, **options: Any) -> Any:
    """The JSON that the issuer answers. Redirects are not followed: they might lead where others can listen.

    Raises:
        TokenRefused: it does not answer, not with 200, or not with JSON.
    """
    import requests

    deadline = time.monotonic() + TIMEOUT
    options |= {"timeout": TIMEOUT, "stream": True, "allow_redirects": False, "headers": {"Accept": "application/json"}}
    options |= unrelayed(url)
    body = b""
    try:
        with requests.request(method, url, **options) as response:  # noqa: S113 - the timeout is among the options
            if response.status_code != 200:
                raise TokenRefused(f"{url} answered with status {response.status_code}")
            for chunk in response.iter_content(8192):
                body += chunk
                if len(body) > MAX_ANSWER or time.monotonic() > deadline:
                    raise TokenRefused(f"{url} answered too much, or too slowly")
        return json.loads(body)
    except requests.RequestException as error:
        raise TokenRefused(f"{url} cannot be asked: {type(error).__name__}") from None
    except (ValueError, RecursionError):
        raise TokenRefused(f"{url} answered with what is no JSON") from None
