"""The dispatcher: from a request to its call (target, host, admission), its execution, and its answer; the loaded site.

Private: public import paths are listed in ``docs/architecture.md``.
"""
