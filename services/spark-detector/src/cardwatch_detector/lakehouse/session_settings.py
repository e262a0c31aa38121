"""Settings of Spark's session for a piece of work."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from pyspark.sql import SparkSession

# Generated code: from a few thousand rows on it takes a quarter of the time of interpreted plans, and with a few
# hundred no more. The lakehouse's session is without it for what is done on few rows (``bootstrap``).
COMPILED: Final = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}


@contextmanager
def configured(session: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """For the length of a ``with``. A query's micro-batches have a session of their own: others see nothing of it."""
    before = {name: session.conf.get(name, None) for name in settings}
    try:
        for name, value in settings.items():
            session.conf.set(name, value)
        yield
    finally:
        for name, earlier in before.items():
            if earlier is None:
                session.conf.unset(name)
            else:
                session.conf.set(name, earlier)
