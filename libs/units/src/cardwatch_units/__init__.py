"""Durations and points in time: parsing, formatting, microseconds since the epoch."""
