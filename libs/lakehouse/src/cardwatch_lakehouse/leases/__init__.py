"""Leases: at most one process at a time works on a checkpoint, or writes tables on S3 (docs/decisions, one writer)."""
