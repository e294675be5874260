"""A guard that asks for nothing: it keeps that of the settings away from a handler."""

from __future__ import annotations

from wixhttp.guards import GuardedRequest
from wixhttp.http.response import Response


class Exemption:
    """The exemption of a handler from the guard of the site at a ``place``."""

    blocks = False

    def __init__(self, place: int) -> None:
        self.place = place

    def check(self, request: GuardedRequest) -> Response | None:
        """Let it pass."""
        return None

    def leave(self, request: GuardedRequest, response: Response) -> Response:
        """Leave the answer as it is."""
        return response

    def fail(self, request: GuardedRequest, error: BaseException) -> None:
        """There is nothing to note."""
