"""Writing many items in one call: not all or nothing, and each with its own hooks.

An item that is there already, or is not there, is ``skipped``; every other failure is a `failures.BulkError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wixhttp.data.stores.contract import Row, Transaction, to_item
from wixhttp.errors import StoreUnavailable, WixDataError
from wixhttp.messages import brief

from .access import Actor
from .errors import BulkError, HookRecursion, duplicated, shown
from .hooked_call import Operation
from .item_ids import checked_id, is_id
from .options import Options
from .patches import Patch, check_patch, patch_one
from .reads import stored_row
from .results import BulkResult, bulk_result, velo_result
from .system_fields import Draft, draft
from .writes import ATTEMPTS, hooked, permit

MAX_ITEMS = 1000
MAX_PATCHED = 100
MAX_BYTES = 4 * 1024 * 1024

Way = Literal["insert", "update"]
Kind = Literal["insert", "update", "save"]


@dataclass
class _Job:
    """An item of the call: its place, its draft, the way that it is written, the row before and the row now."""

    index: int
    given: Any
    draft: Draft
    way: Way = "insert"
    row: Row | None = None
    before: Row | None = None


@dataclass
class _Tally:
    """What became of the items so far."""

    operation: Operation
    inserted: list[tuple[int, str]]
    updated: list[tuple[int, str]]
    errors: list[WixDataError]
    skipped: int = 0

    def fail(self, error: Exception, index: int, item: Any) -> None:
        """Take down an error, and tell ``onFailure``; what that raises is taken down instead."""
        if isinstance(error, HookRecursion | StoreUnavailable):
            raise error
        try:
            self.operation.failed(error)
        except HookRecursion:
            raise
        except Exception as raised:
            error = raised
        self.errors.append(BulkError(error, index, item))


def write_many(actor: Actor, collection: str, items: Any, kind: Kind, options: Options) -> BulkResult:
    """Insert, update or save items."""
    function = f"bulk{kind.capitalize()}"
    operation = Operation(actor, collection, options)
    _check_items(function, items, needs_ids=kind == "update")
    if options.overrides:
        kind = "save"
    tally = _Tally(operation, [], [], [])
    return operation.run(lambda: _written(operation, items, kind, tally))


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


def _written(operation: Operation, items: Sequence[Any], kind: Kind, tally: _Tally) -> BulkResult:
    if kind != "update":
        operation.actor.reach(operation.collection, "insert", operation.options)
    permits = permit(operation, "update") if kind != "insert" else _permit_all
    jobs = _drafted(operation, items, kind, tally)
    if sum(job.draft.size for job in jobs) > MAX_BYTES:
        raise WixDataError(
            "WDE0109", f"The items of one call have {MAX_BYTES} bytes at most; split the list.", status=413
        )
    done: list[_Job] = []
    pending = jobs
    for attempt in range(ATTEMPTS):
        if attempt:
            pending = _redrafted(operation, pending, kind)
        pending = _prepared(operation, pending, kind, tally, permits)
        if not pending:
            break
        pending = _commit(operation, pending, kind, tally, permits, done)
    for job in pending:
        tally.fail(_busy(operation.collection, str(job.draft.item_id)), job.index, job.given)
    for job in sorted(done, key=lambda job: job.index):
        _after(operation, job)
    made = bulk_result(
        [item_id for _, item_id in sorted(tally.inserted)],
        [item_id for _, item_id in sorted(tally.updated)],
        skipped=tally.skipped,
        errors=tally.errors,
    )
    return velo_result(made, is_removal=False) if operation.options.is_velo else made


def _permit_all(row: Row) -> None:
    """Inserts look at no stored item."""


def _busy(collection: str, item_id: str) -> WixDataError:
    return WixDataError(
        "WDE0178",
        f"Item [{shown(item_id)}] of {collection} was added and removed by others {ATTEMPTS} times meanwhile; "
        "try again.",
        status=409,
    )


def _drafted(operation: Operation, items: Sequence[Any], kind: Kind, tally: _Tally) -> list[_Job]:
    jobs = []
    for index, item in enumerate(items):
        try:
            made = draft(operation.actor, operation.collection, item, kind, operation.options)
        except WixDataError as error:
            tally.fail(error, index, item)
        else:
            jobs.append(_Job(index, item, made))
    return jobs


def _redrafted(operation: Operation, jobs: list[_Job], kind: Kind) -> list[_Job]:
    """The jobs from the items as they were given: a hook may have changed the drafts."""
    for job in jobs:
        job.draft = draft(operation.actor, operation.collection, job.given, kind, operation.options)
    return jobs


def _prepared(
    operation: Operation, jobs: Sequence[_Job], kind: Kind, tally: _Tally, permits: Callable[[Row], None]
) -> list[_Job]:
    """The jobs with their ways, and with what the hooks made of the items."""
    there = _rows_there(operation, jobs) if kind == "save" else {}
    has_hooks = operation.has("beforeInsert", "beforeUpdate")
    ready = []
    for job in jobs:
        job.way = "update" if kind == "update" or job.draft.item_id in there else "insert"
        if has_hooks:
            try:
                if not _run_before(operation, job, kind, permits):
                    tally.skipped += 1
                    continue
            except Exception as error:
                tally.fail(error, job.index, job.given)
                continue
        ready.append(job)
    return ready


def _rows_there(operation: Operation, jobs: Sequence[_Job]) -> dict[str, Row]:
    actor, collection = operation.actor, operation.collection
    ids = {job.draft.item_id for job in jobs if job.draft.item_id is not None}
    try:
        return actor.reading(collection, lambda: actor.store.get(collection, ids)) if ids else {}
    except WixDataError as error:
        if error.code == "WDE0025" and not actor.strict:
            return {}
        raise


def _run_before(operation: Operation, job: _Job, kind: Kind, permits: Callable[[Row], None]) -> bool:
    """Run the hook before the write of an item; whether there is still something to write."""
    if job.way == "insert":
        job.draft = hooked(operation, "beforeInsert", job.draft, "insert")
        return True
    current = stored_row(operation.actor, operation.collection, str(job.draft.item_id))
    if current is None:
        return kind == "save"  # removed meanwhile: the commit sees it, and it is begun anew
    permits(current)
    job.draft = hooked(operation, "beforeUpdate", job.draft, "update", lambda: to_item(current))
    return True


_Fate = Literal["done", "skipped", "again"]
_Written = tuple[_Job, _Fate | WixDataError, Row | None, Row | None]
"""What became of a job, the row before, and the row now."""


def _commit(
    operation: Operation,
    jobs: Sequence[_Job],
    kind: Kind,
    tally: _Tally,
    permits: Callable[[Row], None],
    done: list[_Job],
) -> list[_Job]:
    """Write the jobs in one transaction; those that are to be begun anew."""
    user_id, collection = operation.actor.identity.user_id, operation.collection
    inserts = [(job, job.draft.new_row(user_id)) for job in jobs if job.way == "insert"]
    updates = [job for job in jobs if job.way == "update"]

    def work(tx: Transaction) -> list[_Written]:
        fates = _inserted(tx, collection, inserts, kind) if inserts else []
        if updates:
            fates.extend(_updated(tx, collection, updates, kind, permits))
        for job, fate, _, made in fates:
            if fate == "done" and made is not None:
                job.draft.save_links(tx, made.id)
        return fates

    single = not (updates or any(job.draft.links for job in jobs))
    again = []
    for job, fate, before, row in operation.actor.writing(collection, work, single=single):
        if isinstance(fate, WixDataError):
            tally.fail(fate, job.index, job.given)
        elif fate == "again":
            again.append(job)
        elif fate == "skipped" or row is None:
            tally.skipped += 1
        else:
            job.before, job.row = before, row
            (tally.inserted if job.way == "insert" else tally.updated).append((job.index, row.id))
            done.append(job)
    return again


def _inserted(tx: Transaction, collection: str, jobs: Sequence[tuple[_Job, Row]], kind: Kind) -> list[_Written]:
    fates: list[_Written] = []
    for (job, row), outcome in zip(jobs, tx.insert(collection, [row for _, row in jobs]), strict=True):
        if outcome == "exists":
            fates.append((job, "again" if kind == "save" else "skipped", None, None))
        else:
            fates.append((job, "done" if outcome == "done" else duplicated(collection, row.id), None, row))
    return fates


def _updated(
    tx: Transaction, collection: str, jobs: Sequence[_Job], kind: Kind, permits: Callable[[Row], None]
) -> list[_Written]:
    stored = tx.get(collection, {str(job.draft.item_id) for job in jobs})
    fates: list[_Written] = []
    ready: list[tuple[_Job, Row, Row]] = []
    for job in jobs:
        before = stored.get(str(job.draft.item_id))
        if before is None:
            fates.append((job, "again" if kind == "save" else "skipped", None, None))
            continue
        try:
            permits(before)
        except WixDataError as error:
            fates.append((job, error, None, None))
            continue
        ready.append((job, before, job.draft.changed_row(before)))
    outcomes = tx.update(collection, [row for _, _, row in ready]) if ready else []
    for (job, before, row), outcome in zip(ready, outcomes, strict=True):
        fates.append((job, "done" if outcome == "done" else duplicated(collection, row.id), before, row))
    return fates


def _after(operation: Operation, job: _Job) -> None:
    name = "afterInsert" if job.way == "insert" else "afterUpdate"
    if job.row is None or not operation.has(name):
        return
    before = job.before
    operation.after(name, to_item(job.row), dict, None if before is None else to_item(before))


# --- removing and patching -------------------------------------------------------------------------------------------


def remove_many(actor: Actor, collection: str, ids: Any, options: Options) -> BulkResult:
    """Remove items by their ids."""
    operation = Operation(actor, collection, options)
    checked = _checked_ids("bulkRemove", ids, MAX_ITEMS)
    tally = _Tally(operation, [], [], [])
    return operation.run(lambda: _removed(operation, checked, tally))


def _checked_ids(function: str, ids: Any, most: int) -> list[str]:
    if not isinstance(ids, list | tuple) or not ids or not all(isinstance(each, str) for each in ids):
        raise WixDataError("WDE0068", f"{function} takes a list of 1 to {most} ids, all strings, not {brief(ids)}.")
    if len(ids) > most:
        raise WixDataError("WDE0069", f"{function} takes {most} ids at most, not {len(ids)}; split the list.")
    return [checked_id(each) for each in ids]


def _removed(operation: Operation, ids: Sequence[str], tally: _Tally) -> BulkResult:
    actor, collection = operation.actor, operation.collection
    reach = actor.reach(collection, "remove", operation.options)
    permits = permit(operation, "remove")
    ready = _removable(operation, ids, tally, reach, permits)

    def work(tx: Transaction) -> tuple[list[Row], list[tuple[int, WixDataError]]]:
        failed: list[tuple[int, WixDataError]] = []
        rows = []
        for row in tx.get(collection, list(ready)).values():
            if reach == "own" and not actor.owns(row):
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

    rows, failed = actor.writing(collection, work) if ready else ([], [])
    for index, failure in failed:
        tally.fail(failure, index, ids[index])
    rows.sort(key=lambda row: ready[row.id])
    for row in rows:
        if operation.has("afterRemove"):
            operation.after("afterRemove", to_item(row), dict)
    skipped = tally.skipped + len(ready) - len(rows) - len(failed)
    made = bulk_result(removed=[row.id for row in rows], skipped=skipped, errors=tally.errors)
    return velo_result(made, is_removal=True) if operation.options.is_velo else made


def _removable(
    operation: Operation,
    ids: Sequence[str],
    tally: _Tally,
    reach: Literal["all", "own"],
    permits: Callable[[Row], None],
) -> dict[str, int]:
    """The ids to remove, each with its first place in the list."""
    ready: dict[str, int] = {}
    for index, item_id in enumerate(ids):
        try:
            target = _before_remove(operation, item_id, reach, permits)
        except Exception as error:
            tally.fail(error, index, item_id)
            continue
        if target is None or target in ready:
            tally.skipped += 1
        else:
            ready[target] = index
    return ready


def _before_remove(
    operation: Operation, item_id: str, reach: Literal["all", "own"], permits: Callable[[Row], None]
) -> str | None:
    """The id to remove, or ``None`` where there is nothing to remove. Raises what ``permits`` and the hook raise."""
    if not is_id(item_id):
        return None
    if not operation.has("beforeRemove"):
        return item_id
    current = stored_row(operation.actor, operation.collection, item_id)
    if current is None or (reach == "own" and not operation.actor.owns(current)):
        return None
    permits(current)
    made = checked_id(operation.before("beforeRemove", item_id, str, lambda: to_item(current)))
    return made if is_id(made) else None


def patch_many(actor: Actor, asked: Patch, options: Options) -> BulkResult:
    """Make the same changes in several items."""
    operation = Operation(actor, asked.collection, options)
    ids = _checked_ids("bulkPatch", asked.target, MAX_PATCHED)
    check_patch(asked)
    tally = _Tally(operation, [], [], [])
    return operation.run(lambda: _patched(operation, asked, ids, tally))


def _patched(operation: Operation, asked: Patch, ids: Sequence[str], tally: _Tally) -> BulkResult:
    permit(operation, "update")
    targets = {item_id: index for index, item_id in reversed(list(enumerate(ids)))}
    tally.skipped = len(ids) - len(targets)
    for item_id, index in sorted(targets.items(), key=lambda pair: pair[1]):
        try:
            patch_one(operation, asked, item_id)
        except Exception as error:
            tally.fail(error, index, item_id)
        else:
            tally.updated.append((index, item_id))
    return bulk_result(updated=[item_id for _, item_id in tally.updated], skipped=tally.skipped, errors=tally.errors)
