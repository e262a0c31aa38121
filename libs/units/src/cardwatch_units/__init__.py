"""Durations and points in time: the one place where Cardwatch parses, formats and converts them."""
