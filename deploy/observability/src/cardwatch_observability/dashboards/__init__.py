"""One module per dashboard, with a function of the same name that builds it.

frame         parts that all dashboards have in common, and rows that several have
latency       queries for latencies
spark_panels  panels about Spark queries
"""
