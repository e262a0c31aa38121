"""Rules over exact sliding windows, without Spark and without Kafka.

fields      what a rule may look at, and its type
model       rules, measures, windows: plain values
parse       rules from YAML, checked, with errors that a person can act on
sql         SQL conditions as trees: what a rule may say, and its type
needs       what rules need of a transaction and of the past
reach       conditions that can never hold
expressions SQL conditions compiled for columns
windows     measures over (t − W, t], vectorised
evaluate    which rules hold for which transactions
profiles    what a card usually does, put beside its transactions
suppress    which hits raise an alert, and which are counted on one
transitions which alerts a batch of arrivals raises, suppresses and retracts
"""
