"""The pipeline over the table bronze.transactions, for a rebuild of silver: messages from a table, records to one.

bronze_messages   the messages in bronze; for those with masked card numbers, what silver says of them
enrich_bronze     each through the pipeline, and how many had which outcome
staged_table      the enriched records as a Delta table, from which silver is rebuilt
"""
