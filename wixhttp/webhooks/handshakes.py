"""The answers to the requests by which senders ask whether a URL is the right one, in place of the handler."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence

from wixhttp.http.response import Response
from wixhttp.http.url import query_pairs

from .message import SignedMessage, member
from .refusals import BODY, HEADERS, SECRET, UnverifiedSender
from .schemes import Scheme

_CHALLENGE = re.compile(r"[A-Za-z0-9._~=+/-]{1,512}")
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


def subscription_answer(scheme: Scheme, message: SignedMessage, tokens: Sequence[str]) -> Response | None:
    """The answer to Meta's GET with ``hub.challenge``; ``None`` where the request is none of that kind. It is not
    signed: the token shows who asks.

    Raises:
        UnverifiedSender: the token is not the right one.
    """
    if scheme.handshake != "meta" or message.method not in ("GET", "HEAD"):
        return None
    pairs = query_pairs(message.url.partition("?")[2])
    given = {key: value for key, value in pairs if key.startswith("hub.")}
    if given.get("hub.mode") != "subscribe" or len(given) != sum(key.startswith("hub.") for key, _ in pairs):
        raise UnverifiedSender(
            HEADERS, "a GET of Meta has hub.mode=subscribe, hub.verify_token and hub.challenge, once"
        )
    if not any(tokens):
        raise UnverifiedSender(SECRET, "Meta asks with a verify token; say which: @verified(..., verify_token=NAME)")
    token = given.get("hub.verify_token", "").encode()
    known = False
    for each in tokens:
        known |= bool(each) and hmac.compare_digest(each.encode("utf-8", "surrogateescape"), token)
    if not known:
        raise UnverifiedSender(SECRET, "hub.verify_token is not the secret that verify_token= names")
    challenge = given.get("hub.challenge", "")
    if not _CHALLENGE.fullmatch(challenge):
        raise UnverifiedSender(BODY, "hub.challenge is missing, or is no word of up to 512 letters")
    return Response(200, challenge, _TEXT)


def challenge_answer(scheme: Scheme, message: SignedMessage, signer: Callable[[], str]) -> Response | None:
    """The answer to the question of a sender that is verified; ``None`` where the request is a delivery. ``signer``
    gives the secret that it has signed with."""
    if scheme.handshake == "slack" and b"url_verification" in message.body:
        asked = message.json()
        challenge = member(asked, "challenge")
        if member(asked, "type") == "url_verification" and challenge is not None:
            return Response(200, challenge, _TEXT)
    elif scheme.handshake == "zoom" and b"endpoint.url_validation" in message.body:
        asked = message.json()
        token = member(asked, "payload.plainToken")
        if member(asked, "event") == "endpoint.url_validation" and token is not None:
            key = signer().encode("utf-8", "surrogateescape")
            mac = hmac.digest(key, token.encode("utf-8", "surrogatepass"), "sha256").hex()
            return Response(200, {"plainToken": token, "encryptedToken": mac})
    return None
