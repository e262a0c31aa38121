"""Support code for the tests of all packages: record factories, service processes, topics, small Delta tables, servers
in place of a collector or a database, and tables recomputed in another engine.

It is on pytest's path (``pythonpath`` in pyproject.toml): ``from support.records import transaction_record``.
"""
