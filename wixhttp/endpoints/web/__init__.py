"""The web's objects as the Fetch and URL standards have them: Request, Response, Headers, URL, cookies.

Private: public import paths are listed in ``docs/architecture.md``.
"""
