"""What every Cardwatch service agrees on: topics, schemas, wire format, reason codes, identities."""
