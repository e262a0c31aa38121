"""The enricher: raw transactions in, validated and enriched ones out; what is bad is kept with its reason."""
