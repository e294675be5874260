"""The guard that verifies the sender of a request in front of its handler."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from wixhttp.errors import SecretNotFound
from wixhttp.guards import SENDER, CheckGuard, GuardedRequest
from wixhttp.http.response import Response
from wixhttp.measurements import counted
from wixhttp.secrets import getSecret

from .handshakes import challenge_answer, subscription_answer
from .keys import UnusableSecret, check_secret
from .message import SignedMessage
from .refusals import SECRET, UnverifiedSender
from .schemes import Scheme
from .verification import verify_message


class SenderGuard(CheckGuard):
    """The verification of a sender by a scheme and the secrets of those names, any of which may have signed."""

    place = SENDER
    blocks = False

    def __init__(self, scheme: Scheme, secret_names: Sequence[str]) -> None:
        self.scheme = scheme
        self.secret_names = tuple(secret_names)

    def check(self, request: GuardedRequest) -> Response | None:
        """See `Guard.check`: the answer to a handshake, ``None`` for a delivery that is verified.

        Raises:
            UnverifiedSender: 401.
        """
        message = SignedMessage(request.head.method, request.url, request.head.fields(), request.body)
        try:
            answer = self._answer(message, request)
        except UnverifiedSender:
            counted("webhook_verification", scheme=self.scheme.name, result="refused")
            raise
        counted("webhook_verification", scheme=self.scheme.name, result="accepted")
        return answer

    def _answer(self, message: SignedMessage, request: GuardedRequest) -> Response | None:
        scheme = self.scheme
        if scheme.handshake == "meta":
            names = [scheme.verify_token] if scheme.verify_token else []
            answer = subscription_answer(scheme, message, _found(names) if names else [])
            if answer is not None:
                return answer
        secrets = _found(self.secret_names)
        now = time.time()
        request.notes.webhook = verify_message(scheme, message, secrets, now)
        if not scheme.handshake:
            return None
        return challenge_answer(scheme, message, lambda: _signer(scheme, message, secrets, now))

    @property
    def has_ids(self) -> bool:
        """Return whether its deliveries have an id by which repeats are known."""
        scheme = self.scheme
        return bool(scheme.id_header or scheme.id_members or scheme.body == "jwt")

    def problems(self) -> Iterator[str]:
        """The secrets that it needs and that are missing or cannot be used, each with the way out."""
        if self.scheme.body == "jwt" and find_spec("jwt") is None:
            yield "the tokens of Wix need the extra auth; run: pip install 'wixhttp[auth]'"
            return
        for name in self.secret_names:
            try:
                check_secret(self.scheme, getSecret(name))
            except SecretNotFound as error:
                yield error.told
            except UnusableSecret as error:
                yield f"the secret {name!r} cannot be used: {error}"
        if self.scheme.verify_token:
            try:
                getSecret(self.scheme.verify_token)
            except SecretNotFound as error:
                yield error.told


def _found(names: Sequence[str]) -> list[str]:
    """The secrets of those names that are there.

    Raises:
        UnverifiedSender: none is.
    """
    found, missing = [], ""
    for name in names:
        try:
            found.append(getSecret(name))
        except SecretNotFound as error:
            missing = missing or error.told
    if not found:
        raise UnverifiedSender(SECRET, missing)
    return found  # type: ignore[return-value]  # they are texts


def _signer(scheme: Scheme, message: SignedMessage, secrets: Sequence[str], now: float) -> str:
    """The secret that a message is signed with: one of them has verified it."""
    for secret in secrets[:-1]:
        try:
            verify_message(scheme, message, [secret], now)
        except UnverifiedSender:
            continue
        return secret
    return secrets[-1]
