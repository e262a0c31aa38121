"""The audit trail of rules and lists: ``bronze.rule_changes``, a hash chain per partition of each topic.

chain         links, and how each is hashed with the one before it (pure)
masking       card numbers are masked before a link is made (pure)
verification  what is wrong with a chain: removed, altered, inserted, repeated links (pure)
comparison    whether a topic still holds what a chain has, and the reverse (pure)
heads         the last hash of each partition, kept elsewhere (pure)
table         reads the links of the table
"""
