"""Keeping the tables: few files, in an order that suits the questions; old files and rows gone; a card forgotten.

All of it goes on beside the queries that write the tables, without Spark (docs/table-maintenance.md).

files      what a table's live files are
planning   which partitions have to be written anew, and how; pure
optimize   writing them anew
vacuum     deleting the files that no version needs any more
retention  deleting the rows that are older than they may get
forget     erasing one card from all tables, and from their history
commits    trying again what somebody else's commit came before
"""
