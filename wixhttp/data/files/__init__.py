"""Collections in files: formats, import, export.

Private: public import paths are listed in ``docs/architecture.md``.
"""
