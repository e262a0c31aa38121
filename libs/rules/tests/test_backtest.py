"""Backtests over small histories: chunks and threads do not change the result, a period is exact, versions are
compared.
"""

from typing import Any

import numpy as np
import polars as pl
import pytest
from cardwatch_contracts.identity import alert_id
from cardwatch_rules.backtest.alerts import COLUMNS, SUPPRESSED, table
from cardwatch_rules.backtest.chunks import Chunks
from cardwatch_rules.backtest.compare import compare
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.backtest.run import Backtest, backtest, history_us
from cardwatch_rules.backtest.summary import summarise
from cardwatch_rules.evaluate import evaluate
from cardwatch_rules.model import Rule
from cardwatch_rules.parse import parse_rules
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY

MINUTE_US = 60_000_000
START_US = 20_000 * MICROSECONDS_PER_DAY

RULES = parse_rules(
    """
rules:
  - id: burst
    title: Three within an hour
    scope: card
    measures: {payments: {window: 1h, is: count(*)}, spent: {window: 1h, is: sum(base_amount_minor)}}
    when: payments >= 3
    suppress: 20m
  - id: crowd
    title: Many cards at a merchant
    scope: merchant
    measures: {cards: {window: 30m, is: count(distinct card_token)}}
    when: cards >= 4
  - id: shared
    title: A device of several cards
    scope: device
    measures: {cards: {window: 1h, is: count(distinct card_token)}, before: {window: 1h, is: previous(card_token)}}
    when: cards >= 3
  - id: large
    title: A large payment
    scope: card
    when: base_amount_minor > 950
"""
)
BURST, CROWD, SHARED, LARGE = RULES


def transactions(number: int = 3_000, seed: int = 5) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    devices = draw.integers(0, 30, number)
    frame = pl.DataFrame(
        {
            "transaction_id": [f"t{at}" for at in draw.permutation(number)],
            # Whole minutes, so that many have the same moment.
            "event_time": START_US + draw.integers(0, 3 * 24 * 60, number) * MINUTE_US,
            "card_token": [f"c{card}" for card in draw.integers(0, 40, number)],
            "merchant_id": [f"m{merchant}" for merchant in draw.integers(0, 12, number)],
            "device_id": [None if device < 10 else f"d{device}" for device in devices],
            "base_amount_minor": draw.integers(1, 1_000, number),
            "is_fraud": draw.random(number) < 0.1,
        }
    )
    return frame.with_columns(pl.col("base_amount_minor").cast(pl.Int64))


HISTORY = transactions()


def over_history(rules: tuple[Rule, ...] = RULES, period: Period | None = None, **options: Any) -> Backtest:
    return backtest(HISTORY.lazy(), rules, period or Period(), **options)


def sorted_alerts(found: Backtest, rule: Rule) -> pl.DataFrame:
    return found.alerts[rule].sort("alert_id")


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 1, "rows_per_chunk": 10**9},
        {"threads": 2, "rows_per_chunk": 100},
        {"threads": 3, "rows_per_chunk": 1},
        {"rows_at_once": 700},
        {"rows_at_once": 50, "rows_per_chunk": 7},
    ],
)
def test_chunks_parts_and_threads_do_not_change_the_result(options: dict[str, int]) -> None:
    whole, other = over_history(), over_history(**options)
    for rule in RULES:
        assert whole.alerts[rule].height > 10
        assert sorted_alerts(other, rule).equals(sorted_alerts(whole, rule))
    assert other.days.equals(whole.days)


def test_a_backtest_equals_one_evaluation_over_everything() -> None:
    frame = (
        HISTORY.with_columns(group=pl.col("merchant_id").rank("dense").cast(pl.Int64) - 1)
        .sort("group", "event_time", "transaction_id")
    )  # fmt: skip
    (hits,) = evaluate(frame, np.arange(frame.height), [CROWD])
    expected = dict(zip(frame["transaction_id"][hits.rows], hits.measures["cards"], strict=True))
    alerts = over_history().alerts[CROWD]
    assert dict(zip(alerts["transaction_id"], alerts["cards"], strict=True)) == expected
    for row in alerts.head(20).iter_rows(named=True):
        assert row["alert_id"] == alert_id("crowd", 1, row["transaction_id"])


@pytest.mark.parametrize(("from_minute", "to_minute"), [(0, 60), (1_000, 1_200), (1_441, 1_442), (4_000, 9_999)])
def test_a_period_has_the_alerts_of_the_whole_history_in_it(from_minute: int, to_minute: int) -> None:
    period = Period(START_US + from_minute * MINUTE_US, START_US + to_minute * MINUTE_US)
    # What a source may leave out is left out.
    read = HISTORY.lazy().filter(period.with_history(history_us(RULES)).holds(pl.col("event_time")))
    part, whole = backtest(read, RULES, period), over_history()
    for rule in RULES:
        expected = sorted_alerts(whole, rule).filter(period.holds(pl.col("event_time")))
        assert sorted_alerts(part, rule).equals(expected)
    assert part.transactions == HISTORY.filter(period.holds(pl.col("event_time"))).height


def test_a_suppressed_hit_names_the_alert_before_it() -> None:
    alerts = over_history().alerts[BURST].sort("key", "event_time", "transaction_id")
    last: dict[str, str] = {}
    for row in alerts.iter_rows(named=True):
        if row["status"] == SUPPRESSED:
            assert row["suppressed_by"] == last[row["key"]]
        else:
            assert row["suppressed_by"] is None
            last[row["key"]] = row["alert_id"]
    assert (alerts["status"] == SUPPRESSED).sum() > 10


def test_chunks_hold_whole_keys_in_the_evaluators_order() -> None:
    chunks = Chunks(HISTORY, "card_token", 500, MINUTE_US)
    pieces = [chunks[at] for at in range(len(chunks))]
    assert len(pieces) > 5
    assert pl.concat(pieces).height == HISTORY.height
    keys: set[str] = set()
    for piece in pieces:
        assert piece.equals(piece.sort("group", "event_time", "transaction_id"))
        assert piece["group"][0] == 0
        assert piece["group"].n_unique() == piece["card_token"].n_unique() == piece["group"][-1] + 1
        assert keys.isdisjoint(piece["card_token"])
        keys.update(piece["card_token"])


def test_keys_over_centuries_are_cut_before_the_axis_overflows() -> None:
    century_us = 36_525 * MICROSECONDS_PER_DAY
    frame = pl.DataFrame(
        {
            "transaction_id": [f"t{at}" for at in range(8_000)],
            "event_time": [at % 2 * century_us for at in range(8_000)],
            "card_token": [f"c{at // 2}" for at in range(8_000)],
            "base_amount_minor": [1] * 8_000,
        }
    )
    assert len(Chunks(frame, "card_token", 10**6, MICROSECONDS_PER_DAY)) > 1
    assert backtest(frame.lazy(), [BURST], Period()).alerts[BURST].is_empty()


def test_versions_are_compared_by_transaction() -> None:
    (new,) = parse_rules(
        "rules: [{id: large, version: 2, title: A, scope: card, when: base_amount_minor > 900 and hour_of_day >= 0}]"
    )
    history = HISTORY.lazy().with_columns(hour_of_day=pl.lit(1, pl.Int32))
    found = backtest(history, (new, CROWD, LARGE), Period())
    large, crowd = list(compare(found, (new,), (LARGE, CROWD)))
    amounts = HISTORY["base_amount_minor"]
    assert (large.rule_id, large.lost.height, large.kept) == ("large", 0, (amounts > 950).sum())
    assert large.gained.height == ((amounts > 900) & (amounts <= 950)).sum()
    assert (crowd.rule_id, crowd.gained.height, crowd.kept) == ("crowd", 0, 0)
    assert crowd.lost.height == found.alerts[CROWD].height


def test_an_alert_lost_to_suppression_is_counted_as_such() -> None:
    (looser,) = parse_rules(
        "rules: [{id: burst, title: A, scope: card, measures: {payments: {window: 1h, is: count(*)}},"
        " when: payments >= 2, suppress: 1h}]"
    )
    found = over_history((looser, BURST))
    (difference,) = compare(found, (looser,), (BURST,))
    assert difference.lost.height == difference.suppressed > 0


def test_figures_are_counted_per_transaction() -> None:
    found = over_history()
    large = next(each for each in summarise(found, RULES).rules if each.rule is LARGE)
    hits = HISTORY.filter(pl.col("base_amount_minor") > 950)
    fraud = hits["is_fraud"].sum()
    assert large.figures.alerts == hits.height
    assert large.figures.precision == fraud / hits.height
    assert large.figures.recall == large.figures.recall_of_hits == fraud / HISTORY["is_fraud"].sum()
    assert large.figures.keys == hits["card_token"].n_unique()
    assert large.figures.alerts_a_day == hits.height / 3
    assert large.by_day["alerts"].sum() == hits.height
    counts = hits["card_token"].value_counts(sort=True)
    assert large.top_keys[0][1] == counts["count"][0]
    burst = summarise(found, (BURST,)).together
    assert burst.recall is not None
    assert burst.recall_of_hits is not None
    assert burst.recall < burst.recall_of_hits


def test_without_labels_there_are_no_shares() -> None:
    found = backtest(HISTORY.drop("is_fraud").lazy(), RULES, Period())
    together = summarise(found, RULES).together
    assert (together.precision, together.recall, together.recall_of_hits) == (None, None, None)


def test_the_table_of_all_alerts_has_one_column_per_measure() -> None:
    alerts = table(list(over_history().alerts.values()))
    assert alerts.columns == [*COLUMNS, "payments", "spent", "cards", "before"]
    assert alerts.schema["event_time"] == pl.Datetime("us", "UTC")
    assert alerts["alert_id"].n_unique() == alerts.height
    by_rule = {rule: frame for (rule,), frame in alerts.partition_by("rule_id", as_dict=True).items()}
    assert by_rule["burst"]["payments"].null_count() == by_rule["shared"]["cards"].null_count() == 0
    assert by_rule["crowd"]["payments"].null_count() == by_rule["crowd"].height


def test_measures_of_one_name_take_the_wider_type_and_a_taken_name_gets_another() -> None:
    rules = parse_rules(
        """
rules:
  - {id: a, title: A, scope: card, measures: {key: {window: 1h, is: count(*)}}, when: key >= 2}
  - {id: b, title: B, scope: card, measures: {key: {window: 1h, is: mean(base_amount_minor)}}, when: key > 1}
"""
    )
    alerts = table(list(over_history(rules).alerts.values()))
    assert alerts.columns == [*COLUMNS, "key_measure"]
    assert alerts.schema["key_measure"] == pl.Float64()


def test_no_transactions_are_not_an_error() -> None:
    found = backtest(HISTORY.clear().lazy(), RULES, Period())
    assert found.transactions == 0
    assert table(list(found.alerts.values())).is_empty()


def test_progress_ends_at_the_number_of_all_rows() -> None:
    told: list[tuple[int, int]] = []
    over_history(rows_per_chunk=300, on_progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (3 * HISTORY.height, 3 * HISTORY.height)
