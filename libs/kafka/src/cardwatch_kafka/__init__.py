"""Kafka clients as every service uses them: configuration, producer, readers, errors, dead letters, topics."""
