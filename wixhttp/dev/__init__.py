"""The development server: a supervisor with the socket, workers that are replaced at each save.

Private: public import paths are listed in ``docs/architecture.md``.
"""
