"""The meter of a site, and what it is told of."""

from __future__ import annotations

import sys

from wixhttp.dispatch.site import Site
from wixhttp.measurements import count_with

from .inbox_numbers import InboxNumbers
from .installed import check_installed


def measured(site: Site) -> Site:
    """A site with its meter, which counts the events of this process, too.

    Raises:
        ConfigError: prometheus-client is not installed.
    """
    check_installed()
    from .meter import SiteMeter

    numbers = inbox_numbers(site)
    meter = SiteMeter(numbers.metrics if numbers is not None else None)
    count_with(meter.count_event)
    return site.with_meter(meter).with_background(meter.running)


def inbox_numbers(site: Site) -> InboxNumbers | None:
    """The numbers of a site's deferred work; ``None`` where it has none."""
    if "wixhttp.inbox.service" not in sys.modules:
        return None
    from wixhttp.inbox.opened import current_inbox
    from wixhttp.inbox.service import jobs_of

    if jobs_of(site) is None:
        return None

    return InboxNumbers(lambda: current_inbox().stats())
