"""The dispatcher: from a request to its call, and from the outcome of the call to the answer. Free of sockets, threads
and event loops.

A server interface (WSGI, ASGI, the test kit) takes a request through it in this order::

    call = app.begin(head)              a Call; or the answer, Encoded, where no handler is needed
    app.start(call, body)               the body, at most call.max_body bytes; takes a slot
    value = call.run()                  within call.timeout, on a thread or awaited
    app.release(call)                   the handler has really ended
    app.finish(call, value)             -> Response
    app.answer_failure(call, error)     -> Response, or the Call of the site's 500.py, which is run in the same way
    app.encode(call, response)          -> Encoded
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wixhttp.errors import HTTPError, WrongAnswer
from wixhttp.http.allowed_methods import answer_options, cors_of, not_allowed
from wixhttp.http.body import SpooledBody
from wixhttp.http.cors import Cors
from wixhttp.http.encoding import Encoded, HeaderFields, encode
from wixhttp.http.problem import error_response, problem_response
from wixhttp.http.request import AsyncRequest, Request, set_body
from wixhttp.http.request_head import UNKNOWN, Head
from wixhttp.http.response import Response
from wixhttp.http.url import ascii_target, query_pairs
from wixhttp.logs.access_log import AccessLog, StandardAccessLog
from wixhttp.logs.masking import masked
from wixhttp.logs.refusals import log_reason
from wixhttp.project.function_table import FunctionTable, response_of

from .admission import Admission, busy, check_length
from .allowed_hosts import check_host
from .call import Call
from .health import RESERVED, answer_health
from .request_ids import RequestIds
from .site import Site
from .target import split_target_path
from .unknown_function import unknown_function

if TYPE_CHECKING:
    from wixhttp.concurrency.bridge import Bridge  # a site without endpoints does not load either
    from wixhttp.endpoints.endpoint_table import Endpoints

_FAILED = "The function failed; the log has the reason under this request_id."

logger = logging.getLogger("wixhttp")


class App:
    """The dispatcher of a site. ``access`` writes one line per request; ``is_ready``, called when a probe asks, returns
    whether what the site needs answers. It must not block."""

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
        self._public_url = config.public_url or ""
        self.admission = Admission(config)
        self._ids = RequestIds()
        if site.endpoints is not None:
            from wixhttp.endpoints.request_state import RequestState

            self._state_type = RequestState
        self._last_host: str | None = None  # the last one that passed: most requests name the same

    # --- before the handler ---

    def begin(self, head: Head) -> Call | Encoded:
        """The call of a request; or its answer, ready to be sent, where no handler is needed: 404, 405, 400, 413, 503,
        probes, redirects and preflights."""
        config = self.config
        head.request_id = self._ids.choose(head.header("x-request-id"))
        if config.trusted_proxies:
            from wixhttp.http.proxy_headers import apply_forwarded  # werkzeug: loaded by a site behind proxies only

            apply_forwarded(head, config.trusted_proxies)
        try:
            if head.host is None or head.host != self._last_host:
                self._check_host(head)
            if head.path.startswith(RESERVED) or (config.health_port is not None and head.port == config.health_port):
                return self._answered(head, answer_health(head, config, self.is_ready), None)
            target = split_target_path(head.path, self._mount)
            if target is None:
                if self.site.endpoints is not None:
                    return self._begin_endpoint(head, self.site.endpoints)
                raise HTTPError(404, self._unknown(self.site.functions, None))
            mount, is_test_site, name, rest = target
            functions = self.site.functions
            if is_test_site or (config.test_site is not None and ("rc", "test-site") in query_pairs(head.query)):
                functions = self.site.test_functions
            methods = functions.find(name)
            if methods is None:
                raise HTTPError(404, self._unknown(functions, name or None))
        except HTTPError as error:
            return self._refused(head, error, config.cors)
        if head.method == "OPTIONS" and (options := answer_options(head, methods, config.cors)) is not None:
            return self._answered(head, *options)
        function = methods.resolve(head.method)
        if function is None:
            cors = cors_of(methods, None, config.cors)
            return self._refused(head, not_allowed(methods, cors), cors)
        head.function = function.exported_name
        cors = function.policy.cors or config.cors
        request = (AsyncRequest if function.is_async else Request)(head, self._public_url, mount, name, rest)
        try:
            return self.admission.admit(head, function, request, None, cors, True)
        except HTTPError as error:
            return self._refused(head, error, cors)

    def _check_host(self, head: Head) -> None:
        is_probe = head.path.startswith(RESERVED)  # which names an address
        check_host(head.host, () if is_probe else self.config.allowed_hosts)
        if not is_probe:
            self._last_host = head.host

    def _unknown(self, functions: FunctionTable, name: str | None) -> str:
        return unknown_function(functions, name, self._mount, is_development=self.development)

    def _begin_endpoint(self, head: Head, endpoints: Endpoints) -> Call | Encoded:
        """The call of a request for an endpoint, a file below ``src/pages``.

        Raises:
            HTTPError: 400, the path cannot be decoded.
        """
        config = self.config
        cors = config.cors
        match = endpoints.find(head)
        if match.moved is not None:
            permanent = 301 if head.method == "GET" else 308
            return self._answered(head, Response(permanent, None, {"Location": match.moved}), cors)
        methods = None if match.route is None else match.route.methods
        if methods is not None and head.method == "OPTIONS":
            options = answer_options(head, methods, cors)
            if options is not None:
                return self._answered(head, *options)
        try:
            handler, refusal = endpoints.select(match, head, self._public_url)
            if methods is not None and (refusal is not None or match.built is not None):
                cors = cors_of(methods, head.method, cors)
            if handler is None:
                assert refusal is not None  # noqa: S101  # there is one of both
                return self._refused(head, refusal, cors)
            head.function = handler.exported_name
            policy = handler.policy
            cors = policy.cors or cors
            timeout = config.timeout if policy.timeout is None else policy.timeout
            state = self._state_type(endpoints, head, self._public_url, match, timeout, refusal)
            return self.admission.admit(head, handler, state, state, cors, policy.is_velo)
        except HTTPError as error:
            if methods is not None and methods.resolve(head.method) is None:
                cors = cors_of(methods, None, cors)
            return self._refused(head, error, cors)

    def start(self, call: Call, body: bytes | SpooledBody, bridge: Bridge | None = None) -> None:
        """Give a call its body, and take its slot. Only the call of an endpoint takes a body that is spooled.
        ``bridge`` leads to the event loop that serves; ``None``: the process's own.

        Raises:
            HTTPError: 503, there is no slot; 400, a DELETE of unannounced length had a body (``strict_delete``).
        """
        if call.state is not None:
            call.state.start(body, bridge)
        else:
            set_body(call.request, body)  # type: ignore[arg-type]  # only an endpoint's is spooled
        if call.head.length == UNKNOWN:
            check_length(call, len(body))
        try:
            call.slots.pop()
        except IndexError:
            raise busy() from None

    def release(self, call: Call) -> None:
        """Give the slot of a call back: its handler has ended, except for threads that nothing can stop."""
        running_threads = call.state.running_threads if call.state is not None else None
        if running_threads is None:
            call.slots.append(None)
        else:
            running_threads.when_done(lambda: call.slots.append(None))

    # --- after the handler ---

    def finish(self, call: Call, value: Any) -> Response:
        """The response for what a handler returned, awaited where it was awaitable."""
        if call.state is not None:
            return call.state.finish(value)
        if value.__class__ is Response or isinstance(value, Response):
            return value
        try:
            return response_of(call.function.exported_name, value, warns=self.development)
        except (TypeError, ValueError) as error:
            return self.fail(call, error)

    def fail(self, call: Call, error: BaseException) -> Response:
        """The response for an exception: an HTTP error is its own; any other is logged with its traceback, and 500."""
        return self._failed(call.head, error)[0]

    def answer_failure(self, call: Call, error: BaseException) -> Response | Call:
        """As `fail`; but where that is a 500 and the site has a ``500.py``, the call of that page, which has its slot
        and is to be run at once. The response where there is no slot, or it is the page that failed.

        The one decision that `blocking` and `wixhttp.asgi` share on what answers for a failed handler or stream.
        """
        response, failure = self._failed(call.head, error)
        if failure is None or call.state is None or call.error_page is not None:
            return response
        page = call.state.error_page(failure)
        if page is None:
            return response
        call.error_page = self.admission.admit_error_page(call, *page)
        return call.error_page or response

    def _failed(self, head: Head, error: BaseException) -> tuple[Response, BaseException | None]:
        """The response for an exception, and the exception that a 500 stands for: ``None`` for an HTTP error."""
        if isinstance(error, HTTPError):
            try:
                log_reason(head, error)
                return error_response(error, head.request_id), None
            except Exception as unsendable:  # a handler's own: a header with a line break
                error = unsendable
        if isinstance(error, WrongAnswer):
            reason = str(error)
            logger.error("%s", error)
        else:
            name = head.function or "the request"
            logger.error("%s raised %s", name, type(error).__name__, exc_info=(type(error), error, error.__traceback__))
            reason = f"{name} raised {traceback.format_exception_only(type(error), error)[-1].strip()}"
        detail = masked(reason) if self.development else _FAILED
        return problem_response(500, detail, head.request_id), error

    def encode(self, call: Call, response: Response) -> Encoded:
        """The answer to a call, ready to be sent, with the request's id, cookies and CORS headers. A response that
        cannot be encoded becomes a 500."""
        head = call.head
        try:
            encoded = encode(response, head.method)
        except Exception as error:  # users' own too: of properties of a body
            if inspect.iscoroutine(response.body):
                response.body.close()  # or Python warns that it was never awaited
            encoded = encode(self.fail(call, error), head.method)
        fields = encoded.fields
        if call.cors is not None:
            _add_cors(fields, head, call.cors)
        if response._headers:  # a handler may pass on the answer of another server
            fields[:] = [field for field in fields if field[0].lower() != "x-request-id"]
        state = call.state if call.error_page is None else call.error_page.state
        if state is not None and state.cookie_fields:
            fields.extend([("Set-Cookie", cookie) for cookie in state.cookie_fields])
        fields.append(("X-Request-Id", head.request_id))
        return encoded

    # --- answers without a call ---

    def _refused(self, head: Head, error: HTTPError, cors: Cors | None) -> Encoded:
        log_reason(head, error)
        return self._answered(head, error_response(error, head.request_id), cors)

    def _answered(self, head: Head, response: Response, cors: Cors | None) -> Encoded:
        encoded = encode(response, head.method)
        if cors is not None:
            _add_cors(encoded.fields, head, cors)
        encoded.fields.append(("X-Request-Id", head.request_id))
        return encoded


def _add_cors(fields: HeaderFields, head: Head, cors: Cors) -> None:
    """Add the CORS headers of an answer, unless its handler has set its own."""
    if not any(name.lower() == "access-control-allow-origin" for name, _ in fields):
        fields.extend(cors.answer_headers(head.header("origin")))
