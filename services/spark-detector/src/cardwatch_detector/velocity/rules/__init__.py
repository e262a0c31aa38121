"""Which rules are evaluated, and how they reach Spark's workers."""
