"""``cardwatch demo``: the whole pipeline on one machine, started, fed, drained and checked against the oracle."""
