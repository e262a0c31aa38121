"""Messages that are mutations of valid ones, sent through running services; each has to have exactly one outcome.

``mutations`` makes bytes, ``kinds`` messages of each topic, ``run`` sends them and measures, ``outcomes`` checks.
"""
