"""The Snowflake loader: keeps the lakehouse's gold tables in Snowflake as they are in Delta, exactly once."""
