"""Static paths: those that ``getStaticPaths`` lists for a static endpoint with parameters; and pagination of lists.

https://docs.astro.build/en/reference/routing-reference/#getstaticpaths
"""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from wixhttp.endpoints.routing.paths import comparable, encode
from wixhttp.endpoints.routing.patterns import Pattern
from wixhttp.errors import BuildError, ProjectError
from wixhttp.project.signatures import parameters_of

Wait = Callable[[Callable[[], Any]], Any]
"""A function that awaits what its argument returns, and returns the value."""

_Key = tuple[str | None, ...]  # the values of the parameters as they are compared

_PAGE = "page"
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_MOST_SHOWN = 200  # characters of an entry in a message


class StaticPath(NamedTuple):
    """One path of a static endpoint. ``path`` is the path string, without the site's prefix."""

    params: dict[str, str | None]
    props: Mapping[str, Any]
    path: str


@dataclass(frozen=True)
class PageURL:
    """The paths of a page and of its neighbours, as a URL has them; ``None`` for what there is not: ``first`` of the
    first page, ``last`` of the last one."""

    current: str
    next: str | None = None
    prev: str | None = None
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True)
class Page:
    """One page of a list, as ``props["page"]``. ``start`` and ``end`` are the positions of its first and last item in
    the whole list, from 0 (``end`` is -1 where there are no items); pages count from 1; ``size`` is that of a full one.
    """

    data: list[Any]
    start: int
    end: int
    total: int
    currentPage: int
    size: int
    lastPage: int
    url: PageURL = field(default=PageURL(""))


def paginate(
    items: Iterable[Any],
    pageSize: int = 10,
    params: Mapping[str, str | None] | None = None,
    props: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The entries of ``getStaticPaths`` for a list in pages: ``params["page"]`` is its number, ``props["page"]`` a
    `Page`. Without items there is one empty page. ``params`` and ``props`` are put into each entry.

    The route has a parameter ``[page]``, or ``[...page]``, whose first page is without number.

    >>> [entry["params"] for entry in paginate(["a", "b", "c"], pageSize=2, params={"tag": "x"})]
    [{'tag': 'x', 'page': '1'}, {'tag': 'x', 'page': '2'}]

    Raises:
        ValueError: ``pageSize`` is not a whole number from 1 up, or ``params`` or ``props`` name a ``page`` themselves.
        TypeError: ``items`` is no list.
    """
    if isinstance(pageSize, bool) or not isinstance(pageSize, int) or pageSize < 1:
        raise ValueError(f"pageSize is a whole number from 1 up, not {pageSize!r}")
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise TypeError(f"paginate() takes a list of items, not {_shown(items)}")
    for name, given in (("params", params), ("props", props)):
        if given is not None and _PAGE in given:
            raise ValueError(f"paginate() sets {name}[{_PAGE!r}] itself; leave it out of {_shown(given)}")
    data = list(items)
    total = len(data)
    last = max(1, -(-total // pageSize))
    entries = []
    for number in range(1, last + 1):
        start, stop = (number - 1) * pageSize, min(number * pageSize, total)
        page = Page(data[start:stop], start, stop - 1, total, number, pageSize, last)
        entries.append({"params": {**(params or {}), _PAGE: str(number)}, "props": {**(props or {}), _PAGE: page}})
    return entries


class StaticPaths:
    """The paths that ``getStaticPaths`` of one file lists. ``prefix``, a path string without a slash at its end, stands
    in front of the paths that a `Page` names.

    The function is called each time, so that processes which serve side by side give the same answer; where ``keeps``
    is set, as for a build, once, unless its list is wrong. Safe to share between threads.

    Raises:
        ProjectError: the function asks for something other than ``paginate``.
    """

    def __init__(
        self, pattern: Pattern, file_name: str, function: Callable[..., Any], *, keeps: bool = False, prefix: str = ""
    ) -> None:
        self.pattern = pattern
        self.file_name = file_name
        self.keeps = keeps
        self.prefix = prefix
        self._call = _bound(function, file_name)
        self._rests = {part.name for segment in pattern.segments for part in segment if part.rest}
        self._lock = threading.Lock()
        self._kept: dict[_Key, StaticPath] | None = None

    def entries(self, wait: Wait) -> list[StaticPath]:
        """The entries in the order of the list.

        Raises:
            BuildError: the list is wrong, which names file and entry; or making it raised, which is the cause.
        """
        return list(self._listed(wait).values())

    def find(self, params: Mapping[str, str | None], wait: Wait) -> StaticPath | None:
        """The entry of a request with these parameters, however it spells reserved characters (``+``, ``%2B``);
        ``None`` where it is not listed.

        Raises:
            BuildError: see `entries`.
        """
        return self._listed(wait).get(self._key(params))

    def _key(self, params: Mapping[str, str | None]) -> _Key:
        values = (params[name] for name in self.pattern.names)
        return tuple(None if value is None else comparable(value) for value in values)

    def _listed(self, wait: Wait) -> dict[_Key, StaticPath]:
        if not self.keeps:
            return self._made(wait)
        kept = self._kept
        if kept is None:
            with self._lock:
                kept = self._kept
                if kept is None:  # not kept where it fails: the next time its database may answer
                    kept = self._kept = self._made(wait)
        return kept

    def _made(self, wait: Wait) -> dict[_Key, StaticPath]:
        try:
            value = self._call()
            if isinstance(value, Awaitable):
                awaitable = value
                value = wait(lambda: awaitable)
        except Exception as error:
            raise BuildError(f"{self.file_name}: getStaticPaths() raised {type(error).__name__}: {error}") from error
        if not isinstance(value, list):
            raise BuildError(
                f"{self.file_name}: getStaticPaths() returns a list of {{'params': {{...}}}}, not {_shown(value)} "
                f"({type(value).__name__}); return [...]"
            )
        made: dict[_Key, StaticPath] = {}
        places: dict[str, str] = {}
        for where, given in _flat(value):
            try:
                entry = self._entry(given)
            except ValueError as error:
                raise BuildError(f"{self.file_name}: getStaticPaths(){where} = {_shown(given)}: {error}") from None
            first = places.setdefault(comparable(entry.path), where)
            if first != where:
                raise BuildError(
                    f"{self.file_name}: getStaticPaths(){where} = {_shown(given)}: the path {entry.path!r} is listed "
                    f"twice, first at {first}; remove one"
                )
            made[self._key(entry.params)] = entry
        return made

    def _entry(self, given: Any) -> StaticPath:
        """One entry of the list, checked.

        Raises:
            ValueError: what is wrong with it.
        """
        if not isinstance(given, Mapping):
            raise ValueError(f"an entry is a dict with 'params', not of type {type(given).__name__}")
        if unknown := [key for key in given if key not in ("params", "props")]:
            raise ValueError(f"an entry has 'params' and 'props', nothing else; remove {unknown[0]!r}")
        if "params" not in given:
            raise ValueError(f"an entry has 'params'; add them: a value for each of {self.pattern.names}")
        props = given.get("props", {})
        if not isinstance(props, Mapping):
            raise ValueError(f"'props' is a dict, not {_shown(props)} ({type(props).__name__}); or leave it out")
        page = props.get(_PAGE)
        params = self._params(given["params"], page)
        if isinstance(page, Page):
            params = {**params, _PAGE: self._number(page.currentPage)}
            props = {**props, _PAGE: replace(page, url=self._urls(page, params))}
        return StaticPath(params, props, self._path(params))

    def _params(self, given: Any, page: Any) -> dict[str, str | None]:
        """The parameters of an entry in the order of the route, an empty rest as ``None``."""
        names = self.pattern.names
        if not isinstance(given, Mapping):
            raise ValueError(f"'params' is a dict, not {_shown(given)} ({type(given).__name__})")
        for name in given:
            if name == _PAGE and name not in names and isinstance(page, Page):
                raise ValueError(
                    f"paginate() is for a route with a parameter 'page', and {self.pattern.text} has none; "
                    "name the file [page].py or [...page].py"
                )
            if name not in names:
                raise ValueError(f"the route {self.pattern.text} has no parameter {name!r}; it has {', '.join(names)}")
        params: dict[str, str | None] = {}
        for name in names:
            if name not in given:
                more = ", None for an empty rest" if name in self._rests else ""
                raise ValueError(f"the parameter {name!r} of {self.pattern.text} is missing; add it{more}")
            value = given[name]
            if value is not None and not isinstance(value, str):
                raise ValueError(
                    f"the parameter {name!r} is a str, or None for an empty rest, not {_shown(value)} "
                    f"({type(value).__name__}); write str(...)"
                )
            params[name] = (value or None) if name in self._rests else value
        return params

    def _path(self, params: dict[str, str | None]) -> str:
        """The path string of checked parameters."""
        for name, value in params.items():
            if value is not None and _CONTROL.search(value):
                raise ValueError(f"the parameter {name!r} holds a control character, and a path has none: {value!r}")
        path = self.pattern.build(params)
        found = self.pattern.match(path)
        if found != params:
            raise ValueError(
                f"these parameters are not those of a request for their path {path!r}, which are {found!r}; a value "
                "holds neither '?' nor '#' nor the text that stands behind it in the route"
            )
        return path

    def _number(self, number: int) -> str | None:
        return None if number == 1 and _PAGE in self._rests else str(number)

    def _urls(self, page: Page, params: Mapping[str, str | None]) -> PageURL:
        def url(number: int) -> str:
            return encode(self.prefix + self.pattern.build({**params, _PAGE: self._number(number)}))

        number, last = page.currentPage, page.lastPage
        return PageURL(
            current=url(number),
            next=url(number + 1) if number < last else None,
            prev=url(number - 1) if number > 1 else None,
            first=url(1) if number > 1 else None,
            last=url(last) if number < last else None,
        )


def _bound(function: Callable[..., Any], file_name: str) -> Callable[[], Any]:
    """``function`` as a callable without arguments: it takes nothing, or ``paginate``."""
    try:
        parameters = parameters_of(function)
    except (TypeError, ValueError):  # a callable written in C without a signature
        return function
    asked = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if not asked:
        return function
    if [p.name for p in asked] != [paginate.__name__]:
        names = ", ".join(p.name for p in asked)
        raise ProjectError(f"{file_name}: getStaticPaths takes nothing, or paginate, not ({names})")
    if asked[0].kind is asked[0].KEYWORD_ONLY:
        return lambda: function(paginate=paginate)
    return lambda: function(paginate)


def _flat(value: list[Any]) -> Iterator[tuple[str, Any]]:
    """The entries with their places. As in Astro a list within the list stands for its entries: ``[paginate(a)]``."""
    for index, entry in enumerate(value):
        if isinstance(entry, list):
            yield from ((f"[{index}][{inner}]", each) for inner, each in enumerate(entry))
        else:
            yield f"[{index}]", entry


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
