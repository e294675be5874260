"""The commands ``wixhttp data``: the collections listed, moved in and out of files, indexed, backed up.

Private: public import paths are listed in ``docs/architecture.md``.
"""
