"""The public functions of ``wixhttp.fetch``, and the time that a request to another server has."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from wixhttp.concurrency.service_threads import begin_on_thread, is_awaited
from wixhttp.context import current_request
from wixhttp.errors import ConfigError

from .options import FetchRequest, parse_request
from .response import FetchResponse

try:  # at load: the first request would hold the event loop meanwhile
    from .transport import send
except ImportError as error:
    _missing: ImportError | None = error
else:
    _missing = None

TIMEOUT = 10.0
"""Seconds for a request of code that has no time limit itself."""

_KEPT = 1.0  # seconds of the function's time that are kept for its own answer, or a tenth of what is left


def fetch(
    url: Any,
    options: Mapping[str, Any] | None = None,
    /,
    *,
    method: str | None = None,
    headers: Any = None,
    body: Any = None,
    timeout: float | None = None,
    redirect: str | None = None,
    size: int | None = None,
) -> FetchResponse:
    """The response of another server, whatever its status: ``fetch(url, {"method": "post", "body": {...}})``.

    ``options`` are Wix's, and may be given as keywords. ``body`` is a str (sent as ``text/plain;charset=UTF-8``),
    bytes, a dict or list (sent as JSON), or URLSearchParams (sent as a form), unless ``headers`` name another type.
    ``redirect`` is ``follow`` (20 at most), ``manual`` or ``error``. ``size`` is the number of bytes that the body of
    the answer may have: 32 MiB.

    ``timeout`` is in seconds, for the whole of it. In a function it is never more than what the function's own timeout
    leaves, less a second or a tenth of that for its answer, and that is the default, too; elsewhere that is 10 seconds.

    The id of the request that is handled is sent along (``X-Request-Id``), its ``traceparent`` with a new parent id.

    In an ``async def`` it is awaited; it begins when it is called.

    Raises:
        FetchTimeout: it took longer; not caught it is answered 504.
        FetchError: it could not be sent, or not be answered, or the answer is too long; 502. Names the host and the
            cause, and nothing else of the URL.
        ValueError: the URL is no absolute one of http or https.
        TypeError, ValueError: an option that cannot be.
        ConfigError: requests is not installed.
    """
    keywords = {
        "method": method, "headers": headers, "body": body, "timeout": timeout, "redirect": redirect, "size": size,
    }  # fmt: skip
    response: FetchResponse = start(parse_request(url, options, keywords), "fetch(...)")
    return response


def getJSON(url: Any, options: Mapping[str, Any] | None = None, /, **keywords: Any) -> Any:
    """The value of the JSON that another server answers to a GET. Options and errors are those of `fetch`.

    Raises:
        UnexpectedAnswer: the status is none of success, or the body is no JSON; ``error.response`` is the response.
    """
    given = {**(options or {}), **keywords, "method": "GET"}
    return start(_of_json(parse_request(url, given, {})), "getJSON(...)", _value)


def postJSON(url: Any, body: Any, options: Mapping[str, Any] | None = None, /, **keywords: Any) -> Any:
    """As `getJSON`, to a POST of ``body``, any value that JSON has: also text, numbers and ``None``."""
    from wixhttp.http.json_codec import encode_json

    given = {**(options or {}), **keywords, "method": "POST", "body": encode_json(body)}
    request = parse_request(url, given, {})
    if "content-type" not in {name.lower() for name in request.headers}:
        request.headers["Content-Type"] = "application/json"
    return start(_of_json(request), "postJSON(...)", _value)


def _of_json(request: FetchRequest) -> FetchRequest:
    if "accept" not in {name.lower() for name in request.headers}:
        request.headers["Accept"] = "application/json"
    return request


def _value(response: FetchResponse) -> Any:
    response.check_ok()
    return response.read_json()


def start(
    request: FetchRequest,
    call: str,
    value_of: Callable[[FetchResponse], Any] = lambda response: response,
    *,
    is_relayed: bool = True,
) -> Any:
    """The value that ``value_of`` makes of the response: at once in a ``def``, in an ``async def`` a promise of it.
    Raises as `fetch`."""
    if _missing is not None:
        name = call.removesuffix("(...)")
        raise ConfigError(f"{name} needs requests; run: pip install 'wixhttp[fetch]'") from _missing
    due = _due(request.timeout)

    def run() -> Any:
        return value_of(send(request, due, is_relayed=is_relayed))

    if not is_awaited():
        return run()
    return begin_on_thread(call, run, "fetch", reads=request.method in ("GET", "HEAD"))


def _due(asked: float | None) -> tuple[float, str]:
    """The time by ``time.monotonic`` at which a request that begins now is over, and the rule for that."""
    now = time.monotonic()
    deadline = getattr(current_request.get(), "deadline", 0.0)
    if deadline:
        left = deadline - now
        left -= min(_KEPT, left / 10)
        if asked is None or left < asked:
            rule = f"{left:.3g} seconds were left of the function's own timeout" if left > 0 else "that was over"
            return now + left, rule
    seconds = TIMEOUT if asked is None else asked
    return now + seconds, f"its timeout is {seconds:g} seconds"
