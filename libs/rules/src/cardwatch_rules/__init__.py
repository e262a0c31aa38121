"""Rules over exact sliding windows, without Spark and without Kafka.

model               rules and measures as plain values
fields              the fields and profile values that a rule may use, and the scopes

parse               rules from YAML, checked
rule_text           the entries of a rule in YAML, and their types
measures            measures such as ``count(distinct country)``: parsed, with kind and possible values
sql                 SQL conditions as syntax trees
type_check          rejects what a rule may not use, unknown names, and kinds that do not go together
contradictions      finds conditions that can never be true
needs               the fields and the history that rules need

program             rules compiled to typed instructions, as JSON and as Polars expressions
polars_types        types of Polars columns
windows             aggregates over (t − W, t], vectorised
measure_columns     the values of measures over the windows of a frame's rows
evaluate            the hits of rules
profiles            a card's usual behaviour, joined with its transactions
profile_history     profiles computed from transactions of the past, for backtests
suppress            which hits raise an alert, and which are counted on one
statuses            what an alert is: raised, suppressed or retracted

backtest            rules over transactions of the past
"""
