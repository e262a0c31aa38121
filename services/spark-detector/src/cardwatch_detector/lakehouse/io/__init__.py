"""Reading, decoding and writing Delta tables, as every table here is written."""
