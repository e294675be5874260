"""Pages in the browser of these tests: watched, measured, and checked by axe-core."""

from __future__ import annotations

import os
import time
from functools import cache
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, Response

from tests.servers import TIMEOUT

WIDTHS = (360, 1024, 1920)
PICTURES = os.environ.get("WIXHTTP_TEST_PICTURES")
"""A folder in which the tests leave a picture of each page, in each width, light and dark; none are made without it."""


class Watch:
    """Note what a page does and should not do: ``problems``."""

    def __init__(self, page: Page, base: str) -> None:
        self.problems: list[str] = []
        self._host = urlsplit(base).netloc
        self._failed_pages: set[str] = set()
        self._messages: list[ConsoleMessage] = []
        page.on("console", lambda message: self._messages.append(message))  # noqa: PLW0108  # Playwright marks what it calls
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("request", self._note_request)
        page.on("response", self._note_response)

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self._host:
            self.problems.append(f"request to {request.url}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 400 and response.request.is_navigation_request():
            self._failed_pages.add(response.url)

    def all(self) -> list[str]:
        """The problems until now. That an error page has the status of an error is told on the console, and is none."""
        told = [
            f"console {message.type}: {message.text} ({message.location['url']})"
            for message in self._messages
            if not (
                message.text.startswith("Failed to load resource") and message.location["url"] in self._failed_pages
            )
        ]
        return self.problems + told


@cache
def _axe() -> str:
    return resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """The findings of axe-core on a page: the rule and the elements of each violation."""
    page.evaluate(_axe())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def _wait_for_width(page: Page, name: str, width: int) -> None:
    """Wait until a page is laid out in a width and does not scroll sideways: a browser that is held up, or still has to
    load the styles, does so a moment later."""
    deadline = time.monotonic() + TIMEOUT
    while not page.evaluate(
        "width => window.innerWidth === width && document.documentElement.scrollWidth <= width", width
    ):
        assert time.monotonic() < deadline, f"{name} is wider than {width} px"
        page.wait_for_timeout(20)


def check_looks(page: Page, name: str) -> None:
    """Check a page in each width, light and dark: it does not scroll sideways, and axe-core, which takes long, finds
    nothing in the narrowest width, light, and in the middle one, dark. Leaves pictures where `PICTURES` says so."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            _wait_for_width(page, name, width)
            if (width, scheme) in ((WIDTHS[0], "light"), (WIDTHS[1], "dark")):
                assert violations(page) == []
            if PICTURES:
                page.screenshot(path=Path(PICTURES) / f"{name}-{width}-{scheme}.png", full_page=True)
