"""The lakehouse's Delta tables, for whoever writes, reads or keeps them.

tables   which there are: names, columns, partitions
catalog  what is in them, now and at an earlier time, without Spark
"""
