"""wixhttp's WSGI application with the access log of `wixhttp serve`: a line of JSON per call, written at once.

`wixhttp.wsgi:application` itself logs through `logging`, which writes nothing until a server sets it up.
"""

from wixhttp.dispatch.app import App
from wixhttp.dispatch.site import load_site
from wixhttp.logs.access_log import AccessLog
from wixhttp.logs.line_writer import LineWriter
from wixhttp.project.config import load_config
from wixhttp.wsgi import WSGIApplication

application = WSGIApplication(App(load_site(load_config()), AccessLog(LineWriter(), json=True)))
