"""The detector's operator, the evaluator in Python and the oracle, given the same random rules and histories.

rule_sets    random rules, and what may change about them while transactions come
histories    random transactions of some keys, and how they arrive
suites       histories that the same rules are evaluated over
operator     the operator in Java, over state in memory
engines      the evaluator in Python, and the oracle
model        what each micro-batch has to publish
comparison   all of them compared
"""
