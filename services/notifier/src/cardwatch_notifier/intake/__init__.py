"""Takes alerts from Kafka into the outbox: reads the topic, decodes, dead-letters, commits offsets."""
