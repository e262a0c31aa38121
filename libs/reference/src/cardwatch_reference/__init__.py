"""Reference data, and the fields that are derived from it: the same for the enricher and for a backtest of a file.

countries  the country codes of ISO 3166-1
tables     exchange rates, merchant category groups, BIN countries
derived    the fields that are derived from a transaction and these tables
settings   the files that replace the built-in tables
"""
