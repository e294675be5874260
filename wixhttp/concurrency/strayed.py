"""Processes that a handler forks, and whose code comes back to the server in place of ending."""

from __future__ import annotations

import logging
import os

logger = logging.getLogger("wixhttp")


def end_strayed(pid: int) -> None:
    """End this process, unless it is the one with this id: a second server of the same sockets does harm."""
    if os.getpid() != pid:
        logger.warning("a forked process came back from the code that forked it, and was ended; end it by os._exit()")
        os._exit(0)
