"""One file a version of the schema, ``0001_…`` on."""
