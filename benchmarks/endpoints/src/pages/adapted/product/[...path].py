"""The function of the measured GET, moved to an endpoint by `wixhttp migrate`."""

from backend import http_functions
from wixhttp.endpoints import adapt

GET = adapt(http_functions.get_product)
