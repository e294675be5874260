"""``context.locals``: values that middleware and handler share, for one request (Astro's ``locals``)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Locals(SimpleNamespace):
    """Values that middleware and handler share, for one request: ``locals.user`` is ``locals["user"]``."""

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(f"locals has no {name!r}; a middleware sets it: context.locals[{name!r}] = ...") from None

    def __setitem__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        del self.__dict__[name]

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def get(self, name: str, default: Any = None) -> Any:
        """The value under a name, else ``default``."""
        return self.__dict__.get(name, default)
