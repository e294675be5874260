"""A real browser for the tests of the pages: Debian's Chromium, headless, driven by Playwright.

Every page is watched: a message on its console, an error of a script, and a request to another host fail the test.
Playwright's synchronous interface keeps an event loop running in this thread, so a module of these tests cannot run
one of its own; the browser ends with the module, so that others can.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.pages import Watch
from tests.servers import TIMEOUT, missing

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--no-default-browser-check",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. The test is skipped where there is none, and fails in CI."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("there is no Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


OpenPage = Callable[..., Page]
expect.set_options(timeout=1000 * TIMEOUT)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """``open_page(base_url, width=1024, dark=False, **options)``: a new page, with the options of Playwright's
    ``new_context``. That it behaved is checked when the test ends."""
    opened: list[tuple[Page, Watch]] = []

    def make(base: str, width: int = 1024, height: int = 800, *, dark: bool = False, **options: Any) -> Page:
        context = browser.new_context(
            base_url=base,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **options,
        )
        page = context.new_page()
        page.set_default_timeout(1000 * TIMEOUT)
        opened.append((page, Watch(page, base)))
        return page

    yield make
    problems: list[str] = []
    for page, watch in opened:
        page.context.close()
        problems += watch.all()
    assert problems == []
