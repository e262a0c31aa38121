"""The outbox in a PostgreSQL database that any number of notifiers share."""
