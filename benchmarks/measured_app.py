"""wixhttp's ASGI application with metrics, in the files of a worker of `wixhttp serve`."""

import atexit

from wixhttp.asgi import ASGIApplication
from wixhttp.dispatch.app import App
from wixhttp.metrics.worker_files import WorkerFiles
from wixhttp.project.config import load_config
from wixhttp.services import load_served_site

_files = WorkerFiles(is_taken_over=False)
_files.enter()
atexit.register(_files.remove)
application = ASGIApplication(App(load_served_site(load_config())))
