"""``cardwatch tables``: what is in the lakehouse, without Spark."""
