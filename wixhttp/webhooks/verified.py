"""``verify`` and ``@verified``: the sender of a webhook, by its scheme and a secret."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from wixhttp.http.policy import check_origin, note_guard, policy_of
from wixhttp.http.request import AsyncRequest, Request
from wixhttp.http.request_head import Head, Notes
from wixhttp.logs.masking import mask_with
from wixhttp.messages import brief
from wixhttp.promises import Promise, Reading
from wixhttp.public_calls import explained

from .keys import looks_secret
from .message import SignedMessage
from .schemes import OPTIONS, Scheme, scheme_of
from .sender_guard import SenderGuard
from .verification import verify_message
from .webhook import Webhook

if TYPE_CHECKING:  # a site without endpoints does not load them
    from wixhttp.endpoints.web.request import AsyncRequest as AsyncWebRequest
    from wixhttp.endpoints.web.request import Request as WebRequest

F = TypeVar("F", bound=Callable[..., Any])


@explained('verified("stripe", secret="NAME")')
def verified(
    scheme: str,
    *misplaced: NoReturn,
    secret: str | Sequence[str] | None = None,
    tolerance: float | None = None,
    url: str | None = None,
    verify_token: str | None = None,
    header: str | None = None,
    signed: str | None = None,
    prefix: str | None = None,
    separator: str | None = None,
    timestamp_prefix: str | None = None,
    timestamp_header: str | None = None,
    digest: str | None = None,
    encoding: str | None = None,
    key: str | None = None,
    id_header: str | None = None,
    event_header: str | None = None,
) -> Callable[[F], F]:
    """A decorator that lets in requests of one sender of webhooks alone: ``@verified("github", secret="NAME")``.

    ``scheme`` is ``"standard"``, ``"stripe"``, ``"github"``, ``"slack"``, ``"shopify"``, ``"twilio"``, ``"paddle"``,
    ``"zoom"``, ``"meta"``, ``"wix"`` or ``"hmac"``. ``secret`` is the name of the secret, as in `getSecret`; of a list
    each may have signed, so that secrets can be rotated. ``tolerance`` is the greatest age of a signature, in seconds.

    All others are answered 401, and the reason is in the log alone. The handler has ``request.webhook``, a `Webhook`.
    The questions of Slack (``url_verification``), Zoom (``endpoint.url_validation``) and Meta (``hub.challenge``, by
    GET, with the secret that ``verify_token`` names) are answered in place of the handler. Of an endpoint the check of
    the origin (CSRF) is left out, unless a decorator asks for it.

    ``url`` is for ``"twilio"``: the public URL that it was given, where the server cannot know it. All further ones are
    for ``"hmac"``: ``header`` has the signature, behind ``prefix``; ``signed`` is the text that is signed, with
    ``{body}``, ``{timestamp}``, ``{id}``, ``{method}`` and ``{url}``; ``digest`` is ``"sha256"``, ``"sha1"``,
    ``"sha384"`` or ``"sha512"``; ``encoding`` ``"hex"``, ``"base64"`` or ``"base64url"``; ``key`` the form of the
    secret, ``"text"``, ``"hex"`` or ``"base64"``. Where the timestamp stands in a header of its own, that is
    ``timestamp_header``; where it stands beside the signatures (``t=1,v1=...``), ``separator`` stands between them and
    ``timestamp_prefix`` before it.

    Raises:
        ValueError: there is no such scheme, or an option has a value that it cannot have, at once; ``secret`` is not
            the name of a secret, but looks like one itself.
        TypeError: there is no such option, or the name of the secret is missing.
    """
    _check_call("verified", misplaced)
    options = {
        "url": url, "verify_token": verify_token, "header": header, "signed": signed, "prefix": prefix,
        "separator": separator, "timestamp_prefix": timestamp_prefix, "timestamp_header": timestamp_header,
        "digest": digest, "encoding": encoding, "key": key, "id_header": id_header, "event_header": event_header,
    }  # fmt: skip
    names = _texts(secret, "the name of the secret")
    if "" in names:
        raise ValueError('secret is the name of a secret, not an empty text; write secret="NAME"')
    for key, name in (*(("secret", each) for each in names), ("verify_token", verify_token or "")):
        if looks_secret(name):
            mask_with(lambda text, secret=name: text.replace(secret, "***"))  # type: ignore[misc]  # not told by name
            raise ValueError(
                f"{key}= takes the name of a secret, and this looks like the secret itself ({name[:6]}***); store it, "
                f'wixhttp secrets set NAME, and write {key}="NAME"'
            )
    guard = SenderGuard(scheme_of(scheme, tolerance, **options), names)

    def note(function: F) -> F:
        if policy_of(function).check_origin is None:
            check_origin(False)(function)  # the signature says more than the origin, which senders have none of
        return note_guard(guard, function)

    return note


@overload
def verify(
    request: Request | WebRequest,
    scheme: str,
    *,
    secret: str | Sequence[str],
    now: float | None = None,
    tolerance: float | None = None,
    **options: str | None,
) -> Webhook: ...
@overload
def verify(
    request: AsyncRequest | AsyncWebRequest,
    scheme: str,
    *,
    secret: str | Sequence[str],
    now: float | None = None,
    tolerance: float | None = None,
    **options: str | None,
) -> Promise[Webhook]: ...
@explained(more=OPTIONS)
def verify(
    request: Any,
    scheme: str,
    *misplaced: NoReturn,
    secret: str | Sequence[str] | None = None,
    now: float | None = None,
    tolerance: float | None = None,
    **options: Any,
) -> Any:
    """Verify the sender of a request by the ``secret`` itself, and return its `Webhook`, which is ``request.webhook``
    from then on. In an ``async def`` it is awaited.

    ``now`` is the time in seconds since the epoch, for tests; the clock's where it is ``None``. All else is as in
    `verified`. Of an endpoint's request the body can be read afterwards, and must not have been before.

    Raises:
        HTTPError: 401, the sender is not verified; ``reason`` says why. Not caught by the handler, it is the answer.
        ValueError: there is no such scheme, or an option has a value that it cannot have.
        TypeError: there is no such option, the secret is missing, or this is no request.
        BodyAlreadyUsed: the body of an endpoint's request was read before.
    """
    _check_call("verify", misplaced)
    chosen = scheme_of(scheme, tolerance, **options)
    secrets = _texts(secret, "the secret")
    if now is not None and (isinstance(now, bool) or not isinstance(now, int | float)):
        raise TypeError(f"now is a number of seconds since the epoch, not {brief(now)}")
    if isinstance(request, Request | AsyncRequest):
        head = request._head
        message = SignedMessage(head.method, request.url, head.fields(), request._body.buffer())
        if isinstance(request, Request):
            return _verified_now(chosen, message, secrets, now, head)
        return Reading("verify()", lambda: _verified_now(chosen, message, secrets, now, head))
    from wixhttp.endpoints.web.request import AsyncRequest as AsyncWebRequest
    from wixhttp.endpoints.web.request import Request as WebRequest

    if isinstance(request, WebRequest):
        return _verified_now(chosen, _of_web(request, request.clone().bytes()), secrets, now, request._head)
    if isinstance(request, AsyncWebRequest):
        copy = request.clone()

        async def read() -> Webhook:
            return _verified_now(chosen, _of_web(request, await copy.bytes()), secrets, now, request._head)

        return Reading("verify()", read)
    raise TypeError(f"verify takes the request that a handler was given, not {brief(request)}")


def _verified_now(
    scheme: Scheme, message: SignedMessage, secrets: Sequence[str], now: float | None, head: Head | None
) -> Webhook:
    webhook = verify_message(scheme, message, secrets, time.time() if now is None else now)
    if head is not None:
        if not hasattr(head, "notes"):
            head.notes = Notes()
        head.notes.webhook = webhook
    return webhook


def _of_web(request: WebRequest | AsyncWebRequest, body: bytes) -> SignedMessage:
    fields = request.headers.items() if request._head is None else request._head.fields()
    return SignedMessage(request.method, request.url, fields, bytes(body))


def _texts(given: Any, what: str) -> list[str]:
    """A text, or several, as a list.

    Raises:
        TypeError: it is missing, or something else.
        ValueError: it is an empty list, or an empty name.
    """
    if given is None:
        raise TypeError(f"secret= is missing; write {what}: secret=...")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(each, str) for each in texts):
        raise TypeError(f"secret is {what}, or a list of them, not {type(given).__name__}")
    if not texts:
        raise ValueError(f"secret is an empty list; write {what}")
    return list(texts)


def _check_call(name: str, misplaced: tuple[object, ...]) -> None:
    if misplaced:
        raise TypeError(f"{name} takes keywords behind the scheme, not {brief(misplaced[0])}; write secret=...")
