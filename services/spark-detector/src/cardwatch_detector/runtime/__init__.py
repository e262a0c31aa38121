"""What every Spark query here runs in: the session, supervision, progress, the Kafka source."""
