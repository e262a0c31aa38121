"""Keeps alerts between Kafka and the receivers: the protocol, and its implementations on SQLite and PostgreSQL."""
