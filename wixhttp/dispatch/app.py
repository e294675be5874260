"""The dispatcher: what a request means, and what its outcome becomes. Free of sockets, threads and loops.

An edge takes a request through it in this order::

    call = app.begin(head)              call.response is set where it is decided without the handler
    app.start(call, body)               the body, at most call.max_body bytes; takes a slot, or sets call.response
    value = call.run()                  within call.timeout, on a thread or awaited
    app.release(call)                   the handler has really ended
    app.finish(call, value) | app.fail(call, error)     -> Response
    app.encode(call, response)          -> Encoded
"""

from __future__ import annotations

import difflib
import inspect
import ipaddress
import itertools
import logging
import os
import re
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from wixhttp.errors import HTTPError, WrongAnswer
from wixhttp.http.body import SpooledBody
from wixhttp.http.cors import Cors
from wixhttp.http.encoding import Encoded, encode
from wixhttp.http.request import AsyncRequest, Request, set_body
from wixhttp.http.request_head import MALFORMED, SAFE_METHODS, UNKNOWN, Head
from wixhttp.http.response import Response
from wixhttp.http.url import ascii_target, decode, query_pairs
from wixhttp.logs.access_log import AccessLog, StandardAccessLog
from wixhttp.logs.masking import escaped, masked
from wixhttp.project.function_table import Function, FunctionTable, Methods, response_of

from .health import RESERVED, answer_health, is_for_health
from .site import Site

if TYPE_CHECKING:  # a site without endpoints does not load them
    from wixhttp.endpoints.endpoint_table import Endpoints
    from wixhttp.endpoints.handlers import Handler
    from wixhttp.endpoints.request_state import Exchange

logger = logging.getLogger("wixhttp")

RETRY_AFTER = "1"  # seconds, with every 503
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ID_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-")


class Call:
    """One request on its way. ``response`` is its answer once that is decided; until then ``function`` and ``request``
    are set, and ``max_body`` (bytes) and ``timeout`` (seconds, 0 for none) bound what the edge does for it.

    ``exchange`` is the request where it is for an endpoint. ``failure`` is what a 500 stands for, and
    ``again`` the call whose answer takes its place: that of the site's ``500.py``."""

    __slots__ = (
        "again", "cors", "exchange", "failure", "function", "head", "max_body", "refuses_body", "request", "response",
        "slots", "timeout",
    )  # fmt: skip

    function: Function | Handler
    request: Any  # Request, AsyncRequest, or Exchange
    refuses_body: bool
    max_body: int
    timeout: float
    slots: deque[None]

    def __init__(self, head: Head) -> None:
        self.head = head
        self.response: Response | None = None
        self.cors: Cors | None = None
        self.exchange: Exchange | None = None
        self.failure: BaseException | None = None
        self.again: Call | None = None

    def run(self) -> Any:
        """What the user's function returns: a value, or an awaitable of one."""
        return self.function.call(self.request)


class App:
    """The dispatcher of a site. ``access`` writes one line per request; ``is_ready``, called where a probe asks, says
    whether what the site needs answers. It must not wait."""

    def __init__(
        self,
        site: Site,
        access: AccessLog | StandardAccessLog | None = None,
        is_ready: Callable[[], bool] | None = None,
    ) -> None:
        config = site.config
        self.site = site
        self.config = config
        self.is_ready = is_ready
        self.access = (access or StandardAccessLog()) if config.access_log else None
        self.development = config.mode == "development"
        self._mount = ascii_target(config.base_path.encode()) + "/_functions"
        self._origin = config.public_url or ""
        self._def_slots = deque([None] * config.def_concurrency)
        self._async_slots = deque([None] * config.async_concurrency)
        self._ids = RequestIds()
        self._last_host: str | None = None  # the last one that was in order: most requests name the same

    # --- before the handler ---

    def begin(self, head: Head) -> Call:
        """What a request asks for. Sets ``call.response`` where no handler is needed: 404, 405, 400, 413, preflight."""
        config = self.config
        given = head.header("x-request-id")
        head.request_id = (
            given if given and len(given) <= 128 and _ID_CHARACTERS.issuperset(given) else self._ids.next()
        )
        call = Call(head)
        if config.trusted_proxies:
            from wixhttp.http.proxy_headers import apply_forwarded  # werkzeug: only where it is asked for

            apply_forwarded(head, config.trusted_proxies)
        try:
            if head.host is None or head.host != self._last_host:
                self._check_host(head)
            self._resolve(call)
        except HTTPError as error:
            call.cors = call.cors or config.cors
            call.response = self.fail(call, error)
        return call

    def _check_host(self, head: Head) -> None:
        host = head.host
        if host is None or not _is_host(host):
            raise HTTPError(400, "A request has one Host header, with a host and perhaps a port.")
        if head.path.startswith(RESERVED):
            return  # a probe asks by address
        allowed = self.config.allowed_hosts
        if allowed and not _host_allowed(host, allowed):
            raise HTTPError(400, "This host is not served here.", reason=f"host {host!r} is not in allowed_hosts")
        self._last_host = host

    def _resolve(self, call: Call) -> None:
        head, config = call.head, self.config
        path = head.path
        if is_for_health(head, config):
            call.response = answer_health(head, config, self.is_ready)
            return
        mount = self._mount
        functions, endpoints = self.site.functions, self.site.endpoints
        rest = path[len(mount) :] if path.startswith(mount) else None
        if endpoints is not None and (
            rest is None or (rest[:1] not in ("", "/") and rest[:5] not in ("-dev", "-dev/"))
        ):
            self._enter(call, endpoints)
            return
        if rest is None:
            raise HTTPError(404, self._not_found(functions, None))
        if rest.startswith("-dev") and rest[4:5] in ("/", ""):
            rest, mount, functions = rest[4:], mount + "-dev", self.site.test_functions
        elif config.test_site is not None and ("rc", "test-site") in query_pairs(head.query):
            functions = self.site.test_functions
        if rest[:1] != "/" and rest:
            raise HTTPError(404, self._not_found(functions, None))
        raw_name, _, rest = rest.lstrip("/").partition("/")
        name = decode(raw_name)
        methods = functions.find(name)
        if methods is None:
            raise HTTPError(404, self._not_found(functions, name or None))
        function = methods.resolve(head.method)
        if head.method == "OPTIONS" and self._answer_options(call, methods):
            return
        if function is None:
            raise self._not_allowed(call, methods)
        self._admit(call, function, is_velo=True)
        call.request = (AsyncRequest if function.is_async else Request)(head, self._origin, mount, name, rest)

    def _enter(self, call: Call, endpoints: Endpoints) -> None:
        """What a request for an endpoint comes to. `_resolve`, for the files below ``src/pages``."""
        head = call.head
        exchange = endpoints.receive(head, self._origin)
        call.cors = self.config.cors
        if exchange.moved is not None:
            permanent = 301 if head.method == "GET" else 308
            call.response = Response(permanent, None, {"Location": exchange.moved})
            return
        methods = None if exchange.route is None else exchange.route.methods
        if methods is not None and head.method == "OPTIONS" and self._answer_options(call, methods):
            return
        handler = methods.resolve(head.method) if methods is not None else None
        if exchange.built is not None:
            call.cors = call.cors if methods is None else self._cors(methods, "GET")
            handler = endpoints.built_handler
        elif handler is None:
            handler = endpoints.refuser(
                exchange, self._no_endpoint(endpoints) if methods is None else self._not_allowed(call, methods)
            )
        if head.method not in SAFE_METHODS:
            endpoints.check_origin(exchange, handler)
        self._admit(call, handler, is_velo=handler.policy.is_velo)
        exchange.refuse, exchange.timeout = self.refuse, call.timeout
        call.request = call.exchange = exchange

    def _admit(self, call: Call, function: Function | Handler, is_velo: bool) -> None:
        """See to it that the function's limits allow the request; ``is_velo`` says that Velo's rules hold for it."""
        head, config, policy = call.head, self.config, function.policy
        head.function = function.exported_name
        call.cors = policy.cors or call.cors or config.cors
        call.function = function
        call.max_body = config.max_body if policy.max_body is None else policy.max_body
        call.timeout = config.timeout if policy.timeout is None else policy.timeout
        length = head.length
        if length:
            if length == MALFORMED:
                raise HTTPError(400, "The header fields, or what they say of the length of the body, are malformed.")
            if length > call.max_body:
                raise self.too_large(call)
        call.refuses_body = is_velo and head.method == "DELETE" and config.strict_delete
        if call.refuses_body and (length > 0 or _is_json(head)):
            raise delete_with_body()
        call.slots = self._slots(function)
        if not call.slots:
            raise self._busy(call)

    def start(self, call: Call, body: bytes | SpooledBody) -> None:
        """Give the request its body, and take one of the slots that bound the requests at once; none left is a 503.

        Only the request of an endpoint takes a body that is spooled.
        """
        head = call.head
        if call.exchange is not None:
            call.exchange.take_body(body)
        else:
            set_body(call.request, body)  # type: ignore[arg-type]  # only an exchange's is spooled
        if head.length == UNKNOWN:
            head.length = len(body)
            if body and call.refuses_body:
                call.response = self.fail(call, delete_with_body())
                return
        try:
            call.slots.pop()
        except IndexError:
            call.response = self.fail(call, self._busy(call))

    def release(self, call: Call) -> None:
        """Give the slot of a call back: its handler has ended, but perhaps for threads that nothing can stop."""
        working = call.exchange.working if call.exchange is not None else None
        if working is None:
            call.slots.append(None)
        else:
            working.when_done(lambda: call.slots.append(None))

    # --- after the handler ---

    def finish(self, call: Call, value: Any) -> Response:
        """The response for what a handler returned, awaited where it was awaitable."""
        if call.exchange is not None:
            return call.exchange.finish(value)
        if value.__class__ is Response or isinstance(value, Response):
            return value
        try:
            return response_of(call.function.exported_name, value, warns=self.development)
        except (TypeError, ValueError) as error:
            return self.fail(call, error)

    def fail(self, call: Call, error: BaseException) -> Response:
        """The response for an exception: an HTTP error is its own; any other is logged with its traceback, and 500."""
        head = call.head
        if isinstance(error, HTTPError):
            try:
                return self.refuse(head, error)
            except Exception as unsendable:  # a handler's own: a header with a line break
                error = unsendable
        name = head.function or "the request"
        if call.exchange is not None:
            call.failure = error
        if isinstance(error, WrongAnswer):
            logger.error("%s", error)
            return self._failure(head, str(error))
        logger.error("%s raised %s", name, type(error).__name__, exc_info=(type(error), error, error.__traceback__))
        return self._failure(head, f"{name} raised {traceback.format_exception_only(type(error), error)[-1].strip()}")

    def refuse(self, head: Head, error: HTTPError) -> Response:
        """The response that an HTTP error is; its reason goes to the log."""
        if error.reason:
            logger.warning("%s %s: %s", escaped(head.method), escaped(head.path), error.reason)
        return self.problem(head, error.status, error.detail, error.headers)

    def error_page(self, call: Call) -> Call | None:
        """The call that answers for one that failed, by the site's ``500.py``, and is to be run at once: it has taken a
        slot. ``None`` where there is no such page, no slot, or it is the page that failed."""
        exchange, error = call.exchange, call.failure
        call.failure = None  # or it would hold its traceback, and that this call
        if exchange is None or error is None or call.again is not None:
            return None
        page = exchange.error_page(error)
        if page is None:
            return None
        handler, shown = page
        again = Call(exchange.head)
        again.function, again.exchange, again.request, again.cors = handler, shown, shown, self.config.cors
        again.timeout = self.config.timeout if handler.policy.timeout is None else handler.policy.timeout
        again.slots = self._slots(handler)
        try:
            again.slots.pop()
        except IndexError:  # too busy for a page
            return None
        call.again = again
        return again

    def _slots(self, function: Function | Handler) -> deque[None]:
        return self._def_slots if function.is_threaded else self._async_slots

    def encode(self, call: Call, response: Response) -> Encoded:
        """What goes on the wire, with the request's id and the CORS headers. What cannot be encoded becomes a 500."""
        head = call.head
        try:
            encoded = encode(response, head.method)
        except Exception as error:  # whatever a body's own properties raise, too
            if inspect.iscoroutine(response.body):
                response.body.close()  # or Python warns that it was never awaited
            encoded = encode(self.fail(call, error), head.method)
            call.failure = None
        fields = encoded.fields
        if call.cors is not None and not any(name.lower() == "access-control-allow-origin" for name, _ in fields):
            fields.extend(call.cors.answer_headers(head.header("origin")))
        if response._headers:  # a handler may hand on another server's
            fields[:] = [field for field in fields if field[0].lower() != "x-request-id"]
        exchange = call.exchange if call.again is None else call.again.exchange
        if exchange is not None and exchange.cookie_fields:
            fields.extend([("Set-Cookie", cookie) for cookie in exchange.cookie_fields])
        fields.append(("X-Request-Id", head.request_id))
        return encoded

    # --- the runtime's own answers ---

    def problem(self, head: Head, status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Response:
        """A problem document (RFC 9457): type, title, status, detail, request_id."""
        title = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
        body = {"type": "about:blank", "title": title, "status": status}
        if detail:
            body["detail"] = detail
        body["request_id"] = head.request_id
        return Response(status, body, {"Content-Type": "application/problem+json", **(headers or {})})

    def too_large(self, call: Call) -> HTTPError:
        """The body is longer than the call's limit: 413."""
        return HTTPError(413, f"The body is larger than {call.max_body} bytes.")

    def timed_out(self, call: Call) -> HTTPError:
        """The handler ran past its time: 504; the log says which."""
        return HTTPError(
            504,
            "The function did not answer in time.",
            reason=f"{call.function.exported_name} ran past its timeout of {call.timeout:g} seconds"
            + ("" if call.function.is_async else "; its thread goes on until the function ends by itself"),
        )

    def _busy(self, call: Call) -> HTTPError:
        return HTTPError(
            503,
            "Too many requests at once; try again.",
            headers={"Retry-After": RETRY_AFTER},
            reason="more requests at once than max_concurrency allows",
        )

    def _not_allowed(self, call: Call, methods: Methods[Any]) -> HTTPError:
        """A known name, and a method that it does not answer: 405."""
        call.cors = self._cors(methods, None)
        allow = methods.allowed if call.cors is None else sorted({*methods.allowed, "OPTIONS"})
        return HTTPError(405, "This is not answered by this method.", headers={"Allow": ", ".join(allow)})

    def _answer_options(self, call: Call, methods: Methods[Any]) -> bool:
        """Answer OPTIONS for what has a CORS policy, unless it has a handler of its own for it."""
        if "OPTIONS" in methods:
            return False
        head = call.head
        asked = head.header("access-control-request-method")
        cors = self._cors(methods, asked)
        is_preflight = asked is not None and head.header("origin") is not None
        if cors is None or (not is_preflight and methods.resolve("OPTIONS") is not None):
            return False
        allowed = sorted({*methods.allowed, "OPTIONS"})
        call.response = Response(204, None, {"Allow": ", ".join(allowed)})
        if is_preflight:
            fields = cors.preflight_headers(
                head.header("origin"), head.header("access-control-request-headers"), allowed
            )
            call.response.headers.update(fields)
        else:
            call.cors = cors
        return True

    def _cors(self, methods: Methods[Any], method: str | None) -> Cors | None:
        """The policy of what answers a method; where that is not said or not known, the first that there is."""
        found = methods.resolve(method) if method else None
        for candidate in [found] if found else [methods.resolve(name) for name in methods.allowed]:
            if candidate is not None and candidate.policy.cors is not None:
                policy: Cors = candidate.policy.cors
                return policy
        return self.config.cors

    def _no_endpoint(self, endpoints: Endpoints) -> HTTPError:
        known = f" Known endpoints: {', '.join(endpoints.patterns) or 'none'}." if self.development else ""
        return HTTPError(404, f"There is nothing at this path.{known}")

    def _not_found(self, functions: FunctionTable, name: str | None) -> str:
        if not self.development:
            return "There is no such function."
        names = functions.names
        near = difflib.get_close_matches(name, names, 3) if name else []
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        asked = f"There is no function {name!r}." if name else f"Functions are at {self._mount}/<name>."
        return f"{asked}{hint} Known functions: {', '.join(names) or 'none'}."

    def _failure(self, head: Head, reason: str) -> Response:
        """A 500; only in development it says why."""
        if self.development:
            return self.problem(head, 500, masked(reason))
        return self.problem(head, 500, "The function failed; the log has the reason under this request_id.")


class RequestIds:
    """Ids for requests that bring none: 16 random hexadecimal digits of this process, and a number."""

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._prefix = os.urandom(8).hex() + "-"
        self._number = itertools.count(1)

    def next(self) -> str:
        """The next id."""
        return self._prefix + str(next(self._number))


def delete_with_body() -> HTTPError:
    """What a DELETE with a body gets, as on Wix."""
    return HTTPError(400, "A DELETE request has neither a body nor the Content-Type application/json.")


def _is_json(head: Head) -> bool:
    return (head.header("content-type") or "").partition(";")[0].strip().lower() == "application/json"


def _is_host(host: str) -> bool:
    """Whether a Host header is one: a name or an address, and perhaps a port (RFC 9110, 7.2)."""
    if not _HOST.fullmatch(host):
        return False
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    if port and int(port) > 65535:
        return False
    if name.startswith("["):
        try:
            ipaddress.IPv6Address(name[1:-1])
        except ValueError:
            return False
    return True


def _host_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    name = host.lower()
    name = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() and ":" in name else name
    for pattern in allowed:
        if pattern in ("*", name):
            return True
        suffix = pattern.removeprefix("*")
        if suffix.startswith(".") and name.endswith(suffix) and len(name) > len(suffix):
            return True
    return False
