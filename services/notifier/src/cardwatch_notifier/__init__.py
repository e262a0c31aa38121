"""The notifier: takes alerts from Kafka, keeps them in an outbox, delivers each to every receiver."""
