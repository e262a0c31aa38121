"""Starts cardwatch-detector where Spark wants a file of Python to run, as in a SparkApplication."""

from cardwatch_detector.main import app

app()
