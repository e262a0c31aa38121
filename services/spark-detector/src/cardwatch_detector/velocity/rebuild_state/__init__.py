"""``cardwatch-detector rebuild-state``: builds a query's state from the silver topic, and publishes nothing."""
