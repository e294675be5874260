"""From a raw request target to the words of a URL: name, path segments, query.

Pure functions over ``str``. A raw target is what the client sent, percent-encoded, and holds no white space.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload
from urllib.parse import quote, unquote_to_bytes

from wixhttp.messages import no_attribute

DEFAULT_PORTS = {"http": "80", "https": "443"}
"""The port of each scheme where a URL names none (RFC 9110, 4.2)."""

_Kind = TypeVar("_Kind")


def read_only(*names: str) -> Callable[[type[_Kind]], type[_Kind]]:
    """A class decorator: the methods that would change an instance raise TypeError."""

    def refuse(self: object, *arguments: object, **keywords: object) -> Any:
        raise TypeError("a request is read-only; change a copy of it: list(request.path), dict(request.query)")

    def decorate(kind: type[_Kind]) -> type[_Kind]:
        for name in names:
            setattr(kind, name, refuse)
        return kind

    return decorate


LIST_CHANGES = "__setitem__ __delitem__ __iadd__ __imul__ append clear extend insert pop remove reverse sort".split()
DICT_CHANGES = "__setitem__ __delitem__ __ior__ clear pop popitem setdefault update".split()


@read_only(*LIST_CHANGES)
class PathSegments(list[str]):
    """The segments of a path behind the function's name. An index out of range reads ``None``, as in Velo.

    >>> PathSegments(["sub", "more"])[0], PathSegments(["sub"])[5]
    ('sub', None)
    """

    __slots__ = ()

    @overload  # type: ignore[override]  # what Velo reads as undefined reads as None here
    def __getitem__(self, index: int, /) -> str | None: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[str]: ...
    def __getitem__(self, index: int | slice, /) -> str | list[str] | None:
        try:
            return list.__getitem__(self, index)
        except IndexError:
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)


@read_only(*DICT_CHANGES)
class QueryParams(dict[str, str]):
    """The parameters of a query. A missing key reads ``None``; of a repeated key the last wins.

    >>> QueryParams({"q": "1"})["q"], QueryParams()["nothing"]
    ('1', None)
    """

    __slots__ = ("_pairs",)

    _pairs: list[tuple[str, str]]
    """Every pair as it was sent, of a request's query."""

    if TYPE_CHECKING:  # what Velo reads as undefined reads as None here

        def __getitem__(self, key: str, /) -> str | None: ...  # type: ignore[override]

    def __missing__(self, key: str) -> None:
        return None

    if not TYPE_CHECKING:  # to type checkers there is no such attribute

        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute(self, name, f"request.query[{name!r}]")

    def parse(self, model: type[_Kind], /) -> _Kind:
        """The parameters as a ``model``: a dataclass, TypedDict, NamedTuple or pydantic model (the extra
        ``validation``). A field that is a list has every value of a repeated key.

        Raises:
            ValidationError: they do not fit. Not caught by the handler, it is answered 422, with each error.
        """
        from .validation import validated_pairs

        value: Any = validated_pairs(getattr(self, "_pairs", None) or self.items(), model)
        return value  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied_query, (getattr(self, "_pairs", None) or list(self.items()),)


def _copied_query(pairs: list[tuple[str, str]]) -> QueryParams:
    query = QueryParams(pairs)
    query._pairs = pairs
    return query


def split_target(target: str) -> tuple[str, str]:
    """The raw path and the raw query of a request target in origin form (RFC 9112, 3.2.1); other forms:
    `request_target`.

    >>> split_target("/a%2Fb?q=1"), split_target("/a?q=1#top")
    (('/a%2Fb', 'q=1'), ('/a', 'q=1'))
    """
    if "#" in target:
        target = target.partition("#")[0]
    path, query = target, ""
    if "?" in target:
        path, _, query = target.partition("?")
    return path, query


def segments(raw: str) -> PathSegments:
    """The decoded segments of a raw path: split on ``/`` first, so ``%2F`` stays inside its segment.

    Empty segments are dropped; bytes that are not UTF-8 become U+FFFD; dot segments are text.

    >>> segments("/a%2Fb//c/")
    ['a/b', 'c']
    """
    if "/" not in raw:
        return PathSegments((decode(raw),) if raw else ())
    return PathSegments(decode(part) for part in raw.split("/") if part)


def remove_dot_segments(names: list[str]) -> list[str]:
    """Return the names of a path, split at its slashes, without ``.`` and ``..`` (RFC 3986, 5.2.4), ``%2e`` included.

    ``..`` removes the name before it, an empty one too, and nothing above the root. Where the last name is one of the
    two, the result ends with ``""``: the path ends with a slash.

    >>> remove_dot_segments(["a", "b", "..", "c", "%2E"])
    ['a', 'c', '']
    """
    kept: list[str] = []
    plain = ""
    for name in names:
        plain = name.replace("%2e", ".").replace("%2E", ".") if "%" in name else name
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(name)
    if plain in (".", ".."):
        kept.append("")
    return kept


def decode(segment: str) -> str:
    """One percent-decoded segment, as UTF-8, with U+FFFD for bytes that are not; a ``%`` without two digits is text.

    >>> decode("a%20b"), decode("%C3%A9%FF"), decode("100%")
    ('a b', 'é\ufffd', '100%')
    """
    if "%" not in segment:
        return segment
    text = segment.replace("%20", " ")  # the most common escape, and quickly done where it is the only one
    return unquote_to_bytes(segment).decode("utf-8", "replace") if "%" in text else text


def query_pairs(raw: str) -> list[tuple[str, str]]:
    """The pairs of a query by the rules of forms (WHATWG URL, 5.1): ``+`` is a space, ``a=`` and ``a`` give ``""``.

    >>> query_pairs("q=1+2&a&b=%26")
    [('q', '1 2'), ('a', ''), ('b', '&')]
    """
    pairs = []
    for part in raw.split("&"):
        if part:
            if "+" in part:
                part = part.replace("+", " ")  # before the escapes: %2B is a plus
            key, _, value = part.partition("=")
            if "%" in part:
                key, value = decode(key), decode(value)
            pairs.append((key, value))
    return pairs


def quote_path(path: str) -> str:
    """The raw form of a path that a server handed over decoded. What was ``%2F`` before is lost by then."""
    return quote(path, safe="/!$&'()*+,;=:@-._~")


def ascii_target(raw: bytes) -> str:
    """A raw target as text; bytes that should have been percent-encoded become so."""
    return raw.decode() if raw.isascii() else quote(raw, safe="%/?#!$&'()*+,;=:@-._~[]")


def scalar_text(text: str) -> str:
    """``text`` with U+FFFD for each lone surrogate, as browsers read text that goes into a URL (Web IDL, USVString)."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
