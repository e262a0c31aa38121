"""What rules would have raised over transactions of the past: the live evaluator, over whole histories at once.

period   from when to when, and how far before it must be read
chunks   a scope's transactions in pieces of whole keys, sorted as the evaluator wants them
alerts   what rules have hit in a piece, as alerts: identity, status, measures
run      pieces over threads, scope after scope
compare  alerts that one version of the rules raises and another does not
summary  numbers for a person: alerts a day, keys, precision and recall
"""
