"""Finds, publishes and counts transactions that arrived too late: their group was evicted before they arrived."""
