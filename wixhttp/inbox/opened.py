"""The inbox of the collections that calls reach: of the process, or of a test."""

from __future__ import annotations

from wixhttp.data.collections import current

from .stores.contract import Inbox
from .stores.factory import open_inbox


def current_inbox() -> Inbox:
    """The inbox in the store of the current collections.

    Raises:
        ProjectError: the process has no collections yet, and those of the project cannot be opened.
    """
    return open_inbox(current().store)
