"""Requests to other servers (Wix: ``wix-fetch``)::

    from wixhttp.fetch import fetch, getJSON, postJSON


    def get_rate(request):
        answer = fetch("https://api.example.com/rates", {"method": "post", "body": {"from": "EUR"}})
        return ok(answer.json()) if answer.ok else serverError()


    async def get_rates(request):
        return ok(await getJSON("https://api.example.com/rates"))

In a ``def`` each returns its value; in an ``async def`` it is awaited, as on Wix, and so are the readers of a response.
Install ``wixhttp[fetch]``.
"""

from wixhttp.errors import FetchError, FetchTimeout, UnexpectedAnswer

from .calls import fetch, getJSON, postJSON
from .response import FetchResponse

__all__ = ["FetchError", "FetchResponse", "FetchTimeout", "UnexpectedAnswer", "fetch", "getJSON", "postJSON"]
