"""Secrets that are asked for by literal names and are not set."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from wixhttp.errors import SecretNotFound
from wixhttp.project.findings import Finding
from wixhttp.secrets import SecretStore
from wixhttp.webhooks.keys import looks_secret

from .scopes import ScopedTree
from .sources import Source

_VERIFIED = ("wixhttp.webhooks.verified", "wixhttp.webhooks.verified.verified")
_CAUGHT_BY = {"SecretNotFound", "WixHTTPError", "LookupError", "Exception", "BaseException"}


def secret_findings(source: Source, secrets: SecretStore) -> Iterator[Finding]:
    """Findings about secrets that a file asks for: an error where a missing one is needed for sure, a warning where
    that depends, nothing where the file catches its absence."""
    tree = source.tree
    yield from _of_senders(source, secrets)
    for call in tree.calls():
        name = _secret_of(source, call)
        if name is None or _is_caught(tree, call):
            continue
        try:
            secrets.get(name)
        except SecretNotFound as error:
            why = _alternative(source, tree, call, secrets)
            if why is None or why:
                message = str(error) if why is None else f"{error}. {why}"
                yield Finding(source.place, call.lineno, "missing-secret", message, is_error=why is None)


def _secret_of(source: Source, call: ast.Call) -> str | None:
    """The literal name of a secret that a call asks for."""
    name = call.args[0] if len(call.args) == 1 else None
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return None
    return name.value if source.origin(call.func) == "wixhttp.secrets.getSecret" else None


def _of_senders(source: Source, secrets: SecretStore) -> Iterator[Finding]:
    """Findings about the secrets that ``@verified`` names: each is needed for sure."""
    for call in source.tree.calls():
        if source.origin(call.func) not in _VERIFIED:
            continue
        for keyword in call.keywords:
            if keyword.arg not in ("secret", "verify_token"):
                continue
            listed = keyword.value.elts if isinstance(keyword.value, ast.List | ast.Tuple) else [keyword.value]
            for each in listed:
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and not looks_secret(each.value):
                    try:
                        secrets.get(each.value)
                    except SecretNotFound as error:
                        yield Finding(source.place, each.lineno, "missing-secret", error.told, is_error=True)


def _is_caught(tree: ScopedTree, node: ast.AST) -> bool:
    """Return whether a ``try`` or ``suppress`` around a node takes the absence of a secret."""
    inner = node
    while not isinstance(inner, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        outer = tree.parent(inner)
        if isinstance(outer, ast.Try) and inner in outer.body:
            caught = [each for handler in outer.handlers for each in _classes(handler.type)]
            if any(each in _CAUGHT_BY for each in caught):
                return True
        if isinstance(outer, ast.With) and any(_suppresses(item.context_expr) for item in outer.items):
            return True
        inner = outer
    return False


def _classes(node: ast.expr | None) -> Iterator[str]:
    if node is None:
        yield "BaseException"
    elif isinstance(node, ast.Tuple):
        for each in node.elts:
            yield from _classes(each)
    else:
        yield ast.unparse(node).rpartition(".")[2]


def _suppresses(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and any(each in _CAUGHT_BY for part in node.args for each in _classes(part))


def _alternative(source: Source, tree: ScopedTree, call: ast.Call, secrets: SecretStore) -> str | None:
    """Why a missing secret may do no harm: ``None`` if it is needed for sure, ``""`` if it is not for sure."""
    inner: ast.AST = call
    while not isinstance(inner, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        outer = tree.parent(inner)
        if isinstance(outer, ast.BoolOp):
            return _of_alternatives(source, outer, inner, secrets)
        if isinstance(outer, ast.If | ast.IfExp | ast.While) and inner is not outer.test:
            return "It is asked for under a condition"
        if isinstance(outer, ast.ExceptHandler | ast.Match | ast.match_case) and not isinstance(inner, ast.expr):
            return "It is asked for under a condition"
        inner = outer
    return None


def _of_alternatives(source: Source, outer: ast.BoolOp, inner: ast.AST, secrets: SecretStore) -> str | None:
    """As `_alternative`, of a value of ``a or b``: the first raises if it is missing, and the second is not asked."""
    if isinstance(outer.op, ast.Or) and inner is outer.values[0]:
        return "What stands behind 'or' is never used then, since getSecret raises"
    for before in outer.values:
        if before is inner:
            break
        asked = before.value if isinstance(before, ast.Await) else before
        name = _secret_of(source, asked) if isinstance(asked, ast.Call) else None
        if name is not None and isinstance(outer.op, ast.Or):
            try:
                return "" if secrets.get(name) else "It is asked for where that before it is empty"
            except SecretNotFound:
                return ""  # that one is told already
    return "It is asked for under a condition"
