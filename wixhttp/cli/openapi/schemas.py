"""The types that handlers name, as objects, and their JSON Schemas: by pydantic, where it is installed."""

from __future__ import annotations

import ast
import dataclasses
import sys
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

from wixhttp.http.forms import FormFile

from .handler_facts import ANY_TYPE, JSON, NamedType

Mode = Literal["validation", "serialization"]
Schema = dict[str, Any]

COMPONENT = "#/components/schemas/{model}"
FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
"""The schema of an uploaded file: https://spec.openapis.org/oas/v3.1.1#considerations-for-file-uploads"""

_PLAIN = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Constant, ast.BinOp, ast.BitOr, ast.Load,
)  # fmt: skip
_MEDIA: dict[Any, str] = {
    **dict.fromkeys((dict, list, tuple, set, frozenset, int, float, bool), JSON), str: "text/plain",
    bytes: "application/octet-stream",
}  # fmt: skip


class TypeTable:
    """The types by the names that files have for them, and their schemas.

    ``is_left_out`` is true once a type has no schema, since pydantic is not installed.
    """

    def __init__(self, root: Path) -> None:
        self.is_left_out = False
        self.components: dict[str, Schema] = {}
        self._root = root
        self._modules = {
            str(file): vars(module)
            for module in list(sys.modules.values())
            if isinstance(module, types.ModuleType) and isinstance(file := getattr(module, "__file__", None), str)
        }
        self._found: dict[NamedType, Any] = {}
        self._schemas: dict[tuple[int, Mode], Schema] = {}  # by the id of a type that is kept above

    def resolve(self, named: NamedType) -> Any:
        """The type that an expression of a file names; ``None`` where it cannot be told, or is no type of values."""
        if named not in self._found:
            names = self._modules.get(str(self._root / named.source.place), {})
            self._found[named] = _checked(_evaluated(named, names), named.is_made)
        return self._found[named]

    def media(self, named: NamedType) -> str:
        """The content type of a body of that type."""
        return _media(self.resolve(named))

    def make_schemas(self, wanted: Iterable[tuple[NamedType, Mode]]) -> None:
        """Make the schemas of types, all at once: two that have one name get others."""
        found = [(self.resolve(named), mode) for named, mode in wanted]
        asked = {(id(each), mode): each for each, mode in found if each is not None}
        if not asked:
            return
        try:
            from pydantic import PydanticUserError, TypeAdapter
            from pydantic.json_schema import GenerateJsonSchema
        except ImportError:
            self.is_left_out = True
            return

        class Generator(GenerateJsonSchema):
            """Knows files of forms, and leaves open what has no schema."""

            ignored_warning_kinds = {"non-serializable-default", "skipped-choice"}  # noqa: RUF012  # as pydantic has it

            def is_instance_schema(self, schema: Any) -> Schema:
                return dict(FILE) if issubclass(FormFile, schema["cls"]) else {}

            def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
                return {}

        adapters: list[tuple[int, Mode, TypeAdapter[Any]]] = []
        for (key, mode), each in asked.items():
            try:
                adapter = TypeAdapter(each)
                adapter.json_schema(mode=mode, schema_generator=Generator)
            except PydanticUserError:  # where it is read, a ConfigError says so
                continue
            adapters.append((key, mode, adapter))
        made, defined = TypeAdapter.json_schemas(adapters, ref_template=COMPONENT, schema_generator=Generator)
        self.components = dict(sorted(defined.get("$defs", {}).items()))
        self._schemas = {(int(key), mode): schema for (key, mode), schema in made.items()}

    def schema(self, named: NamedType | None, mode: Mode) -> Schema:
        """The schema of a type; an empty one, which everything fits, where none is known."""
        return {} if named is None else self._schemas.get((id(self.resolve(named)), mode), {})

    def inner(self, schema: Schema) -> Schema:
        """A schema, or the component that it refers to."""
        name = schema.get("$ref", "").rpartition("/")[2]
        return self.components.get(name, schema)


def _evaluated(named: NamedType, names: Mapping[str, Any]) -> Any:
    """The value of an expression that is names, attributes, items and unions only; ``None`` for any other."""
    node = named.node
    try:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        if not all(isinstance(each, _PLAIN) for each in ast.walk(node)):
            return None
        return eval(compile(ast.Expression(node), named.source.place, "eval"), dict(names))  # noqa: S307  # names alone
    except Exception:  # noqa: BLE001  # a name that is there for type checkers only, or of the function itself
        return None


def _checked(found: Any, is_made: bool) -> Any:
    if is_made:
        return found if _is_structured(found) else None
    if isinstance(found, type) and found.__module__.partition(".")[0] == "wixhttp":
        return None  # a response
    is_type = isinstance(found, type) or get_origin(found) is not None
    return found if is_type else None


def _is_structured(kind: Any) -> bool:
    """Return whether a type has named fields."""
    if not isinstance(kind, type):
        return False
    has_fields = dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_fields__") or is_typeddict(kind)
    return has_fields or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


def _media(kind: Any) -> str:
    """The content type of a body of a type; that of a union where all members but ``None`` have the same."""
    if kind is None:
        return ANY_TYPE
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        told = {_media(each) for each in get_args(kind) if each is not types.NoneType}
        return told.pop() if len(told) == 1 else ANY_TYPE
    if origin is Annotated:
        return _media(get_args(kind)[0])
    return _MEDIA.get(origin or kind, JSON if _is_structured(origin or kind) else ANY_TYPE)
