"""wixhttp.http.body: what arrives is what was sent, and no file is left behind."""

from __future__ import annotations

import asyncio
import errno
import logging
import tempfile
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.concurrency.bridge import Bridge
from wixhttp.errors import HTTPError
from wixhttp.http.body import SPOOL_SIZE, BodyBuffer, SpooledBody


@given(st.lists(st.tuples(st.binary(), st.booleans())))
def test_what_arrives_is_what_was_sent(parts: list[tuple[bytes, bool]]) -> None:
    buffer = BodyBuffer(spools=True)
    for part, is_spooled in parts:
        buffer.add(part)
        if is_spooled:
            buffer.spool()
    body, sent = buffer.end(), b"".join(part for part, _ in parts)
    assert len(body) == buffer.size == len(sent)
    if isinstance(body, SpooledBody):
        with body.file as file:
            assert file.read() == sent
    else:
        assert body == sent
        assert not any(is_spooled for _, is_spooled in parts)


def test_enough_is_kept_in_memory() -> None:
    for spools in (True, False):
        buffer = BodyBuffer(spools=spools)
        assert not buffer.add(b"a" * (SPOOL_SIZE - 1))
        assert buffer.add(b"a") is spools


def test_a_body_that_is_taken_stays_open() -> None:
    buffer = BodyBuffer(spools=True)
    buffer.add(b"a")
    buffer.spool()
    body = buffer.end()
    buffer.close()
    assert isinstance(body, SpooledBody)
    with body.file as file:
        assert file.read() == b"a"


def test_once_closed_no_file_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = BodyBuffer(spools=True)
    buffer.add(b"a")
    buffer.close()
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: pytest.fail("a file was made"))
    buffer.spool()
    buffer.close()


class Disk:
    """Files that are real, and wait before the operation ``slow``, or fail in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slow: str, error: OSError | None = None) -> None:
        self.slow, self.error = slow, error
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.files: list[BinaryIO] = []
        self._make: Callable[[], Any] = tempfile.TemporaryFile
        monkeypatch.setattr(tempfile, "TemporaryFile", self.make)

    def make(self) -> Any:
        self._operate("make")
        made = self._make()
        self.files.append(made)
        return DiskFile(self, made)

    def _operate(self, name: str) -> None:
        if name == self.slow:
            self.begun.set()
            assert self.go_on.wait(20)
            if self.error is not None:
                raise self.error


class DiskFile:
    def __init__(self, disk: Disk, file: Any) -> None:
        self.disk, self.file = disk, file

    def write(self, data: bytes) -> int:
        self.disk._operate("write")
        written: int = self.file.write(data)
        return written

    def close(self) -> None:
        self.file.close()
        self.disk._operate("close")


@pytest.mark.parametrize("error", [None, OSError(errno.ENOSPC, "No space left on device")], ids=["fine", "full"])
@pytest.mark.parametrize("slow", ["make", "write"])
def test_a_cancelled_upload_is_quiet_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, slow: str, error: OSError | None
) -> None:
    disk = Disk(monkeypatch, slow, error)
    buffer = BodyBuffer(spools=True)
    buffer.add(b"a" * 100)

    async def main() -> None:
        bridge = Bridge(1)
        upload = asyncio.ensure_future(bridge.in_thread(buffer.spool))
        assert await asyncio.to_thread(disk.begun.wait, 20)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        buffer.close()  # does not wait for the disk
        disk.go_on.set()
        await bridge.in_thread(lambda: None)  # behind it, on the one thread

    with caplog.at_level(logging.DEBUG, "wixhttp"):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.name == "wixhttp"] == []
    assert [file.closed for file in disk.files] == [True] * len(disk.files)
    assert len(disk.files) == (slow == "write" or error is None)


@pytest.mark.parametrize("slow", ["make", "write", "close"])
def test_a_full_disk_is_507_and_leaves_no_file(monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
    disk = Disk(monkeypatch, slow, OSError(errno.ENOSPC, "No space left on device"))
    disk.go_on.set()
    buffer = BodyBuffer(spools=True)
    buffer.add(b"a")
    if slow == "close":
        buffer.spool()
        buffer.close()
    else:
        with pytest.raises(HTTPError, match="cannot be put into a file") as caught:
            buffer.spool()
        assert caught.value.status == 507
        buffer.close()
    assert all(file.closed for file in disk.files)
