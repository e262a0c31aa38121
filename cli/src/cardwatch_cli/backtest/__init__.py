"""``cardwatch backtest``: the alerts that rules would have raised on transactions of the past.

command              the command line
transaction_request  the transactions that the rules need
silver               reads them from the silver table
file_input           reads them from any CSV or Parquet file
enrichment           adds to a file's transactions what the enricher would add
labels               reads from a file which transactions are fraud
screen               the terminal output
outputs              alerts as Parquet, figures as JSON
report               one page of HTML
plots                the page's plots
"""
