"""``cardwatch keys``: keys for card tokens."""
