"""The producer: simulates card transactions, or replays a file, into Kafka."""
