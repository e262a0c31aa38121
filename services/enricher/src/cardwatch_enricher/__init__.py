"""The enricher: validates and enriches raw transactions, and keeps invalid ones as dead letters with a reason."""
