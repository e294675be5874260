"""The keys that secrets stand for: as text, in base64 or hexadecimal, for ed25519, or a public key in PEM."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .refusals import SECRET, UnverifiedSender
from .schemes import Scheme

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SYMMETRIC_PREFIX, PUBLIC_PREFIX, PRIVATE_PREFIX = "whsec_", "whpk_", "whsk_"
"""Prefixes of the keys of Standard Webhooks: a secret, and the two keys of ed25519."""

# The beginnings of the secrets of senders, in lower case; names of secrets have underscores, too, and other words.
_BEGINNINGS = ("whsec_", "whsk_", "whpk_", "sk_live_", "sk_test_", "rk_live_", "pdl_ntfset_", "shpss_", "-----begin ")
_HEXADECIMAL = frozenset("0123456789abcdef")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_Key = TypeVar("_Key")
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----")


class UnusableSecret(ValueError):
    """A secret that is no key of its scheme. The text holds no part of it."""


class SymmetricKey:
    """The key of an HMAC."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, scheme: Scheme, text: bytes, digest: str) -> str:
        """The signature of a text, encoded as the scheme has it."""
        return encoded(hmac.digest(self._key, text, digest), scheme.encoding)

    def has_signed(self, scheme: Scheme, text: bytes, digest: str, given: Sequence[str]) -> bool:
        """Return whether one of the signatures is that of a text. They are compared in constant time, as texts: there
        is one spelling of it. The text is read once, however many there are."""
        if not given:
            return False
        own = self.sign(scheme, text, digest)
        return any(hmac.compare_digest(own, each) for each in given)


class AsymmetricKey:
    """A public key of ed25519, or with ``private`` the one that signs."""

    __slots__ = ("_private", "_public")

    def __init__(self, public: Ed25519PublicKey, private: Ed25519PrivateKey | None = None) -> None:
        self._public = public
        self._private = private

    def sign(self, scheme: Scheme, text: bytes, digest: str) -> str:
        """The signature of a text in base64.

        Raises:
            UnusableSecret: it is the public key.
        """
        if self._private is None:
            raise UnusableSecret(f"it is a public key, {PUBLIC_PREFIX}..., which verifies; sign by {PRIVATE_PREFIX}...")
        return encoded(self._private.sign(text), scheme.encoding)

    def has_signed(self, scheme: Scheme, text: bytes, digest: str, given: Sequence[str]) -> bool:
        """Return whether one of the signatures is that of a text."""
        return any(self._is_signature(text, raw) for each in given if (raw := _from_base64(each)) is not None)

    def _is_signature(self, text: bytes, raw: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._public.verify(raw, text)
        except InvalidSignature:
            return False
        return True


def encoded(raw: bytes, encoding: str) -> str:
    """Bytes as a signature is written: ``hex``, ``base64`` or ``base64url``, the last without padding."""
    if encoding == "hex":
        return raw.hex()
    if encoding == "base64":
        return binascii.b2a_base64(raw, newline=False).decode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def key_of(scheme: Scheme, secret: str) -> SymmetricKey | AsymmetricKey:
    """The key that a secret stands for.

    Raises:
        UnusableSecret: it is empty, or not of the form that the scheme takes.
    """
    if not secret:
        raise UnusableSecret("it is empty; set it to the one that the sender shows")
    if scheme.key == "text":
        return SymmetricKey(secret.encode("utf-8", "surrogateescape"))
    if scheme.key == "hex":
        try:
            return SymmetricKey(binascii.unhexlify(secret.encode("utf-8", "surrogateescape")))
        except binascii.Error:
            raise UnusableSecret("it is not hexadecimal, an even number of the digits 0-9 and a-f") from None
    if scheme.key == "whsec" and secret.startswith((PUBLIC_PREFIX, PRIVATE_PREFIX)):
        return _asymmetric(secret)
    raw = _from_base64(secret.removeprefix(SYMMETRIC_PREFIX) if scheme.key == "whsec" else secret)
    if raw is None:
        before = f" behind {SYMMETRIC_PREFIX}" if scheme.key == "whsec" else ""
        raise UnusableSecret(f"it is not base64{before}: A-Z, a-z, 0-9, + and / alone, without blanks or line ends")
    return SymmetricKey(raw)


def check_secret(scheme: Scheme, secret: str) -> None:
    """Check that a secret has the form that the scheme takes.

    Raises:
        UnusableSecret: it has not.
    """
    if scheme.body == "jwt":
        public_key(secret)
    else:
        key_of(scheme, secret)


def usable_keys(secrets: Sequence[str], make: Callable[[str], _Key], kind: str) -> list[_Key]:
    """The keys that ``make`` makes of those secrets that are usable. ``kind`` is what the error calls them.

    Raises:
        UnverifiedSender: none is.
    """
    keys, reasons = [], []
    for secret in secrets:
        try:
            keys.append(make(secret))
        except UnusableSecret as error:
            reasons.append(str(error))
    if not keys:
        raise UnverifiedSender(SECRET, f"the {kind} cannot be used: {'; '.join(reasons) or 'there is none'}")
    return keys


def _from_base64(text: str) -> bytes | None:
    """The bytes of a text in base64, its padding left out or not; ``None`` where it is none, or not the one spelling
    of them."""
    if not _BASE64.fullmatch(text):
        return None
    bare = text.rstrip("=")
    try:
        raw = binascii.a2b_base64(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        return None
    return raw if encoded(raw, "base64").rstrip("=") == bare else None


@functools.lru_cache(maxsize=32)
def _asymmetric(secret: str) -> AsymmetricKey:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise UnusableSecret("keys of ed25519 need the extra auth; run: pip install 'wixhttp[auth]'") from None
    is_private = secret.startswith(PRIVATE_PREFIX)
    raw = _from_base64(secret[len(PRIVATE_PREFIX if is_private else PUBLIC_PREFIX) :]) or b""
    if is_private and len(raw) in (32, 64):  # the seed, and behind it the public key
        private = ed25519.Ed25519PrivateKey.from_private_bytes(raw[:32])
        return AsymmetricKey(private.public_key(), private)
    if is_private or len(raw) != 32:
        raise UnusableSecret(f"it is not a key of ed25519 in base64 behind {PUBLIC_PREFIX}")
    try:
        return AsymmetricKey(ed25519.Ed25519PublicKey.from_public_bytes(raw))
    except ValueError:
        raise UnusableSecret("it is not a public key of ed25519") from None


@functools.lru_cache(maxsize=32)
def public_key(pem: str) -> Any:
    """The RSA key in a text in PEM, whose line ends may be written ``\\n``.

    Raises:
        UnusableSecret: it is none, or one of less than 2048 bits (RFC 7518, 3.3).
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise UnusableSecret("the keys of Wix need the extra auth; run: pip install 'wixhttp[auth]'") from None
    text = pem.replace("\\n", "\n")
    if not _PEM.match(text.lstrip()):
        raise UnusableSecret("it is no public key in PEM; copy it from -----BEGIN to -----END, both included")
    try:
        key = load_pem_public_key(text.strip().encode("utf-8", "surrogateescape"))
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableSecret("its text between BEGIN and END is no public key; copy it whole") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise UnusableSecret("it is no key of RSA with 2048 bits or more, which RS256 takes")
    return key


def looks_secret(name: str) -> bool:
    """Return whether what should be the name of a secret looks like a secret of a sender itself.

    >>> looks_secret("whsec_MfKQ9r8G"), looks_secret("STRIPE_SECRET"), looks_secret("0123456789abcdef" * 2)
    (True, False, True)
    """
    lower = name.lower()
    return lower.startswith(_BEGINNINGS) or (len(name) >= 32 and _HEXADECIMAL.issuperset(lower))


def digest_of(body: bytes) -> str:
    """The SHA-256 of a body in hexadecimal."""
    return hashlib.sha256(body).hexdigest()
