"""The alerts that rules would have raised on transactions of the past, by the evaluator of the detector.

period   the range of event times that is tested
chunks   a scope's transactions in chunks of whole keys, sorted as the evaluator expects them
alerts   the hits of a chunk as alerts: identity, status, measures
run      evaluates chunks in threads, scope after scope
compare  alerts that one version of the rules raises and another does not
summary  numbers for a person: alerts per day, keys, precision and recall
"""
