"""The verification of Wix's webhooks, whose body is a JWT by RS256 (RFC 7519), by PyJWT of the extra ``auth``.

https://dev.wix.com/docs/build-apps/develop-your-app/api-integrations/events-and-webhooks/about-webhooks
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from wixhttp.errors import InvalidJSON
from wixhttp.http.json_codec import decode_json

from .keys import public_key, usable_keys
from .message import SignedMessage, member
from .refusals import ENCODING, SECRET, SIGNATURE, TIMESTAMP, UnverifiedSender
from .schemes import Scheme
from .webhook import Webhook

# Times are checked by the caller, at its time.
_OPTIONS: Any = dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"), False)
_TOKEN = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def verify_token(scheme: Scheme, message: SignedMessage, secrets: Sequence[str], now: float) -> Webhook:
    """Verify a body that is a token by one of the public keys ``secrets``.

    Raises:
        UnverifiedSender: 401, whatever is wrong.
    """
    body = message.body
    signature = body.rpartition(b".")[2]
    # Each byte counts: of the last letter of a signature some bits are unused, which a decoder passes over.
    if not _TOKEN.fullmatch(body) or _respelled(signature) != signature:
        raise UnverifiedSender(ENCODING, "the body is no token: three parts of base64url with points between them")
    claims = _claims(body.decode(), usable_keys(secrets, public_key, "public key"))
    expires, begins = claims.get("exp"), claims.get("nbf")
    if not _is_time(expires):
        raise UnverifiedSender(TIMESTAMP, "the token has no time at which it expires (exp)")
    if now > expires + (scheme.tolerance or 0.0):
        raise UnverifiedSender(TIMESTAMP, f"the token has expired {now - expires:.0f} s ago")
    if begins is not None and (not _is_time(begins) or now < begins - (scheme.tolerance or 0.0)):
        raise UnverifiedSender(TIMESTAMP, "the token is not valid yet (nbf)")
    issued = claims.get("iat")
    payload = _decoded(claims.get("data"))
    if isinstance(payload, dict):
        payload = {**payload, **{key: _decoded(payload[key]) for key in ("data", "identity") if key in payload}}
    return Webhook(
        member(claims, "jti") or member(payload, "data.id"),
        int(issued) if _is_time(issued) else None,
        member(payload, "eventType"),
        payload,
    )


def _respelled(signature: bytes) -> bytes:
    try:
        return base64.urlsafe_b64encode(base64.urlsafe_b64decode(signature + b"=" * (-len(signature) % 4))).rstrip(b"=")
    except ValueError:
        return b""


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def _claims(token: str, keys: list[Any]) -> Mapping[str, Any]:
    try:
        import jwt
    except ImportError:
        reason = "the tokens of Wix need the extra auth; run: pip install 'wixhttp[auth]'"
        raise UnverifiedSender(SECRET, reason) from None
    reason = ""
    for key in keys:
        try:
            claims: Mapping[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=_OPTIONS)
            return claims
        except jwt.InvalidSignatureError:
            reason = reason or "the signature is not that of this token by this key"
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise UnverifiedSender(ENCODING, f"the token cannot be read: {error}") from None
    raise UnverifiedSender(SIGNATURE, reason)


def _decoded(value: Any) -> Any:
    """The value of a text in JSON; any other value as it is."""
    if isinstance(value, str):
        try:
            return decode_json(value.encode("utf-8", "surrogatepass"))
        except InvalidJSON:
            return value
    return value
