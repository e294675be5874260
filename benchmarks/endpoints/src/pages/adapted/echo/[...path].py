"""The function of the measured POST, moved to an endpoint by `wixhttp migrate`."""

from backend import http_functions
from wixhttp.endpoints import adapt

POST = adapt(http_functions.post_echo)
