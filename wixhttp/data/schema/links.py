"""The one model of references between collections: the fields that hold ids or show links, from both ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from wixhttp.data.stores.contract import Link

from .declarations import CollectionSchema


class Relation(NamedTuple):
    """A reference field: ``field`` of its collection names items of ``target``.

    One item by its id in the item itself, where ``link`` is ``None``; else many, by the pairs of ``link``, in which the
    item with the field stands first, or second where ``is_reverse``.
    """

    field: str
    target: str
    link: Link | None = None
    is_reverse: bool = False

    def pairs(self, referring: str, referenced: Iterable[str]) -> list[tuple[str, str]]:
        """The pairs of the link, as a store has them."""
        if self.is_reverse:
            return [(each, referring) for each in referenced]
        return [(referring, each) for each in referenced]


Relations = Mapping[str, Mapping[str, Relation]]
"""By collection and field."""


def relations_of(schema: Mapping[str, CollectionSchema]) -> Relations:
    """Return the reference fields of all collections; a field that is another's reverse shows the same link."""
    found: dict[str, dict[str, Relation]] = {}
    for name in sorted(schema):
        for field, reference in sorted(schema[name].references.items()):
            own = found.setdefault(name, {})
            if not reference.many:
                own[field] = Relation(field, reference.collection)
            else:
                link = Link(name, field)
                own[field] = Relation(field, reference.collection, link)
                if reference.reverse is not None:
                    other = found.setdefault(reference.collection, {})
                    other[reference.reverse] = Relation(reference.reverse, name, link, is_reverse=True)
    return found


def linked_fields(schema: Mapping[str, CollectionSchema], collection: str) -> dict[str, Relation]:
    """Return the fields of a collection that show links, by name: its own, and the reverses of others'."""
    fields = relations_of(schema).get(collection, {})
    return {name: relation for name, relation in fields.items() if relation.link is not None}


def links_from(schema: Mapping[str, CollectionSchema], collection: str) -> list[Link]:
    """Return the links that are declared by fields of a collection, in the order of their names."""
    return [link for link in link_targets(relations_of(schema)) if link.collection == collection]


def link_targets(relations: Relations) -> dict[Link, str]:
    """Return the collection that each link refers to, ordered by link."""
    return dict(
        sorted(
            (relation.link, relation.target)
            for fields in relations.values()
            for relation in fields.values()
            if relation.link is not None and not relation.is_reverse
        )
    )
