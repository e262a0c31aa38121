"""The streaming plan from messages to messages."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from cardwatch_contracts.subject_schemas import OnOutage
from cardwatch_contracts.topics import ALERTS, CARD_PROFILES, TRANSACTIONS_LATE, TRANSACTIONS_SILVER, Topic
from cardwatch_contracts.values import EARLIEST_EVENT_TIME, LATEST_EVENT_TIME
from cardwatch_rules.fields import PROFILE_DAY, PROFILE_SCOPE
from cardwatch_service.settings import ServiceSettings
from cardwatch_units.durations import parse_duration
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.runtime.confluent_avro import QuerySchemas, has_valid_text, projection
from cardwatch_detector.velocity.kafka_clients import newest_schema_ids
from cardwatch_detector.velocity.operator import (
    EVENT_TIME,
    HEADERS,
    MESSAGE_KEY,
    OFFSET,
    PARTITION,
    PROFILE,
    TRANSACTION,
    VALUE,
    Operator,
    Output,
    fields_to_read,
    profile_fields_to_read,
)
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.token_views import TOKEN_FIELDS, TokenView


@dataclass
class VelocityPlanner:
    """Creates plans for the scopes of this process.

    Attributes:
        view: that of the cards' tokens during a rotation of token keys.
        trace_share: see ``Operator``.
    """

    scopes: tuple[str, ...]
    service: ServiceSettings
    settings: VelocitySettings
    view: TokenView | None = None
    trace_share: float | None = None
    on_registry_outage: Callable[[str], OnOutage] = lambda subject: lambda waiting: None

    @property
    def has_profiles(self) -> bool:
        """Whether the state holds the profiles of cards in addition to their transactions."""
        return self.settings.profiles and PROFILE_SCOPE in self.scopes

    @property
    def topics(self) -> list[str]:
        """Full names of the topics to read: silver, and the profiles' where they are wanted."""
        topics = (TRANSACTIONS_SILVER, CARD_PROFILES) if self.has_profiles else (TRANSACTIONS_SILVER,)
        return [topic.name(self.service.topic_prefix) for topic in topics]

    def plan(self, messages: DataFrame, query: str) -> DataFrame:
        """What the operator finds in messages, with Spark's Kafka columns; the values are framed Avro.

        Args:
            query: the query's name.

        Raises:
            CardwatchError: the registry does not answer, a schema is not registered, or the rule engine is not there.
        """
        prefix = self.service.topic_prefix
        output = Output(
            alerts=ALERTS.name(prefix),
            late=TRANSACTIONS_LATE.name(prefix),
            alert_schema_id=self.service.registry().id_of(ALERTS.subject(prefix), "alert"),
            evidence_limit=self.settings.evidence_limit,
            detector=self.settings.name,
            query=query,
        )
        operator = Operator(
            horizons_us={scope: self.settings.horizon_us(scope) for scope in self.scopes},
            lateness_us=parse_duration(self.settings.lateness),
            ahead_us=parse_duration(self.settings.clock_tolerance),
            profiled=self.has_profiles,
            output=output,
            trace_share=self.trace_share,
        )
        results = operator.results(self._records(messages))
        return results if self.view is None else self.view.published(results)

    def learn_unknown_ids(self, failure: str) -> None:
        """Note the unknown schema ids that a query failed on, for the next plan."""
        for schemas in self._schemas:
            schemas.learn(failure)

    def check_schemas(self) -> None:
        """Check before a micro-batch that no schema was registered that the plan would skip.

        Raises:
            NewSchemaVersionError: one was: the query has to be restarted.
            RegistryUnavailableError: the registry has an outage.
        """
        for schemas in self._schemas:
            schemas.check()

    def needs_restart(self) -> bool:
        """Whether the plan skips messages with unknown schema ids although it need not any more."""
        return any(schemas.needs_restart() for schemas in self._schemas)

    def _records(self, messages: DataFrame) -> DataFrame:
        """What the operator takes: EVENT_TIME is null for a time that is no transaction's."""
        transaction = F.col(TRANSACTION)
        # Whatever the view, a message is published again under the token that it has.
        records = self._all_records(messages).withColumn(MESSAGE_KEY, transaction["card_token"])
        if self.view is None:
            return records
        return records.withColumn(TRANSACTION, self.view.transaction_in_view(transaction))

    def _all_records(self, messages: DataFrame) -> DataFrame:
        place = (PARTITION, OFFSET, VALUE, *(() if self.trace_share is None else (HEADERS,)))
        fields = [*fields_to_read(), *(TOKEN_FIELDS if self.view else ())]
        reader = projection("enriched_transaction", fields)
        transaction = self._silver.decode(F.col("value"), reader)
        if self._profiles is None:
            records = messages.select(*place, transaction.alias(TRANSACTION))
            valid = records.select(*place, _valid(TRANSACTION, reader))
            event_time = F.col(f"{TRANSACTION}.{EVENT_TIME}")
            return valid.select(_plausible(event_time).alias(EVENT_TIME), *place, TRANSACTION)
        profile_reader = projection("card_profile", profile_fields_to_read())
        profile = self._profiles.decode(F.col("value"), profile_reader)
        is_profile = F.col("topic") == CARD_PROFILES.name(self.service.topic_prefix)
        records = messages.select(
            *place,
            F.when(~is_profile, transaction).alias(TRANSACTION),
            F.when(is_profile, profile).alias(PROFILE),
        ).select(*place, _valid(TRANSACTION, reader), _valid(PROFILE, profile_reader))
        event_time = F.coalesce(F.col(f"{TRANSACTION}.{EVENT_TIME}"), F.col(f"{PROFILE}.{PROFILE_DAY}"))
        return records.select(_plausible(event_time).alias(EVENT_TIME), *place, TRANSACTION, PROFILE)

    @property
    def _schemas(self) -> list[QuerySchemas]:
        return [self._silver] if self._profiles is None else [self._silver, self._profiles]

    @cached_property
    def _silver(self) -> QuerySchemas:
        return self._schemas_of(TRANSACTIONS_SILVER)

    @cached_property
    def _profiles(self) -> QuerySchemas | None:
        return self._schemas_of(CARD_PROFILES) if self.has_profiles else None

    def _schemas_of(self, topic: Topic) -> QuerySchemas:
        subject, name = topic.subject(self.service.topic_prefix), topic.name(self.service.topic_prefix)
        return QuerySchemas(
            str(topic.schema),
            self.service.registry(),
            subject,
            lambda: newest_schema_ids(self.service.kafka_config(), name),
            self.on_registry_outage(subject),
        )


def _valid(name: str, reader: str) -> Column:
    """A column of decoded records without those that hold text that is not UTF-8.

    Of a column that is there, not of an expression: the decoding would stand in the plan once for each text.
    """
    return F.when(has_valid_text(F.col(name), reader), F.col(name)).alias(name)


def _plausible(time: Column) -> Column:
    """The time; null for one that the enricher would have refused, whose distance to others may be no number at all."""
    return F.when(F.unix_micros(time).between(EARLIEST_EVENT_TIME, LATEST_EVENT_TIME - 1), time)
