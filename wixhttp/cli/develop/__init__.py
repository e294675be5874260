"""The commands of development: the server, kept requests, a prompt, OpenAPI, completion.

Private: public import paths are listed in ``docs/architecture.md``.
"""
