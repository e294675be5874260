"""The inbox in PostgreSQL, for any number of machines. Every time is that of the server's clock.

Claims skip what others are claiming. Of a key one transaction at a time accepts or ends a job, so that the order of
its numbers is the order in which they were committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from psycopg import errors

from wixhttp.data.stores.contract import Transaction
from wixhttp.data.stores.postgres import PostgresStore
from wixhttp.data.stores.postgres_pool import Connection
from wixhttp.data.stores.postgres_writes import PostgresTransaction
from wixhttp.errors import StoreUnavailable
from wixhttp.messages import brief

from .clock import MachineClock
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
from .owner import ClaimOwner, LeaseGrace, LeaseRenewal, held_by
from .postgres_tables import (
    CLAIM,
    DUE,
    FIRST_DUE,
    INSERT,
    IS_DUE,
    LOCK,
    PROMOTE,
    TABLES,
    WAITING_NAMES,
    job_of,
    lane_of,
)
from .room import Room

Result = TypeVar("Result")

_LATER = "clock_timestamp() + make_interval(secs => $5::double precision)"
_RETRIED = (
    "UPDATE wixhttp_inbox SET state = CASE WHEN key IS NULL THEN 'waiting' ELSE 'blocked' END, attempt = 0,"
    " due = clock_timestamp(), ended = NULL, is_over = FALSE"
)
_IS_RETRIED = "state IN ('dead', 'cancelled')"
_OPEN = "state IN ('waiting', 'blocked', 'running')"

logger = logging.getLogger("wixhttp")


class PostgresInbox:
    """See `contract.Inbox`. ``lease`` is in seconds."""

    def __init__(self, store: PostgresStore, owner: ClaimOwner, *, lease: float) -> None:
        self._store = store
        self._owner = owner
        self._lease = lease
        self._clock = MachineClock()
        self._renewal = LeaseRenewal(owner, self.renew, lease, self._clock)
        self._grace = LeaseGrace(lease, self._clock)
        self._room = Room()
        self._figures = Figures()
        self._is_made = False  # the tables are there, and of this version
        self._seen_leases: dict[str, tuple[datetime, float]] = {}
        self._tidying = Tidying()
        self._is_busy = False  # the last claim found jobs: the next one need not look first

    # --- transactions ---

    def _read(self, read: Callable[[Connection], Result], empty: Result) -> Result:
        """Return the result of ``read``, or ``empty`` where there are no tables yet."""

        def checked(connection: Connection) -> Result:
            if not self._is_made:
                _check_version(connection)
                self._is_made = True
            return read(connection)

        try:
            return self._store.ask(checked)
        except errors.UndefinedTable:
            self._is_made = False
            return empty

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> Sequence[Any]:
        return self._read(lambda connection: _rows(connection, statement, values), [])

    def _write(self, work: Callable[[PostgresTransaction], Result], *, single: bool = False) -> Result:
        """Return the result of ``work`` once it is committed; the tables are made where they are not there."""
        for attempt in (1, 2):
            if not self._is_made:
                self._store.transact(lambda transaction: self._make(transaction.connection), defines=True)
            try:
                return self._store.transact(work, single=single)
            except (errors.UndefinedTable, errors.UndefinedColumn):  # others dropped them, or put a backup there
                self._is_made = False
                if attempt == 2:
                    raise
        raise AssertionError

    def _make(self, connection: Connection) -> None:
        [[is_there]] = connection.execute("SELECT to_regclass('wixhttp_inbox_facts') IS NOT NULL")
        if not is_there:
            connection.execute(TABLES)
        _check_version(connection)
        self._is_made = True

    # --- accepting ---

    def accept(self, jobs: Sequence[NewJob], *, limit: int | None = None) -> list[Accepted]:
        try:
            self._room.take(len(jobs), limit, lambda most: self._read(lambda run: _count_open(run, most), 0))
        except InboxFull:
            nothing: Sequence[str | None] = ()
            seen = self._read(lambda connection: [_seen(connection, job) for job in jobs], nothing)
            before = [Accepted(each, is_new=False) for each in seen if each is not None]
            if not jobs or len(before) < len(jobs):
                raise
            return before  # all are there already
        made: list[Accepted] = []
        is_single = len(jobs) == 1 and jobs[0].key is None
        try:
            made = self._write(lambda transaction: _store(transaction.connection, jobs), single=is_single)
        finally:
            if limit is not None:
                self._room.give_back(len(jobs) - sum(each.is_new for each in made))
        return made

    def accepting(self, jobs: Sequence[NewJob], *, limit: int | None = None) -> Accepting:
        return Accepting(lambda transaction: self._store_in(transaction, jobs, limit))

    def _store_in(self, transaction: Transaction, jobs: Sequence[NewJob], limit: int | None) -> list[Accepted]:
        """Store jobs in a transaction of collections."""
        if not isinstance(transaction, PostgresTransaction):
            raise TypeError(f"jobs are stored in a transaction of their own store, not in a {brief(transaction)}")
        transaction.begin()
        connection = transaction.connection
        try:
            if not self._is_made:
                self._make(connection)
            self._room.take(len(jobs), limit, lambda most: _count_open(connection, most))
            return _store(connection, jobs)
        except errors.UndefinedTable:  # the store calls again, and they are made
            self._is_made = False
            raise

    # --- running ---

    def claim(self, names: Collection[str], most: int) -> list[Job]:
        known = list(names)
        if most < 1 or not (self._is_busy or self._read(lambda run: _value(run, IS_DUE, (known,)), empty=False)):
            return []
        owner, began = self._renewal.id(), self._clock.elapsed()
        renews = self._renewal.is_due(owner)

        def work(transaction: PostgresTransaction) -> list[Job]:
            connection = transaction.connection
            found = [seq for (seq,) in _rows(connection, DUE, (known, most))]
            if found and renews:
                self._renew(connection, owner)
            jobs = {job.seq: job for job in map(job_of, _rows(connection, CLAIM, (found, owner)))} if found else {}
            return [jobs[seq] for seq in found]

        held = held_by(owner)
        with held.claiming:
            jobs = self._write(work)
            held.add(jobs)
        self._is_busy = bool(jobs)
        if jobs and renews:
            self._renewal.note(owner, began)
        return jobs

    def finish(self, job: Job, outcome: Outcome) -> bool:
        # Of a job without a key the outcome is one statement.
        is_current = self._write(lambda tx: _finish(tx.connection, job, outcome), single=job.key is None)
        held_by(str(job.owner)).end(job)
        if not is_current and self._read(lambda connection: _is_noted(connection, job, outcome), empty=False):
            return True
        if not is_current:
            logger.warning(
                "the job %s (%s) was not this process's any more when its attempt %d ended: its result is refused",
                job.id, job.name, job.attempt,
            )  # fmt: skip
        return is_current

    def renew(self) -> None:
        owner, began = self._owner.id, self._clock.elapsed()
        if self._rows("SELECT 1 FROM wixhttp_inbox WHERE state = 'running' AND owner = $1::text", (owner,)):
            self._write(lambda transaction: self._renew(transaction.connection, owner), single=True)
            self._renewal.note(owner, began)

    def _renew(self, connection: Connection, owner: str) -> None:
        connection.execute(
            "INSERT INTO wixhttp_inbox_owners VALUES ($1::text, clock_timestamp() + make_interval(secs => $2::float8))"
            " ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until",
            (owner, self._lease),
        )

    def free_dead(self) -> int:
        try:
            return self._free_dead()
        except StoreUnavailable:
            self._grace.begin()
            raise

    def _free_dead(self) -> int:
        freed, mine = 0, self._owner.id
        if held_by(mine).known() and self._renewal.is_late(mine):
            self.renew()
        gone = self._gone()
        for owner in gone if self._grace.is_over() else ():
            statement = f"SELECT {COLUMNS} FROM wixhttp_inbox WHERE state = 'running' AND owner = $1::text ORDER BY seq"
            freed += sum(self._free(job_of(row)) for row in self._rows(statement, (owner,)))
            self._forget(owner)
        freed += self._give_back()
        self._tidying.step(self._remove_old)
        return freed

    def _give_back(self) -> int:
        """Give back claims of which this process never learnt."""
        mine = self._owner.id
        statement = "SELECT seq, claims FROM wixhttp_inbox WHERE state = 'running' AND owner = $1::text ORDER BY seq"
        with held_by(mine).claiming:
            known = held_by(mine).known()
            lost = [tuple(row) for row in self._rows(statement, (mine,)) if tuple(row) not in known]
        statement = f"SELECT {COLUMNS} FROM wixhttp_inbox WHERE seq = $1::bigint AND claims = $2::integer"
        jobs = [job_of(row) for claim in lost for row in self._rows(statement, claim)]
        back = GivenBack(CLAIM_LOST)

        def give_back(job: Job) -> bool:
            return self._write(lambda transaction: _finish(transaction.connection, job, back))

        return sum(map(give_back, jobs))

    def _gone(self) -> list[str]:
        """The owners of running jobs whose lease has run out: by the server's clock, or, as somebody may set that one,
        by this machine's, for which it was not renewed."""
        statement = (
            "SELECT job.owner, lease.lease_until, lease.lease_until > clock_timestamp()"
            " FROM (SELECT DISTINCT owner FROM wixhttp_inbox WHERE state = 'running') AS job"
            " LEFT JOIN wixhttp_inbox_owners AS lease USING (owner)"
        )
        gone = []
        seen, now = self._seen_leases, time.monotonic()
        self._seen_leases = {}
        found = self._rows(statement)
        for owner, until, is_held in found:
            if owner == self._owner.id:
                continue
            since = seen[owner][1] if owner in seen and seen[owner][0] == until else now
            if until is not None:
                self._seen_leases[owner] = until, since
            if not is_held or now - since > self._lease:
                gone.append(owner)
        return sorted(gone)

    def _free(self, job: Job) -> bool:
        """Free a job, unless its owner renewed its lease meanwhile."""
        outcome = death(job)
        statement = (
            "SELECT max(lease_until) FROM wixhttp_inbox_owners"
            " WHERE owner = $1::text AND lease_until > clock_timestamp()"
        )

        def work(transaction: PostgresTransaction) -> bool:
            until = _value(transaction.connection, statement, (job.owner,))
            if until is not None and self._seen_leases.get(str(job.owner), (None,))[0] != until:
                return False
            return _finish(transaction.connection, job, outcome)

        is_freed = self._write(work)
        if is_freed:
            logger.warning("the job %s (%s): %s", job.id, job.name, outcome.error)
        return is_freed

    def _forget(self, owner: str) -> None:
        statement = (
            "DELETE FROM wixhttp_inbox_owners WHERE owner = $1::text AND NOT EXISTS"
            " (SELECT 1 FROM wixhttp_inbox WHERE state = 'running' AND owner = $1::text)"
        )
        self._write(lambda transaction: transaction.connection.execute(statement, (owner,)), single=True)

    def next_due(self, names: Collection[str] | None = None) -> float | None:
        def read(connection: Connection) -> float | None:
            first = _first_due(connection, names)
            return None if first is None else max(0.0, first)

        return self._read(read, None)

    # --- looking, and changing by hand ---

    def get(self, job_id: str) -> Job | None:
        statement = f"SELECT {COLUMNS} FROM wixhttp_inbox WHERE seq = $1::bigint AND token = $2::text"
        for wanted in parse_ids([job_id]):
            for row in self._rows(statement, wanted):
                return job_of(row)
        return None

    def retry(self, ids: Collection[str] | None) -> int:
        return self._retry_dead() if ids is None else self._each(parse_ids(ids), _retry)

    def _retry_dead(self) -> int:
        """Retry all dead jobs, many in a transaction: it locks their keys in the order in which all others do."""
        dead = self._rows("SELECT seq, token, lane FROM wixhttp_inbox WHERE state = 'dead' ORDER BY lane, seq")
        retried = 0
        for start in range(0, len(dead), BATCH):
            batch = dead[start : start + BATCH]

            def work(transaction: PostgresTransaction, batch: Sequence[Any] = batch) -> int:
                connection = transaction.connection
                without = [seq for seq, _, lane in batch if lane is None]
                statement = f"{_RETRIED} WHERE seq = ANY($1::bigint[]) AND key IS NULL AND {_IS_RETRIED}"
                changed = connection.execute(statement, (without,)).rowcount
                return changed + sum(_retry(connection, JobId(seq, token)) for seq, token, lane in batch if lane)

            retried += self._write(work)
        return retried

    def cancel(self, ids: Collection[str]) -> int:
        return self._each(parse_ids(ids), _cancel)

    def _each(self, wanted: Sequence[JobId], change: Callable[[Connection, JobId], bool]) -> int:
        """Change jobs, each in a transaction of its own: the lock of a key is never waited for with another's."""

        def changed(each: JobId) -> bool:
            return self._write(lambda transaction: change(transaction.connection, each))

        return sum(map(changed, wanted))

    def purge(self, state: State, older_than: float) -> int:
        check_over(state)
        removed = 0
        while True:
            step = self._purged(state, older_than, is_by_hand=True)
            removed += step
            if step < BATCH:
                return removed

    def _purged(self, state: State, older_than: float, *, is_by_hand: bool) -> int:
        """Remove a batch of old jobs; of the dead, those that hold their key only by hand."""
        statement = (
            "DELETE FROM wixhttp_inbox WHERE seq IN (SELECT seq FROM wixhttp_inbox WHERE state = $1::text"
            " AND ended IS NOT NULL AND ended <= statement_timestamp() - make_interval(secs => $2::float8)"
            f" AND is_over ORDER BY ended LIMIT {BATCH} FOR UPDATE SKIP LOCKED)"
        )
        holding = (
            "SELECT seq, token FROM wixhttp_inbox WHERE state = $1::text AND ended IS NOT NULL AND NOT is_over"
            f" AND ended <= statement_timestamp() - make_interval(secs => $2::float8) LIMIT {BATCH}"
        )
        older_than = min(older_than, LONGEST_DELAY)
        values = (state, older_than)
        removed = self._write(lambda transaction: transaction.connection.execute(statement, values).rowcount)
        if is_by_hand and state == "dead":
            removed += self._each([JobId(*row) for row in self._rows(holding, values)], _remove)
        return removed

    def _remove_old(self, state: State, kept: float) -> int:
        statement = (
            "SELECT ended <= clock_timestamp() - make_interval(secs => $2::float8) FROM wixhttp_inbox"
            " WHERE state = $1::text AND ended IS NOT NULL ORDER BY ended LIMIT 1"
        )
        [is_old] = next(iter(self._rows(statement, (state, kept))), [False])
        return self._purged(state, kept, is_by_hand=False) if is_old else 0

    def stats(self) -> Stats:
        statement = "SELECT name, state, count(*) FROM wixhttp_inbox GROUP BY state, name"
        counts = self._figures.of(lambda: self._read(lambda connection: _rows(connection, statement), []))
        first = self._read(lambda connection: _first_due(connection, None), None)
        return stats_of(counts, None if first is None or first > 0 else -first)

    def unknown_names(self, known: Collection[str]) -> dict[str, int]:
        statement = f"SELECT name, count(*) FROM wixhttp_inbox WHERE {_OPEN} GROUP BY name ORDER BY name"
        found = self._rows(statement)
        return {name: number for name, number in found if name not in known}

    # --- schedules ---

    def watermark(self, name: str) -> datetime | None:
        statement = "SELECT at AT TIME ZONE 'UTC' FROM wixhttp_inbox_watermarks WHERE name = $1::text"
        for (at,) in self._rows(statement, (name,)):
            moment: datetime = at.replace(tzinfo=timezone.utc)
            return moment
        return None

    def advance(self, name: str, occurrence_jobs: Sequence[NewJob], to: datetime) -> bool:
        def work(transaction: PostgresTransaction) -> bool:
            changed = transaction.connection.execute(
                "INSERT INTO wixhttp_inbox_watermarks AS mark VALUES ($1::text, $2::timestamptz) ON CONFLICT (name)"
                " DO UPDATE SET at = excluded.at WHERE mark.at < excluded.at",
                (name, to),
            )
            if not changed.rowcount:
                return False
            _store(transaction.connection, occurrence_jobs)
            return True

        return self._write(work)

    def rewind(self, name: str, to: datetime) -> None:
        statement = "UPDATE wixhttp_inbox_watermarks SET at = least(at, $2::timestamptz) WHERE name = $1::text"
        self._write(lambda transaction: transaction.connection.execute(statement, (name, to)))

    def list(
        self,
        *,
        state: State | None = None,
        name: str | None = None,
        key: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Job]:
        conditions, values = [], list[Any]()
        for condition, value in (
            ("state = ${}::text", state),
            ("name = ${}::text", None if name is None else well_formed(name)),
            ("key = ${}::text", stored_text(key)),
            ("seq < ${}::bigint", before),
        ):
            if value is not None:
                values.append(value)
                conditions.append(condition.format(len(values)))
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        values.append(limit)
        statement = f"SELECT {COLUMNS} FROM wixhttp_inbox {where} ORDER BY seq DESC LIMIT ${len(values)}::bigint"
        return [job_of(row) for row in self._rows(statement, values)]


# --- statements ------------------------------------------------------------------------------------------------------


def _rows(connection: Connection, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    return connection.execute(statement, values).fetchall()


def _row(connection: Connection, statement: str, values: Sequence[Any] = ()) -> Any:
    """The first row; ``None`` where there is none."""
    return connection.execute(statement, values).fetchone()


def _value(connection: Connection, statement: str, values: Sequence[Any] = ()) -> Any:
    [value] = _row(connection, statement, values)
    return value


def _check_version(connection: Connection) -> None:
    """Raises InboxVersion where the tables are of another version."""
    row = _row(connection, "SELECT value FROM wixhttp_inbox_facts WHERE name = 'version'")
    found = None if row is None else row[0]
    if found != VERSION:
        raise InboxVersion(found)


def _lock(connection: Connection, keys: Collection[tuple[str, str]]) -> None:
    """Let nobody else accept or end jobs of these keys until the transaction ends; in one order everywhere."""
    for name in sorted(lane_of(*key) for key in keys):
        connection.execute(LOCK, (name,))


def _store(connection: Connection, jobs: Sequence[NewJob]) -> list[Accepted]:
    _lock(connection, {(job.name, str(stored_text(job.key))) for job in jobs if job.key is not None})
    made = []
    for job in jobs:
        token = new_token()
        values = (
            token,
            job.name,
            job.kind,
            stored_text(job.key),
            stored_text(job.dedup),
            job.priority,
            job.max_attempts,
            job.on_dead,
            stored_moment(job.at),
            min(job.delay, LONGEST_DELAY),
            job.payload,
            job.body,
        )
        made.append(_inserted(connection, job, token, values))
    return made


def _inserted(connection: Connection, job: NewJob, token: str, values: Sequence[Any]) -> Accepted:
    while True:
        row = _row(connection, INSERT, values)
        if row is not None:
            return Accepted(str(JobId(row[0], token)), is_new=True)
        seen = _seen(connection, job)
        if seen is not None:  # else it was removed meanwhile
            return Accepted(seen, is_new=False)


def _seen(connection: Connection, job: NewJob) -> str | None:
    """The id of the job that had this ``dedup`` before."""
    row = _row(
        connection,
        "SELECT seq, token FROM wixhttp_inbox WHERE name = $1::text AND dedup = $2::text AND dedup IS NOT NULL",
        (job.name, stored_text(job.dedup)),
    )
    return None if row is None else str(JobId(*row))


def _count_open(connection: Connection, most: int) -> int:
    """Count the jobs that are to be done, up to ``most``."""
    statement = f"SELECT count(*) FROM (SELECT 1 FROM wixhttp_inbox WHERE {_OPEN} LIMIT $1::bigint) AS found"
    return int(_value(connection, statement, (most,)))


def _first_due(connection: Connection, names: Collection[str] | None) -> float | None:
    """Seconds until the first of the jobs that wait is due; negative: for so many it has been."""
    known = [name for (name,) in _rows(connection, WAITING_NAMES)] if names is None else list(names)
    first: float | None = _value(connection, FIRST_DUE, (known,))
    return first


def _finish(connection: Connection, job: Job, outcome: Outcome) -> bool:
    outcome = final_outcome(job, outcome)
    values: list[Any] = []
    if isinstance(outcome, Done):
        change, values = "state = 'done', result = $4::bytea, error = NULL, ended = clock_timestamp()", [outcome.result]
    elif isinstance(outcome, Failed):
        change, values = "state = 'dead', error = $4::text, ended = clock_timestamp()", [stored_error(outcome.error)]
    elif isinstance(outcome, GivenBack):
        change = "state = 'waiting', error = coalesce($4::text, error), attempt = attempt - 1"
        values = [stored_error(outcome.error) or None]
        if outcome.delay > 0:
            change += f", due = {_LATER}"
            values.append(min(outcome.delay, LONGEST_DELAY))
    else:
        change = f"state = 'waiting', error = $4::text, due = {_LATER}"
        values = [stored_error(outcome.error), min(outcome.delay, LONGEST_DELAY)]
    frees_key = isinstance(outcome, Done | Failed) and job.key is not None
    if frees_key:
        _lock(connection, [(job.name, str(job.key))])
    changed = connection.execute(
        f"UPDATE wixhttp_inbox SET {change}, owner = NULL, is_over = {is_over_by(job, outcome)}"
        " WHERE seq = $1::bigint AND state = 'running' AND owner = $2::text AND claims = $3::integer",
        (job.seq, job.owner, job.claims, *values),
    )
    if not changed.rowcount:
        return False
    if frees_key:  # also behind one that holds the key there may be an earlier one, retried
        connection.execute(PROMOTE, (lane_of(job.name, str(job.key)),))
    return True


def _is_noted(connection: Connection, job: Job, outcome: Outcome) -> bool:
    """Return whether a job is as this outcome leaves it: a write before, whose answer was lost, has noted it."""
    outcome = final_outcome(job, outcome)
    statement = "SELECT claims, state, result, error FROM wixhttp_inbox WHERE seq = $1::bigint"
    row = tuple(_row(connection, statement, (job.seq,)) or ())
    if isinstance(outcome, Done):
        return row == (job.claims, "done", outcome.result, None)
    state = "dead" if isinstance(outcome, Failed) else "waiting"
    return row == (job.claims, state, None, stored_error(outcome.error))


def _retry(connection: Connection, wanted: JobId) -> bool:
    return _changed(connection, wanted, _RETRIED, _IS_RETRIED)


def _cancel(connection: Connection, wanted: JobId) -> bool:
    return _changed(
        connection,
        wanted,
        "UPDATE wixhttp_inbox SET state = 'cancelled', ended = clock_timestamp(), is_over = TRUE",
        "state IN ('waiting', 'blocked', 'dead')",
    )


def _remove(connection: Connection, wanted: JobId) -> bool:
    return _changed(connection, wanted, "DELETE FROM wixhttp_inbox", "state = 'dead'")


def _changed(connection: Connection, wanted: JobId, change: str, condition: str) -> bool:
    """Change a job that meets a condition, and let the next of its key go on."""
    statement = "SELECT name, key FROM wixhttp_inbox WHERE seq = $1::bigint AND token = $2::text"
    row = _row(connection, statement, wanted)
    if row is None:
        return False
    name, key = row
    if key is not None:
        _lock(connection, [(name, key)])
    where = f"WHERE seq = $1::bigint AND token = $2::text AND {condition}"
    if not connection.execute(f"{change} {where}", wanted).rowcount:
        return False
    if key is not None:
        connection.execute(PROMOTE, (lane_of(name, key),))
    return True
