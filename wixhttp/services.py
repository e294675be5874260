"""The services that a site's settings and functions ask for beside the dispatcher: guards of all functions, the runner
of deferred work and schedules, metrics. Nothing is loaded that a site does not use.
"""

from __future__ import annotations

import functools
import logging
import sys

from wixhttp.dispatch.site import Site, load_site
from wixhttp.project.config import Config
from wixhttp.project.inbox_files import uses_inbox

logger = logging.getLogger("wixhttp")


def load_served_site(config: Config) -> Site:
    """The site of a project as it is served: with the guards that its settings ask for.

    Raises:
        ProjectError: as `load_site`; a setting is wrong, or what it needs is not installed.
    """
    site = load_site(config)
    if "wixhttp.webhooks.once_only" in sys.modules:
        from wixhttp.webhooks.once_only import check_keys

        check_keys((site.place_of(each), each.exported_name, each.policy.guards) for each in site.handlers())
    site = _with_inbox(_with_access(site), config)
    if config.metrics:  # the last: it shows what the others do
        from wixhttp.metrics.factory import measured

        site = measured(site)
    return site


def load_for_any_server(config: Config) -> Site:
    """As `load_served_site`, for a server that is none of ours: for what ``wixhttp serve`` would not start, there is a
    warning in the log."""
    site = load_served_site(config)
    for problem in missing_for_senders(site):
        logger.warning("%s", problem)
    return site


def missing_for_senders(site: Site) -> list[str]:
    """The secrets that ``@verified`` names and that are missing or cannot be used, each with the way out."""
    if "wixhttp.webhooks.sender_guard" not in sys.modules:  # no handler of this process verifies its sender
        return []
    from wixhttp.webhooks.site_senders import problems_of_senders

    return problems_of_senders(site)


def _with_inbox(site: Site, config: Config) -> Site:
    """The site with the work that its processes do beside requests, where it has deferred functions, jobs or scheduled
    functions."""
    if "wixhttp.inbox" not in sys.modules and not uses_inbox(config.root):
        return site
    from wixhttp.inbox.job_table import load_jobs
    from wixhttp.inbox.schedule_entries import add_schedules
    from wixhttp.inbox.schedules.loading import import_modules_using_inbox
    from wixhttp.inbox.service import InboxService

    import_modules_using_inbox(config.root, config.import_timeout)
    table = load_jobs(site, config)
    scheduled = add_schedules(table, config)
    service = InboxService(config, table)
    if scheduled:
        from wixhttp.inbox.schedules.scheduler import Scheduler

        service.make_scheduler = functools.partial(Scheduler, scheduled, catches_up=config.mode == "production")
    return site.with_background(service) if service.is_used else site


def _with_access(site: Site) -> Site:
    """The site with its rate limits counted, and with the guards that ``api_keys`` and ``rate_limit`` ask for."""
    config = site.config
    if not (config.api_keys or config.rate_limit is not None or any(each.policy.guards for each in site.handlers())):
        return site
    from wixhttp.access.site_guards import access_guards

    return site.with_guards(access_guards(site))
