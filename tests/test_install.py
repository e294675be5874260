"""The installation as a user does it: into a new virtual environment, where nothing can be compiled."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import requests

from tests.servers import missing, serving
from wixhttp.cli.scaffold import make_project

ROOT = Path(__file__).parents[1]


def test_the_steps_of_the_docker_image_without_docker_and_without_a_compiler(tmp_path: Path) -> None:
    """From a wheel of this repository in the project's folder `wheels`, as before there is one in an index."""
    site, build, image = tmp_path / "shop", tmp_path / "build", tmp_path / "image"
    for _ in (*make_project(site), *make_project(site, endpoints=True)):
        pass
    (site / "Dockerfile").unlink()
    assert dict(make_project(site, endpoints=True))[site / "Dockerfile"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps", "-w"]
    _run([*pip, str(site / "wheels"), str(ROOT)], tmp_path)
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv/bin/python"
    (python.parent / "pip").write_text(f'#!/bin/sh\nexec {sys.executable} -m pip --python {python} "$@"\n')
    (python.parent / "pip").chmod(0o755)  # that of these tests, which need not be installed there first
    steps = re.findall(r"^(COPY|RUN|WORKDIR|CMD) (.+)$", (site / "Dockerfile").read_text(), re.MULTILINE)
    folder, ran = tmp_path, []
    for step, text in steps:
        if text == "pyproject.toml wheels* /build/":
            shutil.copytree(site / "wheels", build)  # the content of a folder, as COPY does
            shutil.copy(site / "pyproject.toml", build)
        elif step == "WORKDIR":
            folder = image
        elif step == "COPY":
            shutil.copytree(site, image)
        elif step == "RUN" and not text.startswith("useradd"):
            ran.append(text.split()[0])
            _run(["sh", "-ec", text.replace("/build", str(build))], folder, PATH=f"{tmp_path}/venv/bin:/usr/bin:/bin")
    assert ran == ["pip", "wixhttp"]
    assert (image / "dist/api/about.json").is_file()
    command = [f"{tmp_path}/venv/bin/wixhttp", "serve", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"]
    assert f'["wixhttp", "{command[1]}"]' == steps[-1][1]
    with serving(
        image, command=command, PYTHONPATH=None, PYTHONDONTWRITEBYTECODE=None,
        WIXHTTP_DATABASE_URL=f"sqlite:///{tmp_path}/data.db",
    ) as server:  # fmt: skip
        assert requests.get(f"{server.url}/_functions/hello", timeout=60).json() == {"message": "Hello, world!"}
        assert requests.post(f"{server.url}/_functions/orders", json={"item": "tea"}, timeout=60).status_code == 201
        assert requests.get(f"{server.url}/api/about.json", timeout=60).json()["version"] == 1
        assert server.stop() == 0
    assert (tmp_path / "data.db").is_file()
    # A project that the installed wheel makes, and its tests; what mypy says of them is in test_types.py.
    commands = "pip install -q pytest && wixhttp init x && cd x && wixhttp check && wixhttp routes && pytest -q"
    _run(["sh", "-ec", commands], tmp_path, PATH=f"{tmp_path}/venv/bin:/usr/bin:/bin")
    assert _files(tmp_path / "x") == _files(site) - {"src", "wheels"}


def _files(folder: Path) -> set[str]:
    """The names in a folder, but for what tests leave."""
    return {path.name for path in folder.iterdir()} - {".pytest_cache", "__pycache__"}


def _run(command: list[str], folder: Path, **environ: str) -> None:
    own = {**os.environ, "CC": "/bin/false", "CXX": "/bin/false", **environ}
    own |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COMPILE": "1"}  # what is imported is compiled, once
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=300)
    skip_without_index(done)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_script_says_what_it_waits_for(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/venv", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")  # installs at once
    python.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if name != "VENV"}
    said = [
        subprocess.run(
            ["bash", "-ec", "source scripts/venv test"],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        for _ in range(2)
    ]
    assert [each.stdout for each in said] == ["", ""]
    assert said[0].stderr == "installing wixhttp with test into .venv (about a minute, once)\n"
    assert said[1].stderr == ""


@pytest.mark.parametrize(
    "platforms",
    [
        ("manylinux2014_aarch64", "manylinux_2_28_aarch64"),
        ("macosx_11_0_arm64", "macosx_14_0_arm64"),
        ("macosx_11_0_x86_64", "macosx_14_0_x86_64"),
    ],
    ids=" ".join,
)
def test_what_it_needs_has_wheels_for_other_platforms(platforms: tuple[str, ...], tmp_path: Path) -> None:
    needed = [each for each in importlib.metadata.requires("wixhttp") or () if "extra ==" not in each]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check"]
    command += ["--ignore-installed", "--target", str(tmp_path), "--only-binary", ":all:", "--python-version", "3.12"]
    for platform in platforms:
        command += ["--platform", platform]
    done = subprocess.run([*command, *needed], capture_output=True, text=True, check=False, timeout=300)
    skip_without_index(done)
    assert done.returncode == 0, done.stderr


def skip_without_index(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode and ("Temporary failure in name resolution" in done.stderr or "ConnectionError" in done.stderr):
        missing(f"no package index answers: {done.stderr[-300:]}")
