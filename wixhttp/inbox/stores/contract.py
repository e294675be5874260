"""The contract of the inbox: jobs in the project's own store, beside its collections.

A job is stored once, claimed by one process at a time, and started at most ``max_attempts`` times. Jobs of one name
and one key run one after the other, in the order in which they were accepted. The engines: `sqlite.SQLiteInbox`, which
the store in memory has too, and `postgres.PostgresInbox`; one suite runs over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import sha256
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from wixhttp.data.stores.contract import Transaction
from wixhttp.errors import StoreUnavailable

VERSION = 1
"""The version of the tables."""

KEPT_DONE = 7 * 86400.0
"""Seconds for which jobs that are done or cancelled are kept, and with them the values of ``dedup``."""
KEPT_DEAD = 30 * 86400.0
"""Seconds for which dead jobs are kept. One that holds its key is kept until it is retried, cancelled or purged."""

State = Literal["waiting", "blocked", "running", "done", "dead", "cancelled"]
"""``waiting``: due now or later; ``blocked``: an earlier job of its key is not over; ``dead``: not tried again."""

STATES: tuple[State, ...] = ("waiting", "blocked", "running", "done", "dead", "cancelled")
OPEN: tuple[State, ...] = ("waiting", "blocked", "running")
"""The states of jobs that are still to be done; `Inbox.accept` counts them against its limit."""

Kind = Literal["request", "job"]
KEPT: Mapping[State, float] = MappingProxyType({"done": KEPT_DONE, "cancelled": KEPT_DONE, "dead": KEPT_DEAD})
"""Seconds for which jobs that are over are kept, by their states."""

OnDead = Literal["go", "hold"]

CLAIM_LOST = "the answer to its claim was lost"
"""The error of a job that was given back since the process that claimed it never learnt of it."""

LONGEST = 200  # characters of a key as it is stored
LONGEST_DELAY = 100 * 365 * 86400.0  # seconds
_EARLIEST = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST = datetime(9999, 12, 1, tzinfo=timezone.utc)
_LONGEST_ERROR = 20_000  # characters


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be stored. ``payload`` is JSON text, ``body`` any bytes.

    ``delay`` is in seconds from now; ``at``, which knows its time zone, is a moment and wins over it. A greater
    ``priority`` runs first. ``on_dead``: whether the later jobs of its ``key`` go on once it is dead.
    """

    name: str
    kind: Kind = "job"
    payload: bytes = b"{}"
    body: bytes = b""
    key: str | None = None
    dedup: str | None = None
    delay: float = 0.0
    at: datetime | None = None
    priority: int = 0
    max_attempts: int = 10
    on_dead: OnDead = "go"

    @property
    def lane(self) -> str | None:
        """Its name and its key, for which jobs run one after the other; ``None`` without a key."""
        return None if self.key is None else f"{self.name}\n{stored_text(self.key)}"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is stored. ``attempt`` counts its starts, the one that runs among them; ``claims`` counts them too,
    and never less than before. ``result`` is JSON text. ``key`` and ``dedup`` are as `stored_text` gives them.

    ``run_at``: when it is due; ``started_at``: its last start. Dates are in UTC.
    """

    id: str
    seq: int
    name: str
    kind: Kind
    state: State
    key: str | None
    dedup: str | None
    priority: int
    attempt: int
    max_attempts: int
    on_dead: OnDead
    claims: int
    payload: bytes = field(repr=False)
    body: bytes = field(repr=False)
    accepted_at: datetime
    run_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    owner: str | None
    error: str | None
    result: bytes | None

    @property
    def why(self) -> str | None:
        """The first line of its error, without the traceback."""
        return None if self.error is None else self.error.strip().partition("\n")[0]


class Accepted(NamedTuple):
    """The id of a job that is stored; ``is_new`` is false where the job of that id had its ``dedup`` before."""

    id: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Done:
    """It returned. ``result`` is JSON text."""

    result: bytes | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """It failed, and is tried again after ``delay`` seconds, unless its attempts are used up: then it is dead."""

    delay: float
    error: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed, and is not tried again."""

    error: str


@dataclass(frozen=True, slots=True)
class GivenBack:
    """It was not brought to an end, and its start is not counted: it is due as before, or in ``delay`` seconds."""

    error: str = ""
    delay: float = 0.0


Outcome = Done | Again | Failed | GivenBack


class InboxFull(StoreUnavailable):
    """So many jobs are still to be done that no more are taken; not caught, it is answered 503 with ``Retry-After``."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The inbox has its {limit} jobs that are still to be done (inbox_limit): this one was not stored. Start"
            " more workers, look for what fails with 'wixhttp inbox list --state waiting', or raise inbox_limit.",
            retry_after=30,
        )


class InboxVersion(StoreUnavailable):
    """The tables of the inbox are of another version than this one of the package."""

    def __init__(self, found: object) -> None:
        super().__init__(
            f"The inbox in the database has version {found}, and this wixhttp reads and writes version {VERSION}."
            " Install the wixhttp that made it, let it finish its jobs, and drop the tables wixhttp_inbox,"
            " wixhttp_inbox_owners, wixhttp_inbox_watermarks and wixhttp_inbox_facts: they are made anew."
        )


@dataclass(frozen=True, slots=True)
class Stats:
    """The jobs of an inbox in numbers; where there are very many, as they were a moment ago.

    ``by_state`` has every state, ``by_name`` those that a name has jobs of. ``oldest_age`` is for how many seconds the
    first of the jobs that are due has been waiting; ``None``: none is.
    """

    by_state: Mapping[State, int]
    by_name: Mapping[str, Mapping[State, int]]
    oldest_age: float | None

    @property
    def dead(self) -> int:
        """The number of dead jobs."""
        return self.by_state["dead"]

    @property
    def is_empty(self) -> bool:
        """Return whether there is no job at all."""
        return not any(self.by_state.values())


class Accepting:
    """Jobs that a write of collections carries in its own transaction: all is in one commit, or nothing. ``store``
    stores them in a transaction.

    ``accepted`` are the jobs, once the write has returned; empty where it wrote nothing, and so stored none.
    """

    def __init__(self, store: Callable[[Transaction], Sequence[Accepted]]) -> None:
        self._store = store
        self.accepted: Sequence[Accepted] = ()

    def add_to(self, transaction: Transaction) -> None:
        """Store the jobs. It may be called again, where the transaction is.

        Raises:
            InboxFull: the limit is reached.
        """
        self.accepted = ()
        self.accepted = self._store(transaction)


class Inbox(Protocol):
    """Jobs in a store, for the threads of a process; each method is atomic by itself.

    Every method raises StoreUnavailable where the store cannot do it, and then nothing is changed; InboxVersion, one of
    them, where the tables are of another version. Tables are made by the first write.
    """

    def accept(self, jobs: Sequence[NewJob], *, limit: int | None = None) -> list[Accepted]:
        """Store jobs, all or none, and return once they are on disk.

        Raises:
            InboxFull: with them there would be more than ``limit`` jobs to be done; exact to what other processes did
                in the last second.
        """

    def accepting(self, jobs: Sequence[NewJob], *, limit: int | None = None) -> Accepting:
        """The same jobs, to be stored by a write of collections."""

    def claim(self, names: Collection[str], most: int) -> list[Job]:
        """Start at most ``most`` of the jobs of these names that are due, as those of this process: the highest
        priority first, then the first due, then the first accepted."""

    def finish(self, job: Job, outcome: Outcome) -> bool:
        """Say what became of a claimed job. False, and logged, where the claim is not this one any more."""

    def renew(self) -> None:
        """Renew the lease of this process; its `Owner` calls it."""

    def free_dead(self) -> int:
        """Take jobs from the dead and from those whose lease has run out: they wait again, or are dead where their
        attempts are used up. Return the number of them. At times it removes some old jobs, too."""

    def next_due(self, names: Collection[str] | None = None) -> float | None:
        """Seconds until the next of the waiting jobs is due, 0 where one is; ``None``: no job waits."""

    def get(self, job_id: str) -> Job | None:
        """The job with that id."""

    def retry(self, ids: Collection[str] | None) -> int:
        """Let dead and cancelled jobs begin anew, with all their attempts; ``None``: all that are dead. Return the
        number of them. Of a key they come next, before those that were accepted later."""

    def cancel(self, ids: Collection[str]) -> int:
        """Let jobs that wait, are blocked or dead not run any more; return the number of them. One that runs is left
        as it is."""

    def purge(self, state: State, older_than: float) -> int:
        """Remove the jobs that have been done, dead or cancelled for so many seconds; return the number of them.

        Raises:
            ValueError: the state is none of these.
        """

    def stats(self) -> Stats:
        """The jobs in numbers."""

    def unknown_names(self, known: Collection[str]) -> dict[str, int]:
        """The names of jobs to be done that are none of ``known``, with the number of jobs."""

    def watermark(self, name: str) -> datetime | None:
        """The moment up to which the occurrences of a schedule are stored; ``None``: none ever were."""

    def advance(self, name: str, occurrence_jobs: Sequence[NewJob], to: datetime) -> bool:
        """Store the jobs of occurrences, and that this was done up to ``to``. False, and nothing is stored, where it
        was done up to there already. The limit of `accept` does not hold for them."""

    def rewind(self, name: str, to: datetime) -> None:
        """Set back the moment up to which occurrences are stored: a clock that was wrong left it in the future."""

    def list(
        self,
        *,
        state: State | None = None,
        name: str | None = None,
        key: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Job]:
        """Jobs, the last accepted first; ``before`` is the ``seq`` of the one that they come before."""


def stored_text(value: str | None) -> str | None:
    """A key or a value of ``dedup`` as it is stored: as it is, or shortened, with a digest, where a database does not
    take it or it is long."""
    if value is None or (len(value) <= LONGEST and "\0" not in value and value.isascii()):
        return value
    try:
        plain = value.encode()
    except UnicodeEncodeError:  # it has half of a surrogate pair
        plain = value.encode("utf-8", "surrogatepass")
    else:
        if len(value) <= LONGEST and "\0" not in value:
            return value
    return f"{stored_error(value)[:100]}#sha256:{sha256(plain).hexdigest()}"


def stored_moment(at: datetime | None) -> datetime | None:
    """The moment at which a job is due, as databases take it."""
    return None if at is None else min(max(at, _EARLIEST), _LATEST)


def stored_error(text: str) -> str:
    """The text of an error as databases take it."""
    return well_formed(text[:_LONGEST_ERROR])


def well_formed(text: str) -> str:
    """The text without what no database takes: NUL, and halves of pairs of code units."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
