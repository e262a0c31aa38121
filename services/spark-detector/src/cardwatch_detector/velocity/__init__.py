"""The velocity detector: silver transactions in, alerts out."""
