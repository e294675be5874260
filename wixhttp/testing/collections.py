"""The collections of a test: in memory, with the project's declarations and hooks, and gone with it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from wixhttp import data
from wixhttp.context import current_collections, using
from wixhttp.data.calls.access import Collections
from wixhttp.data.calls.hooks import Hooks
from wixhttp.data.collections import current
from wixhttp.data.files.formats import read_items
from wixhttp.data.queries.values import normalised
from wixhttp.data.schema.declarations import load_schema
from wixhttp.data.schema.links import linked_fields
from wixhttp.data.schema.permissions import Identity, Role
from wixhttp.data.stores.contract import Link, Row, Transaction, to_item, to_row
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.errors import WixDataError
from wixhttp.project.config import Config, load_config
from wixhttp.public_calls import explained


class FakeData:
    """Collections in memory. Beside its own methods it has the functions of `wixhttp.data`: ``insert``, ``query``..."""

    def __init__(self, collections: Collections) -> None:
        self.collections = collections

    def seed(self, collection: str, items: Iterable[Mapping[str, Any]] | str | Path) -> list[dict[str, Any]]:
        """The items as they are stored now. ``items`` are dicts, or the path of a file in JSON Lines or CSV.

        No hook runs, no permission is asked, and ``_id``, ``_owner`` and the dates stay as they are given. A field with
        many references takes the list of their ids.

        Raises:
            WixDataError: an ``_id`` or a unique value is there already, or a value cannot be held; nothing is stored.
        """
        schema = self.collections.schema
        found: Iterable[Mapping[str, Any]]
        if isinstance(items, str | Path):
            declared = schema[collection].fields if collection in schema else None
            found = read_items(Path(items), declared=declared, lists=linked_fields(schema, collection))
        else:
            found = items
        rows: list[Row] = []
        links: list[tuple[Link, tuple[str, str]]] = []
        for item in found:
            row, pairs = self._row(collection, item)
            rows.append(row)
            links += pairs
        store = self.collections.store
        store.create(collection)
        self.collections.prepare(collection)

        def work(changes: Transaction) -> None:
            for row, outcome in zip(rows, changes.insert(collection, rows), strict=True):
                if outcome != "done":
                    rule = (
                        "is there already" if outcome == "exists" else "has a value that a unique index holds already"
                    )
                    code = "WDE0074" if outcome == "exists" else "WDE0123"
                    raise WixDataError(code, f"The item {row.id!r} of {collection} {rule}.", status=409)
            for link, pair in links:
                changes.add_links(link, [pair])

        store.write(work)
        return [to_item(row) for row in rows]

    def _row(self, collection: str, item: Mapping[str, Any]) -> tuple[Row, list[tuple[Link, tuple[str, str]]]]:
        values = normalised(dict(item))
        now = datetime.now(timezone.utc)
        values["_id"] = values.get("_id") or str(uuid.uuid4())
        values["_createdDate"] = values.get("_createdDate") or now
        values["_updatedDate"] = values.get("_updatedDate") or values["_createdDate"]
        values.setdefault("_owner", None)
        links = [
            (relation.link, pair)
            for name, relation in linked_fields(self.collections.schema, collection).items()
            if relation.link is not None
            for pair in relation.pairs(values["_id"], values.pop(name, None) or ())
        ]
        return to_row(values), links

    @contextmanager
    def acting_as(self, user_id: str | None = None, role: Role | None = None) -> Iterator[None]:
        """Let calls on collections be those of another visitor until the block ends: of a member where there is a
        ``user_id``, of nobody in particular without. Raises as `wixhttp.data.schema.permissions.Identity`."""
        identity = Identity(user_id, role or ("siteMember" if user_id else "anonymous"))
        with using(current_collections, current().acting_as(identity)):
            yield

    def __getattr__(self, name: str) -> Any:
        if name in data.__all__:
            return getattr(data, name)
        raise AttributeError(f"neither the collections of a test nor wixhttp.data have {name!r}")


@contextmanager
@explained()
def fake_data(project: str | Path = ".") -> Iterator[FakeData]:
    """Collections in memory in place of the project's, until the block ends.

    ``project`` is its folder or its ``backend`` folder: its ``data/collections.toml`` and the hooks of its
    ``backend/data.py`` hold, where there are such. No file is written.

    Raises:
        ProjectError: the declarations are wrong, or the hooks cannot be loaded.
    """
    with using(current_collections, memory_collections(project_config(project))) as collections:
        yield FakeData(collections)


def project_config(project: str | Path) -> Config:
    """The settings of a project named by its folder or by its ``backend`` folder.

    Raises:
        ConfigError: there is no such folder, or a setting is wrong.
    """
    root = Path(project).absolute()
    if root.name == "backend" and not (root / "backend").is_dir():
        root = root.parent
    return load_config(root)


def memory_collections(config: Config) -> Collections:
    """New collections in memory, as the project declares them.

    Others are made by their first write, in production too, unless ``strict_collections`` says that they are not.

    Raises:
        ProjectError: the declarations are wrong, or the hooks cannot be loaded.
    """
    hooks = Hooks.load(config.root, config.import_timeout)
    strict = bool(config.strict_collections)
    return Collections(MemoryStore(), load_schema(config.root), hooks=hooks, strict=strict)
