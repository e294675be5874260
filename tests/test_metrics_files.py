"""wixhttp.metrics.worker_files: the folder by which workers count together, from its making to its end."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, values
from prometheus_client.multiprocess import MultiProcessCollector

from wixhttp.errors import ProjectError
from wixhttp.measurements import count_with, counted
from wixhttp.metrics import worker_files
from wixhttp.metrics.worker_files import WorkerFiles


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which folders are made; what the library has of the process is put back."""
    monkeypatch.setattr(worker_files, "_MEMORY", tmp_path)
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    return tmp_path


def counted_by(folder: Path) -> dict[str, float]:
    """The sums of all samples, by their names."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    found: dict[str, float] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def in_child(files: WorkerFiles, orders: int) -> int:
    """Count in a worker that is forked, and then ends at once, as by SIGKILL; its process id."""
    files.begin_worker()
    pid = os.fork()
    if not pid:
        files.enter()
        Counter("orders", "Orders", registry=None).inc(orders)
        os._exit(0)
    os.waitpid(pid, 0)
    files.note_worker(pid)
    return pid


def test_a_worker_goes_on_where_the_one_before_it_ended() -> None:
    files = WorkerFiles(is_taken_over=False)
    for number in range(20):
        pid = in_child(files, 1)
        found = counted_by(files.folder)
        assert (found["orders_total"], found["wixhttp_workers"]) == (number + 1, 1)
        files.keep_only(())
        assert "wixhttp_workers" not in counted_by(files.folder)
        assert pid
    assert {path.name for path in files.folder.iterdir()} == {"lock", "counter_w0.db"}
    files.remove()
    assert not files.folder.exists()


def test_workers_at_once_have_places_of_their_own() -> None:
    files = WorkerFiles(is_taken_over=False)
    first, second, third = (in_child(files, 1) for _ in range(3))
    assert counted_by(files.folder)["wixhttp_workers"] == 3
    files.keep_only((first, third))  # the second has died
    fourth = in_child(files, 1)
    assert counted_by(files.folder) == {"orders_total": 4, "wixhttp_workers": 3}
    files.keep_only((fourth,))
    assert counted_by(files.folder) == {"orders_total": 4, "wixhttp_workers": 1}
    assert second
    files.remove()


def test_a_process_that_a_worker_has_forked_counts_nothing_and_leaves_no_file() -> None:
    files = WorkerFiles(is_taken_over=False)
    files.begin_worker()
    files.enter()
    orders = Counter("orders", "Orders", ["kind"], registry=None)
    orders.labels("book").inc(2)
    count_with(lambda event, labels: orders.labels(event).inc())
    before = sorted(path.name for path in files.folder.iterdir())
    pid = os.fork()
    if not pid:
        orders.labels("book").inc(5)
        orders.labels("new").inc(5)
        counted("orders")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    count_with(None)
    orders.labels("book").inc(1)
    assert counted_by(files.folder)["orders_total"] == 3
    assert sorted(path.name for path in files.folder.iterdir()) == before
    files.remove()


def test_what_was_made_before_the_worker_was_forked_counts_in_it() -> None:
    files = WorkerFiles(is_taken_over=False)
    orders = Counter("orders", "Orders", ["kind"], registry=None)
    for number in range(2000):  # more than a new file has room for
        orders.labels(f"{number}").inc(0)
    files.begin_worker()
    pid = os.fork()
    if not pid:
        files.enter()
        orders.labels("7").inc()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert counted_by(files.folder) == {"orders_total": 1, "wixhttp_workers": 1}
    files.remove()


@pytest.mark.parametrize("limit", [0, 50_000, 100_000, 200_000])
def test_without_room_for_more_a_worker_goes_on_and_counts_what_it_has(
    limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    files = WorkerFiles(is_taken_over=False)
    files.begin_worker()
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # of what is a full disk to the library
        files.enter()
        orders = Counter("orders", "Orders", ["kind"], registry=None)
        for _ in range(2):
            for number in range(2000):
                orders.labels(f"{number}").inc()
        os._exit(len(caplog.messages))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    total = counted_by(files.folder).get("orders_total", 0)
    assert (0 < total < 4000) == (limit >= 65_536)
    for path in files.folder.glob("*.db"):
        assert path.stat().st_blocks * 512 >= path.stat().st_size  # no write of memory meets a block that is not there
    files.remove()


def test_a_number_with_endless_labels_is_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    files = WorkerFiles(is_taken_over=False)
    files.begin_worker()
    files.enter()
    orders = Counter("orders", "Orders", ["kind"], registry=None)
    orders.labels("x" * 200_000).inc()
    orders.labels("book").inc()
    assert counted_by(files.folder)["orders_total"] == 1
    [message] = caplog.messages
    assert "bound the labels" in message
    files.remove()


def test_a_worker_whose_folder_is_gone_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    files = WorkerFiles(is_taken_over=False)
    files.begin_worker()
    files.enter()
    orders = Counter("orders", "Orders", ["kind"], registry=None)
    shutil.rmtree(files.folder)
    orders.labels("book").inc()
    Gauge("open", "Open", registry=None, multiprocess_mode="max").set(1)
    files.note_worker(os.getpid())
    files.keep_only(())
    files.remove()
    assert len(caplog.messages) == 1


def test_only_the_master_removes_the_folder() -> None:
    files = WorkerFiles(is_taken_over=False)
    pid = os.fork()
    if not pid:
        files.remove()
        os._exit(0)
    os.waitpid(pid, 0)
    assert files.folder.stat().st_mode & 0o777 == 0o700
    files.remove()


def test_folders_of_servers_that_were_killed_are_removed_and_no_others(base: Path) -> None:
    old = time.time() - 3600
    folders = {name: base / f"wixhttp-metrics-{name}" for name in ("dead", "alive", "new", "begun", "half")}
    for name, folder in folders.items():
        folder.mkdir()
        if name not in ("begun", "half"):
            (folder / "lock").touch()
            (folder / "counter_w0.db").touch()
    for name in ("dead", "alive"):
        os.utime(folders[name] / "lock", (old, old))
    os.utime(folders["half"], (old, old))
    with (folders["alive"] / "lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        files = WorkerFiles(is_taken_over=False)
        assert {name for name, folder in folders.items() if folder.exists()} == {"alive", "new", "begun"}
    files.remove()


def test_what_others_have_made_there_is_left_and_waits_for_nobody(base: Path) -> None:
    pipe, link, foreign = (base / f"wixhttp-metrics-{name}" for name in ("pipe", "link", "foreign"))
    for folder in (pipe, foreign):
        folder.mkdir()
    os.mkfifo(pipe / "lock")
    (base / "target").mkdir()
    link.symlink_to(base / "target")
    (foreign / "lock").touch()
    os.utime(foreign / "lock", (0, 0))
    if os.geteuid() == 0:
        os.chown(foreign, 65534, 65534)
    WorkerFiles(is_taken_over=False).remove()
    assert pipe.exists()
    assert link.exists()
    assert foreign.exists() == (os.geteuid() == 0)


def test_where_memory_has_little_room_the_folder_is_elsewhere(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    room = os.statvfs(base)
    monkeypatch.setattr(worker_files, "_ROOM", room.f_blocks * room.f_frsize + 1)
    files = WorkerFiles(is_taken_over=False)
    assert files.folder.parent == elsewhere
    files.remove()


def test_the_variable_of_another_folder_is_warned_of(
    base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(base / "mine"))
    files = WorkerFiles(is_taken_over=False)
    assert caplog.messages == ["PROMETHEUS_MULTIPROC_DIR is set; wixhttp serve counts in a folder of its own"]
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(files.folder)
    files.remove()


def test_without_a_place_for_the_folder_the_start_says_so(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_files, "_MEMORY", base / "nowhere")
    monkeypatch.setattr(tempfile, "tempdir", str(base / "gone"))
    with pytest.raises(ProjectError, match=r"none can be made in '.*/gone' \(No such file or directory\); set TMPDIR"):
        WorkerFiles(is_taken_over=False)
