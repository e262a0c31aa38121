"""The Spark detector: exact sliding velocity windows as state, and the lakehouse queries."""
