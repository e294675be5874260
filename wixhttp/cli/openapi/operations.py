"""The operations of a site: each method of each path, with what the text of its handler tells."""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wixhttp.access.api_keys import KeyGuard
from wixhttp.access.exemption import Exemption
from wixhttp.cli.checks.file_rules import project_files
from wixhttp.cli.checks.sources import Project, Source
from wixhttp.dispatch.site import Site
from wixhttp.endpoints.endpoint_table import Route
from wixhttp.endpoints.routing.matcher import Part
from wixhttp.endpoints.routing.paths import encode
from wixhttp.guards import ADDRESS_RATE, DEFERRED, KEY, ONCE, RATE
from wixhttp.http.policy import Policy
from wixhttp.project.config import Config
from wixhttp.project.function_table import EVERY_METHOD, Methods
from wixhttp.project.signatures import place_of

from .handler_facts import AnyFunction, HandlerFacts, read_handler
from .schemas import Schema

_METHODS = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH")
_OF_EVERY = ("GET", "PUT", "POST", "DELETE", "PATCH")  # of a handler of every method; it answers the others, too
_REST = "The segments behind the name. They may be several, with slashes between them."
_EMPTY_REST = "The rest of the path. It may hold slashes, or be empty: then the slash in front of it is left out, too."


class HandlerAccess(NamedTuple):
    """The access to a handler: ``scopes`` are those of the API key that it asks for, ``None`` for no key. ``is_once``:
    repeats of a request are refused while it runs; ``needs_idempotency_key`` is ``None`` where that header is not read.
    ``deferred_status`` is that of the answer to requests that are stored; ``None`` for a handler that answers itself.
    """

    scopes: tuple[str, ...] | None
    is_limited: bool
    is_once: bool = False
    needs_idempotency_key: bool | None = None
    deferred_status: int | None = None


class Operation(NamedTuple):
    """One method of one path, before its schemas are made. ``methods`` are several for a handler of every method."""

    path: str
    parameters: tuple[Schema, ...]
    methods: tuple[str, ...]
    name: str
    tag: str
    summary: str
    description: str
    facts: HandlerFacts
    is_optional: bool  # whether the body is: a handler of every method may read it for some alone
    access: HandlerAccess
    is_deprecated: bool


def operations_of(site: Site) -> list[Operation]:
    """The operations of functions, by name, then those of endpoints, in the order in which routes are tried."""
    handlers = _Handlers(site)
    return [*_of_functions(site, handlers), *_of_endpoints(site, handlers)]


class _Handlers:
    """Finds the text of handlers, whose files are read once."""

    def __init__(self, site: Site) -> None:
        config = site.config
        read = ((file, Source.read(file, config.root)) for file in sorted(project_files(config.root, config)))
        sources = {str(file): source for file, source in read if isinstance(source, Source)}
        self._project = Project(sources.values())
        self._functions = {
            (file, min([node.lineno, *(each.lineno for each in node.decorator_list)])): (source, node)
            for file, source in sources.items()
            for node in source.tree.functions()
        }  # by the place that their code has
        self._modules = {getattr(module, "__file__", None): module for module in list(sys.modules.values())}

    def find(self, target: Any) -> tuple[AnyFunction, HandlerFacts] | None:
        """The text of a handler, and what it tells; ``None`` for what is no function of the project's."""
        found = self._functions.get(place_of(target))
        return None if found is None else (found[1], read_handler(self._project, *found))

    def global_of(self, file: Path, name: str) -> Any:
        """The value of a name at the top of an imported file; ``None`` for none."""
        return getattr(self._modules.get(str(file)), name, None)

    def described(self, target: Any, summary: str) -> dict[str, Any]:
        """The members of an operation that its handler tells."""
        found = self.find(target)
        node, facts = found or (None, HandlerFacts())
        document = ast.get_docstring(node) or "" if node is not None else ""
        rest = document.partition("\n")[2].strip() if document.startswith(summary) else ""
        return {
            "summary": summary,
            "description": rest,
            "facts": facts,
            "is_deprecated": hasattr(target, "__deprecated__"),  # PEP 702
        }


def _methods(methods: Methods[Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The handlers of a path, each with its methods. HEAD is told where it has one of its own."""
    for method in (*_METHODS, EVERY_METHOD):
        handler = methods.get(method)
        if handler is None or (method == "HEAD" and handler is methods.get("GET")):
            continue
        if method == EVERY_METHOD:
            yield tuple(each for each in _OF_EVERY if each not in methods), handler
        else:
            yield (method,), handler


def _of_functions(site: Site, handlers: _Handlers) -> Iterator[Operation]:
    rest = _path_parameter("rest", _REST)
    for name in site.functions.names:
        methods = site.functions.find(name) or Methods()
        found = [
            (of, function, handlers.described(function.target, function.summary)) for of, function in _methods(methods)
        ]
        path = "/_functions/" + _escaped(encode(name))
        for is_rest in (False, True):
            for of, function, told in found:
                if is_rest and not told["facts"].reads_path:
                    continue
                yield Operation(
                    path + ("/{rest}" if is_rest else ""), (rest,) if is_rest else (), of,
                    function.exported_name + ("_rest" if is_rest else ""), name,
                    is_optional=EVERY_METHOD in methods and function is methods[EVERY_METHOD],
                    access=_access_of(function.policy, site.config), **told,
                )  # fmt: skip


def _of_endpoints(site: Site, handlers: _Handlers) -> Iterator[Operation]:
    endpoints = site.endpoints
    for route in endpoints.routes if endpoints is not None else ():
        path = _escaped(encode(site.config.pages_prefix.rstrip("/"))) + _template(route)
        parameters = tuple(_path_parameter(part.name, _EMPTY_REST if part.rest else "") for part in _named_parts(route))
        parts = itertools.takewhile(lambda part: part.text, itertools.chain(*route.pattern.segments))
        tag = "/".join(part.text for part in parts) or "pages"
        for of, handler in _methods(route.methods):
            target = handlers.global_of(route.file, handler.method)
            told = handlers.described(target, handler.summary)
            name = re.sub(r"\W+", "_", handler.method.lower() + (path if path != "/" else "_index")).strip("_")
            is_optional = handler.method == "ALL"
            access = HandlerAccess(None, False) if route.is_static else _access_of(handler.policy, site.config)
            yield Operation(path, parameters, of, name, tag, is_optional=is_optional, access=access, **told)


def _access_of(policy: Policy, config: Config) -> HandlerAccess:
    """The access to a handler with this policy."""
    asking = {guard.place: guard for guard in policy.guards}
    limits = [guard for place, guard in asking.items() if place in (ADDRESS_RATE, RATE)]
    is_limited = config.rate_limit is not None and ADDRESS_RATE not in asking
    key = asking.get(KEY)
    scopes = () if key is None and config.api_keys else None
    return HandlerAccess(
        tuple(sorted(key.scopes)) if isinstance(key, KeyGuard) else scopes,
        is_limited or not all(isinstance(guard, Exemption) for guard in limits),
        ONCE in asking,
        getattr(asking.get(ONCE), "needs_header", None),
        getattr(asking.get(DEFERRED), "status", None),
    )


def _named_parts(route: Route) -> Iterator[Part]:
    return (part for segment in route.pattern.segments for part in segment if part.name)


def _template(route: Route) -> str:
    segments = (
        "".join(f"{{{part.name}}}" if part.name else _escaped(encode(part.text)) for part in segment)
        for segment in route.pattern.segments
    )
    return "/" + "/".join(segments)


def _escaped(text: str) -> str:
    """A static text, whose braces are no parameter's."""
    return text.replace("{", "%7B").replace("}", "%7D").replace("?", "%3F").replace("#", "%23")


def _path_parameter(name: str, description: str) -> Schema:
    made: Schema = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    return made | ({"description": description} if description else {})
