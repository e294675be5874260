"""The patterns of file routes, their order, and the table that finds the first one that matches a path.

Static text is compared in the form of ``paths.comparable``, on both sides: a client may send ``+`` or ``%2B`` for the
plus in the name of a file. What a parameter is bound to stays as the path string has it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from wixhttp.errors import HTTPError, ProjectError

from .matcher import Matcher, Part, is_rest, steps_of, steps_of_segment
from .paths import comparable, encode, is_reachable, normalize

T = TypeVar("T")

_STATIC, _PARTLY, _PARAMETER, _END, _PARTLY_REST, _REST = range(6)  # the order between segments, and the end of a route
_NAME = re.compile(r"[A-Za-z0-9_]+")
_INDEX = "index.py"


class Pattern:
    """The pattern of one route.

    ``text`` is as its files are named (``/api/users/[id]``, ``/`` for the root), ``names`` are those of its parameters,
    in order, ``segments`` its parts, ``matcher`` matches paths. Patterns sort by ``key``: segment by segment static
    text, partly static, ``[name]``, the end of the route, partly static with a rest, a rest; then by their text.
    """

    __slots__ = ("key", "matcher", "names", "segments", "text")

    def __init__(self, segments: Sequence[tuple[Part, ...]]) -> None:
        self.segments = tuple(segments)
        self.text = "/" + "/".join("".join(map(_spelled, segment)) for segment in segments)
        self.names = tuple(part.name for segment in segments for part in segment if part.name)
        self.key = ((*map(_kind, segments), _END), self.text)
        self.matcher = Matcher(steps_of(segments), self.names)

    @property
    def is_static(self) -> bool:
        """True if it has no parameter."""
        return not self.names

    @property
    def shape(self) -> str:
        """The text without the names of parameters, in the form in which it is compared: patterns of one shape match
        the same paths."""
        return "/" + "/".join(map(_shape, self.segments))

    def match(self, path: str) -> dict[str, str | None] | None:
        """The parameters of a path string, or ``None`` where it does not match. A slash at its end does not count.

        ``[name]`` is the shortest text that is not empty and holds no slash; ``[...name]`` the shortest of any text,
        ``None`` for none. A rest that is a whole segment, and empty, takes its slash with it.
        """
        return self.matcher.match(path[:-1] if path[-1:] == "/" else path)

    def build(self, params: Mapping[str, str | None]) -> str:
        """The path string with ``params`` filled in. A rest of ``None`` or ``""`` that is a whole segment drops it.

        Raises:
            ValueError: a parameter is missing or no text, is empty or holds a slash without being a rest; or no request
                can have such a path.
        """
        segments = []
        for segment in self.segments:
            filled = "".join(part.text or self._value(part, params) for part in segment)
            if filled or not is_rest(segment):
                segments.append(filled)
        path = "/" + "/".join(segments).replace("?", "%3F").replace("#", "%23")
        if not _is_path(path) or (segments and path[-1] == "/"):
            raise ValueError(
                f"{path!r} is no path that a request can have: a value must not begin or end with a slash, nor hold "
                "'//', '\\', a segment '.' or '..', or a percent-encoded character"
            )
        return path

    def _value(self, part: Part, params: Mapping[str, str | None]) -> str:
        if part.name not in params:
            raise ValueError(f"the parameter {part.name!r} of {self.text} is missing: a value for each of {self.names}")
        value = params[part.name]
        if value is not None and not isinstance(value, str):
            kind = type(value).__name__
            raise ValueError(f"the parameter {part.name!r} of {self.text} is a str or None, not {value!r} ({kind})")
        if not part.rest and not value:
            raise ValueError(f"the parameter {part.name!r} of {self.text} must not be empty, but is {value!r}")
        if not part.rest and value and "/" in value:
            raise ValueError(
                f"the parameter {part.name!r} of {self.text} must not hold a slash, but is {value!r}; "
                f"[...{part.name}] may"
            )
        return value or ""

    def __repr__(self) -> str:
        return f"<Pattern {self.text}>"


def route_of(path: PurePosixPath, file: str) -> Pattern | None:
    """The pattern of a file below the folder of pages; ``None`` for what is no route. ``path`` is relative to it.

    No routes are: names that begin with ``_`` or ``.`` (but for ``.well-known``), ``conftest.py``, and what does not
    end in ``.py``. ``file`` is how errors name it.

    Raises:
        ProjectError: see `parse_pattern`; or no request can have such a path.
    """
    *folders, name = path.parts
    if any(part[0] in "_." and part != ".well-known" for part in path.parts):
        return None
    if name == "conftest.py" or not name.endswith(".py"):
        return None
    pattern = parse_pattern(folders if name == _INDEX else [*folders, name.removesuffix(".py")], file)
    for segment in pattern.segments:
        text = "".join(part.text or "x" for part in segment)
        if not is_reachable("/" + text):
            raise ProjectError(
                f"{file!r}: no request has such a path, because of {text!r}: paths are decoded, so a name is written "
                "as it reads (café, not caf%C3%A9), without '\\' and control characters; rename it"
            )
    return pattern


def parse_pattern(segments: Sequence[str], file: str) -> Pattern:
    """The pattern of a route from the names of its folders and of its file, without ``.py``.

    Raises:
        ProjectError: it names ``file``: brackets are not balanced, two parameters touch, a parameter's name is empty,
            not made of ASCII letters, digits and ``_``, or used twice.
    """
    pattern = Pattern([tuple(_parts(unicodedata.normalize("NFC", segment), file)) for segment in segments])
    for name in pattern.names:
        if pattern.names.count(name) > 1:
            raise ProjectError(f"{file}: the parameter {name!r} stands twice in one route; rename one of them")
    return pattern


def _parts(segment: str, file: str) -> Iterator[Part]:
    rest = segment
    while rest:
        text, bracket, rest = rest.partition("[")
        name, closing, rest = rest.partition("]")
        if "]" in text or "[" in name or bool(bracket) != bool(closing):
            raise ProjectError(f"{file}: brackets are not balanced in {segment!r}; write [name] or [...name]")
        if text:
            yield Part(text)
        if not bracket:
            return
        if not _NAME.fullmatch(name.removeprefix("...")):
            raise ProjectError(
                f"{file}: a parameter's name is made of letters, digits and _, not [{name}] in {segment!r}; "
                "write [name] or [...name]"
            )
        if rest.startswith("["):
            raise ProjectError(
                f"{file}: two parameters touch in {segment!r}; put static text between them, as in [a]-[b]"
            )
        yield Part(name=name.removeprefix("..."), rest=name.startswith("..."))


def _is_path(text: str) -> bool:
    try:
        return normalize(encode(text)) == text
    except (HTTPError, UnicodeError):
        return False


def _spelled(part: Part) -> str:
    return part.text or f"[{'...' if part.rest else ''}{part.name}]"


def _shape(segment: Iterable[Part]) -> str:
    return "".join(comparable(part.text) or _spelled(part._replace(name="")) for part in segment)


def _kind(segment: Sequence[Part]) -> int:
    if any(part.rest for part in segment):
        return _REST if len(segment) == 1 else _PARTLY_REST
    if any(part.name for part in segment):
        return _PARAMETER if len(segment) == 1 else _PARTLY
    return _STATIC


class _Node:
    """A node of the prefix tree of routes: those below it share their segments up to here. A route is known by its
    rank, its place in the order."""

    __slots__ = ("endings", "least", "lengths", "only_rest", "parameter", "partly", "rank", "rests", "static")

    def __init__(self, none: int) -> None:
        self.least = none  # the least rank of the routes here and below
        self.rank = none  # that of the route that ends here
        self.static: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        # Partly static segments by their beginning and ending, then by shape; routes with a rest in the next segment by
        # its beginning and the ending of the whole path, in order. The lengths of those texts are what is looked up.
        self.partly: dict[tuple[str, str], dict[str, tuple[Matcher, _Node]]] = {}
        self.lengths: list[tuple[int, int]] = []
        self.rests: dict[tuple[str, str], list[tuple[int, Matcher]]] = {}
        self.endings: list[tuple[int, int]] = []
        self.only_rest: tuple[int, str] | None = None  # the rank of the one route with a rest, its name

    def child(self, segment: tuple[Part, ...], none: int) -> _Node:
        """The node behind ``segment``, which has no rest; a new one where there is none yet."""
        kind = _kind(segment)
        if kind == _STATIC:
            return self.static.setdefault(_shape(segment), _Node(none))
        if kind == _PARAMETER:
            self.parameter = self.parameter or _Node(none)
            return self.parameter
        key = _beginning(segment), _ending(segment)
        if key not in self.partly:
            self.partly[key] = {}
            self.lengths = sorted({(len(beginning), len(ending)) for beginning, ending in self.partly})
        matcher = Matcher(steps_of_segment(segment), ())
        return self.partly[key].setdefault(_shape(segment), (matcher, _Node(none)))[1]

    def add_rest(self, rank: int, pattern: Pattern, segment: tuple[Part, ...]) -> None:
        """Note a route that has a rest in its next segment."""
        key = _beginning(segment), pattern.matcher.ending
        is_only = not self.rests and pattern.segments[-1] is segment and is_rest(segment) and len(pattern.names) == 1
        self.only_rest = (rank, pattern.names[0]) if is_only else None
        self.rests.setdefault(key, []).append((rank, pattern.matcher))
        self.endings = sorted({(len(beginning), len(ending)) for beginning, ending in self.rests})


def _beginning(segment: Sequence[Part]) -> str:
    """A text with which every match begins. A literal % may stand before digits that make it an escape in a path:
    what is behind it is left to the matcher."""
    return comparable(segment[0].text).partition("%")[0]


def _ending(segment: Sequence[Part]) -> str:
    """A text with which every match ends."""
    text = comparable(segment[-1].text)
    return "" if "%" in text else text


class RouteTable(Generic[T]):
    """The routes of a site: patterns, each with a value of any type. The order in which they come does not matter."""

    __slots__ = ("_indices", "_root", "_routes", "_static")

    def __init__(self, routes: Iterable[tuple[Pattern, T]]) -> None:
        self._routes = sorted(routes, key=lambda route: route[0].key)
        self._static: dict[str, int] = {}
        self._indices = [_indices(pattern) for pattern, _ in self._routes]
        self._root = _Node(len(self._routes))
        for rank, (pattern, _) in enumerate(self._routes):
            if pattern.is_static:
                self._static.setdefault("" if pattern.shape == "/" else pattern.shape, rank)
            else:
                self._add(rank, pattern)

    def find(self, path: str) -> tuple[Pattern, T, dict[str, str | None]] | None:
        """The first route that matches a path string, as pattern, value and parameters; ``None`` for none."""
        path = path.removesuffix("/")
        text = comparable(path) if "%" in path else path
        rank = self._static.get(text)
        if rank is not None:
            pattern, value = self._routes[rank]
            return pattern, value, {}
        segments = path.split("/")
        texts = segments if text is path else text.split("/")
        rank, params = self._first(segments, texts, path)
        if rank == len(self._routes):
            return None
        pattern, value = self._routes[rank]
        if params is None:
            indices = self._indices[rank]
            params = {name: segments[index] for name, index in indices} if indices else pattern.matcher.match(path)
        return pattern, value, params or {}

    def _first(self, segments: list[str], texts: list[str], path: str) -> _Best:
        """The first in the order of the routes that match. Goes straight on as long as there is one way only."""
        node, index, none = self._root, 1, len(self._routes)
        while not node.lengths:
            if node.endings:
                if node.only_rest is None or node.static or node.parameter is not None or index == len(segments):
                    break
                rank, name = node.only_rest
                return rank, {name: "/".join(segments[index:]) or None}
            if index == len(segments):
                return node.rank, None
            text = texts[index]
            child, parameter = node.static.get(text), node.parameter
            if child is None:
                if parameter is None or not text:
                    return none, None
                child = parameter
            elif parameter is not None:
                break
            node, index = child, index + 1
        return _search(node, index, segments, texts, path, (none, None))

    def shadowed(self) -> list[tuple[T, T]]:
        """Pairs of one that answers and one that never can, because its pattern differs only in the names of parameters
        (``[id]``, ``[name]``) or in how its text is spelled (``a+b``, ``a%2Bb``)."""
        first: dict[str, tuple[Pattern, T]] = {}
        pairs = []
        for pattern, value in self._routes:
            answering = first.setdefault(pattern.shape, (pattern, value))
            if answering[0].text != pattern.text:
                pairs.append((answering[1], value))
        return pairs

    def __iter__(self) -> Iterator[tuple[Pattern, T]]:
        """The routes in their order."""
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    def _add(self, rank: int, pattern: Pattern) -> None:
        node = self._root
        node.least = min(node.least, rank)
        for segment in pattern.segments:
            if any(part.rest for part in segment):
                node.add_rest(rank, pattern, segment)
                return
            node = node.child(segment, len(self._routes))
            node.least = min(node.least, rank)
        node.rank = min(node.rank, rank)


def _indices(pattern: Pattern) -> list[tuple[str, int]]:
    """The places of the parameters among the segments of a path, or nothing where some are not whole segments."""
    if any(_kind(segment) not in (_STATIC, _PARAMETER) for segment in pattern.segments):
        return []
    return [(segment[0].name, index) for index, segment in enumerate(pattern.segments, 1) if segment[0].name]


_Best = tuple[int, "dict[str, str | None] | None"]  # a rank, and the parameters where finding it gave them


def _search(node: _Node, index: int, segments: list[str], texts: list[str], path: str, best: _Best) -> _Best:
    """The first in the order of the routes at and below ``node`` that match, or ``best`` where that comes before."""
    if index == len(segments):
        if node.rank < best[0]:
            best = node.rank, None
    else:
        text = texts[index]
        child = node.static.get(text)
        if child is not None and child.least < best[0]:
            best = _search(child, index + 1, segments, texts, path, best)
        for beginning, ending in node.lengths:
            for matcher, child in node.partly.get((text[:beginning], text[len(text) - ending :]), {}).values():
                if child.least < best[0] and matcher.match(segments[index]) is not None:
                    best = _search(child, index + 1, segments, texts, path, best)
        child = node.parameter
        if child is not None and child.least < best[0] and text:
            best = _search(child, index + 1, segments, texts, path, best)
    text = texts[index] if index < len(texts) else ""
    for beginning, ending in node.endings:
        for rank, matcher in node.rests.get((text[:beginning], path[max(0, len(path) - ending) :]), ()):
            if rank >= best[0]:
                break
            params = matcher.match(path)
            if params is not None:
                best = rank, params
    return best
