"""The state that is not passed: every context variable of this package, and the list of its process globals.

A context variable holds what users' functions reach without an object in hand. Each is set for a request, or in tests
and commands by a block; their types stand with the functions that read them.

Process globals, each set by the module that it stands in:

- ``wixhttp.secrets._default``: the secrets that `getSecret` reads
- ``wixhttp.data.collections._default``: the collections that calls reach, opened at first use
- ``wixhttp.project.active_config._noted``: the settings with which those are opened
- ``wixhttp.project.opened_database._shared``: the ids of the database's files, which the processes of a server share
- ``wixhttp.project.loader._home``: the first project of the process, whose folder is on the import path
- ``wixhttp.logs.masking._masks``: what masks secrets in every line
- ``wixhttp.logs.tracebacks._advisers``: what says below a traceback what to write instead
- ``wixhttp.logs.captured_prints._captured``: what replaces standard output and error
- ``wixhttp.concurrency.event_loop.begun``: the calls on threads that run, whether somebody awaits them or not
- ``wixhttp.concurrency.event_loop.background``: the event loop of ``async def`` over WSGI and in tests
- ``wixhttp.auth.token_verifiers._made``: verifiers by their settings
- ``wixhttp.access.counter_table._shared``: the counters of rate limits that the processes of a server share
- ``wixhttp.access.counters._in_use``: those that this process counts in
- ``wixhttp.access.key_store._noted``: the API keys whose last use was written, and the time of that
- ``wixhttp.data.awaited_calls._pools``: the threads of awaited calls on collections
- ``wixhttp.data.stores.sqlite._left_behind``, ``wixhttp.data.stores.postgres_pool._left_behind``: connections of the
  process that this one was forked from
- ``wixhttp.leases.owners._owners``, ``wixhttp.leases.owners._making``: the owners of claims that this process is
- ``wixhttp.webhooks.once_claims._claims``: the claims of this process on deliveries, by store
- ``wixhttp.inbox.stores.owner._held``: the claims on jobs that this process has
- ``wixhttp.asgi._NAMES``: the names of header fields as bytes
- ``wixhttp.measurements._counter``: what counts events for metrics
- ``wixhttp.inbox.process_jobs._noted``: the jobs of the site, for functions that enqueue
- ``wixhttp.misuse._given``: the warnings of misuse that were given
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

_Value = TypeVar("_Value")

current_request: ContextVar[Any] = ContextVar("wixhttp_request", default=None)
"""The `Head` of the request that is handled, also for the lines that are logged meanwhile; ``None`` outside of one."""

current_secrets: ContextVar[Any] = ContextVar("wixhttp_secrets", default=None)
"""The `SecretStore` in place of the process's; ``None``: the process's."""

current_collections: ContextVar[Any] = ContextVar("wixhttp_collections", default=None)
"""The `Collections` that calls reach in place of the process's, as whoever acts; ``None``: the process's."""

current_caller: ContextVar[Any] = ContextVar("wixhttp_caller", default=None)
"""The `TokenInfo` that a test has set; ``None``: what the request's token says."""

auth_settings: ContextVar[Any] = ContextVar("wixhttp_auth_settings", default=None)
"""The `Config` by which tokens are checked in a test; ``None``: the process's."""

bridge_depth: ContextVar[int] = ContextVar("wixhttp_bridge_depth", default=0)
"""The number of threads of a `Bridge` that wait for the code that runs here."""


class using(AbstractContextManager[_Value]):  # noqa: N801 - called like the functions of contextlib
    """Give a variable a value, in this context and its tasks, until the block ends: ``with using(variable, value)``."""

    def __init__(self, variable: ContextVar[Any], value: _Value) -> None:
        self._variable = variable
        self._value = value

    def __enter__(self) -> _Value:
        self._token = self._variable.set(self._value)
        return self._value

    def __exit__(self, *raised: object) -> None:
        self._variable.reset(self._token)


@contextmanager
def using_by_default(variable: ContextVar[Any], value: object) -> Iterator[None]:
    """As `using`, unless the variable has a value already."""
    if variable.get() is not None:
        yield
        return
    with using(variable, value):
        yield
