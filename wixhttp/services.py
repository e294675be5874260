"""The services that a site's settings and functions ask for beside the dispatcher: guards of all functions, the runner
of deferred work and schedules, metrics. Nothing is loaded that a site does not use.
"""

from __future__ import annotations

from wixhttp.dispatch.site import Site, load_site
from wixhttp.project.config import Config


def load_served_site(config: Config) -> Site:
    """The site of a project as it is served: with the guards that its settings ask for.

    Raises:
        ProjectError: as `load_site`; a setting is wrong, or what it needs is not installed.
    """
    return load_site(config)
