"""The table gold.pipeline_minutes."""
