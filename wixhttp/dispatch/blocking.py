"""Execution of one request in the calling thread: for WSGI, the test kit and ``wixhttp call``.

The counterpart on an event loop is `wixhttp.asgi.ASGIApplication`; both take a call through the same steps. A handler
that fails, and a stream that fails before its first chunk, is answered by the site's ``500.py``, if only once
(`App.answer_failure`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from wixhttp.concurrency.event_loop import ValueOrError, background
from wixhttp.context import current_request
from wixhttp.errors import HTTPError
from wixhttp.http.body import SpooledBody
from wixhttp.http.encoding import Encoded
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response
from wixhttp.logs.captured_prints import flush_prints

from .app import App
from .blocking_stream import BlockingStream, pass_interrupt
from .call import Call
from .meter import SlowAnswer
from .timeouts import report_overdue, thread_deadlines, timed_out

ReadBody = Callable[[Call], "bytes | SpooledBody"]


def answer(app: App, head: Head, read_body: ReadBody, *, reraise: bool = False) -> Encoded:
    """The answer to a request. With ``reraise`` the exception of a handler is raised, for tests.

    A streamed body comes as an iterator of bytes, a `BlockingStream`. Its first chunk is drawn here: where that fails
    the answer is a 500.
    """
    token = current_request.set(head)
    try:
        return _answer(app, head, read_body, reraise)
    finally:
        current_request.reset(token)


def _answer(app: App, head: Head, read_body: ReadBody, reraise: bool) -> Encoded:
    call = app.begin(head)
    if isinstance(call, Encoded):
        return call.make() if isinstance(call, SlowAnswer) else call
    try:
        app.start(call, read_body(call) if head.length else b"")
    except HTTPError as error:
        return app.encode(call, app.fail(call, error))
    encoded = app.encode(call, _handle(app, call, reraise))
    if encoded.stream is not None:
        return _begin_stream(app, call, encoded, reraise)
    return encoded


def _handle(app: App, call: Call, reraise: bool) -> Response:
    """The response to a call. The counterpart on an event loop is `ASGIApplication._handle`."""
    try:
        value, error = _run(call)
    except TimeoutError:
        return app.fail(call, timed_out(call))
    finally:
        app.release(call)
    if error is None:
        return app.finish(call, value)
    if reraise and not isinstance(error, HTTPError):
        raise error
    response = app.answer_failure(call, error)
    error = None  # breaks the reference cycle error -> traceback -> frame
    return _handle(app, response, reraise) if isinstance(response, Call) else response


def _run(call: Call) -> ValueOrError:
    """The outcome of a handler. An ``async def`` runs on the background loop; a ``def`` here, and cannot be stopped.

    Raises:
        TimeoutError: an awaited handler ran past its time.
    """
    context = call.new_context()
    if call.function.is_async:
        return background.run(call.run, call.timeout, context=context)
    if call.timeout:
        thread_deadlines.add(call, time.monotonic() + call.timeout, report_overdue, call)
    try:
        value = context.run(call.run)
    except BaseException as error:
        pass_interrupt(error)
        return None, error
    finally:
        thread_deadlines.discard(call)
        flush_prints()
    if value.__class__ is not Response and isinstance(value, Awaitable):
        return background.run(lambda: value, call.timeout, context=context)
    return value, None


def _begin_stream(app: App, call: Call, encoded: Encoded, reraise: bool) -> Encoded:
    """Draw the first chunk of a stream. The counterpart on an event loop is `ASGIApplication._stream`."""
    assert encoded.stream is not None  # noqa: S101  # seen by the caller
    stream = BlockingStream(call, encoded.stream, call.stream_context)
    try:
        stream.first = stream.draw(call.timeout)
    except BaseException as error:
        pass_interrupt(error)
        stream.close()
        if reraise:
            raise
        response = app.answer_failure(call, error)
        encoded = app.encode(call, _handle(app, response, reraise) if isinstance(response, Call) else response)
        if encoded.stream is not None:
            return _begin_stream(app, call, encoded, reraise)
        return encoded
    encoded.stream = stream
    return encoded
