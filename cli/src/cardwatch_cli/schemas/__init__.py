"""``cardwatch schemas``: topics and schemas of a deployment."""
