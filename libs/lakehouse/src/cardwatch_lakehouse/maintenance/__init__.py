"""Maintenance of the tables: few files, in an order that suits the queries; old files and rows deleted; a card erased.

All of it works without Spark, and may run while Spark's queries write the tables (docs/table-maintenance.md).

files              the live files of a table, by partition
planning           which partitions have to be rewritten, and how; pure
optimize           rewrites them
vacuum             deletes the files that no kept version needs
retention          deletes the rows that are older than the layer allows
erasure            erases one card from all tables, and from their history
survey             what an erasure would delete, counted before it begins, and whether that can be right
card_rows          how the rows of a card are found in each table
card_search        finds them in tables and old files
message_content    what a Kafka message says about its card: Avro, JSON or bytes
message_ownership  whose a message is
log_redaction      removes a card's token from a table's log
conflict_retry     retries a commit that conflicted with another writer's
"""
