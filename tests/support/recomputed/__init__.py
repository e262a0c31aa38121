"""Gold tables recomputed by DuckDB from their definition in the docs, to compare Spark's with."""
