"""``cardwatch backtest``.

command     the command line
wanted      what is asked of a source of transactions
silver      the silver table as such a source
file_input  any CSV or Parquet file as such a source
enrichment  what the enricher would add to a file's transactions
labels      which transactions are fraud, from a file
screen      what a person sees
outputs     alerts as Parquet, figures as JSON
report      one page of HTML
plots       its plots
"""
