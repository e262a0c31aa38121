"""The Snowflake loader: replicates the gold tables from Delta to Snowflake; each change is applied exactly once."""
