"""``cardwatch platform``: the embedded Kafka and schema registry."""
