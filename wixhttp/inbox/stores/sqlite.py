"""The inbox in SQLite: in the file of the project's collections, or in memory.

What threads accept, claim and finish at the same time is one commit, with what they write in collections. Dates are
those of the machine's clock; what waits for a time from now is moved when somebody sets that clock. Leases hold by the
time since the machine started.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar

import apsw

from wixhttp.data.stores.contract import Transaction
from wixhttp.data.stores.memory import MemoryTransaction
from wixhttp.data.stores.sqlite import SQLiteTransaction
from wixhttp.errors import StoreUnavailable
from wixhttp.messages import brief

from .clock import STEP, Clock, Moment
from .contract import (
    CLAIM_LOST,
    LONGEST_DELAY,
    VERSION,
    Accepted,
    Accepting,
    Done,
    Failed,
    GivenBack,
    InboxFull,
    InboxVersion,
    Job,
    NewJob,
    Outcome,
    State,
    Stats,
    stored_error,
    stored_moment,
    stored_text,
    well_formed,
)
from .figures import Figures, stats_of
from .job_ids import JobId, new_token, parse_ids
from .job_rows import COLUMNS
from .lifecycle import BATCH, Tidying, check_over, death, final_outcome, is_over_by
from .memory import MemoryDatabase
from .owner import ClaimOwner, LeaseGrace, LeaseRenewal, held_by
from .room import Room
from .sqlite_tables import (
    ENDED,
    INSERT,
    LEVELS,
    PROMOTE,
    READY,
    RUNNING,
    TABLES,
    date_of,
    job_of,
)

Result = TypeVar("Result")

_FACTS_KEPT = 60.0  # seconds after which the clock is noted again, as clocks drift

logger = logging.getLogger("wixhttp")


class Database(Protocol):
    """A database of SQLite: `SQLiteStore`, or `memory.MemoryDatabase`."""

    def reading(self) -> AbstractContextManager[apsw.Connection]:
        """A connection to read with."""

    def transact(self, work: Callable[[apsw.Connection], Result]) -> Result:
        """Return the result of ``work`` once what it wrote is committed."""


class SQLiteInbox:
    """See `contract.Inbox`. ``lease`` is in seconds."""

    def __init__(self, database: Database, owner: ClaimOwner, *, clock: Clock, lease: float) -> None:
        self._database = database
        self._owner = owner
        self._clock = clock
        self._lease = lease
        self._renewal = LeaseRenewal(owner, self.renew, lease, clock)
        self._grace = LeaseGrace(lease, clock)
        self._is_expiring = True  # leases that ran out are taken for such
        self._room = Room()
        self._figures = Figures()
        self._tidying = Tidying()
        self._is_busy = False  # the last claim found jobs: the next one need not look first

    # --- transactions ---

    def _read(self, read: Callable[[apsw.Connection, Moment], Result], empty: Result) -> Result:
        """Return the result of ``read``, or ``empty`` where there are no tables yet."""
        with self._database.reading() as connection:
            facts = _facts(connection)
            if facts is None:
                return empty
            return read(connection, Moment.parse(facts["clock"]))

    def _rows(self, statement: str, values: Any = None) -> Sequence[Any]:
        return self._read(lambda connection, _: _rows(connection, statement, values), [])

    def _write(self, work: Callable[[apsw.Connection, float], Result]) -> Result:
        """Return the result of ``work``, which is given the time, once it is on disk."""
        return self._database.transact(lambda connection: work(connection, self._begin(connection)))

    def _begin(self, connection: apsw.Connection) -> float:
        """The time, in a transaction in which the tables are there and what waits is due by this clock."""
        facts = _facts(connection)
        present = Moment.of(self._clock)
        if facts is None:
            connection.execute(TABLES)
        else:
            noted = Moment.parse(facts["clock"])
            step = present.step_since(noted)
            if abs(step) >= STEP:
                logger.warning("the clock was set by %+.1f s: jobs that wait for a time from now are moved", step)
                connection.execute(
                    "UPDATE wixhttp_inbox SET due = due + ?"
                    " WHERE state IN ('waiting', 'blocked') AND is_relative AND due > ?",
                    (step, min(present.now, present.now - step)),
                )
            elif noted.boot == present.boot and 0 <= present.elapsed - noted.elapsed < _FACTS_KEPT:
                return present.now
        connection.execute("INSERT OR REPLACE INTO wixhttp_inbox_facts VALUES ('clock', ?)", (present.format(),))
        return present.now

    # --- accepting ---

    def accept(self, jobs: Sequence[NewJob], *, limit: int | None = None) -> list[Accepted]:
        try:
            self._room.take(len(jobs), limit, lambda most: self._read(lambda run, _: _count_open(run, most), 0))
        except InboxFull:
            nothing: Sequence[str | None] = ()
            seen = self._read(lambda connection, _: [_seen(connection, job) for job in jobs], nothing)
            before = [Accepted(each, is_new=False) for each in seen if each is not None]
            if not jobs or len(before) < len(jobs):
                raise
            return before  # all are there already
        made: list[Accepted] = []
        try:
            made = self._write(lambda connection, now: _store(connection, jobs, now))
        finally:
            if limit is not None:
                self._room.give_back(len(jobs) - sum(each.is_new for each in made))
        return made

    def accepting(self, jobs: Sequence[NewJob], *, limit: int | None = None) -> Accepting:
        return Accepting(lambda transaction: self._store_in(transaction, jobs, limit))

    def _store_in(self, transaction: Transaction, jobs: Sequence[NewJob], limit: int | None) -> list[Accepted]:
        """Store jobs in a transaction of collections."""
        connection = self._connection_of(transaction)
        now = self._begin(connection)
        self._room.take(len(jobs), limit, lambda most: _count_open(connection, most))
        return _store(connection, jobs, now)

    def _connection_of(self, transaction: Transaction) -> apsw.Connection:
        if isinstance(transaction, SQLiteTransaction):
            return transaction.connection
        if isinstance(transaction, MemoryTransaction) and isinstance(self._database, MemoryDatabase):
            return self._database.join(transaction)
        raise TypeError(f"jobs are stored in a transaction of their own store, not in a {brief(transaction)}")

    # --- running ---

    def claim(self, names: Collection[str], most: int) -> list[Job]:
        known = json.dumps(list(names))
        if most < 1 or not (self._is_busy or self._read(lambda run, at: self._is_due(run, at, known), empty=False)):
            return []
        owner, began = self._renewal.id(), self._clock.elapsed()
        renews = self._renewal.is_due(owner)

        def work(connection: apsw.Connection, now: float) -> list[Job]:
            found = _due(connection, known, now, most)
            if found and renews:
                self._renew(connection, owner)
            return [_claimed(connection, seq, owner, now) for seq in found]

        held = held_by(owner)
        with held.claiming:
            jobs = self._write(work)
            held.add(jobs)
        self._is_busy = bool(jobs)
        if jobs and renews:
            self._renewal.note(owner, began)
        return jobs

    def _is_due(self, connection: apsw.Connection, noted: Moment, names: str) -> bool:
        present = Moment.of(self._clock)
        return abs(present.step_since(noted)) >= STEP or bool(_due(connection, names, present.now, 1))

    def finish(self, job: Job, outcome: Outcome) -> bool:
        is_current = self._write(lambda connection, now: _finish(connection, job, outcome, now))
        held_by(str(job.owner)).end(job)
        if not is_current:
            logger.warning(
                "the job %s (%s) was not this process's any more when its attempt %d ended: its result is refused",
                job.id, job.name, job.attempt,
            )  # fmt: skip
        return is_current

    def renew(self) -> None:
        owner, began = self._owner.id, self._clock.elapsed()
        if self._rows(f"SELECT 1 FROM {RUNNING} WHERE state = 'running' AND owner = ? LIMIT 1", (owner,)):
            self._write(lambda connection, _: self._renew(connection, owner))
            self._renewal.note(owner, began)

    def _renew(self, connection: apsw.Connection, owner: str) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO wixhttp_inbox_owners VALUES (?, ?, ?)",
            (owner, self._clock.boot, self._clock.elapsed() + self._lease),
        )

    def free_dead(self) -> int:
        try:
            return self._free_dead()
        except StoreUnavailable:
            self._grace.begin()
            raise

    def _free_dead(self) -> int:
        statement = f"SELECT owner, seq, claims FROM {RUNNING} WHERE state = 'running'"
        mine = self._owner.id
        if held_by(mine).known() and self._renewal.is_late(mine):
            self.renew()
        with held_by(mine).claiming:
            known = held_by(mine).known()
            running = self._rows(statement)
        self._is_expiring = self._grace.is_over()
        lost = {(seq, claims) for owner, seq, claims in running if owner == mine} - known
        others = {owner for owner, _, _ in running} - {mine}
        gone = self._read(lambda connection, _: self._gone(connection, others), set[str]()) if others else set()
        freed = 0
        if gone or lost:
            freed = self._write(
                lambda connection, now: self._free(connection, gone, now) + _give_back(connection, lost, now)
            )
        self._tidying.step(self._remove_old)
        return freed

    def _gone(self, connection: apsw.Connection, owners: set[str]) -> set[str]:
        """Those that are dead, or whose lease has run out."""
        return self._owner.dead_owners(owners) | self._expired(connection, owners)

    def _expired(self, connection: apsw.Connection, owners: set[str]) -> set[str]:
        if not self._is_expiring:
            return set()
        boot, elapsed = self._clock.boot, self._clock.elapsed()
        held = {
            owner
            for owner, of_boot, until in connection.execute("SELECT owner, boot, lease_until FROM wixhttp_inbox_owners")
            if of_boot == boot and elapsed <= until <= elapsed + 2 * self._lease
        }
        return owners - held

    def _free(self, connection: apsw.Connection, gone: set[str], now: float) -> int:
        """Free the jobs of owners that are gone, and still are now that nobody else writes."""
        freed = 0
        for owner in sorted(self._gone(connection, gone)):
            statement = f"SELECT {COLUMNS} FROM {RUNNING} WHERE state = 'running' AND owner = ? ORDER BY seq"
            jobs = _rows(connection, statement, (owner,))
            for job in map(job_of, jobs):
                outcome = death(job)
                logger.warning("the job %s (%s): %s", job.id, job.name, outcome.error)
                _finish(connection, job, outcome, now)
                freed += 1
            connection.execute("DELETE FROM wixhttp_inbox_owners WHERE owner = ?", (owner,))
        return freed

    def next_due(self, names: Collection[str] | None = None) -> float | None:
        def read(connection: apsw.Connection, _: Moment) -> float | None:
            known = json.dumps(list(_waiting_names(connection) if names is None else names))
            first = _first_due(connection, known)
            return None if first is None else max(0.0, first - self._clock.now())

        return self._read(read, None)

    # --- looking, and changing by hand ---

    def get(self, job_id: str) -> Job | None:
        statement = f"SELECT {COLUMNS} FROM wixhttp_inbox WHERE seq = ? AND token = ?"
        for wanted in parse_ids([job_id]):
            for row in self._rows(statement, wanted):
                return job_of(row)
        return None

    def retry(self, ids: Collection[str] | None) -> int:
        wanted = self._all_dead() if ids is None else parse_ids(ids)
        return self._in_batches(wanted, _retry)

    def _all_dead(self) -> Sequence[JobId]:
        statement = "SELECT seq, token FROM wixhttp_inbox WHERE state = 'dead' ORDER BY seq"
        return tuple(JobId(*row) for row in self._rows(statement))

    def cancel(self, ids: Collection[str]) -> int:
        return self._in_batches(parse_ids(ids), _cancel)

    def _in_batches(self, wanted: Sequence[JobId], change: Callable[[apsw.Connection, JobId, float], bool]) -> int:
        changed = 0
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]

            def work(connection: apsw.Connection, now: float, batch: Sequence[JobId] = batch) -> int:
                return sum(change(connection, each, now) for each in batch)

            changed += self._write(work)
        return changed

    def purge(self, state: State, older_than: float) -> int:
        check_over(state)
        removed = 0
        while True:
            step = self._write(lambda connection, now: _purge(connection, state, now - older_than))
            removed += step
            if step < BATCH:
                return removed

    def _remove_old(self, state: State, kept: float) -> int:
        statement = f"SELECT min(ended) FROM {ENDED} WHERE state = ? AND ended IS NOT NULL"
        [first] = self._read(lambda connection, _: _row(connection, statement, (state,)), [None])
        if first is None or first > self._clock.now() - kept:
            return 0
        return self._write(lambda connection, now: _purge(connection, state, now - kept, is_by_hand=False))

    def stats(self) -> Stats:
        counts = self._figures.of(lambda: self._read(lambda connection, _: _counts(connection), []))
        return stats_of(counts, self._read(lambda connection, _: self._oldest_age(connection), None))

    def _oldest_age(self, connection: apsw.Connection) -> float | None:
        first, now = _first_due(connection, json.dumps(_waiting_names(connection))), self._clock.now()
        return None if first is None or first > now else now - first

    def unknown_names(self, known: Collection[str]) -> dict[str, int]:
        statement = (
            "SELECT name, count(*) FROM wixhttp_inbox WHERE state IN ('waiting', 'blocked', 'running')"
            " GROUP BY name ORDER BY name"
        )
        return {name: number for name, number in self._rows(statement) if name not in known}

    # --- schedules ---

    def watermark(self, name: str) -> datetime | None:
        at = self._read(lambda connection, _: _watermark(connection, name), None)
        return None if at is None else date_of(at)

    def advance(self, name: str, occurrence_jobs: Sequence[NewJob], to: datetime) -> bool:
        def work(connection: apsw.Connection, now: float) -> bool:
            at = _watermark(connection, name)
            if at is not None and at >= to.timestamp():
                return False
            connection.execute("INSERT OR REPLACE INTO wixhttp_inbox_watermarks VALUES (?, ?)", (name, to.timestamp()))
            _store(connection, occurrence_jobs, now)
            return True

        return self._write(work)

    def rewind(self, name: str, to: datetime) -> None:
        statement = "UPDATE wixhttp_inbox_watermarks SET at = min(at, ?) WHERE name = ?"
        self._write(lambda connection, now: connection.execute(statement, (to.timestamp(), name)))

    def list(
        self,
        *,
        state: State | None = None,
        name: str | None = None,
        key: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Job]:
        asked = {"state": state, "name": None if name is None else well_formed(name), "key": stored_text(key)}
        conditions = [f"{column} = :{column}" for column, value in asked.items() if value is not None]
        if before is not None:
            conditions.append("seq < :before")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = f"SELECT {COLUMNS} FROM wixhttp_inbox {where} ORDER BY seq DESC LIMIT :limit"
        values = {**asked, "before": before, "limit": limit}
        return [job_of(row) for row in self._rows(statement, values)]


# --- statements ------------------------------------------------------------------------------------------------------


def _rows(connection: apsw.Connection, statement: str, values: Any = None) -> list[Any]:
    return connection.execute(statement, values).fetchall()


def _row(connection: apsw.Connection, statement: str, values: Any = None) -> Any:
    """The first row; ``None`` where there is none."""
    return connection.execute(statement, values).fetchone()


def _facts(connection: apsw.Connection) -> dict[str, Any] | None:
    """The facts that are noted of the tables; ``None`` where there are none.

    Raises:
        InboxVersion: they are of another version.
    """
    try:
        facts = dict(connection.execute("SELECT name, value FROM wixhttp_inbox_facts"))
    except apsw.SQLError as error:
        if "no such table" not in str(error):
            raise
        return None
    if facts.get("version") != VERSION:
        raise InboxVersion(facts.get("version"))
    return facts


def _store(connection: apsw.Connection, jobs: Sequence[NewJob], now: float) -> list[Accepted]:
    made = []
    for job in jobs:
        token = new_token()
        at = stored_moment(job.at)
        values = {
            "token": token,
            "name": job.name,
            "kind": job.kind,
            "key": stored_text(job.key),
            "dedup": stored_text(job.dedup),
            "priority": job.priority,
            "max_attempts": job.max_attempts,
            "on_dead": job.on_dead,
            "now": now,
            "due": now + min(job.delay, LONGEST_DELAY) if at is None else at.timestamp(),
            "is_relative": at is None,
            "payload": job.payload,
            "body": job.body,
        }
        row = _row(connection, INSERT, values)
        seen = None if row is not None else _seen(connection, job)
        made.append(Accepted(str(JobId(row[0], token)), is_new=True) if seen is None else Accepted(seen, is_new=False))
    return made


def _seen(connection: apsw.Connection, job: NewJob) -> str | None:
    """The id of the job that had this ``dedup`` before."""
    row = _row(
        connection,
        "SELECT seq, token FROM wixhttp_inbox WHERE name = ? AND dedup = ? AND dedup IS NOT NULL",
        (job.name, stored_text(job.dedup)),
    )
    return None if row is None else str(JobId(*row))


def _count_open(connection: apsw.Connection, most: int) -> int:
    """Count the jobs that are to be done, up to ``most``."""
    [count] = _row(
        connection,
        "SELECT count(*) FROM (SELECT 1 FROM wixhttp_inbox WHERE state IN ('waiting', 'blocked', 'running') LIMIT ?)",
        (most,),
    )
    return int(count)


def _due(connection: apsw.Connection, names: str, now: float, most: int) -> list[int]:
    """The first jobs that are due."""
    found: list[tuple[int, float, int]] = []
    last = None
    for name, priority in _rows(connection, LEVELS, (names,)):
        if len(found) >= most and priority != last:
            break
        last = priority
        rows = _rows(
            connection,
            f"SELECT due, seq FROM {READY} WHERE state = 'waiting' AND name = ? AND priority = ? AND due <= ?"
            " ORDER BY due, seq LIMIT ?",
            (name, priority, now, most),
        )
        found += [(-priority, due, seq) for due, seq in rows]
    return [seq for _, _, seq in sorted(found)[:most]]


def _claimed(connection: apsw.Connection, seq: int, owner: str, now: float) -> Job:
    row = _row(
        connection,
        "UPDATE wixhttp_inbox SET state = 'running', owner = ?, attempt = attempt + 1, claims = claims + 1, started = ?"
        f" WHERE seq = ? RETURNING {COLUMNS}",
        (owner, now, seq),
    )
    return job_of(row)


def _finish(connection: apsw.Connection, job: Job, outcome: Outcome, now: float) -> bool:
    outcome = final_outcome(job, outcome)
    values: dict[str, Any] = {"seq": job.seq, "owner": job.owner, "claims": job.claims, "now": now}
    if isinstance(outcome, Done):
        change = "state = 'done', result = :result, error = NULL, ended = :now, is_over = 1"
        values["result"] = outcome.result
    elif isinstance(outcome, Failed):
        change = "state = 'dead', error = :error, ended = :now, is_over = :is_over"
        values |= {"error": stored_error(outcome.error), "is_over": is_over_by(job, outcome)}
    elif isinstance(outcome, GivenBack):
        change = "state = 'waiting', error = coalesce(:error, error), attempt = attempt - 1"
        values["error"] = stored_error(outcome.error) or None
        if outcome.delay > 0:
            change += ", due = :due, is_relative = 1"
            values["due"] = now + min(outcome.delay, LONGEST_DELAY)
    else:
        change = "state = 'waiting', error = :error, due = :due, is_relative = 1"
        values |= {"error": stored_error(outcome.error), "due": now + min(outcome.delay, LONGEST_DELAY)}
    connection.execute(
        f"UPDATE wixhttp_inbox SET {change}, owner = NULL"
        " WHERE seq = :seq AND state = 'running' AND owner = :owner AND claims = :claims",
        values,
    )
    if not connection.changes():
        return False
    if isinstance(outcome, Done | Failed):  # also behind one that holds the key there may be an earlier one, retried
        _promote(connection, job.name, job.key)
    return True


def _give_back(connection: apsw.Connection, lost: set[tuple[int, int]], now: float) -> int:
    """Give back claims of which this process never learnt."""
    statement = f"SELECT {COLUMNS} FROM wixhttp_inbox WHERE seq = ? AND claims = ? AND state = 'running'"
    jobs = [job_of(row) for claim in sorted(lost) for row in _rows(connection, statement, claim)]
    return sum(_finish(connection, job, GivenBack(CLAIM_LOST), now) for job in jobs)


def _promote(connection: apsw.Connection, name: str, key: str | None) -> None:
    if key is not None:
        connection.execute(PROMOTE, {"name": name, "key": key})


def _retry(connection: apsw.Connection, wanted: JobId, now: float) -> bool:
    return _changed(
        connection,
        "state = CASE WHEN key IS NULL THEN 'waiting' ELSE 'blocked' END, attempt = 0, due = :now, is_relative = 1,"
        " ended = NULL, is_over = 0",
        "state IN ('dead', 'cancelled')",
        {"seq": wanted.seq, "token": wanted.token, "now": now},
    )


def _cancel(connection: apsw.Connection, wanted: JobId, now: float) -> bool:
    return _changed(
        connection,
        "state = 'cancelled', ended = :now, is_over = 1",
        "state IN ('waiting', 'blocked', 'dead')",
        {"seq": wanted.seq, "token": wanted.token, "now": now},
    )


def _changed(connection: apsw.Connection, change: str, condition: str, values: Mapping[str, Any]) -> bool:
    row = _row(
        connection,
        f"UPDATE wixhttp_inbox SET {change} WHERE seq = :seq AND token = :token AND {condition} RETURNING name, key",
        values,
    )
    if row is None:
        return False
    _promote(connection, *row)
    return True


def _purge(connection: apsw.Connection, state: str, before: float, *, is_by_hand: bool = True) -> int:
    """Remove a batch of jobs that ended before; of the dead, those that hold their key only by hand."""
    rows = _rows(
        connection,
        "DELETE FROM wixhttp_inbox WHERE seq IN"
        f" (SELECT seq FROM {ENDED} WHERE state = :state AND ended IS NOT NULL AND ended <= :before"
        " AND (is_over OR :is_by_hand) ORDER BY ended LIMIT :most) RETURNING name, key, is_over",
        {"state": state, "before": before, "is_by_hand": is_by_hand, "most": BATCH},
    )
    for name, key, is_over in rows:
        if not is_over:
            _promote(connection, name, key)
    return len(rows)


def _waiting_names(connection: apsw.Connection) -> list[str]:
    """The names of jobs that wait, found by one step in the index for each."""
    statement = f"SELECT name FROM {READY} WHERE state = 'waiting' AND name > ? ORDER BY name LIMIT 1"
    names: list[str] = []
    while (row := _row(connection, statement, (names[-1] if names else "",))) is not None:
        names.append(row[0])
    return names


def _first_due(connection: apsw.Connection, names: str) -> float | None:
    """The time at which the first of the jobs that wait is due; ``None``: none waits."""
    statement = f"SELECT due FROM {READY} WHERE state = 'waiting' AND name = ? AND priority = ? ORDER BY due LIMIT 1"
    levels = _rows(connection, LEVELS, (names,))
    found = [_row(connection, statement, level) for level in levels]
    return min((row[0] for row in found if row is not None), default=None)  # others may have claimed some meanwhile


def _counts(connection: apsw.Connection) -> list[tuple[str, State, int]]:
    return _rows(connection, "SELECT name, state, count(*) FROM wixhttp_inbox GROUP BY state, name")


def _watermark(connection: apsw.Connection, name: str) -> float | None:
    row = _row(connection, "SELECT at FROM wixhttp_inbox_watermarks WHERE name = ?", (name,))
    return None if row is None else float(row[0])
