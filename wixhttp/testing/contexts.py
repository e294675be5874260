"""Contexts made from plain values, for tests of single endpoints; and the modules of endpoints' files."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wixhttp.auth.caller import settings_are
from wixhttp.context import current_collections, current_request, using_by_default
from wixhttp.endpoints.context import AsyncContext, Context
from wixhttp.endpoints.endpoint_table import Endpoints, Route
from wixhttp.endpoints.handlers import EndpointHandler
from wixhttp.endpoints.loader import METHODS, route_files, shown
from wixhttp.endpoints.request_state import RequestState
from wixhttp.endpoints.session_store import SessionState
from wixhttp.endpoints.web.response import Response
from wixhttp.errors import ProjectError
from wixhttp.project.config import Config
from wixhttp.project.loader import load_file
from wixhttp.public_calls import explained
from wixhttp.secrets import SecretStore, fallback

from .collections import memory_collections, project_config
from .requests import RequestParts, fake_head

if TYPE_CHECKING:
    from typing_extensions import Unpack

_Params = Mapping[str, str | None]
_Values = Mapping[str, Any]


@explained(more=RequestParts.__annotations__)
def fake_context(
    url: str,
    method: str = "GET",
    *,
    params: _Params | None = None,
    locals: _Values | None = None,
    props: _Values | None = None,
    project: str | Path = ".",
    **parts: Unpack[RequestParts],
) -> Context:
    """A context that the dispatcher could have given to a ``def`` handler: ``GET(fake_context("/api/users/1"))``.

    ``url`` is a path or a full URL. ``params`` are those of the file of the ``project`` whose route the path is, unless
    they are given. ``parts`` are headers, body, ip and what decorators note, as in `fake_request`. Middleware does not
    run, ``rewrite`` finds no handler, and a session is kept in memory; for more than that take a `TestClient`.

    Raises:
        TypeError: for more than one body.
        ValueError: ``url`` is neither a path that begins with a slash nor a full URL.
        HTTPError: 400, the path cannot be decoded.
        ProjectError: a setting of the project is wrong, or the name of a file is no route.

    >>> fake_context("/api/users/1?full=yes", params={"id": "1"}).url.searchParams.get("full")
    'yes'
    """
    return Context(_state(project_config(project), url, method, params, locals, props, parts))


@explained(more=RequestParts.__annotations__)
def fake_async_context(
    url: str,
    method: str = "GET",
    *,
    params: _Params | None = None,
    locals: _Values | None = None,
    props: _Values | None = None,
    project: str | Path = ".",
    **parts: Unpack[RequestParts],
) -> AsyncContext:
    """A context that the dispatcher could have given to an ``async def`` handler. See `fake_context`."""
    return AsyncContext(_state(project_config(project), url, method, params, locals, props, parts))


@explained(more=RequestParts.__annotations__)
def call_endpoint(
    handler: Callable[..., Any],
    url: str,
    method: str | None = None,
    *,
    params: _Params | None = None,
    locals: _Values | None = None,
    props: _Values | None = None,
    project: str | Path = ".",
    **parts: Unpack[RequestParts],
) -> Response:
    """The response of one handler, which is called as the dispatcher would: with the whole context, or with the members
    that it asks for by name; an ``async def`` is awaited. ``call_endpoint(users.POST, "/api/users", json={"id": 1})``

    ``method`` is the handler's name where that is one, else GET; the rest is as in `fake_context`. An `HTTPError` is
    the response that it becomes, anything else that the handler raises goes through to the test. Neither middleware nor
    decorators that verify, ask for a key, limit or defer run: those take a `TestClient`. Cookies that the handler sets
    are in the response's headers. Collections and sessions are those of `fake_data`, where the test is in its block,
    and else in memory for this call.

    Raises:
        ProjectError: the handler asks for what is no member of the context.
        WrongAnswer: it returned anything but a `Response`.
    """
    name = getattr(handler, "__name__", "")
    method = method or (name if name in METHODS else "GET")
    config = project_config(project)
    made = EndpointHandler(method, name, handler)
    made.leave_unguarded()
    state = _state(config, url, method, params, locals, props, parts)
    own = fallback(SecretStore.from_config(config))
    with settings_are(config), own, using_by_default(current_collections, memory_collections(config)):
        return contextvars.copy_context().run(_answer, made, state)


def _answer(handler: EndpointHandler, state: RequestState) -> Response:
    current_request.set(state.head)
    given: Response = state.wait(lambda: handler.call(state)) if handler.is_async else handler.call(state)
    state.finish(given)
    if not state.cookie_fields:
        return given
    response = Response(given.body, given.status, given.statusText, given.headers)  # that given may answer others, too
    for field in state.cookie_fields:
        response.headers.append("Set-Cookie", field)
    return response


@explained()
def load_endpoint(file: str | Path, project: str | Path = ".") -> ModuleType:
    """The module of an endpoint's file, which no ``import`` can name: ``load_endpoint("src/pages/api/users/[id].py")``.

    ``file`` is relative to the project's folder. It is imported once in a process, also for a `TestClient`.

    Raises:
        ProjectError: there is no such file, or it cannot be imported.
    """
    config = project_config(project)
    path = config.root / file
    if not path.is_file():
        raise ProjectError(f"there is no file {path}; name one relative to the project: src/pages/api/hello.py")
    return load_file(config.root, path, config.import_timeout)


class _TestSession(SessionState):
    """A session that never reaches the project's database: where a test has no collections, it is a new one."""

    __slots__ = ()

    def _loaded(self) -> dict[str, Any]:
        return {} if current_collections.get() is None else super()._loaded()


def _state(
    config: Config,
    url: str,
    method: str,
    params: _Params | None,
    locals: _Values | None,
    props: _Values | None,
    parts: RequestParts,
) -> RequestState:
    if not url.startswith("/") and "://" not in url:
        raise ValueError(f"the URL of an endpoint is a path that begins with a slash, or a full one, not {url!r}")
    head, body = fake_head(url, method, **parts)
    routes = [Route(pattern, file, shown(file, config), is_static=False) for pattern, file in route_files(config)]
    endpoints = Endpoints(config, routes, [])
    match = endpoints.find(head)
    if params is not None:
        match.params = dict(params)
    state = RequestState(endpoints, head, config.public_url or "", match, timeout=0.0, props=dict(props or {}))
    state.start(body)
    for name, value in (locals or {}).items():
        state.locals[name] = value
    _TestSession.of(state)  # which the state keeps
    return state
