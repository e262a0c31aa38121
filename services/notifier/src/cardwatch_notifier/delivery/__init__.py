"""Carries messages from the outbox to receivers: couriers, the receivers themselves, and when to try again."""
