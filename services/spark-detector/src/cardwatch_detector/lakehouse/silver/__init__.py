"""The silver table: one row per transaction."""
