"""``@once``: each delivery is handled once, and a repeat gets the answer of the first."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from wixhttp.data.collections import current
from wixhttp.errors import HTTPError, ProjectError, StoreUnavailable
from wixhttp.guards import ONCE, Guard, GuardedRequest, NotYet, made_key
from wixhttp.http.policy import note_guard, parse_duration, parse_seconds
from wixhttp.http.response import Response
from wixhttp.measurements import counted
from wixhttp.project.signatures import is_async_callable
from wixhttp.public_calls import explained, named

from .once_answers import KeptAnswer, asks_for_another
from .once_claims import TOO_LATE, Claim, Claims, OtherContent, claims_of
from .sender_guard import SenderGuard

F = TypeVar("F", bound=Callable[..., Any])
KEEP = "7d"
WAIT = 10.0
_RETRY_AFTER = "5"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds between two looks whether the first one is done
_SPARE = 0.25  # seconds of a handler's time that are left for the answer

logger = logging.getLogger("wixhttp")


class Delivery:
    """A request that is handled once: its ``id``, the ``mark`` of its content, and the claim of this process on it,
    ``None`` where it has none. ``looks`` counts how often it found another one at it."""

    __slots__ = ("claim", "claims", "id", "looks", "mark")

    def __init__(self, claims: Claims, id: str, mark: str) -> None:
        self.claims = claims
        self.id = id
        self.mark = mark
        self.claim: Claim | None = None
        self.looks = 0


class OnceGuard:
    """Lets a delivery pass once, and answers its repeats. ``key_of`` gives its key and the digest of its content;
    ``None``: it is not of this kind. ``keep`` and ``wait`` are in seconds.

    ``needs_sender``: the key is the id of a verified delivery. ``needs_header``: there is none without the header
    ``Idempotency-Key``; ``None``: that is not read. ``sends_status``: a repeat of a request whose answer cannot be kept
    gets its status alone, which is all that the sender of a webhook reads; else it is refused (409).
    """

    place = ONCE
    blocks = blocks_leaving = True

    def __init__(
        self,
        key_of: Callable[[GuardedRequest], tuple[str, str] | None],
        keep: float,
        wait: float,
        *,
        needs_sender: bool,
        needs_header: bool | None,
        sends_status: bool,
    ) -> None:
        self.needs_header = needs_header
        self.needs_sender = needs_sender
        self._key_of = key_of
        self._keep = keep
        self._wait = wait
        self._sends_status = sends_status
        self._warned: set[str] = set()

    def check(self, request: GuardedRequest) -> Response | None:
        delivery: Delivery | None = request.kept.get(Delivery) or self._delivery(request)
        if delivery is None:
            return None
        request.kept[Delivery] = delivery
        try:
            found = delivery.claims.begin(delivery.id, delivery.mark, self._keep)
        except OtherContent:
            counted("once", result="other")
            raise HTTPError(
                422, "Another request was sent with this key.", reason=f"{request.name}: a key is used for two requests"
            ) from None
        if found is None:
            self._wait_for_other(request, delivery)
        elif isinstance(found, Claim):
            counted("once", result="first")
            delivery.claim = found
        else:
            counted("once", result="repeat")
            return self._again(request, found)
        return None

    def _delivery(self, request: GuardedRequest) -> Delivery | None:
        named = self._key_of(request)
        if named is None:
            return None
        key, mark = named
        digest = hashlib.sha256(json.dumps([request.unique_name, key]).encode("utf-8", "surrogatepass"))
        return Delivery(claims_of(current().store), digest.hexdigest(), mark)

    def _wait_for_other(self, request: GuardedRequest, delivery: Delivery) -> NoReturn:
        left = min(self._wait - (time.monotonic() - request.began), request.seconds_left - _SPARE)
        if left <= 0:
            counted("once", result="busy")
            raise HTTPError(
                409,
                "The same request is being handled. Try again later.",
                headers={"Retry-After": _RETRY_AFTER},
                reason=f"{request.name}: the first of two equal requests is still handled",
            )
        pause = min(_FIRST_PAUSE * 2**delivery.looks, _LONGEST_PAUSE)
        delivery.looks = min(delivery.looks + 1, 10)
        raise NotYet(min(left, pause * random.uniform(0.75, 1.25)))  # noqa: S311 - apart from the others, no secret

    def _again(self, request: GuardedRequest, answer: KeptAnswer) -> Response:
        if answer.body is None and not self._sends_status:
            raise HTTPError(409, "This request was handled, and its answer is not kept.")
        logger.info("%s: a repeat gets the answer of the first", request.name)
        return answer.response()

    def leave(self, request: GuardedRequest, response: Response) -> Response:
        delivery: Delivery | None = request.kept.get(Delivery)
        if delivery is None or delivery.claim is None:
            return response
        if asks_for_another(response):
            self._release(request)
            return response
        answer = KeptAnswer.of(response)
        if answer.body is None and request.name not in self._warned:
            self._warned.add(request.name)
            repeat = "gets its status alone" if self._sends_status else "is refused (409)"
            logger.warning(
                "%s: an answer that is streamed, or longer than 1 MB, is not kept: a repeat %s", request.name, repeat
            )
        if not delivery.claims.finish(delivery.claim, answer):
            logger.warning("%s: %s", request.name, TOO_LATE)
        return response

    def fail(self, request: GuardedRequest, error: BaseException) -> None:
        self._release(request)

    def _release(self, request: GuardedRequest) -> None:
        delivery: Delivery | None = request.kept.get(Delivery)
        claim = None if delivery is None else delivery.claim
        if delivery is None or claim is None:
            return
        delivery.claim = None
        counted("once", result="released")
        try:
            delivery.claims.release(claim)
        except StoreUnavailable as error:
            logger.error(
                "%s: other processes wait until the lease of a failed delivery is over: %s", request.name, error
            )


@explained("once()")
def once(
    *misplaced: NoReturn,
    key: Callable[[Any], object] | None = None,
    keep: float | str = KEEP,
    wait: float = WAIT,
) -> Callable[[F], F]:
    """A decorator that handles each delivery of a webhook once: ``@once()`` beside ``@verified(...)``.

    The first one runs the handler. A repeat within ``keep`` (seconds, or text such as ``"7d"``, the default) gets the
    answer of the first, status, headers and body, and runs nothing. Of two at the same time the second waits for the
    first, at most ``wait`` seconds (409 with ``Retry-After`` then). A handler that raises, or answers 5xx, 408, 425 or
    429, has not handled it: the next one runs. So has one whose process was killed.

    Deliveries are told apart by ``request.webhook.id``, or by ``key``: a ``def`` that takes the request and returns the
    text or the whole number that names it. One without is refused (400). They are those of one handler: another one
    handles them, too. An answer that is streamed, or longer than 1 MB, is not kept: a repeat gets its status alone.

    Raises:
        ValueError: ``keep`` or ``wait`` is out of range, at once.
        TypeError: ``key`` is no ``def``; the decorator is written without parentheses.
    """
    if misplaced:
        raise TypeError(f"once takes keywords only, not {named(misplaced[0])}; write @once() or @once(key=...)")
    if key is not None and (not callable(key) or is_async_callable(key)):
        raise TypeError(f"@once: key is a def that takes the request, not {named(key)}; write key=lambda request: ...")
    seconds, most = parse_duration(keep, "@once: keep"), parse_seconds(wait, "@once: wait", "not at all")

    def key_of(request: GuardedRequest) -> tuple[str, str]:
        if key is not None:
            named = made_key(key, request, f"{request.name}: key= of @once")
            if named is None:
                reason = f"{request.name}: key= of @once gave None, or an empty text"
                raise HTTPError(400, "The request does not say which one it is.", reason=reason)
            return named, ""
        webhook = request.notes.webhook
        if webhook is None:
            raise HTTPError(
                500, "", reason=f"{request.name}: @once() has no key; add @verified(...), or write @once(key=...)"
            )
        if not webhook.id:
            raise HTTPError(
                400,
                "The delivery has no id.",
                reason=f"{request.name}: the delivery has no webhook.id; senders without one need @once(key=...)",
            )
        return webhook.id, ""

    guard = OnceGuard(key_of, seconds, most, needs_sender=key is None, needs_header=None, sends_status=True)
    return lambda function: note_guard(guard, function)


def check_keys(handlers: Iterable[tuple[str, str, Sequence[Guard]]]) -> None:
    """Check that deliveries can be told apart: place, name and guards of each handler of a site are given.

    Raises:
        ProjectError: ``@once()`` stands where no sender is verified, or one whose deliveries have no id.
    """
    for place, name, guards in handlers:
        if not any(isinstance(guard, OnceGuard) and guard.needs_sender for guard in guards):
            continue
        senders = [guard for guard in guards if isinstance(guard, SenderGuard)]
        if not senders:
            raise ProjectError(
                f"{place}: @once() of {name} has no key: add @verified(...), whose deliveries have an id, or write"
                " @once(key=lambda request: ...)"
            )
        for sender in senders:
            if not sender.has_ids:
                raise ProjectError(
                    f"{place}: @once() of {name} has no key: deliveries by the scheme {sender.scheme.name!r} have no"
                    " id; write @once(key=lambda request: ...)"
                )
