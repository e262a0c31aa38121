"""Timelines for the rules whose windows are a card's."""

from .timeline import atm, fires, habit, no_part, of, online, phone, pos, quiet, refund, row

BERLIN = (52.5200, 13.4050)
POTSDAM = (52.3906, 13.0645)
NEW_YORK = (40.7128, -74.0060)
# Along a meridian a degree is 111.195 km.
HERE = (45.0, 10.0)
KM_500_1 = (49.4975, 10.0)
KM_499_9 = (49.4957, 10.0)
KM_1000_8 = (54.0, 10.0)
KM_999_6 = (53.99, 10.0)

CASES = [
    *of(
        "card-testing-one-card",
        fires(
            "three refusals, then two small payments go through",
            row(online, "10:00", 1, times=3, every=60, refused=True),
            online("10:03", 1),
            online("10:04", 5),
            after=[online("10:05", 1, refused=True), pos("10:05", 1), refund("10:06", 1, channel="ecom")],
        ),
        fires(
            "five refusals by telephone, then a large payment",
            row(phone, "10:00", 1, times=5, every=60, refused=True),
            phone("10:09", 900),
        ),
        quiet(
            "two refusals",
            row(online, "10:00", 1, times=2, every=60, refused=True),
            row(online, "10:02", 1, times=3, every=60),
        ),
        quiet("four attempts", row(online, "10:00", 1, times=3, every=60, refused=True), online("10:03", 1)),
        quiet("nothing goes through", row(online, "10:00", 1, times=8, every=60, refused=True)),
        quiet(
            "the first refusal was ten minutes ago",
            row(online, "10:00", 1, times=3, every=60, refused=True),
            row(online, "10:08", 1, times=2, every=120),
        ),
        *no_part(
            {
                "a refusal of more than five euros": online("09:59", 5.01, refused=True),
                "a refusal at a terminal": pos("09:59", 1, refused=True),
                "a refused refund": refund("09:59", 1, channel="ecom", refused=True),
            },
            row(online, "10:00", 1, times=2, every=60, refused=True),
            row(online, "10:02", 1, times=4, every=60),
        ),
    ),
    *of(
        "small-then-large",
        fires("two euros, then three hundred", online("10:00", 2, merchant="app"), online("10:59", 300)),
        fires("by telephone", phone("10:00", 2, merchant="app"), phone("10:59", 300)),
        quiet("2.01", online("10:00", 2.01, merchant="app"), online("10:59", 300)),
        quiet("299.99", online("10:00", 2, merchant="app"), online("10:59", 299.99)),
        quiet("after an hour", online("10:00", 2, merchant="app"), online("11:00", 300)),
        quiet("the shop checks the card first", online("10:00", 0), online("10:01", 300)),
        quiet(
            "an ordinary payment between", online("10:00", 2, merchant="app"), online("10:10", 30), online("10:20", 300)
        ),
        quiet(
            "at a trusted merchant", online("10:00", 2, merchant="app"), online("10:20", 300), trusted_merchants="shop"
        ),
        *no_part(
            {
                "a small one refused": online("10:00", 2, merchant="app", refused=True),
                "a coffee at a counter": pos("10:00", 2, merchant="app"),
                "a refund": refund("10:00", 2, merchant="app", channel="ecom"),
            },
            online("10:20", 300),
        ),
        quiet("the large one refused", online("10:00", 2, merchant="app"), online("10:20", 300, refused=True)),
        quiet("the large one at a counter", online("10:00", 2, merchant="app"), pos("10:20", 300)),
        quiet("the large one a refund", online("10:00", 2, merchant="app"), refund("10:20", 300, channel="ecom")),
    ),
    *of(
        "velocity-count",
        fires(
            "eight purchases at three shops",
            row(online, "10:00", times=6, every=80),
            online("10:08", merchant="b"),
            online("10:09:30", merchant="c", refused=True),
            after=[refund("10:09:40"), pos("10:09:50", group="transport")],
        ),
        quiet("seven", row(online, "10:00", times=7, every=60, merchant="shop-{n}")),
        quiet("two shops", row(online, "10:00", times=7, every=60), online("10:07", merchant="b")),
        quiet(
            "the first was ten minutes ago", online("10:00"), row(online, "10:04", times=7, every=60, merchant="m-{n}")
        ),
        *no_part(
            {"a refund": refund("10:00"), "a bus ride": pos("10:00", group="transport")},
            row(online, "10:01", times=7, every=60, merchant="shop-{n}"),
        ),
    ),
    *of(
        "velocity-amount",
        fires(
            "1,500 and as much again in two",
            online("10:00", 1500),
            online("10:20", 800),
            online("10:59", 700),
            after=[
                online("10:59:10", 100, refused=True),
                refund("10:59:20", 100),
                online("10:59:30", 100, group="airlines"),
            ],
        ),
        quiet("2,999.99", online("10:00", 1000), online("10:20", 1000), online("10:59", 999.99)),
        quiet("1,499.99 beside the largest", online("10:00", 2000), online("10:20", 750), online("10:59", 749.99)),
        quiet("a sofa and two lamps", online("10:00", 2800), online("10:20", 200), online("10:59", 200)),
        quiet("in two", online("10:00", 1500), online("10:20", 1500)),
        quiet("in an hour", online("10:00", 1500), online("10:20", 800), online("11:00", 800)),
        *no_part(
            {
                "a refusal": online("10:00", 1500, refused=True),
                "a return": refund("10:00", 1500),
                "a flight": online("10:00", 1500, group="airlines"),
                "a hotel": online("10:00", 1500, group="lodging"),
                "a journey": online("10:00", 1500, group="travel"),
                "a car": online("10:00", 1500, group="car_rental"),
            },
            online("10:20", 800),
            online("10:59", 700),
        ),
    ),
    *of(
        "sudden-large-amount",
        fires("ten times the other five", row(pos, "mon 11:00:30", 30, times=5, every=3600), online("11:00", 300)),
        quiet("nine times the other five", row(pos, "mon 12:00", 31, times=5, every=3600), online("11:00", 300)),
        quiet("four others", row(pos, "mon 12:00", 10, times=4, every=3600), online("11:00", 300)),
        quiet("299.99", row(pos, "mon 12:00", 10, times=5, every=3600), online("11:00", 299.99)),
        quiet("the first was a day ago", row(pos, "mon 12:00", 10, times=5, every=3600), online("12:00", 300)),
        quiet("refused", row(pos, "mon 12:00", 10, times=6, every=3600), online("11:00", 300, refused=True)),
        quiet("a withdrawal", row(pos, "mon 12:00", 10, times=6, every=3600), atm("11:00", 300)),
        *no_part(
            {"a refusal": pos("mon 12:00", 10, refused=True), "a withdrawal": atm("mon 12:00", 10)},
            row(pos, "mon 13:00", 10, times=4, every=3600),
            online("11:00", 300),
        ),
    ),
    *of(
        "bust-out",
        fires(
            "5,000 in six payments at four merchants",
            row(online, "mon 12:01", 900, times=3, every=600, merchant="electronics-{n}", group="electronics"),
            pos("mon 18:00", 1200, group="jewellery", merchant="jeweller"),
            pos("mon 18:30", 800, group="jewellery", merchant="jeweller", refused=True),
            online("mon 20:00", 600, group="crypto_and_quasi_cash", merchant="electronics-1"),
            atm("12:00", 500, merchant="jeweller"),
            after=[
                atm("12:00:10", 500, refused=True),
                refund("12:00:20", 900, group="electronics"),
                pos("12:00:30", 20, group="groceries"),
            ],
        ),
        quiet(
            "4,999.99",
            row(online, "10:00", 833, times=5, every=600, merchant="m-{n}", group="electronics"),
            online("11:00", 834.99, group="jewellery"),
        ),
        quiet("in five", row(online, "10:00", 1100, times=5, every=600, merchant="m-{n}", group="electronics")),
        quiet(
            "at three merchants",
            row(online, "10:00", 900, times=4, every=600, group="electronics"),
            row(online, "11:00", 900, times=2, every=600, merchant="m-{n}", group="jewellery"),
        ),
        quiet(
            "the first was a day ago",
            online("mon 09:50", 900, group="jewellery"),
            row(online, "09:10", 900, times=5, every=600, merchant="m-{n}", group="electronics"),
        ),
        *no_part(
            {
                "a sofa": online("09:00", 900, group="home_and_garden"),
                "a refusal": online("09:00", 900, group="electronics", refused=True),
                "a return": refund("09:00", 900, group="electronics"),
            },
            row(online, "10:00", 999, times=5, every=600, merchant="m-{n}", group="money_transfer"),
        ),
    ),
    *of(
        "taps-below-pin-limit",
        fires(
            "four taps at three shops",
            pos("10:00", 25),
            pos("10:10", 50),
            pos("10:20", 49, merchant="b"),
            pos("10:29", 48, merchant="c"),
            after=[
                online("10:29:10", 45),
                pos("10:29:20", 45, refused=True),
                refund("10:29:30", 45),
                pos("10:29:40", 24.99),
                pos("10:29:50", 50.01),
            ],
        ),
        quiet("three", row(pos, "10:00", 45, times=3, every=300, merchant="shop-{n}")),
        quiet("at two shops", row(pos, "10:00", 45, times=3, every=300), pos("10:20", 45, merchant="b")),
        quiet("in half an hour", row(pos, "10:00", 45, times=4, every=600, merchant="shop-{n}")),
        *no_part(
            {
                "24.99": pos("10:00", 24.99),
                "50.01": pos("10:00", 50.01),
                "a payment online": online("10:00", 45),
                "a refusal": pos("10:00", 45, refused=True),
                "a return": refund("10:00", 45),
            },
            row(pos, "10:05", 45, times=3, every=300, merchant="shop-{n}"),
        ),
    ),
    *of(
        "round-amounts",
        fires(
            "four gift cards from two shops",
            online("10:00", 50),
            online("10:30", 100),
            online("11:00", 50),
            online("11:59", 500, merchant="b"),
            after=[
                online("11:59:10", 49.99),
                online("11:59:20", 0),
                online("11:59:30", 50, refused=True),
                atm("11:59:40", 50),
                pos("11:59:50", 50, group="fuel"),
            ],
        ),
        fires(
            "fifty pounds are round, whatever they are in euros",
            row(online, "10:00", 58.13, times=4, every=60, merchant="shop-{n}", currency="GBP", amount_minor=5000),
        ),
        quiet("three", row(online, "10:00", 50, times=3, every=60, merchant="shop-{n}")),
        quiet("from one shop", row(online, "10:00", 50, times=4, every=60)),
        quiet("in two hours", online("10:00", 50), row(online, "11:58", 50, times=3, every=60, merchant="shop-{n}")),
        *no_part(
            {
                "49.99": online("10:00", 49.99),
                "a card check": online("10:00", 0),
                "a tank of petrol": pos("10:00", 50, group="fuel"),
                "a donation": online("10:00", 50, group="organisations"),
                "telephone credit": online("10:00", 50, group="telecommunications"),
                "a withdrawal": atm("10:00", 50),
                "a refusal": online("10:00", 50, refused=True),
            },
            row(online, "10:01", 50, times=3, every=60, merchant="shop-{n}"),
        ),
    ),
    *of(
        "double-charge",
        fires("at the terminal, a minute later", pos("10:00", 10), pos("10:01", 10)),
        fires("online, nine minutes later", online("10:00", 80), online("10:09:59", 80)),
        quiet("a second round", pos("10:00:00", 10), pos("10:01:01", 10)),
        quiet("online, ten minutes later", online("10:00", 80), online("10:10", 80)),
        quiet("another amount", pos("10:00", 10), pos("10:01", 10.01)),
        quiet("another shop", pos("10:00", 10), pos("10:01", 10, merchant="b")),
        quiet("something else between", online("10:00", 80), online("10:02", 30), online("10:04", 80)),
        quiet("below ten euros", pos("10:00", 9.99), pos("10:01", 9.99)),
        quiet("two tickets", pos("10:00", 30, group="transport"), pos("10:01", 30, group="transport")),
        quiet("the first was refused", pos("10:00", 10, refused=True), pos("10:01", 10)),
        quiet("the second was refused", pos("10:00", 10), pos("10:01", 10, refused=True)),
        quiet("given back at once", pos("10:00", 10), refund("10:01", 10)),
        quiet("exchanged", refund("10:00", 10), pos("10:01", 10)),
    ),
    *of(
        "dormant-card-awakes",
        fires(
            "28 hours of silence, then four shops",
            pos("mon 06:29:30"),
            row(online, "10:00", 187.5, times=2, every=600),
            phone("10:20", 50, merchant="b"),
            online("10:29:30", 75, merchant="c"),
            after=[pos("10:29:40", 20), online("10:29:50", 20, refused=True), refund("10:29:55", 20, channel="ecom")],
        ),
        *no_part(
            {
                "a silence with a coffee": pos("mon 14:00", 3),
                "a silence with a refusal": pos("mon 14:00", refused=True),
                "a silence of less than 28 hours": pos("mon 06:15:30"),
            },
            row(online, "10:00", 130, times=4, every=300, merchant="shop-{n}"),
        ),
        quiet("three payments", row(online, "10:00", 200, times=3, every=300, merchant="shop-{n}")),
        quiet("at two shops", row(online, "10:00", 130, times=3, every=300), online("10:20", 130, merchant="b")),
        quiet("499.99", row(online, "10:00", 125, times=3, every=300, merchant="shop-{n}"), online("10:20", 124.99)),
        quiet("in half an hour", row(online, "10:00", 130, times=4, every=600, merchant="shop-{n}")),
        *no_part(
            {
                "a purchase in town": pos("10:00", 170),
                "a refusal": online("10:00", 170, refused=True),
                "a return": refund("10:00", 170, channel="ecom"),
            },
            row(online, "10:05", 170, times=3, every=300, merchant="shop-{n}"),
        ),
    ),
    *of(
        "amount-above-habit",
        fires("ten times the mean", online("10:00", 300), habit=habit()),
        quiet("299.99", online("10:00", 299.99), habit=habit()),
        quiet("a card that nobody knows", online("10:00", 3000)),
        quiet("hardly a habit", online("10:00", 300), habit=habit(transactions_90d=9)),
        quiet("it has paid more before", online("10:00", 300), habit=habit(max_amount_minor_90d=30_000)),
        quiet("its amounts vary", online("10:00", 300), habit=habit(stddev_amount_minor_90d=7_000.0)),
        quiet("a dear month", online("10:00", 300), habit=habit(mean_amount_minor_30d=6_000.1)),
        quiet("money back", refund("10:00", 300), habit=habit()),
        quiet("on a day of another profile", online("mon 10:00", 300), habit=habit()),
    ),
    *of(
        "new-country-and-hour",
        fires("abroad at night", pos("03:00", country="US"), habit=habit()),
        fires("a cash machine", atm("03:00", country="US"), habit=habit()),
        quiet("at home at night", pos("03:00"), habit=habit()),
        quiet("abroad by day", pos("10:00", country="US"), habit=habit()),
        quiet("on the internet", online("03:00", country="US"), habit=habit()),
        quiet("nineteen payments", pos("03:00", country="US"), habit=habit(transactions_90d=19)),
        quiet("on nine days", pos("03:00", country="US"), habit=habit(active_days_90d=9)),
        quiet("a card that nobody knows", pos("03:00", country="US")),
    ),
    *of(
        "long-dormant-card-awakes",
        fires(
            "three within an hour",
            online("10:00"),
            online("10:30"),
            online("10:59"),
            habit=habit(transactions_30d=0),
        ),
        quiet("two", online("10:00"), online("10:30"), habit=habit(transactions_30d=0)),
        quiet("in an hour", online("10:00"), online("10:30"), online("11:00"), habit=habit(transactions_30d=0)),
        quiet(
            "awake since yesterday",
            pos("mon 20:00"),
            row(online, "10:00", times=3, every=60),
            habit=habit(transactions_30d=0),
        ),
        quiet("refused", row(online, "10:00", times=5, every=60, refused=True), habit=habit(transactions_30d=0)),
        quiet("it was used this month", row(online, "10:00", times=3, every=60), habit=habit(transactions_30d=1)),
        quiet("a new card", row(online, "10:00", times=3, every=60)),
    ),
    *of(
        "night-spending",
        fires(
            "200 in two parts after a day of small payments",
            pos("mon 06:00"),
            row(pos, "mon 12:00", times=2, every=34_200),
            online("00:00:10", 100),
            atm("03:59:20", 100),
            after=[refund("03:59:30"), online("03:59:40", refused=True), online("04:00", 300)],
        ),
        fires("four times as much as by day", row(pos, "mon 10:00", 50, times=3, every=3600), online("02:00", 200)),
        quiet("less than that", row(pos, "mon 10:00", 50.01, times=3, every=3600), online("02:00", 200)),
        quiet("199.99", row(pos, "mon 10:00", times=3, every=3600), online("01:30", 100), online("02:00", 99.99)),
        quiet("before midnight", row(pos, "mon 10:00", times=3, every=3600), online("mon 23:59", 300)),
        *no_part(
            {
                "a silent night with a drink": pos("mon 00:00:10", 5),
                "a silent night with a refusal": pos("mon 02:30", 5, refused=True),
            },
            row(pos, "mon 10:00", times=3, every=3600),
            online("03:59:50", 300),
        ),
        quiet("two payments by day", row(pos, "mon 10:00", times=2, every=3600), online("02:00", 300)),
        *no_part(
            {
                "the early morning": pos("mon 05:59"),
                "a refusal": pos("mon 08:00", refused=True),
                "a refund": refund("mon 08:00"),
            },
            row(pos, "mon 10:00", times=2, every=3600),
            online("02:00", 300),
        ),
        quiet("two by day, one in the evening", row(pos, "mon 10:00", times=3, every=21_600), online("02:00", 300)),
        quiet(
            "refused or returned at night",
            row(pos, "mon 10:00", times=3, every=3600),
            online("02:00", 300, refused=True),
            refund("02:10", 300),
            online("02:20", 100),
        ),
    ),
    *of(
        "impossible-travel",
        fires("Berlin and New York in six hours", pos("06:00", place=BERLIN), pos("12:00", place=NEW_YORK)),
        fires(
            "a refused withdrawal, after an order and a payment somewhere",
            pos("06:00", place=BERLIN),
            online("10:00", place=NEW_YORK),
            pos("11:00"),
            atm("12:00", place=NEW_YORK, refused=True),
        ),
        fires("from a machine", atm("06:00", place=BERLIN), pos("12:00", place=NEW_YORK)),
        fires("1,000.8 km in an hour", pos("10:00", place=HERE), pos("11:00", place=KM_1000_8)),
        fires("500.1 km in a minute", pos("10:00", place=HERE), pos("10:01", place=KM_500_1)),
        quiet("999.6 km in an hour", pos("10:00", place=HERE), pos("11:00", place=KM_999_6)),
        quiet("499.9 km in a minute", pos("10:00", place=HERE), pos("10:01", place=KM_499_9)),
        quiet("by plane", pos("06:00", place=BERLIN), pos("12:30", place=NEW_YORK)),
        quiet("next door, with a wrong clock", pos("10:00:00", place=BERLIN), pos("10:00:01", place=POTSDAM)),
        quiet("an order from afar", pos("06:00", place=BERLIN), online("06:30", place=NEW_YORK)),
        quiet("a refund from afar", pos("06:00", place=BERLIN), refund("06:30", place=NEW_YORK)),
        quiet("a terminal without a place", pos("06:00", place=BERLIN), pos("06:30", country="US")),
        *no_part(
            {
                "an order": phone("06:00", place=BERLIN),
                "a refund": refund("06:00", place=BERLIN),
                "another card": pos("06:00", place=BERLIN, card="other"),
            },
            pos("06:30", place=NEW_YORK),
        ),
    ),
    *of(
        "country-hop-terminals",
        fires(
            "three countries",
            pos("10:00", country="DE"),
            atm("11:00", country="FR"),
            pos("11:59", country="ES", refused=True),
            after=[online("11:59:10", country="DE"), refund("11:59:20", country="DE")],
        ),
        quiet("two countries", pos("10:00", country="DE"), pos("11:00", country="FR"), pos("11:30", country="DE")),
        quiet("in two hours", pos("10:00", country="DE"), pos("11:00", country="FR"), pos("12:00", country="ES")),
        *no_part(
            {"an order": online("10:00", country="DE"), "a refund": refund("10:00", country="DE")},
            pos("11:00", country="FR"),
            pos("11:30", country="ES"),
        ),
    ),
    *of(
        "cross-border-spree",
        fires(
            "three shops abroad",
            online("10:00", 100, country="FR"),
            phone("13:00", 100, country="NL"),
            online("15:59", 100, country="US"),
            after=[
                pos("15:59:10", country="US"),
                online("15:59:20", country="US", refused=True),
                refund("15:59:30", country="US", channel="ecom"),
                online("15:59:40", country="DE"),
            ],
        ),
        quiet("two countries", row(online, "10:00", 200, times=4, every=60, country=lambda n: ["FR", "NL"][n % 2])),
        quiet(
            "299.99",
            online("10:00", 100, country="FR"),
            online("13:00", 100, country="NL"),
            online("14:00", 99.99, country="US"),
        ),
        quiet(
            "in six hours",
            online("10:00", 200, country="FR"),
            online("13:00", 200, country="NL"),
            online("16:00", 200, country="US"),
        ),
        quiet(
            "a card without a country",
            online("10:00", 200, country="FR", issuer=None),
            online("13:00", 200, country="NL", issuer=None),
            online("14:00", 200, country="US", issuer=None),
        ),
        *no_part(
            {
                "a shop at home": online("10:00", 200, country="DE"),
                "a shop on a journey": pos("10:00", 200, country="FR"),
                "a refusal": online("10:00", 200, country="FR", refused=True),
                "a return": refund("10:00", 200, country="FR", channel="ecom"),
            },
            online("13:00", 200, country="NL"),
            online("14:00", 200, country="US"),
        ),
    ),
    *of(
        "atm-run",
        fires(
            "600 out of two machines, two refuse",
            atm("22:00", 300),
            atm("22:30", 300),
            atm("23:00", 300, refused=True),
            atm("23:59", 300, refused=True),
            after=[atm("23:59:10", 20, transaction_type="purchase"), atm("23:59:20", 50, channel="pos")],
        ),
        quiet("three attempts", row(atm, "22:00", 300, times=3, every=600)),
        quiet(
            "599.99", atm("22:00", 300), atm("22:30", 299.99), row(atm, "23:00", 300, times=2, every=600, refused=True)
        ),
        quiet("in two hours", row(atm, "21:00", 300, times=3, every=600), atm("23:00", 300)),
        *no_part(
            {
                "cash from a till": atm("21:50", 300, channel="pos"),
                "telephone credit": atm("21:50", 300, transaction_type="purchase"),
            },
            row(atm, "22:00", 300, times=3, every=600),
        ),
    ),
    *of(
        "quasi-cash-at-unlisted-merchant",
        fires(
            "1,000 in three",
            online("10:00", 400, group="crypto_and_quasi_cash"),
            online("10:30", 400, group="gambling"),
            online("10:59", 200, group="money_transfer"),
            after=[
                online("10:59:10", group="gambling", refused=True),
                refund("10:59:20", group="gambling"),
                online("10:59:30", group="gambling", merchant="lottery"),
                online("10:59:40", group="clothing"),
            ],
            trusted_merchants="lottery",
        ),
        quiet("in two", row(online, "10:00", 600, times=2, every=600, group="gambling")),
        quiet(
            "999.99",
            row(online, "10:00", 400, times=2, every=600, group="gambling"),
            online("10:30", 199.99, group="gambling"),
        ),
        quiet(
            "in an hour",
            row(online, "10:00", 400, times=2, every=600, group="gambling"),
            online("11:00", 400, group="gambling"),
        ),
        *no_part(
            {
                "a listed one": online("09:55", 400, group="gambling", merchant="lottery"),
                "a pair of shoes": online("09:55", 400, group="clothing"),
                "a refusal": online("09:55", 400, group="gambling", refused=True),
                "a win": refund("09:55", 400, group="gambling"),
            },
            row(online, "10:00", 600, times=2, every=600, group="gambling"),
            trusted_merchants="lottery",
        ),
    ),
    *of(
        "refund-abuse",
        fires(
            "1,000 in three",
            refund("mon 12:00", 400),
            refund("mon 18:00", 400),
            refund("11:59", 200),
            after=[pos("11:59:10", 0), refund("11:59:20", 100, refused=True)],
        ),
        fires(
            "1,000 more than bought",
            pos("mon 12:00", 500),
            pos("mon 12:30", 500, refused=True),
            row(refund, "mon 13:00", 500, times=3, every=60),
        ),
        quiet("in two", row(refund, "10:00", 600, times=2, every=60)),
        quiet("999.99", row(refund, "10:00", 400, times=2, every=60), refund("11:00", 199.99)),
        quiet("of what was bought that day", pos("09:00", 200.01), row(refund, "10:00", 400, times=3, every=60)),
        quiet("in a day", row(refund, "mon 12:00", 400, times=2, every=60), refund("12:00", 400)),
        *no_part(
            {"a refusal": refund("09:00", 600, refused=True), "a purchase": pos("09:00", 20)},
            row(refund, "10:00", 600, times=2, every=60),
        ),
    ),
    *of(
        "denied-card",
        fires("an attempt", pos("10:00", refused=True), denied_cards="card"),
        quiet("another card", pos("10:00", card="other"), denied_cards="card"),
        quiet("no list", pos("10:00")),
    ),
]
