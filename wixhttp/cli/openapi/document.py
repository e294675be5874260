"""The OpenAPI 3.1 document of a loaded site: https://spec.openapis.org/oas/v3.1.1"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wixhttp.dispatch.site import Site
from wixhttp.http.request_head import SAFE_METHODS
from wixhttp.project.toml_file import read_toml

from .handler_facts import JSON, BodyKind, HandlerFacts, NamedType
from .operations import Operation, operations_of
from .responses import deferred_responses, problem_components, responses_of
from .schemas import FILE, Mode, Schema, TypeTable

_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS", "DELETE")
_IGNORED_HEADERS = ("accept", "content-type", "authorization", "cookie", "host", "user-agent", "content-length")
_MEDIA_OF_BODIES: dict[BodyKind, tuple[str, ...]] = {
    "json": (JSON,),
    "form": ("application/x-www-form-urlencoded", "multipart/form-data"),
    "text": ("text/plain",),
    "buffer": ("application/octet-stream",),
}


def openapi_document(site: Site) -> tuple[dict[str, Any], bool]:
    """The document of a site, and whether types were left out of it, since pydantic is not installed.

    Functions come first, by name, then endpoints in the order in which they are tried.
    """
    config = site.config
    operations = operations_of(site)
    types = TypeTable(config.root)
    types.make_schemas(pair for each in operations for pair in _wanted(each.facts))
    has_tokens = config.auth is not None
    paths: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    for each in operations:
        item = paths.setdefault(each.path, {"parameters": list(each.parameters)} if each.parameters else {})
        for method in each.methods:
            if method.lower() not in item:
                name = each.name if len(each.methods) == 1 else f"{each.name}_{method.lower()}"
                item[method.lower()] = _operation(each, method, _unique(name, names), types, has_tokens)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": _info(config.root),
        "servers": [{"url": (config.public_url or "") + config.base_path or "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(each.tag for each in operations)],
        "paths": paths,
        "components": _components(types, paths),
    }
    schemes = {"bearer": {"type": "http", "scheme": "bearer"}} if has_tokens else {}
    if any(each.access.scopes is not None for each in operations):
        schemes["apiKey"] = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    if schemes:
        document["components"]["securitySchemes"] = schemes
    return document, types.is_left_out


def _info(root: Path) -> dict[str, Any]:
    """Title, version and description, of ``pyproject.toml`` where they are there."""
    table = read_toml(root / "pyproject.toml")[1].get("project")
    told: dict[str, Any] = table if isinstance(table, dict) else {}
    info = {"title": str(told.get("name") or root.name or "site"), "version": str(told.get("version") or "0")}
    return info | ({"description": str(told["description"])} if told.get("description") else {})


def _wanted(facts: HandlerFacts) -> Iterator[tuple[NamedType, Mode]]:
    """The types whose schemas a handler needs, as they are read or sent."""
    for each in (*facts.bodies.values(), *facts.query_types):
        if each is not None:
            yield each, "validation"
    for answer in facts.answers:
        if answer.type is not None:
            yield answer.type, "serialization"


def _unique(name: str, names: set[str]) -> str:
    made, number = name, 1
    while made in names:
        number += 1
        made = f"{name}_{number}"
    names.add(made)
    return made


def _operation(each: Operation, method: str, name: str, types: TypeTable, has_tokens: bool) -> dict[str, Any]:
    facts = each.facts
    made: dict[str, Any] = {"operationId": name, "tags": [each.tag]}
    made |= {key: value for key in ("summary", "description") if (value := getattr(each, key))}
    if each.is_deprecated:
        made["deprecated"] = True
    if parameters := _parameters(facts, types, _own_headers(each, method)):
        made["parameters"] = parameters
    body = None if method in _WITHOUT_BODY else _request_body(facts, types, is_optional=each.is_optional)
    if body is not None:
        made["requestBody"] = body
    scopes, is_limited, is_once, *_ = each.access
    refusals = ([401] if scopes is not None else []) + ([403] if scopes else []) + ([429] if is_limited else [])
    refusals += [409] if is_once else []
    made["responses"] = (
        deferred_responses(each.access.deferred_status, refusals)
        if each.access.deferred_status is not None
        else responses_of(facts, types, reads_body=body is not None, refusals=refusals)
    )
    if security := _security(scopes, facts, has_tokens=has_tokens):
        made["security"] = security
    return made


def _security(scopes: tuple[str, ...] | None, facts: HandlerFacts, *, has_tokens: bool) -> list[dict[str, list[str]]]:
    """The credentials that are asked for, each entry all of one way; an empty entry is none."""
    key: dict[str, list[str]] = {} if scopes is None else {"apiKey": list(scopes)}
    if has_tokens and facts.needs_caller:
        return [key | {"bearer": []}]
    if has_tokens and facts.asks_caller:
        return [key, key | {"bearer": []}]
    return [key] if key else []


def _parameters(facts: HandlerFacts, types: TypeTable, own: dict[str, Schema]) -> list[Schema]:
    """The parameters of the query, and headers: of types first, then those that are read by name, then ``own`` ones of
    decorators, by their names in lower case."""
    found: dict[tuple[str, str], Schema] = {}
    for named in facts.query_types:
        schema = types.inner(types.schema(named, "validation"))
        for name, inner in schema.get("properties", {}).items():
            found["query", name] = {
                "name": name, "in": "query", "required": name in schema.get("required", ()), "schema": inner,
            }  # fmt: skip
    for each in facts.parameters:
        name = each.name if each.place == "query" else each.name.lower()
        if each.place == "header" and (name in _IGNORED_HEADERS or name in own):
            continue
        kind: Schema = {"type": "array", "items": {"type": "string"}} if each.is_many else {"type": "string"}
        if (each.place, name) not in found or each.is_many:
            found[each.place, name] = {"name": each.name, "in": each.place, "required": False, "schema": kind}
    return [*found.values(), *own.values()]


def _own_headers(each: Operation, method: str) -> dict[str, Schema]:
    """The headers that decorators read: that of ``@idempotent``."""
    is_needed = each.access.needs_idempotency_key
    if is_needed is None:
        return {}
    return {
        "idempotency-key": {
            "name": "Idempotency-Key",
            "in": "header",
            "required": is_needed and method not in SAFE_METHODS,
            "description": "A text of the client's choice, in quotes, the same when it sends the same request again.",
            "schema": {"type": "string", "minLength": 1},
        }
    }


def _request_body(facts: HandlerFacts, types: TypeTable, *, is_optional: bool) -> Schema | None:
    """The body that a handler reads: the raw ones only where it is read as nothing else."""
    kinds: list[BodyKind] = [kind for kind in _MEDIA_OF_BODIES if kind in facts.bodies]
    kinds = [kind for kind in kinds if kind in ("json", "form")] or kinds[:1]
    if not kinds:
        return None
    content: dict[str, Schema] = {}
    for kind in kinds:
        schema = types.schema(facts.bodies[kind], "validation")
        for media in _MEDIA_OF_BODIES[kind]:
            if media.startswith("multipart") or not _has_file(types.inner(schema)):
                content[media] = {"schema": schema} if schema else {}
    return {"required": not is_optional, "content": content}


def _has_file(schema: Schema) -> bool:
    return any(FILE.items() <= each.items() for each in schema.get("properties", {}).values())


def _components(types: TypeTable, paths: dict[str, Any]) -> dict[str, Any]:
    """The schemas and responses that paths refer to, and what those refer to."""
    found = problem_components()
    found["schemas"] |= types.components
    used: dict[str, None] = {}
    waiting: list[Any] = [paths]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            name = node.get("$ref")
            if isinstance(name, str) and name not in used:
                used[name] = None
                kind, _, key = name.removeprefix("#/components/").partition("/")
                waiting.append(found.get(kind, {}).get(key))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return {
        kind: {key: each for key, each in sorted(table.items()) if f"#/components/{kind}/{key}" in used}
        for kind, table in found.items()
    }
