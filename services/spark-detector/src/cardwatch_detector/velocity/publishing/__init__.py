"""Alerts as records, to Kafka, with the trace of the transaction that raised them."""
