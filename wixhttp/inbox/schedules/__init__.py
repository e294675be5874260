"""Scheduled functions: ``backend/jobs.config``, cron expressions, missed runs.

Private: public import paths are listed in ``docs/architecture.md``.
"""
