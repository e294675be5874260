"""One HTTP message, of no project: URL, request head, request, response, JSON, encoding, body, policy, allowed
methods, problem documents, proxy headers.

Private: public import paths are listed in ``docs/architecture.md``.
"""
