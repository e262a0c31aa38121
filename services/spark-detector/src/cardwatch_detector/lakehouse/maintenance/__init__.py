"""Scheduled maintenance of the tables' files."""
