"""The outbox in a SQLite file that belongs to one notifier."""
