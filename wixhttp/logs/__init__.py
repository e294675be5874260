"""Log lines: formats, masking, the access log, captured prints.

Private: public import paths are listed in ``docs/architecture.md``.
"""
