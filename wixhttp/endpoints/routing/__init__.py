"""File routes: paths, patterns, matching.

Private: public import paths are listed in ``docs/architecture.md``.
"""
