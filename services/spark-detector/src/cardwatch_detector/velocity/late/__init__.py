"""Transactions that came after the watermark: found, published and counted."""
