"""Conditions on fields with many references: what they compare stands beside the items, in links.

Such a field is compared as an array of the ids that it refers to, absent where there are none, as far as whoever asks
may read the items that these name: like `references.include`, a condition tells nothing of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wixhttp.data.queries.tree import NOTHING, Compare, Linked, Not, Or, Tree, check_extent
from wixhttp.data.schema.links import Relation
from wixhttp.data.stores.contract import Link
from wixhttp.errors import WixDataError
from wixhttp.messages import brief

from .access import Collections, compared_paths
from .options import Options
from .references import readable_rows


def resolved(collections: Collections, collection: str, tree: Tree, options: Options) -> Tree:
    """A tree in which comparisons of fields with many references ask for links.

    Raises:
        WixDataError: WDE0093, such a field is compared otherwise than with ids.
    """
    fields = {name: each for name, each in collections.relations.get(collection, {}).items() if each.link is not None}
    if not fields or not any(path[0] in fields for path in compared_paths([tree])):
        return tree
    check_extent(tree)
    return _Resolver(collections, collection, fields, options).resolve(tree)


class _Resolver:
    def __init__(
        self, collections: Collections, collection: str, fields: Mapping[str, Relation], options: Options
    ) -> None:
        self._collections = collections
        self._collection = collection
        self._fields = fields
        self._options = options

    def resolve(self, tree: Tree) -> Tree:
        """See `resolved`."""
        if isinstance(tree, Compare):
            relation = self._fields.get(tree.path[0])
            return tree if relation is None or relation.link is None else self._linked(relation, relation.link, tree)
        if isinstance(tree, Linked):
            return tree
        if isinstance(tree, Not):
            return Not(self.resolve(tree.part))
        return replace(tree, parts=tuple(map(self.resolve, tree.parts)))

    def _linked(self, relation: Relation, link: Link, compare: Compare) -> Tree:
        operands = compare.value if compare.operator == "in" else [compare.value]
        if len(compare.path) > 1 or compare.operator not in ("eq", "in"):
            raise self._cannot(
                compare, "they are compared by hasSome, hasAll, in_, eq, ne, isEmpty and isNotEmpty only"
            )
        for each in operands:
            if not isinstance(each, str | None):
                raise self._cannot(compare, f"they are compared with ids, not with {brief(each)}")
        ids = tuple(each for each in operands if each is not None)
        found: Tree = self._joined(relation, link, ids) if ids else NOTHING
        return Or((found, Not(self._joined(relation, link, None)))) if None in operands else found

    def _joined(self, relation: Relation, link: Link, ids: tuple[str, ...] | None) -> Tree:
        readable = self._readable(relation.target, ids)
        return NOTHING if readable == () else Linked(*link, relation.is_reverse, readable)

    def _readable(self, target: str, ids: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Those of the ids whose items may be read; ``None`` stands for all ids."""
        collections, options = self._collections, self._options
        try:
            if collections.reach(target, "read", options) == "all":
                return ids
            if ids is not None:
                return tuple(sorted(readable_rows(collections, target, set(ids), options)))
            own = collections.own_items()
            return collections.reading(target, lambda: tuple(row.id for row in collections.store.scan(target, own)))
        except WixDataError as error:
            if error.code in ("WDE0025", "WDE0027"):
                return ()
            raise

    def _cannot(self, compare: Compare, rule: str) -> WixDataError:
        return WixDataError(
            "WDE0093",
            f"{'.'.join(compare.path)!r} of {self._collection} names references of a multi-reference field: {rule}; "
            "for the items themselves use queryReferenced.",
        )
