"""The lakehouse: Delta tables written from the topics, on a trigger of their own."""
