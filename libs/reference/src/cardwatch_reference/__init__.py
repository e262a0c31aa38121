"""What a transaction's fields mean beyond themselves: the same for the enricher and for a backtest of a file.

countries  the country codes of ISO 3166-1
tables     exchange rates, merchant category groups, BIN countries
derived    the fields that follow from a transaction and these tables
settings   files of one's own in place of the tables
"""
