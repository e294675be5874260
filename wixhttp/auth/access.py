"""The public functions of ``wixhttp.auth``: caller, access control, elevated rights, calls with the caller's token."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from wixhttp.concurrency.service_threads import begin_on_thread, is_awaited
from wixhttp.errors import ConfigError, HTTPError
from wixhttp.logs.masking import masked_url
from wixhttp.messages import nearest
from wixhttp.project.auth_settings import SUBJECT_TYPES, is_guarded_url
from wixhttp.promises import Promise

from .caller import TokenInfo, current_caller, token_to_send
from .signing_keys import unrelayed

_FETCH_TIMEOUT = 10.0
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def getTokenInfo() -> TokenInfo:
    """The caller, as the ``Authorization: Bearer`` token of the request that is handled here describes it.

    It is checked once for each request. In ``async def`` write ``await getTokenInfo()``, or the first
    access to a member blocks the event loop while the token is checked. No token raises: an invalid one is inactive,
    and the log has the reason.

    Raises:
        RuntimeError: no request is handled here.
        ProjectError: the setting ``auth`` cannot be used: a package or a file is missing.
        SecretNotFound: a secret that it names is missing.
    """
    return current_caller()


# --- access control --------------------------------------------------------------------------------------------------


def require(*subject_types: str) -> Callable[[_Function], _Function]:
    """A decorator that lets only those callers in: ``@require("MEMBER", "USER")``; without names, any with a token.

    Others are answered 401 where they bring no valid token, else 403. While the function runs for a member, calls
    on collections are that member's. That ends when it returns: what a stream yields later is produced as the visitor.

    Raises:
        ValueError: there is no such type of subject, at once.
        TypeError: written without parentheses.
    """
    for each in subject_types:
        if not isinstance(each, str):
            raise TypeError(f"require takes names, not {each!r}; write @require('MEMBER'), or @require() for any token")
        if each not in SUBJECT_TYPES:
            raise ValueError(f"{each!r} is no type of subject; {nearest(each, SUBJECT_TYPES)}")
    return functools.partial(_guarded, subject_types)


def _guarded(subject_types: tuple[str, ...], function: _Function) -> _Function:
    if inspect.iscoroutinefunction(inspect.unwrap(function)) or inspect.iscoroutinefunction(type(function).__call__):

        @functools.wraps(function)
        async def run_later(*arguments: Any, **keywords: Any) -> Any:
            info = await getTokenInfo()
            _admit(info, subject_types)
            with _acting_as(info):
                result = function(*arguments, **keywords)
                return await result if inspect.isawaitable(result) else result

        return run_later  # type: ignore[return-value]  # it is called as `function` is

    @functools.wraps(function)
    def run(*arguments: Any, **keywords: Any) -> Any:
        info = getTokenInfo()
        _admit(info, subject_types)
        with _acting_as(info):
            result = function(*arguments, **keywords)
        return _awaiting(result, lambda: _acting_as(info)) if inspect.isawaitable(result) else result

    return run  # type: ignore[return-value]  # the same


def _admit(info: TokenInfo, subject_types: tuple[str, ...]) -> None:
    """Raise HTTPError (RFC 6750, 3) for a caller who is not admitted: 401 or 403."""
    if not info.active:
        if info.subjectType == "VISITOR":
            raise HTTPError(401, "This needs a token.", headers={"WWW-Authenticate": "Bearer"})
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise HTTPError(401, "The token is not valid.", headers=challenge)
    if subject_types and info.subjectType not in subject_types:
        raise HTTPError(
            403,
            "The token is not one for this.",
            headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
            reason=f"the caller is {info.subjectType}, not {' or '.join(subject_types)}",
        )


def _acting_as(info: TokenInfo) -> AbstractContextManager[object]:
    if info.subjectType != "MEMBER" or info.subjectId is None:
        return nullcontext()
    from wixhttp.data.collections import act_as_member  # not for sites without members

    return act_as_member(info.subjectId)


# --- rights ----------------------------------------------------------------------------------------------------------


def elevate(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """``function`` with the rights of the site's owner: permissions of collections do not hold while it runs.

    It may be ``def`` or ``async def``, a function of yours or one of `wixhttp.data`. A query that is made with these
    rights keeps them: ``elevate(items.query)("orders").find()``.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_later(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> Any:
            with _elevation()():
                return await function(*arguments, **keywords)

        return run_later  # type: ignore[return-value]  # it is what `function` is: a coroutine function

    @functools.wraps(function)
    def run(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> Any:
        elevated = _elevation()
        with elevated():
            result = function(*arguments, **keywords)
        return _awaiting(result, elevated) if inspect.isawaitable(result) else result

    return run


def _awaiting(result: Awaitable[Any], acting: Callable[[], AbstractContextManager[object]]) -> Awaitable[Any]:
    """An awaitable with those rights; a promise has begun with them."""
    return result if isinstance(result, Promise) else _awaited_as(result, acting)


async def _awaited_as(result: Awaitable[Any], acting: Callable[[], AbstractContextManager[object]]) -> Any:
    with acting():
        return await result


def _elevation() -> Callable[[], AbstractContextManager[object]]:
    from wixhttp.data.collections import current, override  # not for sites that elevate nothing

    collections = current()
    return functools.partial(override, collections.acting_as(replace(collections.identity, is_elevated=True)))


# --- calls with the caller's token -----------------------------------------------------------------------------------


def fetchWithAuth(url: str, method: str = "GET", **options: Any) -> Any:
    """The ``requests.Response`` of a call that carries the caller's token (Wix: ``httpClient.fetchWithAuth``).

    ``options`` are those of ``requests.request``; ``timeout`` is 10 seconds where it is not given. In ``async def`` it
    is awaited, and begins when it is called. Where the caller has no token, none is sent; an invalid one is sent as it
    is. A redirect to another host does not get it.

    Raises:
        ValueError: others could read the token on the way: not https, and not this machine.
        TypeError: ``options`` have credentials of their own.
        RuntimeError: no request is handled here.
        ConfigError: requests is not installed.
    """
    if not isinstance(url, str) or not is_guarded_url(url):
        shown = masked_url(repr(url))
        raise ValueError(f"a token is sent by https, or to this machine, without a user in the URL, not to {shown}")
    names = (name if isinstance(name, str) else name.decode("latin-1") for name in options.get("headers") or ())
    if "auth" in options or "authorization" in {name.lower() for name in names}:
        raise TypeError("fetchWithAuth sends the caller's token; for other credentials use requests itself")
    try:
        import requests
    except ImportError as error:
        raise ConfigError("fetchWithAuth needs requests; run: pip install 'wixhttp[auth]'") from error
    if (token := token_to_send()) is not None:
        options["auth"] = functools.partial(_authorize, token)
    call = functools.partial(requests.request, method, url, **{"timeout": _FETCH_TIMEOUT, **unrelayed(url), **options})
    if not is_awaited():
        return call()
    return begin_on_thread("fetchWithAuth(...)", call, "fetch", reads=method.upper() in ("GET", "HEAD"))


def _authorize(token: str, request: Any) -> Any:
    """As ``auth=`` of requests, so that no ``.netrc`` takes its place."""
    request.headers["Authorization"] = f"Bearer {token}"
    return request
