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

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from wixhttp.concurrency.overload import Busy
from wixhttp.errors import HTTPError, WrongAnswer
from wixhttp.http.allowed_methods import answer_options, cors_of, is_refused, not_allowed
from wixhttp.http.body import SpooledBody
from wixhttp.http.cors import Cors
from wixhttp.http.encoding import Encoded, HeaderFields, encode
from wixhttp.http.problem import error_response, problem_response
from wixhttp.http.proxy_headers import apply_forwarded
from wixhttp.http.request import AsyncRequest, Request, set_body
from wixhttp.http.request_head import UNKNOWN, Head
from wixhttp.http.request_target import answer_other_form
from wixhttp.http.response import Response
from wixhttp.http.url import ascii_target, query_pairs
from wixhttp.logs.access_log import StandardAccessLog
from wixhttp.logs.masking import masked
from wixhttp.logs.refusals import log_reason
from wixhttp.logs.tracebacks import advice_on, summary_of
from wixhttp.measurements import counted
from wixhttp.project.function_table import FunctionTable, response_of

from .admission import NO_SLOT, Admission, check_length
from .allowed_hosts import check_host
from .call import Call, Terms
from .health import RESERVED, answer_health
from .meter import AccessLines, Meter, SlowAnswer
from .request_ids import RequestIds
from .short_path import short_paths
from .site import Site
from .target import split_target_path
from .unknown_function import unknown_function

if TYPE_CHECKING:
    from wixhttp.concurrency.bridge import Bridge  # a site without endpoints does not load either
    from wixhttp.endpoints.endpoint_table import Endpoints

FAILED = "The function failed; the log has the reason under this request_id."

logger = logging.getLogger("wixhttp")


class FailurePage(Protocol):
    """The answers to failures in development, and the decision of who may see its details."""

    def __call__(self, head: Head, error: BaseException, response: Response) -> Response | None:
        """The answer in place of ``response``, the 500 for an exception of a handler; ``None`` for none."""

    def prepare(self, head: Head, error: BaseException) -> None:
        """Do the part of the call for an exception that may take its time. To be called from a thread."""

    def may_see(self, head: Head) -> bool:
        """Return whether a client may see details of development."""


class App:
    """The dispatcher of a site. ``access`` writes one line per request; ``is_ready``, called when a probe asks, returns
    whether what the site needs answers. It must not block. ``on_failure``, in development, answers in place of each 500
    of a handler. Without ``has_short_path`` every request goes the general way, so that tests can compare the two."""

    def __init__(
        self,
        site: Site,
        access: AccessLines | None = None,
        is_ready: Callable[[], bool] | None = None,
        *,
        on_failure: FailurePage | None = None,
        has_short_path: bool = True,
    ) -> None:
        config = site.config
        self.site = site
        self.config = config
        self.is_ready = is_ready
        self.on_failure = on_failure
        self.access_log: AccessLines | None = (access or StandardAccessLog()) if config.access_log else None
        self.access = site.meter.watching(self.access_log) if site.meter is not None else self.access_log
        self.development = config.mode == "development"
        self._mount = ascii_target(config.base_path.encode()) + "/_functions"
        self._public_url = config.public_url or ""
        self._trusted_proxies = config.trusted_proxies
        self.admission = Admission(config, site.guards, site.meter)
        self._short_paths = short_paths(site, self._mount, self.admission) if has_short_path else {}
        self._names_at = self._mount + "/"
        self._ids = RequestIds()
        if site.endpoints is not None:
            from wixhttp.endpoints.request_state import RequestState

            self._state_type = RequestState
            if on_failure is not None:
                site.endpoints.shows_details = self.shows_details
        self._last_host: str | None = None  # the last one that passed: most requests name the same

    def shows_details(self, head: Head) -> bool:
        """Return whether the answer to a request tells what only its developer is to know."""
        return self.development and (self.on_failure is None or self.on_failure.may_see(head))

    # --- before the handler ---

    def begin(self, head: Head) -> Call | Encoded:
        """The call of a request; or its answer, ready to be sent, where no handler is needed: 404, 405, 400, 413, 503,
        probes, redirects and preflights.

        The common request for an HTTP function takes the short path (`short_path`), any other the general one.
        """
        head.request_id = self._ids.choose(head.header("x-request-id"))
        if self._trusted_proxies:
            apply_forwarded(head, self._trusted_proxies)
        if head.host is None or head.host != self._last_host:
            try:
                self._check_host(head)
            except HTTPError as error:
                return self._refused(head, error, self.config.cors)
        path = head.path
        if path.startswith(self._names_at):
            name, _, rest = path[len(self._names_at) :].partition("/")
            methods = self._short_paths.get(name)
            terms = methods.get(head.method) if methods is not None else None
            if terms is not None and 0 <= head.length <= terms.max_body and terms.slots:
                return self._call(head, terms, self._mount, name, rest)
        return self._begin_general(head)

    def _call(self, head: Head, terms: Terms, mount: str, name: str, rest: str) -> Call:
        """The call of an HTTP function."""
        function = terms.function
        head.function = function.exported_name
        request = (AsyncRequest if function.is_async else Request)(head, self._public_url, mount, name, rest)
        return Call(head, terms, request, None, terms.cors)

    def _begin_general(self, head: Head) -> Call | Encoded:
        """As `begin`, of any request, with what holds for all of them done."""
        config = self.config
        try:
            if head.path.startswith(RESERVED) or (config.health_port is not None and head.port == config.health_port):
                return self._begin_reserved(head)
            target = split_target_path(head.path, self._mount)
            if target is None:
                return self._begin_other(head)
            mount, is_test_site, name, rest = target
            functions = self.site.functions
            if is_test_site or (config.test_site is not None and ("rc", "test-site") in query_pairs(head.query)):
                functions = self.site.test_functions
            methods = functions.find(name)
            if methods is None:
                raise HTTPError(404, self._unknown(head, functions, name or None))
        except HTTPError as error:
            return self._refused(head, error, config.cors)
        if head.method == "OPTIONS" and (options := answer_options(head, methods, config.cors)) is not None:
            return self._answered(head, *options)
        function = methods.resolve(head.method)
        if function is None:
            cors = cors_of(methods, None, config.cors)
            return self._refused(head, not_allowed(methods, cors), cors)
        terms = self.admission.terms(function)
        try:
            self.admission.check(head, terms)
        except HTTPError as error:
            head.function = function.exported_name
            return self._refused(head, error, terms.cors)
        return self._call(head, terms, mount, name, rest)

    def _begin_reserved(self, head: Head) -> Encoded:
        """The answer to a request for a page of the server's own: a probe, or metrics.

        Raises:
            HTTPError: see `answer_health`.
        """
        meter = self.site.meter
        response = answer_health(head, self.config, self.is_ready, has_metrics=meter is not None)
        if response is not None:
            return self._answered(head, response, None)
        assert meter is not None  # noqa: S101  # else it is a 404
        return SlowAnswer(partial(self._show_metrics, head, meter))

    def _show_metrics(self, head: Head, meter: Meter) -> Encoded:
        try:
            response = meter.page(head.header("accept") or "")
        except Exception as error:
            response = self._failed(head, error)[0]
        return self._answered(head, response, None)

    def _check_host(self, head: Head) -> None:
        is_probe = head.path.startswith(RESERVED)  # which names an address
        check_host(head.host, () if is_probe else self.config.allowed_hosts)
        if not is_probe:
            self._last_host = head.host

    def _unknown(self, head: Head, functions: FunctionTable, name: str | None) -> str:
        return unknown_function(functions, name, self._mount, tells_names=self.shows_details(head))

    def _begin_other(self, head: Head) -> Call | Encoded:
        """The call, or the answer, of a request for anything but an HTTP function.

        Raises:
            HTTPError: 400, 404, 405.
        """
        if head.path[:1] not in ("/", ""):
            return self._answered(head, answer_other_form(head), self.config.cors)
        if self.site.endpoints is not None:
            return self._begin_endpoint(head, self.site.endpoints)
        raise HTTPError(404, self._unknown(head, self.site.functions, None))

    def _begin_endpoint(self, head: Head, endpoints: Endpoints) -> Call | Encoded:
        """The call of a request for an endpoint, a file below ``src/pages``.

        Raises:
            HTTPError: 400, the path cannot be decoded.
        """
        config = self.config
        cors = config.cors
        match = endpoints.find(head)
        if match.moved is not None and not is_refused(head.method):
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
            terms = self.admission.terms(handler)
            cors = handler.policy.cors or cors
            self.admission.check(head, terms)
            state = self._state_type(endpoints, head, self._public_url, match, terms.timeout, refusal)
            return Call(head, terms, state, state, cors)
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
            raise Busy(NO_SLOT) from None

    def release(self, call: Call) -> None:
        """Give the slot of a call back: its handler has ended, except for threads that nothing can stop."""
        call.head.deadline = 0.0  # what it left behind, a task or a stream, has time
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
        call.error_page = answering = self.admission.admit_error_page(call, *page)
        if answering is None:
            return response
        answering.failure = response
        return answering

    def _failed(self, head: Head, error: BaseException) -> tuple[Response, BaseException | None]:
        """The response for an exception, and the exception that a 500 stands for: ``None`` for an HTTP error."""
        if isinstance(error, HTTPError):
            try:
                log_reason(head, error)
                return error_response(error, head.request_id, head), None
            except Exception as unsendable:  # a handler's own: a header with a line break
                error = unsendable
        counted("handler_error", function=head.function)
        if isinstance(error, WrongAnswer):
            reason = str(error)
            logger.error("%s", error)
        else:
            name = head.function or "the request"
            logger.error("%s raised %s", name, type(error).__name__, exc_info=(type(error), error, error.__traceback__))
            reason = f"{name} raised {summary_of(error)}"
            if self.development and (advice := advice_on(error)):
                reason += f". {advice}"
        detail = masked(reason) if self.development else FAILED
        response = problem_response(500, detail, head.request_id)
        if self.on_failure is not None and (page := self.on_failure(head, error, response)) is not None:
            return page, None
        return response, error

    def encode(self, call: Call, response: Response) -> Encoded:
        """The answer to a call, ready to be sent, with the request's id, cookies and CORS headers. A response that
        cannot be encoded becomes a 500."""
        head = call.head
        try:
            encoded = encode(response, head.method)
        except Exception as error:  # users' own too: of properties of a body
            encoded = encode(self.fail(call, error), head.method)
        if encoded.stream is not None:
            response.close_headers()
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
