"""The counters of rate limits, in the storages of the library `limits`: a table that the processes of a server share,
or a Redis that several machines share. https://limits.readthedocs.io/en/stable/storage.html
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from typing import Any, Protocol

from limits.storage import RedisStorage, Storage

from wixhttp.errors import ConfigError
from wixhttp.logs.masking import masked_url
from wixhttp.measurements import counted

from .counter_table import CounterTable, shared

PREFIX = "wixhttp"
"""The beginning of the keys in a Redis."""
_TIMEOUT = 1.0  # seconds for a Redis to answer
_AGAIN = 2.0  # seconds until one request asks a Redis again that failed
_SAID = 60.0  # seconds between two warnings of the same

logger = logging.getLogger("wixhttp")


class TableStorage(Storage):
    """A storage of `limits` for its fixed windows, in a `CounterTable`."""

    STORAGE_SCHEME = None  # no URL leads to it

    def __init__(self, table: CounterTable) -> None:
        super().__init__()
        self.table = table

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self.table.hit(key, expiry, amount)[0]

    def get(self, key: str) -> int:
        return self.table.get(key)[0]

    def get_expiry(self, key: str) -> float:
        return time.time() + self.table.get(key)[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        return self.table.reset()

    def clear(self, key: str) -> None:
        self.table.clear(key)


class Counters(Protocol):
    """Counters by key, each for a window of time that begins with its first hit. ``blocks``: they may wait for another
    host."""

    @property
    def blocks(self) -> bool:
        """Return whether `hit` may block."""

    def hit(self, key: str, seconds: int) -> tuple[int, float]:
        """Count one more. The number of hits in the window, this one included, and the seconds until it ends."""


class LocalCounters:
    """Counters of this machine."""

    blocks = False

    def __init__(self, table: CounterTable) -> None:
        self.storage = TableStorage(table)

    def hit(self, key: str, seconds: int) -> tuple[int, float]:
        return self.storage.table.hit(key, seconds)


class RedisCounters:
    """Counters in a Redis. While it does not answer, requests are counted by this machine alone: a limit is no reason
    to be down. A warning says so, once a minute; and one request every two seconds asks it again."""

    blocks = True

    def __init__(self, url: str, instead: LocalCounters) -> None:
        self._storage = _redis_storage(url)
        self._url = masked_url(url)
        self._instead = instead
        self._lock = threading.Lock()
        self._is_away = False
        self._asked_again = self._said_again = 0.0  # by the monotonic clock

    def hit(self, key: str, seconds: int) -> tuple[int, float]:
        if self._is_away and not self._begins_to_ask():
            return self._instead.hit(key, seconds)
        hashed = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        try:
            number = self._storage.incr(hashed, seconds)
            left = self._storage.get_expiry(hashed) - time.time()
        except self._storage.base_exceptions as error:
            self._note(error)
            return self._instead.hit(key, seconds)
        if self._is_away:
            self._is_away = False
            logger.info("%s counts rate limits again", self._url)
        return number, left

    def _begins_to_ask(self) -> bool:
        """Return whether this request is the one that asks a Redis which was away, while others go on."""
        with self._lock:
            now = time.monotonic()
            if now < self._asked_again:
                return False
            self._asked_again = now + _AGAIN
            return True

    def _note(self, error: Exception) -> None:
        counted("rate_limit_storage_failed")
        with self._lock:
            now = time.monotonic()
            self._is_away = True
            self._asked_again = now + _AGAIN
            is_said = now < self._said_again
            if not is_said:
                self._said_again = now + _SAID
        if not is_said:
            logger.warning("%s does not count (%s); meanwhile each machine counts rate limits alone", self._url, error)


def _redis_storage(url: str) -> RedisStorage:
    """The storage of `limits` for a Redis. Nothing connects yet.

    Raises:
        ConfigError: its client is not installed, or the URL is none.
    """
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ConfigError(
            "rate_limit_storage names a Redis, and the package redis is not there; run: pip install 'wixhttp[redis]'"
        ) from None
    try:
        pool: Any = redis.ConnectionPool.from_url(
            url.replace("redis+unix://", "unix://", 1),
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            # Once, for a connection of before the server was started anew; not for an answer that does not come.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        return RedisStorage(url, connection_pool=pool, key_prefix=PREFIX)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"rate_limit_storage is the URL of a Redis, not {masked_url(url)!r}: {error}") from None


_in_use: Counters | None = None


def count_in(storage: str) -> None:
    """Let the rate limits of this process be counted as the setting ``rate_limit_storage`` says: from 0, where the
    counters are not shared.

    Raises:
        ConfigError: its client is not installed, or it is no URL of a Redis.
    """
    global _in_use  # noqa: PLW0603  # the guards of functions were made before the settings were known
    if storage == "memory://":
        _in_use = LocalCounters(CounterTable(is_shared=False))
    else:
        local = LocalCounters(shared() or CounterTable())
        _in_use = local if storage == "auto" else RedisCounters(storage, local)


def counters_in_use() -> Counters:
    """The counters of this process: those of `count_in`, or of this machine."""
    if _in_use is None:
        count_in("auto")
    assert _in_use is not None  # noqa: S101  # set just now
    return _in_use
