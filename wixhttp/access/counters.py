"""The counters of rate limits: in a table that the processes of a server share, or in a Redis that several machines
share. They count as the storages of the library `limits` do. https://limits.readthedocs.io/en/stable/storage.html
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from wixhttp.errors import ConfigError
from wixhttp.logs.masking import masked_url
from wixhttp.measurements import counted

from .counter_table import CounterTable, shared
from .timely_calls import TimelyCalls

PREFIX = "wixhttp"
"""The beginning of the keys in a Redis."""
PATIENCE = 1.0
"""Seconds for which a request waits for a Redis, with all of its limits."""
_AGAIN = 2.0  # seconds until one request asks a Redis again that failed
_SAID = 60.0  # seconds between two warnings of the same

logger = logging.getLogger("wixhttp")


class Counters(Protocol):
    """Counters by key, each for a window of time that begins with its first hit. ``blocks``: they may wait for another
    host."""

    @property
    def blocks(self) -> bool:
        """Return whether `hit` may block."""

    def hit(self, key: str, seconds: int, patience: float = PATIENCE) -> tuple[int, float]:
        """Count one more. The number of hits in the window, this one included, and the seconds until it ends. It takes
        no longer than ``patience`` seconds."""


class LocalCounters:
    """Counters of this machine."""

    blocks = False

    def __init__(self, table: CounterTable) -> None:
        self._table = table

    def hit(self, key: str, seconds: int, patience: float = PATIENCE) -> tuple[int, float]:
        return self._table.hit(key, seconds)


_COUNT = """
local number = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    left = tonumber(ARGV[1])
    redis.call('PEXPIRE', KEYS[1], left)
end
return {number, left}
"""
"""Counts one more. A counter without an end, whatever left it behind, gets one."""


class RedisCounters:
    """Counters in a Redis. While it does not answer, or not in time, or with what is no number, requests are counted by
    this machine alone: a limit is no reason to be down. A warning says so, once a minute; and one request every two
    seconds asks it again."""

    blocks = True

    def __init__(self, url: str, instead: LocalCounters) -> None:
        self._count = _redis_script(url)
        self._url = masked_url(url)
        self._instead = instead
        self._calls: TimelyCalls[tuple[int, float]] = TimelyCalls()
        self._lock = threading.Lock()
        self._is_away = False
        self._asked_again = self._said_again = 0.0  # by the monotonic clock

    def hit(self, key: str, seconds: int, patience: float = PATIENCE) -> tuple[int, float]:
        if self._is_away and not self._begins_to_ask():
            return self._instead.hit(key, seconds)
        hashed = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        try:
            number, left = self._calls.result_of(lambda: self._ask(hashed, seconds), patience)
        except Exception as error:  # noqa: BLE001  # its client raises all kinds for an answer that is none
            self._note(error)
            return self._instead.hit(key, seconds)
        if self._is_away:
            self._is_away = False
            logger.info("%s counts rate limits again", self._url)
        return number, left

    def _ask(self, hashed: str, seconds: int) -> tuple[int, float]:
        number, left = self._count(keys=[f"{PREFIX}:{hashed}"], args=[seconds * 1000])
        if not (isinstance(number, int) and isinstance(left, int) and number > 0):
            raise ValueError("its answer is no number of requests")
        return number, min(max(left, 0) / 1000, seconds)

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


def _redis_script(url: str) -> Callable[..., Any]:
    """The script that counts in a Redis. Nothing connects yet.

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
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            # Once, for a connection of before the server was started anew; not for an answer that does not come.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        return redis.Redis(connection_pool=pool).register_script(_COUNT)
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
