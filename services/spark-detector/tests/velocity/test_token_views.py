"""The views of silver during a rotation of token keys: in Spark as in Python; one of them publishes an alert."""

from itertools import product

import pytest
from cardwatch_card_numbers.rotation import TokenRotation
from cardwatch_detector.velocity.token_views import TokenView, checkpoint_name, views_of
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

SWITCH = 1_000
ROTATION = TokenRotation("k1", "k2", SWITCH)
BEFORE, NEXT = (TokenView(ROTATION, is_next=is_next) for is_next in (False, True))

# card_token, its key, the other token, its key → the card's token in the view of k1 and in that of k2.
CASES = {
    ("old", "k1", "new", "k2"): ("old", "new"),
    ("new", "k2", "old", "k1"): ("old", "new"),
    ("old", "k1", None, None): ("old", "old"),
    ("new", "k2", None, None): ("new", "new"),
    ("foreign", "p1", None, None): ("foreign", "foreign"),
    ("foreign", "p1", "foreign-2", "p2"): ("foreign", "foreign"),
}
FIELDS = ("card_token", "card_token_key_id", "other_card_token", "other_card_token_key_id")


def test_without_a_rotation_silver_is_read_as_it_is() -> None:
    assert views_of(TokenRotation("k1")) == (None,)
    assert views_of(ROTATION) == (BEFORE, NEXT)


@pytest.mark.parametrize(("tokens", "expected"), CASES.items())
def test_a_card_has_one_token_in_a_view(tokens: tuple[str | None, ...], expected: tuple[str, str]) -> None:
    record = dict(zip(FIELDS, tokens, strict=True))
    assert (BEFORE.record_in_view(record)["card_token"], NEXT.record_in_view(record)["card_token"]) == expected


def test_spark_sees_the_same_tokens_as_python(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(tokens,) for tokens in (*CASES, None)], f"t STRUCT<{' STRING, '.join(FIELDS)} STRING>"
    )
    views = [view.transaction_in_view(F.col("t"))["card_token"].alias(str(view.is_next)) for view in (BEFORE, NEXT)]
    assert [tuple(row) for row in rows.select(*views).collect()] == [*CASES.values(), (None, None)]


def test_one_view_publishes_the_alerts_of_a_transaction(spark: SparkSession) -> None:
    times = [SWITCH - 1, SWITCH, SWITCH + 1]
    results = spark.createDataFrame([(at,) for at in (*times, None)], "event_time BIGINT")
    for view, own in ((BEFORE, times[:1]), (NEXT, times[1:])):
        published = [row.event_time for row in view.published(results).collect()]
        assert published == [*own, None], "reports about rules, which have no time, are of both"
        assert [at for at in times if view.publishes(at)] == own


def test_a_checkpoint_is_named_for_its_key() -> None:
    assert checkpoint_name("velocity-card", "k/2 of:2026") == "velocity-card-k%2F2%20of%3A2026"
    names = {checkpoint_name("velocity-card", "".join(letters)) for letters in product("a/%.", repeat=2)}
    assert len(names) == 16
