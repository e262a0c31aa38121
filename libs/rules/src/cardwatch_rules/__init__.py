"""Rules over exact sliding windows, without Spark and without Kafka.

fields      what a rule may look at, and its type
model       rules, measures, windows: plain values
parse       rules from YAML, checked, with errors that a person can act on
expressions SQL conditions over fields and measures
windows     measures over (t − W, t], vectorised
evaluate    which rules hold for which transactions
transitions which alerts a batch of arrivals raises and retracts
"""
