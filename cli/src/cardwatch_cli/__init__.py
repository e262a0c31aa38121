"""The cardwatch command."""
