"""Static endpoints: their paths, the manifest of a build, built files as answers.

Private: public import paths are listed in ``docs/architecture.md``.
"""
