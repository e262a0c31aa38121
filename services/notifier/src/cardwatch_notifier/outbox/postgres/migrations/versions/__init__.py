"""One file per version of the schema, from ``0001_…`` on."""
