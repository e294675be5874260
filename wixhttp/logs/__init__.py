"""Log lines: formats, masking, the access log, what handlers print.

Private: public import paths are listed in ``docs/architecture.md``.
"""
