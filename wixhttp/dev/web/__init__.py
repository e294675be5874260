"""The base of the pages of the development server: who may see them, templates, assets.

Private: public import paths are listed in ``docs/architecture.md``.
"""
