"""The command ``wixhttp``.

Private: public import paths are listed in ``docs/architecture.md``.
"""
