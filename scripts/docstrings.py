"""An extension of griffe for the API reference: what static analysis does not see, and reStructuredText as Markdown.

A public function that an assignment binds, such as ``ok = _helper("ok", 200)``, is shown as the function that it is. In
docstrings, ``::`` at the end of a paragraph becomes a colon, and lines that begin with ``>>>`` become a code block.
"""

from __future__ import annotations

import importlib
import inspect
import re
from types import FunctionType, MethodType
from typing import Any

import griffe

_LITERAL_BLOCK = re.compile(r"::$", re.MULTILINE)
_DOCTEST = re.compile(r"(?:^>>> .*\n?(?:^\S.*\n?)*)+", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Completes each object before it is rendered."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Turn the reStructuredText of a docstring into Markdown."""
        if obj.docstring is not None:
            obj.docstring.value = _markdown(obj.docstring.value)

    def on_module_members(self, *, mod: griffe.Module, **kwargs: Any) -> None:
        """Put functions in the place of attributes that are functions at run time; warn of what has no docstring."""
        for name, member in list(mod.members.items()):
            if isinstance(member, griffe.Attribute) and isinstance(member.value, griffe.Expr) and name[0] != "_":
                value = getattr(importlib.import_module(mod.canonical_path), name)
                if isinstance(value, FunctionType | MethodType):
                    mod.set_member(name, _function(name, value, member))
        for name in map(str, mod.exports or ()):
            shown = mod.members.get(name)
            if name[0] != "_" and shown is not None and not shown.is_alias and not shown.has_docstring:
                griffe.logger.warning(f"{mod.canonical_path}: {name} is public and has no docstring")


def _markdown(docstring: str) -> str:
    text = _LITERAL_BLOCK.sub(":", docstring)
    return _DOCTEST.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text)


def _function(name: str, value: FunctionType | MethodType, member: griffe.Attribute) -> griffe.Function:
    signature = inspect.signature(value)
    parameters = [
        griffe.Parameter(
            each.name,
            kind=griffe.ParameterKind(each.kind.description),
            annotation=_annotation(each.annotation),
            default=None if each.default is each.empty else repr(each.default),
        )
        for each in signature.parameters.values()
    ]
    function = griffe.Function(
        name,
        lineno=member.lineno,
        endlineno=member.endlineno,
        parameters=griffe.Parameters(*parameters),
        returns=_annotation(signature.return_annotation),
    )
    if inspect.iscoroutinefunction(value):
        function.labels.add("async")
    doc = inspect.getdoc(value)
    function.docstring = griffe.Docstring(_markdown(doc), parser="google", parent=function) if doc else None
    return function


def _annotation(annotation: Any) -> str | None:
    if annotation is inspect.Parameter.empty:
        return None
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
