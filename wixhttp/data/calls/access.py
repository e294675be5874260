"""Access to collections: the store, its declarations, permissions and hooks, for the identity that acts."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeVar

from wixhttp.data.queries.tree import EVERYTHING, NOTHING, Compare, FieldPath, Linked, Not, Tree
from wixhttp.data.schema.declarations import COLLECTION_NAME, CollectionSchema, Permissions
from wixhttp.data.schema.links import Relation, link_targets, relations_of
from wixhttp.data.schema.permissions import Action, Identity, not_permitted, scope
from wixhttp.data.stores.contract import Index, Row, Store, Transaction, no_collection
from wixhttp.errors import WixDataError
from wixhttp.messages import brief
from wixhttp.project.toml_file import table_header

from .hooks import Hooks
from .options import CarriedJob, Options

logger = logging.getLogger("wixhttp")

_Self = TypeVar("_Self", bound="Collections")
_Result = TypeVar("_Result")


class Collections:
    """Collections as an identity sees them: a store, its declarations and hooks, and who acts. Immutable.

    ``strict`` refuses writes to collections that do not exist, instead of making them. ``depth`` is how many hooks are
    running around what this one does.
    """

    def __init__(
        self,
        store: Store,
        schema: Mapping[str, CollectionSchema] | None = None,
        *,
        hooks: Hooks | None = None,
        strict: bool = False,
        identity: Identity | None = None,
    ) -> None:
        self.store = store
        self.schema: Mapping[str, CollectionSchema] = schema or {}
        self.hooks = hooks
        self.strict = strict
        self.identity = identity or Identity()
        self.depth = 0
        self.relations = relations_of(self.schema)
        self._prepared: set[str] = set()  # shared by the copies for other identities
        store.declare_links(link_targets(self.relations))

    def acting_as(self: _Self, identity: Identity) -> _Self:
        """The same collections for another identity."""
        made = copy.copy(self)
        made.identity = identity
        return made

    def at_depth(self: _Self, depth: int) -> _Self:
        """The same collections for a hook; ``depth`` is the number of nested hooks, itself among them."""
        made = copy.copy(self)
        made.depth = depth
        return made

    def prepare(self: _Self, collection: str | None = None) -> _Self:
        """This one, once the store has what is declared: all collections, or that one.

        What is not prepared is made when it is first used.

        Raises:
            WixDataError: WDE0123, items collide in a unique index that is new.
            StoreUnavailable: the database cannot be reached.
        """
        for each in self.schema if collection is None else [collection]:
            self.declare(each)
        return self

    def declare(self, collection: str, *, again: bool = False) -> None:
        """See to it that the store has a declared collection, with its indexes. Once, unless ``again``.

        Raises:
            WixDataError: WDE0123, items collide in a unique index that is new.
        """
        declared = self.schema.get(collection)
        if declared is None or (collection in self._prepared and not again):
            return
        there = self.store.collections()
        if collection not in there:
            self.store.create(collection)
        for index in declared.indexes:
            if index not in there.get(collection, ()):
                self._add_index(collection, index)
        self._prepared.add(collection)

    def _add_index(self, collection: str, index: Index) -> None:
        try:
            self.store.add_index(collection, index)
        except WixDataError as error:
            if error.code != "WDE0123":
                raise
            names = ", ".join(".".join(path) for path in index.paths)
            raise WixDataError(
                error.code,
                f"{error.description} The unique index of {names} is declared in data/collections.toml, below"
                f" {table_header(collection)}: change the items that have the same values, or take unique = true out",
                status=error.status,
            ) from None

    # --- permissions ---

    def reach(self, collection: str, action: Action, options: Options) -> Literal["all", "own"]:
        """Return the items of a collection that the identity may do this to: all of them, or its own.

        Raises:
            WixDataError: WDE0027, none.
        """
        if options.suppresses_auth or self.identity.is_elevated:
            return "all"
        return scope(self.permissions(collection), action, self.identity, collection)

    def readable(self, collection: str, options: Options) -> Tree:
        """The tree that selects the items which may be read. Raises as `reach`."""
        return EVERYTHING if self.reach(collection, "read", options) == "all" else self.own_items()

    def own_items(self) -> Tree:
        """The items of the user who acts; an anonymous visitor has none."""
        user = self.identity.user_id
        return NOTHING if user is None else Compare("eq", ("_owner",), user)

    def owns(self, row: Row) -> bool:
        """Return whether the user who acts made the item."""
        return row.owner is not None and row.owner == self.identity.user_id

    def has_owner_rights(self, collection: str, options: Options) -> bool:
        """Return whether the identity stands above the permissions of a collection."""
        return (
            options.suppresses_auth
            or self.identity.is_elevated
            or self.identity.role in ("siteOwner", "dataOwner")
            or self.permissions(collection) is None
        )

    def require_owner_rights(self, collection: str, options: Options) -> None:
        """Raises WDE0027 unless `has_owner_rights`."""
        if not self.has_owner_rights(collection, options):
            raise not_permitted("remove", collection, self.permissions(collection))

    def permissions(self, collection: str) -> Permissions | None:
        """The permissions declared for a collection."""
        declared = self.schema.get(collection)
        return None if declared is None else declared.permissions

    # --- the store ---

    def reading(self, collection: str, read: Callable[[], _Result]) -> _Result:
        """Return the result of ``read``; a declared collection that the store has lost meanwhile is made again.

        Raises:
            WixDataError: WDE0025, the collection does not exist.
        """
        try:
            return read()
        except WixDataError as error:
            if error.code != "WDE0025":
                raise
            if collection not in self.schema:
                raise no_collection(collection, self.schema) from None
        self.declare(collection, again=True)
        return read()

    def writing(self, collection: str, work: Callable[[Transaction], _Result], *, single: bool = False) -> _Result:
        """Return the result of `Store.write`; a missing collection is made, unless ``strict``. Raises as `reading`."""
        try:
            return self.reading(collection, lambda: self.store.write(work, single=single))
        except WixDataError as error:
            if error.code != "WDE0025" or self.strict:
                raise
        self.store.create(collection)
        logger.info("the collection %r was made by its first write", collection)
        return self.store.write(work, single=single)

    def carrying(
        self,
        collection: str,
        work: Callable[[Transaction], _Result],
        jobs: Sequence[CarriedJob],
        *,
        single: bool = False,
        wrote: Callable[[_Result], bool] = lambda _: True,
    ) -> _Result:
        """Return the result of `writing`, with ``jobs`` in the same commit where ``wrote`` says of the result of
        ``work`` that it wrote something; else without. Raises as `writing`."""
        if not jobs:
            return self.writing(collection, work, single=single)
        is_carried = False
        jobs = sorted(jobs, key=lambda job: job.order)

        def all_of_it(tx: Transaction) -> _Result:
            nonlocal is_carried
            result = work(tx)
            is_carried = wrote(result)
            for job in jobs if is_carried else ():  # the last thing, so that nothing fails after it
                job.add_to(tx)
            return result

        result = self.writing(collection, all_of_it)
        for job in jobs if is_carried else ():
            job.after_commit()
        return result

    def relation(self, collection: str, field: object) -> Relation | None:
        """The reference field of that name."""
        return self.relations.get(collection, {}).get(str.__str__(field)) if isinstance(field, str) else None

    def check_compared(self, collection: str, *trees: Tree) -> None:
        """See to it that no comparison which looks at items alone names what is not kept in them: see `check_held`."""
        self.check_held(collection, compared_paths(trees), "they are compared in queries only; else")

    def check_held(self, collection: str, paths: Iterable[FieldPath], rule: str) -> None:
        """See to it that nothing which looks at items alone looks at a field that is not kept in them; ``rule`` says in
        an error what it is that does.

        Raises:
            WixDataError: WDE0093, it is a multi-reference field.
        """
        many = {name for name, each in self.relations.get(collection, {}).items() if each.link is not None}
        for path in paths if many else ():
            if path[0] in many:
                raise WixDataError(
                    "WDE0093",
                    f"{path[0]!r} of {collection} is a multi-reference field, whose references are not in the items: "
                    f"{rule} use queryReferenced or isReferenced.",
                )


def compared_paths(trees: Iterable[Tree]) -> Iterator[FieldPath]:
    """The paths of the fields that trees compare."""
    left = list(trees)  # not by recursion: how deep the trees are is not known yet
    while left:
        part = left.pop()
        if isinstance(part, Compare):
            yield part.path
        elif isinstance(part, Not):
            left.append(part.part)
        elif not isinstance(part, Linked):
            left.extend(part.parts)


def collection_name(name: object) -> str:
    """``name``, which is one of a collection.

    Raises:
        WixDataError: it is no text (WDE0001), or no collection can have it (WDE0025).
    """
    if not isinstance(name, str):
        raise WixDataError("WDE0001", f"Collection name must be a string. It is {brief(name)}.")
    if not COLLECTION_NAME.fullmatch(name):
        raise WixDataError(
            "WDE0025",
            f"The {brief(name)} collection does not exist: a name is 1 to 128 of the characters A-Z a-z 0-9 _ @ / -.",
            status=404,
        )
    return str.__str__(name)  # what a member of an Enum holds, whose str() is its name
