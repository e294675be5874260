"""`wixhttp check` of a project of many files: seconds from its start to its end, in a fresh process.

python benchmarks/check.py
python benchmarks/check.py --files 1000 --runs 3
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

FUNCTION = '''

async def {name}_{number}(request):
    """One of many: reads a page of items, and answers with those of a price."""
    order = await request.body.json()
    query = aio.query("books").eq("author", request.query["author"]).ge("price", order["price"])
    page = await query.ascending("title").limit(50).find()
    titles = [item["title"].upper() for item in page.items if item.get("price")]
    if not titles:
        return notFound({{"body": {{"error": "nothing"}}}})
    total = sum(item["price"] for item in page.items)
    await asyncio.gather(aio.save("seen", order), aio.insert("log", {{"total": total}}))
    return ok({{"body": {{"titles": titles, "total": total, "more": page.hasNext()}}, "headers": {{"X-A": "b"}}}})
'''
HEAD = "import asyncio\n\nfrom wixhttp import notFound, ok\nfrom wixhttp.data import aio\n"


def project(folder: Path, files: int, functions: int) -> int:
    """Write a project of so many files of so many functions each; return the number of its lines."""
    backend = folder / "backend"
    backend.mkdir()
    lines = 0
    for number in range(files):
        name = "get" if number == 0 else "helper"
        text = HEAD + "".join(FUNCTION.format(name=name, number=each) for each in range(functions))
        (backend / ("http_functions.py" if number == 0 else f"module_{number}.py")).write_text(text)
        lines += text.count("\n")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--functions", type=int, default=4, help="in each file")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        lines = project(folder, options.files, options.functions)
        seconds, processor = [], []
        for _ in range(options.runs + 1):  # the first fills the caches of compiled modules
            before, begin = _used(), perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "wixhttp", "--project", temporary, "check", "--strict"],
                capture_output=True, text=True, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            )  # fmt: skip
            seconds.append(perf_counter() - begin)
            processor.append(_used() - before)
            if done.returncode:
                sys.exit(done.stdout + done.stderr)
    print("| files | lines | seconds | of processor |\n| ---: | ---: | ---: | ---: |")
    print(f"| {options.files} | {lines} | {median(seconds[1:]):.2f} | {median(processor[1:]):.2f} |")


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
