"""Timelines for the rules whose windows are a merchant's, a device's, an address's or a BIN's."""

from .timeline import fires, no_part, of, online, phone, pos, quiet, refund, row

_IP = "198.51.100.7"
_REGULARS = row(pos, "10:00", times=5, every=240, card="regular-{n}")
_BURST = row(online, "10:26:42", times=25, every=7, card="card-{n}")
_ORDINARY_SALES = row(pos, "10:00", lambda n: 40 + n % 20, times=29, every=60)

CASES = [
    *of(
        "card-testing-one-merchant",
        fires(
            "ten cards, four refused",
            row(online, "10:00", 1, times=6, every=30, card="card-{n}"),
            row(phone, "10:03", 5, times=4, every=30, card="stolen-{n}", refused=True),
            after=[
                pos("10:04:40", 1, refused=True),
                online("10:04:41", 5.01, refused=True),
                refund("10:04:42", 1, channel="ecom", refused=True),
            ],
        ),
        quiet(
            "three refused",
            row(online, "10:00", 1, times=7, every=20, card="card-{n}"),
            row(online, "10:03", 1, times=3, every=20, card="stolen-{n}", refused=True),
        ),
        quiet("nine cards", row(online, "10:00", 1, times=12, every=20, card=lambda n: f"card-{n % 9}", refused=True)),
        quiet(
            "in five minutes",
            online("10:00", 1, card="first", refused=True),
            row(online, "10:02", 1, times=8, every=20, card="card-{n}", refused=True),
            online("10:05", 1, card="last", refused=True),
        ),
        *no_part(
            {
                "a refusal of more than five euros": online("10:00", 5.01, card="first", refused=True),
                "a refusal at a terminal": pos("10:00", 1, card="first", refused=True),
                "a refused refund": refund("10:00", 1, card="first", channel="ecom", refused=True),
                "a refusal elsewhere": online("10:00", 1, card="first", merchant="elsewhere", refused=True),
            },
            row(online, "10:01", 1, times=9, every=20, card="card-{n}", refused=True),
        ),
    ),
    *of(
        "bin-attack",
        fires(
            "twenty cards refused, thirteen approved, all over the place",
            row(online, "10:00", 10, times=13, every=5, card="buyer-{n}", merchant="shop-{n}"),
            row(phone, "10:01:05", 10, times=20, every=10, card="made-up-{n}", merchant="shop-{n}", refused=True),
        ),
        fires(
            "twenty cards refused and nothing else",
            row(online, "10:00", 1, times=20, every=10, card="made-up-{n}", refused=True),
            after=[
                online("10:04:20", 1),
                pos("10:04:21", 1, refused=True),
                online("10:04:22", 10.01, refused=True),
                refund("10:04:23", 1, channel="ecom", refused=True),
            ],
        ),
        quiet(
            "fourteen approved",
            row(online, "10:00", 10, times=14, every=5, card="buyer-{n}"),
            row(online, "10:01:10", 10, times=20, every=10, card="made-up-{n}", refused=True),
        ),
        quiet(
            "nineteen cards",
            row(online, "10:00", 1, times=25, every=10, card=lambda n: f"made-up-{n % 19}", refused=True),
        ),
        quiet(
            "in five minutes",
            online("10:00", 1, card="first", refused=True),
            row(online, "10:01", 1, times=18, every=13, card="made-up-{n}", refused=True),
            online("10:05", 1, card="last", refused=True),
        ),
        *no_part(
            {
                "an approval": online("10:00", 1, card="first"),
                "a refusal of 10.01": online("10:00", 10.01, card="first", refused=True),
                "a refusal at a terminal": pos("10:00", 1, card="first", refused=True),
                "a refused refund": refund("10:00", 1, card="first", channel="ecom", refused=True),
                "a card of another BIN": online("10:00", 1, card="first", bin="545454", refused=True),
            },
            row(online, "10:01", 1, times=19, every=10, card="made-up-{n}", refused=True),
        ),
    ),
    *of(
        "merchant-refund-run",
        fires(
            "1,000 in five to two cards",
            pos("09:59:40", 499.99, card="buyer"),
            pos("09:59:50", 20, card="buyer", refused=True),
            row(refund, "10:00", 200, times=4, every=120, card="mine"),
            refund("10:29:30", 200, card="hers"),
            after=[refund("10:29:40", 20, card="mine", refused=True), pos("10:29:50", 20, card="mine")],
        ),
        quiet("in four", row(refund, "10:00", 300, times=4, every=120, card="mine")),
        quiet("to three cards", row(refund, "10:00", 200, times=5, every=120, card=lambda n: f"card-{n % 3}")),
        quiet(
            "999.99", row(refund, "10:00", 200, times=4, every=120, card="mine"), refund("10:10", 199.99, card="mine")
        ),
        quiet(
            "half of it sold meanwhile",
            pos("09:59", 500, card="buyer"),
            row(refund, "10:00", 200, times=5, every=120, card="mine"),
        ),
        quiet(
            "in half an hour",
            row(refund, "10:00", 300, times=4, every=120, card="mine"),
            refund("10:30", 300, card="mine"),
        ),
        *no_part(
            {"a refusal": refund("09:59", 300, card="mine", refused=True), "a purchase": pos("09:59", 20, card="mine")},
            row(refund, "10:00", 300, times=4, every=120, card="mine"),
        ),
    ),
    *of(
        "merchant-burst",
        fires("25 cards, five before", _REGULARS, _BURST, after=[refund("10:29:31")]),
        fires("25 cards, 25 before", row(pos, "10:00", times=25, every=60, card="regular-{n}"), _BURST),
        quiet("26 before", row(pos, "10:00", times=26, every=60, card="regular-{n}"), _BURST),
        quiet("four before, the shop has just opened", _REGULARS[1:], _BURST),
        quiet("24 cards", _REGULARS, row(online, "10:26", times=25, every=7, card=lambda n: f"card-{n % 24}")),
        quiet("in three minutes", _REGULARS, _BURST[:-1], online("10:29:42", card="last")),
        quiet(
            "one of the five before was half an hour ago",
            _REGULARS,
            row(online, "10:27:12", times=25, every=7, card="card-{n}"),
        ),
        quiet("at a merchant that is known for it", _REGULARS, _BURST, trusted_merchants="shop"),
        quiet("a refund does not count", _REGULARS, refund("10:26:42", card="first"), _BURST[1:]),
        quiet("a refund does not count as one before", refund("10:00"), _REGULARS[1:], _BURST),
    ),
    *of(
        "decline-storm",
        fires(
            "twenty refused of ten cards, twenty approved",
            row(online, "10:00", times=19, every=10, card=lambda n: f"card-{n % 10}", refused=True),
            row(online, "10:05", times=20, every=5, card="buyer-{n}"),
            online("10:09:30", refused=True, card="card-0"),
        ),
        fires(
            "twenty refused and nothing else",
            row(online, "10:00", times=20, every=10, card=lambda n: f"card-{n % 10}", refused=True),
            after=[refund("10:09:40", refused=True), online("10:09:50")],
        ),
        quiet(
            "21 approved",
            row(online, "10:00", times=21, every=5, card="buyer-{n}"),
            row(online, "10:05", times=20, every=10, card="card-{n}", refused=True),
        ),
        quiet("nine cards", row(online, "10:05", times=20, every=10, card=lambda n: f"card-{n % 9}", refused=True)),
        quiet(
            "nine cards, and one that is approved",
            online("10:04", card="buyer"),
            row(online, "10:05", times=20, every=10, card=lambda n: f"card-{n % 9}", refused=True),
        ),
        quiet(
            "in ten minutes",
            online("10:00", card="first", refused=True),
            row(online, "10:06:50", times=20, every=10, card="card-{n}", refused=True)[:18],
            online("10:10", card="last", refused=True),
        ),
        *no_part(
            {
                "a refused refund": refund("10:00", refused=True),
                "an approval": online("10:00"),
                "a refusal elsewhere": online("10:00", merchant="elsewhere", refused=True),
            },
            row(online, "10:01", times=19, every=10, card="card-{n}", refused=True),
        ),
    ),
    *of(
        "unusual-amount-at-merchant",
        fires(
            "500 among 29 of 40 to 60", _ORDINARY_SALES, pos("10:29", 500), after=[pos("10:29:10", 900, refused=True)]
        ),
        quiet("499.99", _ORDINARY_SALES, pos("10:29", 499.99)),
        quiet("among 28", _ORDINARY_SALES[1:], pos("10:29", 500)),
        quiet("in half an hour", _ORDINARY_SALES, pos("10:30", 500)),
        fires("4.54 standard deviations", _ORDINARY_SALES, pos("10:28:30", 330), pos("10:29", 500)),
        quiet("4.49 standard deviations", _ORDINARY_SALES, pos("10:28:30", 340), pos("10:29", 500)),
        quiet("at a trusted merchant", _ORDINARY_SALES, pos("10:29", 500), trusted_merchants="shop"),
        quiet("a refund of 500", _ORDINARY_SALES, pos("10:28:30"), refund("10:29", 500)),
        *no_part(
            {"a refusal": pos("10:00", refused=True), "a refund": refund("10:00")},
            _ORDINARY_SALES[1:],
            pos("10:29", 500),
        ),
    ),
    *of(
        "shared-device",
        fires(
            "four cards",
            row(online, "10:00", times=4, every=599, card="card-{n}", device="phone"),
            after=[pos("10:29:58", device="phone")],
        ),
        quiet("three cards", row(online, "10:00", times=6, every=60, card=lambda n: f"card-{n % 3}", device="phone")),
        quiet("in half an hour", row(online, "10:00", times=4, every=600, card="card-{n}", device="phone")),
        quiet("a terminal", row(pos, "10:00", times=9, every=60, card="card-{n}", device="till")),
        quiet(
            "a kiosk", row(online, "10:00", times=4, every=60, card="card-{n}", device="kiosk"), shared_devices="kiosk"
        ),
        quiet("devices unknown", row(online, "10:00", times=9, every=60, card="card-{n}")),
        *no_part(
            {
                "a terminal": pos("09:59", card="first", device="phone"),
                "another device": online("09:59", card="first", device="laptop"),
            },
            row(online, "10:00", times=3, every=60, card="card-{n}", device="phone"),
        ),
    ),
    *of(
        "shared-address",
        fires(
            "eight cards, two refused",
            row(online, "10:00", times=2, every=171, card="bad-{n}", ip=_IP, refused=True),
            row(online, "10:05:42", times=6, every=171, card="card-{n}", ip=_IP),
        ),
        quiet(
            "two refused of nine",
            row(online, "10:00", times=2, every=60, card="card-1", ip=_IP, refused=True),
            row(online, "10:02", times=7, every=60, card="card-{n}", ip=_IP),
            online("10:10", card="last", ip=_IP),
        ),
        quiet(
            "seven cards",
            row(online, "10:00", times=14, every=60, card=lambda n: f"card-{n % 7}", ip=_IP, refused=True),
        ),
        quiet(
            "in twenty minutes",
            row(online, "10:00", times=7, every=60, card="card-{n}", ip=_IP, refused=True),
            online("10:20", card="last", ip=_IP, refused=True),
        ),
        quiet(
            "a company's",
            row(online, "10:00", times=8, every=60, card="card-{n}", ip=_IP, refused=True),
            trusted_addresses=_IP,
        ),
        quiet("addresses unknown", row(phone, "10:00", times=14, every=60, card="card-{n}", refused=True)),
        *no_part(
            {"another address": online("09:59", card="first", ip="198.51.100.8", refused=True)},
            row(online, "10:00", times=7, every=60, card="card-{n}", ip=_IP, refused=True),
        ),
    ),
]
