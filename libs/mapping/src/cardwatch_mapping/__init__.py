"""Transactions from the rows of any CSV or Parquet file: what replay and backtest read.

tables   files in batches of rows
mapping  which column becomes which field, from YAML
rows     batches to transactions, by a mapping
"""
