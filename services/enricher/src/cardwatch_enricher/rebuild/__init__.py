"""The pipeline over the table bronze.transactions, for a rebuild of silver: messages from a table, records to one.

bronze_messages   the messages in bronze; for those with masked card numbers, their content as silver has it
enrich_bronze     passes each message through the pipeline, and counts the outcomes
staged_table      the enriched records as a Delta table, from which silver is rebuilt
"""
