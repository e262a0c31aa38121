"""Schema migrations of the outbox on PostgreSQL, run by Alembic; see ``schema.py``.

A new one is a file in ``versions/``, numbered on from the last, and ``schema.REVISION`` is its number. It must
leave the schema usable for the version before: replicas of both run side by side during a roll-out.
"""
