"""Writing many items in one call: not all or nothing, and each with its own hooks.

An item that is there already, or is not there, is ``skipped``; every other failure is a `errors.BulkError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wixhttp.data.stores.contract import Row, Transaction, to_item
from wixhttp.errors import StoreUnavailable, WixDataError
from wixhttp.messages import brief

from .access import Collections
from .errors import BulkError, HookRecursion, duplicated, shown
from .hooked_call import HookedCall
from .item_ids import checked_id, is_id
from .options import Options
from .patches import Patch, check_patch, patch_one
from .reads import stored_row
from .results import BulkResult, bulk_result, velo_result
from .system_fields import PreparedItem, now_text, prepare_item
from .writes import ATTEMPTS, hooked, permit

MAX_ITEMS = 1000
MAX_PATCHED = 100
MAX_BYTES = 4 * 1024 * 1024

Way = Literal["insert", "update"]
Kind = Literal["insert", "update", "save"]


@dataclass
class _ItemWrite:
    """An item of the call: its position, as given and prepared, how it is written, the row before and the row now."""

    index: int
    given: Any
    prepared: PreparedItem
    way: Way = "insert"
    row: Row | None = None
    before: Row | None = None


@dataclass
class _BulkCall:
    """The state of a bulk call: the outcomes of its items so far."""

    call: HookedCall
    inserted: list[tuple[int, str]]
    updated: list[tuple[int, str]]
    errors: list[BulkError]
    skipped: int = 0

    def fail(self, error: Exception, index: int, item: Any) -> None:
        """Take down an error, and tell ``onFailure``; what that raises is taken down instead."""
        if isinstance(error, HookRecursion | StoreUnavailable):
            raise error
        try:
            self.call.failed(error)
        except HookRecursion:
            raise
        except Exception as raised:
            error = raised
        self.errors.append(BulkError(error, index, item))


def write_many(collections: Collections, collection: str, items: Any, kind: Kind, options: Options) -> BulkResult:
    """Insert, update or save items."""
    function = f"bulk{kind.capitalize()}"
    call = HookedCall(collections, collection, options)
    _check_items(function, items, needs_ids=kind == "update")
    if options.overrides:
        kind = "save"
    bulk = _BulkCall(call, [], [], [])
    return call.run(lambda: _written(call, items, kind, bulk))


def _check_items(function: str, items: Any, *, needs_ids: bool) -> None:
    if not isinstance(items, list | tuple) or not items:
        raise WixDataError("WDE0005", f"{function} takes a list of 1 to {MAX_ITEMS} items, not {brief(items)}.")
    if len(items) > MAX_ITEMS:
        raise WixDataError("WDE0006", f"{function} takes {MAX_ITEMS} items at most, not {len(items)}; split the list.")
    for index, item in enumerate(items):
        if not hasattr(item, "keys"):
            raise WixDataError("WDE0005", f"Item {index} of {function} is no dict, but {brief(item)}.")
        if "_id" in item and not isinstance(item["_id"], str):
            found = brief(item["_id"])
            raise WixDataError("WDE0005", f"The _id of item {index} of {function} is no string, but {found}.")
        if needs_ids and "_id" not in item:
            raise WixDataError(
                "WDE0007", f"Invalid update. Updated object must have a string _id property. [item {index}]"
            )


def _written(call: HookedCall, items: Sequence[Any], kind: Kind, bulk: _BulkCall) -> BulkResult:
    if kind != "update":
        call.collections.reach(call.collection, "insert", call.options)
    permits = permit(call, "update") if kind != "insert" else _permit_all
    writes = _prepare_all(call, items, kind, bulk)
    if sum(write.prepared.size for write in writes) > MAX_BYTES:
        raise WixDataError(
            "WDE0109", f"The items of one call have {MAX_BYTES} bytes at most; split the list.", status=413
        )
    done: list[_ItemWrite] = []
    pending = writes
    for attempt in range(ATTEMPTS):
        if attempt:
            pending = _prepare_again(call, pending, kind)
        pending = _run_before_hooks(call, pending, kind, bulk, permits)
        if not pending:
            break
        pending = _commit(call, pending, kind, bulk, permits, done)
    for write in pending:
        bulk.fail(_busy(call.collection, str(write.prepared.item_id)), write.index, write.given)
    for write in sorted(done, key=lambda write: write.index):
        _after(call, write)
    made = bulk_result(
        [item_id for _, item_id in sorted(bulk.inserted)],
        [item_id for _, item_id in sorted(bulk.updated)],
        skipped=bulk.skipped,
        errors=bulk.errors,
    )
    return velo_result(made, is_removal=False) if call.options.is_velo else made


def _permit_all(row: Row) -> None:
    """Inserts look at no stored item."""


def _busy(collection: str, item_id: str) -> WixDataError:
    return WixDataError(
        "WDE0178",
        f"Item [{shown(item_id)}] of {collection} was added and removed by others {ATTEMPTS} times meanwhile; "
        "try again.",
        status=409,
    )


def _prepare_all(call: HookedCall, items: Sequence[Any], kind: Kind, bulk: _BulkCall) -> list[_ItemWrite]:
    writes = []
    for index, item in enumerate(items):
        try:
            made = prepare_item(call.collections, call.collection, item, kind, call.options)
        except WixDataError as error:
            bulk.fail(error, index, item)
        else:
            writes.append(_ItemWrite(index, item, made))
    return writes


def _prepare_again(call: HookedCall, writes: list[_ItemWrite], kind: Kind) -> list[_ItemWrite]:
    """The writes from the items as they were given: a hook may have changed the prepared ones."""
    for write in writes:
        write.prepared = prepare_item(call.collections, call.collection, write.given, kind, call.options)
    return writes


def _run_before_hooks(
    call: HookedCall, writes: Sequence[_ItemWrite], kind: Kind, bulk: _BulkCall, permits: Callable[[Row], None]
) -> list[_ItemWrite]:
    """The writes with their ways, and with what the hooks made of the items."""
    there = _rows_there(call, writes) if kind == "save" else {}
    has_hooks = call.has("beforeInsert", "beforeUpdate")
    ready = []
    for write in writes:
        write.way = "update" if kind == "update" or write.prepared.item_id in there else "insert"
        if has_hooks:
            try:
                if not _run_before(call, write, kind, permits):
                    bulk.skipped += 1
                    continue
            except Exception as error:
                bulk.fail(error, write.index, write.given)
                continue
        ready.append(write)
    return ready


def _rows_there(call: HookedCall, writes: Sequence[_ItemWrite]) -> dict[str, Row]:
    collections, collection = call.collections, call.collection
    ids = {write.prepared.item_id for write in writes if write.prepared.item_id is not None}
    try:
        return collections.reading(collection, lambda: collections.store.get(collection, ids)) if ids else {}
    except WixDataError as error:
        if error.code == "WDE0025" and not collections.strict:
            return {}
        raise


def _run_before(call: HookedCall, write: _ItemWrite, kind: Kind, permits: Callable[[Row], None]) -> bool:
    """Run the hook before the write of an item; whether there is still something to write."""
    if write.way == "insert":
        write.prepared = hooked(call, "beforeInsert", write.prepared, "insert")
        return True
    current = stored_row(call.collections, call.collection, str(write.prepared.item_id))
    if current is None:
        return kind == "save"  # removed meanwhile: the commit sees it, and it is begun anew
    permits(current)
    write.prepared = hooked(call, "beforeUpdate", write.prepared, "update", lambda: to_item(current))
    return True


_WriteResult = Literal["done", "skipped", "again"]
_Written = tuple[_ItemWrite, _WriteResult | WixDataError, Row | None, Row | None]
"""What became of a write, the row before, and the row now."""


def _commit(
    call: HookedCall,
    writes: Sequence[_ItemWrite],
    kind: Kind,
    bulk: _BulkCall,
    permits: Callable[[Row], None],
    done: list[_ItemWrite],
) -> list[_ItemWrite]:
    """Write the writes in one transaction; those that are to be begun anew."""
    user_id, collection = call.collections.identity.user_id, call.collection
    now = now_text()  # one for all: they are ordered by ``_id``, rather than by when each was come to
    inserts = [(write, write.prepared.new_row(user_id, now)) for write in writes if write.way == "insert"]
    updates = [write for write in writes if write.way == "update"]

    def work(tx: Transaction) -> list[_Written]:
        results = _inserted(tx, collection, inserts, kind) if inserts else []
        if updates:
            results.extend(_updated(tx, collection, updates, kind, permits))
        for write, result, _, made in results:
            if result == "done" and made is not None:
                write.prepared.save_links(tx, made.id)
        return results

    single = not (updates or any(write.prepared.links for write in writes))
    again = []
    jobs = () if done else call.options.carried  # with the first items that are written
    for write, result, before, row in call.collections.carrying(collection, work, jobs, single=single, wrote=_has_done):
        if isinstance(result, WixDataError):
            bulk.fail(result, write.index, write.given)
        elif result == "again":
            again.append(write)
        elif result == "skipped" or row is None:
            bulk.skipped += 1
        else:
            write.before, write.row = before, row
            (bulk.inserted if write.way == "insert" else bulk.updated).append((write.index, row.id))
            done.append(write)
    return again


def _has_done(results: Sequence[_Written]) -> bool:
    return any(result == "done" for _, result, _, _ in results)


def _inserted(tx: Transaction, collection: str, writes: Sequence[tuple[_ItemWrite, Row]], kind: Kind) -> list[_Written]:
    results: list[_Written] = []
    for (write, row), outcome in zip(writes, tx.insert(collection, [row for _, row in writes]), strict=True):
        if outcome == "exists":
            results.append((write, "again" if kind == "save" else "skipped", None, None))
        else:
            results.append((write, "done" if outcome == "done" else duplicated(collection, row.id), None, row))
    return results


def _updated(
    tx: Transaction, collection: str, writes: Sequence[_ItemWrite], kind: Kind, permits: Callable[[Row], None]
) -> list[_Written]:
    stored = tx.get(collection, {str(write.prepared.item_id) for write in writes})
    results: list[_Written] = []
    ready: list[tuple[_ItemWrite, Row, Row]] = []
    for write in writes:
        before = stored.get(str(write.prepared.item_id))
        if before is None:
            results.append((write, "again" if kind == "save" else "skipped", None, None))
            continue
        try:
            permits(before)
        except WixDataError as error:
            results.append((write, error, None, None))
            continue
        ready.append((write, before, write.prepared.changed_row(before)))
    outcomes = tx.update(collection, [row for _, _, row in ready]) if ready else []
    for (write, before, row), outcome in zip(ready, outcomes, strict=True):
        results.append((write, "done" if outcome == "done" else duplicated(collection, row.id), before, row))
    return results


def _after(call: HookedCall, write: _ItemWrite) -> None:
    name = "afterInsert" if write.way == "insert" else "afterUpdate"
    if write.row is None or not call.has(name):
        return
    before = write.before
    call.after(name, to_item(write.row), dict, None if before is None else to_item(before))


# --- removing and patching -------------------------------------------------------------------------------------------


def remove_many(collections: Collections, collection: str, ids: Any, options: Options) -> BulkResult:
    """Remove items by their ids."""
    call = HookedCall(collections, collection, options)
    checked = _checked_ids("bulkRemove", ids, MAX_ITEMS)
    bulk = _BulkCall(call, [], [], [])
    return call.run(lambda: _removed(call, checked, bulk))


def _checked_ids(function: str, ids: Any, most: int) -> list[str]:
    if not isinstance(ids, list | tuple) or not ids or not all(isinstance(each, str) for each in ids):
        raise WixDataError("WDE0068", f"{function} takes a list of 1 to {most} ids, all strings, not {brief(ids)}.")
    if len(ids) > most:
        raise WixDataError("WDE0069", f"{function} takes {most} ids at most, not {len(ids)}; split the list.")
    return [checked_id(each) for each in ids]


def _removed(call: HookedCall, ids: Sequence[str], bulk: _BulkCall) -> BulkResult:
    collections, collection = call.collections, call.collection
    reach = collections.reach(collection, "remove", call.options)
    permits = permit(call, "remove")
    ready = _removable(call, ids, bulk, reach, permits)

    def work(tx: Transaction) -> tuple[list[Row], list[tuple[int, WixDataError]]]:
        failed: list[tuple[int, WixDataError]] = []
        rows = []
        for row in tx.get(collection, list(ready)).values():
            if reach == "own" and not collections.owns(row):
                continue
            try:
                permits(row)
            except WixDataError as error:
                failed.append((ready[row.id], error))
            else:
                rows.append(row)
        if rows:
            tx.delete(collection, [row.id for row in rows])
        return rows, failed

    jobs = call.options.carried
    rows, failed = collections.carrying(collection, work, jobs, wrote=lambda made: bool(made[0])) if ready else ([], [])
    for index, failure in failed:
        bulk.fail(failure, index, ids[index])
    rows.sort(key=lambda row: ready[row.id])
    for row in rows:
        if call.has("afterRemove"):
            call.after("afterRemove", to_item(row), dict)
    skipped = bulk.skipped + len(ready) - len(rows) - len(failed)
    made = bulk_result(removed=[row.id for row in rows], skipped=skipped, errors=bulk.errors)
    return velo_result(made, is_removal=True) if call.options.is_velo else made


def _removable(
    call: HookedCall,
    ids: Sequence[str],
    bulk: _BulkCall,
    reach: Literal["all", "own"],
    permits: Callable[[Row], None],
) -> dict[str, int]:
    """The ids to remove, each with its first place in the list."""
    ready: dict[str, int] = {}
    for index, item_id in enumerate(ids):
        try:
            target = _before_remove(call, item_id, reach, permits)
        except Exception as error:
            bulk.fail(error, index, item_id)
            continue
        if target is None or target in ready:
            bulk.skipped += 1
        else:
            ready[target] = index
    return ready


def _before_remove(
    call: HookedCall, item_id: str, reach: Literal["all", "own"], permits: Callable[[Row], None]
) -> str | None:
    """The id to remove, or ``None`` where there is nothing to remove. Raises what ``permits`` and the hook raise."""
    if not is_id(item_id):
        return None
    if not call.has("beforeRemove"):
        return item_id
    current = stored_row(call.collections, call.collection, item_id)
    if current is None or (reach == "own" and not call.collections.owns(current)):
        return None
    permits(current)
    made = checked_id(call.before("beforeRemove", item_id, str, lambda: to_item(current)))
    return made if is_id(made) else None


def patch_many(collections: Collections, asked: Patch[Any], options: Options) -> BulkResult:
    """Make the same changes in several items."""
    call = HookedCall(collections, asked.collection, options)
    ids = _checked_ids("bulkPatch", asked.target, MAX_PATCHED)
    check_patch(asked)
    bulk = _BulkCall(call, [], [], [])
    return call.run(lambda: _patched(call, asked, ids, bulk))


def _patched(call: HookedCall, asked: Patch[Any], ids: Sequence[str], bulk: _BulkCall) -> BulkResult:
    permit(call, "update")
    targets = {item_id: index for index, item_id in reversed(list(enumerate(ids)))}
    bulk.skipped = len(ids) - len(targets)
    for item_id, index in sorted(targets.items(), key=lambda pair: pair[1]):
        try:
            patch_one(call, asked, item_id)
        except Exception as error:
            bulk.fail(error, index, item_id)
        else:
            bulk.updated.append((index, item_id))
    return bulk_result(updated=[item_id for _, item_id in bulk.updated], skipped=bulk.skipped, errors=bulk.errors)
