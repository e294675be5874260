"""The types that a user's checker sees: mypy and pyright over what `wixhttp init` writes, strictly, by the settings
that it writes, over the Python of the documentation, whose functions need no annotations, and over what asserts types.
One run of each."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from tests.servers import missing
from tests.test_docs import BLOCKS
from wixhttp.cli.scaffold import make_project

ROOT = Path(__file__).parents[1]
UNTYPED = ("jwt", "responses")  # third parties of examples, which have no types, or whose stubs nobody need install


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages: ``new`` is a project of both kinds with two files ``[id].py``, ``pages`` has a package for
    each page of the documentation, whose imports of its own files name it, ``typed`` asserts types of what requests
    give."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "typed").mkdir()
    shutil.copy(ROOT / "tests/typed_validation.py", folder / "typed")
    for endpoints in (False, True):
        for _ in make_project(folder / "new", endpoints=endpoints):
            pass
    page = folder / "new/src/pages/api/orders/[id].py"
    shutil.copytree(page.parent, page.parent.with_name("users"))
    for name, blocks in BLOCKS.items():
        slug = re.sub(r"\W", "_", name.removesuffix(".md"))
        for block in blocks:
            if block.kind == "python":
                _write_example(folder / "pages", slug, block.file, block.text)
    return folder


def _write_example(folder: Path, slug: str, file: str, text: str) -> None:
    """Write a file of a page; a later version of one stands beside the others of its page, in a package of its own."""
    package = slug
    while (path := folder / package / file).exists():
        package += "_"
    path.parent.mkdir(parents=True, exist_ok=True)
    owned = re.sub(r"^(\s*)(from|import) (backend|src)\b", rf"\1\2 pages.{slug}.\3", text, flags=re.MULTILINE)
    path.write_text(owned)


def test_mypy_accepts_what_init_writes_strictly_the_documentation_and_the_types_of_requests(examples: Path) -> None:
    own = tomllib.loads((examples / "new/pyproject.toml").read_text())["tool"]["mypy"]
    assert own.pop("strict")
    assert own.pop("mypy_path") == "$MYPY_CONFIG_FILE_DIR"
    del own["files"], own["exclude"]
    config = [
        "[mypy]", "strict = True", "mypy_path = $MYPY_CONFIG_FILE_DIR:new",
        *(f"{name} = {value}" for name, value in own.items()),
        "[mypy-pages.*]", "check_untyped_defs = True",
        *(f"{name} = False" for name in (
            "disallow_untyped_defs", "disallow_incomplete_defs", "disallow_untyped_calls",
            "disallow_untyped_decorators", "disallow_any_generics", "warn_return_any", "warn_unused_ignores",
        )),
        *(f"[mypy-{name}.*]\nignore_missing_imports = True" for name in UNTYPED),
    ]  # fmt: skip
    (examples / "mypy.ini").write_text("\n".join(config))
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        "mypy.ini",
        "--cache-dir",
        str(ROOT / ".mypy_cache/users"),
    ]
    done = subprocess.run(
        [*command, "new", "pages", "typed"], cwd=examples, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.startswith("Success: no issues found in "), done.stdout + done.stderr


def test_pyright_accepts_what_init_writes_strictly_the_documentation_and_the_types_of_requests(examples: Path) -> None:
    if shutil.which("node") is None:
        missing("node is not installed, which pyright runs on")
    config = {
        "include": ["new", "pages", "typed"], "strict": ["new", "typed"], "extraPaths": ["new"],
        "typeCheckingMode": "basic", "pythonVersion": "3.10",
    }  # fmt: skip
    (examples / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=examples, capture_output=True, text=True, timeout=300, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    problems = [
        f"{Path(each['file']).relative_to(examples)}:{each['range']['start']['line'] + 1}: {each['message']}"
        for each in found["generalDiagnostics"]
        if each.get("rule") != "reportMissingImports" or not any(name in each["message"] for name in UNTYPED)
    ]
    assert problems == []
    assert found["summary"]["filesAnalyzed"] > 40
