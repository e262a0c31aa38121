"""From the raw topics to silver and the dead letters: consume with Faust, publish with librdkafka, then commit.

application       the Faust application: takes batches and passes them to the processor
faust_settings    how Faust is configured
offset_commit     which offsets are safe to commit, and their commit
batch_processor   a batch through the pipeline and to the broker
restarts          a new application whenever the connection breaks for good; the grace period of a stop
traces            a message's trace continues in what is published for it
"""
