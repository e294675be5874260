"""The Headers of endpoints, as the Fetch standard has them (https://fetch.spec.whatwg.org/#headers-class).

Besides they are a mapping, as Python has it: with ``[...]``, ``in`` and iteration. The headers that HTTP functions read
are `wixhttp.http.request_head.RequestHeaders`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wixhttp.errors import HeadersSent
from wixhttp.http.response import check_field_name, field_value

_REQUEST, _RESPONSE = "request", "response"  # whose headers are fixed


class Headers:
    """Header fields: names in any case, in the order of their first setting, spelled as first given.

    ``init`` is a mapping, pairs, or other Headers. Several values of one name are read joined by ``", "``; only of
    ``Set-Cookie`` does each stand for itself, in iteration too. A list as the value sets several, a missing name reads
    ``None``. Those of a request are read-only.

    Raises:
        ValueError: when a header is set that cannot be sent: a name that is no token (RFC 9110, 5.6.2), a value that is
            not Latin-1 or holds CR, LF, NUL or another control character.
        TypeError: for a change of a request's headers.
        HeadersSent: for a change of those of a response that is being streamed.

    >>> headers = Headers({"Accept": "a"})
    >>> headers.append("ACCEPT", "b")
    >>> headers["accept"], headers["x-none"], list(headers.items())
    ('a, b', None, [('Accept', 'a, b')])
    """

    __slots__ = ("_fields", "_fixed")

    __hash__ = None  # type: ignore[assignment]  # they change

    def __init__(self, init: Headers | Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        self._fields: dict[str, tuple[str, list[str]]] = {}
        self._fixed = ""
        if init is None:
            return
        if isinstance(init, Headers):
            self._fields = {key: (name, values.copy()) for key, (name, values) in init._fields.items()}
        elif isinstance(init, Mapping):
            for name, value in init.items():
                self.append(name, value)
        elif isinstance(init, str | bytes) or not isinstance(init, Iterable):
            raise TypeError(f'headers are a mapping such as {{"X-Name": "value"}}, or pairs, not {init!r}')
        else:
            for pair in init:
                if isinstance(pair, str) or len(pair) != 2:
                    raise TypeError(f"headers are made of pairs of a name and a value, not {pair!r}")
                self.append(*pair)

    @classmethod
    def of(cls, fields: Iterable[tuple[str, str]], *, fixed: bool = True) -> Headers:
        """Headers from pairs in any case, not checked: those of a request, which are read-only, or ``fixed`` not so."""
        headers = cls()
        for name, value in fields:
            known = headers._fields.setdefault(name.lower(), (name, []))
            known[1].append(value)
        headers._fixed = _REQUEST if fixed else ""
        return headers

    @property
    def is_sent(self) -> bool:
        """True of those of a response that is being streamed."""
        return self._fixed == _RESPONSE

    def close(self) -> None:
        """Refuse changes from now on: they are those of a response, and on their way."""
        self._fixed = _RESPONSE

    def get(self, name: str, default: Any = None, /) -> Any:
        """The value of ``name``: several are joined by ``", "``, cookies of a request by ``"; "``; else ``default``."""
        key = name.lower()
        known = self._fields.get(key)
        if known is None:
            return default
        values = known[1]
        return values[0] if len(values) == 1 else ("; " if key == "cookie" else ", ").join(values)

    def getSetCookie(self) -> list[str]:
        """The values of ``Set-Cookie``, one for each cookie."""
        known = self._fields.get("set-cookie")
        return [] if known is None else known[1].copy()

    def has(self, name: str) -> bool:
        """Return whether there is a header of that name."""
        return name.lower() in self._fields

    def set(self, name: str, value: Any) -> None:
        """Make ``value`` the one value of ``name``; a list or tuple sets each of its items, an empty one none."""
        values = self._checked(name, value)
        spelled = self._fields.get(name.lower(), (name,))[0]
        if values:
            self._fields[name.lower()] = (spelled, values)
        else:
            self._fields.pop(name.lower(), None)

    def append(self, name: str, value: Any) -> None:
        """Add a value (of a list each item) to those of ``name``."""
        values = self._checked(name, value)
        if values:
            self._fields.setdefault(name.lower(), (name, []))[1].extend(values)

    def delete(self, name: str) -> None:
        """Remove ``name`` with all its values; one that is missing already is no error."""
        self._check_fixed()
        self._fields.pop(name.lower(), None)

    def _checked(self, name: str, value: Any) -> list[str]:
        self._check_fixed()
        check_field_name(name)
        if isinstance(value, list | tuple):
            return [_normalized(name, each) for each in value]
        return [_normalized(name, value)]

    def _check_fixed(self) -> None:
        if self.is_sent:
            raise HeadersSent("the headers of the response cannot be changed")
        if self._fixed:
            raise TypeError("a request is read-only; change a copy of its headers: Headers(request.headers)")

    def items(self) -> Iterator[tuple[str, str]]:
        """Pairs of name and joined value; one for each cookie of ``Set-Cookie``."""
        for key, (name, values) in self._fields.items():
            if len(values) == 1:
                yield name, values[0]
            elif key == "set-cookie":
                for value in values:
                    yield name, value
            else:
                yield name, self.get(key)

    def keys(self) -> Iterator[str]:
        """The names, one for each pair of ``items()``."""
        return (name for name, _ in self.items())

    def values(self) -> Iterator[str]:
        """The values, one for each pair of ``items()``."""
        return (value for _, value in self.items())

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __bool__(self) -> bool:
        return bool(self._fields)

    def __len__(self) -> int:
        return sum(len(values) if key == "set-cookie" else 1 for key, (_, values) in self._fields.items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        mine, theirs = (sorted((name.lower(), value) for name, value in each.items()) for each in (self, other))
        return mine == theirs

    def __repr__(self) -> str:
        return f"Headers({list(self.items())!r})"


def _normalized(name: str, value: Any) -> str:
    """`field_value` of a value without the white space and line breaks around it (Fetch, "normalize")."""
    return field_value(name, value.strip("\t\r\n ") if isinstance(value, str) else value)
