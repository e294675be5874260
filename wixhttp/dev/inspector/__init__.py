"""The pages of the inspector: requests, functions, collections.

Private: public import paths are listed in ``docs/architecture.md``.
"""
