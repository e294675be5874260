"""Who acts now: the collections that calls without an object in hand reach. `collections.current` asks here first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

_acting: ContextVar[Any] = ContextVar("wixhttp_data", default=None)

_Acting = TypeVar("_Acting")


def acting() -> Any:
    """What `override` has set in this context, or ``None``."""
    return _acting.get()


@contextmanager
def override(collections: _Acting) -> Iterator[_Acting]:
    """Use ``collections`` instead of the process's, in this context and its tasks, until the block ends."""
    token = _acting.set(collections)
    try:
        yield collections
    finally:
        _acting.reset(token)


@contextmanager
def fallback(collections: object) -> Iterator[None]:
    """Use ``collections`` as `override` does, unless some are in use by `override` already."""
    if _acting.get() is not None:
        yield
        return
    with override(collections):
        yield
