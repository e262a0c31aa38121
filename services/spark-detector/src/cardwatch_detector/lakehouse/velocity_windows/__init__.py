"""The table gold.velocity_5m."""
