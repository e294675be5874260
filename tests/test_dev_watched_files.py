"""The files that `wixhttp dev` watches, and what counts as a change of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wixhttp.dev.watched_files import WatchedFiles, WatchPlan, is_watched_name
from wixhttp.errors import ConfigError
from wixhttp.project.config import load_development_config


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def watched(folder: Path) -> WatchedFiles:
    return WatchedFiles(WatchPlan.of(load_development_config(folder, environ={})))


def changes(files: WatchedFiles, folder: Path, *suspects: str) -> list[str]:
    return [os.path.relpath(path, folder) for path in files.look(str(folder / name) for name in suspects)]


@pytest.mark.parametrize(
    ("name", "is_watched"),
    [
        ("a.py", True), ("wixhttp.toml", True), (".env", True), (".env.local", True), ("secrets.env", True),
        ("mail.html", True), ("mail.jinja2", True), ("old.js", True),
        (".a.py.swp", False), (".#a.py", False), ("a.py~", False), ("4913", False), ("a.pyc", False),
        ("a.sqlite3-wal", False), ("README.md", False), (".envrc", False), ("log.txt", False),
    ],
)  # fmt: skip
def test_the_names_of_watched_files(name: str, is_watched: bool) -> None:
    assert is_watched_name(name) is is_watched


def test_folders_that_are_not_the_projects_own_are_left_out(tmp_path: Path) -> None:
    files = watched(tmp_path)
    write(
        tmp_path, "env38/pyvenv.cfg", "env38/lib/a.py", "node_modules/b/c.js", ".git/d.py", "dist/e.html", "data/f.py"
    )
    write(tmp_path, "backend/__pycache__/g.py", "lib/site-packages/h.py")
    assert changes(files, tmp_path) == []
    write(
        tmp_path, "data/collections.toml", "backend/i.py", "public/j.bin", "public/.well-known/k", "src/pages/data/l.py"
    )
    assert changes(files, tmp_path) == [
        "backend/i.py", "data/collections.toml", "public/.well-known/k", "public/j.bin", "src/pages/data/l.py",
    ]  # fmt: skip


def test_a_change_is_one_of_bytes_and_a_suspect_is_read_though_it_looks_the_same(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b.py")
    files = watched(tmp_path)
    (tmp_path / "a.py").touch()
    (tmp_path / "b.py").write_text("b.py")
    assert changes(files, tmp_path, "a.py", "b.py") == []
    (tmp_path / "a.py").write_text("A.PY")
    assert changes(files, tmp_path) == ["a.py"]
    assert changes(files, tmp_path, "a.py") == []
    (tmp_path / "b.py").unlink()
    assert changes(files, tmp_path) == ["b.py"]


def test_links_that_lead_round_in_circles_end(tmp_path: Path) -> None:
    write(tmp_path, "backend/a.py")
    (tmp_path / "backend/round").symlink_to(tmp_path)
    (tmp_path / "backend/nowhere.py").symlink_to(tmp_path / "not-there")
    files = watched(tmp_path)
    write(tmp_path, "backend/b.py")
    assert changes(files, tmp_path) == ["backend/b.py"]


def test_folders_and_files_that_settings_name_elsewhere_are_watched(tmp_path: Path) -> None:
    site, other = tmp_path / "site", tmp_path / "other"
    write(site, "backend/a.py")
    write(other, "src/pages/b.py", "secrets")
    (site / "wixhttp.toml").write_text('pages = "../other/src/pages"\nsecrets_file = "../other/secrets"\n')
    files = watched(site)
    (other / "src/pages/b.py").write_text("new")
    (other / "secrets").write_text("A=1")
    write(other, "src/middleware.py")
    assert sorted(Path(path).name for path in files.look()) == ["b.py", "middleware.py", "secrets"]


def test_what_the_error_page_may_ask_for_is_a_change(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write(site, "backend/a.py", "keys.conf")
    (site / "wixhttp.toml").write_text('pages = "my/pages"\nsecrets_file = "keys.conf"\n')
    files = watched(site)
    (site / "backend/a.py").chmod(0o600)
    assert changes(files, site) == []
    (site / "keys.conf").chmod(0o640)
    assert changes(files, site) == ["keys.conf"]  # its mode counts, as do its bytes, though its name says nothing
    (site / "keys.conf").write_text("A=1")
    assert changes(files, site) == ["keys.conf"]
    (site / "my/pages").mkdir(parents=True)
    assert changes(files, site) == ["my/pages"]
    assert changes(files, site) == []
    (site / "my/pages").rmdir()
    assert changes(files, site) == ["my/pages"]


def test_the_parent_of_a_named_folder_is_not_watched(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write(site, "backend/a.py")
    write(tmp_path, "pages/b.py", "sibling/c.py", "d.py")
    for pages, found in (("../pages", ["../pages/b.py"]), (str(tmp_path / "not-there"), [])):
        (site / "wixhttp.toml").write_text(f"pages = {pages!r}\n")
        files = watched(site)
        assert str(tmp_path) not in files.folders
        write(tmp_path, "sibling/new.py", "new.py")
        (tmp_path / "pages/b.py").write_text(pages)
        assert changes(files, site) == found


def test_a_named_pipe_is_neither_opened_nor_read(tmp_path: Path) -> None:
    write(tmp_path, "backend/a.py")
    for name in (".env", "backend/pipe.py", "public/pipe"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        os.mkfifo(tmp_path / name)
    files = watched(tmp_path)  # without an end, if it were opened
    write(tmp_path, "backend/b.py")
    assert changes(files, tmp_path) == ["backend/b.py"]
    os.mkfifo(tmp_path / "wixhttp.toml")
    with pytest.raises(ConfigError, match=r"wixhttp\.toml is a named pipe; make it a file"):
        load_development_config(tmp_path, environ={})
