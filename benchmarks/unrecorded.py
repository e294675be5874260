"""The command `wixhttp` with a development server that keeps no requests, for benchmarks/inspector.py to compare."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from wixhttp.cli.commands import main
from wixhttp.dev.traffic.recorder import Recorder


def pass_on(self: Recorder, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
    def noted(message: Any) -> Any:
        if message["type"] == "http.response.start":
            self.on_answer(scope, message)
        return send(message)

    return self.inner(scope, receive, noted)  # type: ignore[no-any-return]


if __name__ == "__main__":
    Recorder.__call__ = pass_on  # type: ignore[method-assign, assignment]
    main()
