"""Kafka clients as every service uses them: configuration, producer, consumer, errors, headers, dead letters."""
