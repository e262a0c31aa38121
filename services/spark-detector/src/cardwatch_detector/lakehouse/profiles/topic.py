"""Publishes profiles to Kafka in Confluent's frame, keyed by card, encoded and sent by Spark."""

from dataclasses import dataclass

from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.topics import CARD_PROFILES
from cardwatch_contracts.wire import HEADER, MAGIC_BYTE
from cardwatch_service.settings import ServiceSettings
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.avro.functions import to_avro

from cardwatch_detector.lakehouse.profiles.card_profile import CHANGED_BY
from cardwatch_detector.runtime.kafka_source import kafka_options


@dataclass(frozen=True)
class ProfileTopic:
    """Publishes rows of GOLD_CARD_PROFILE.

    With Spark's own sink: a day's profiles are one message per card, too many to pass through the driver. Its producer
    partitions by key as all of Cardwatch's do (murmur2), and a task ends when the broker has acknowledged its messages.
    """

    service: ServiceSettings
    schema_id: int

    @classmethod
    def of(cls, service: ServiceSettings) -> "ProfileTopic":
        """The topic of a deployment.

        Raises:
            IncompatibleSchemaError: its schema is not registered.
            RegistryUnavailableError: the registry does not answer.
        """
        subject = CARD_PROFILES.subject(service.topic_prefix)
        return cls(service, service.registry().id_of(subject, str(CARD_PROFILES.schema)))

    def publish(self, rows: DataFrame) -> None:
        """Publish and wait until the broker has acknowledged all; after a failure some may be published twice.

        Raises:
            pyspark.errors.PySparkException: not all were.
        """
        header = F.lit(HEADER.pack(MAGIC_BYTE, self.schema_id))
        record = F.struct(
            *rows.drop(CHANGED_BY, "valid_on").columns, F.col("valid_on").cast("timestamp").alias("valid_on")
        )
        avro = to_avro(record, schema_text(str(CARD_PROFILES.schema)))
        (
            rows.select(F.col("card_token").cast("binary").alias("key"), F.concat(header, avro).alias("value"))
            .write.format("kafka")
            .options(**kafka_options(self.service))
            .option("topic", CARD_PROFILES.name(self.service.topic_prefix))
            .option("kafka.compression.type", "lz4")
            .option("kafka.acks", "all")
            .option("kafka.enable.idempotence", "true")
            .save()
        )
