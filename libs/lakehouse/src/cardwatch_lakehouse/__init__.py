"""The lakehouse's Delta tables, for the programs that write, read or maintain them.

tables       names, columns and partitions, one file per layer
layout       how rows are sorted in files, and by which column they age
locations    directories of tables, for Spark and for delta-rs
catalog      summaries, history and old versions of the tables, without Spark
maintenance  optimize, vacuum, retention, and erasure of a card
internals    private parts of delta-rs
"""
