"""Masking finds a number or a date in its usual spellings and a long value where it was cut, and nothing else."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.masking import MASK, Finder, Secret, masked
from ballast.masking.spellings import ValueSearch


def shown(value: str, text: str) -> str:
    return Finder.of([Secret(value)]).masked(text)


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        ("52345.60", "52345.6"),
        ("52345.6", "52345.60"),
        ("52345.60", "52,345.60"),
        ("52345.60", "52.345,6"),
        ("52345.60", "52 345,60"),
        ("52345.60", "52'345.60"),
        ("52345.60", "52,345.6"),
        ("52345.60", "-52345.6"),
        ("1234.00", "1234"),
        ("1234.00", "1,234"),
        ("1234", "1234.0"),
        ("471193", "471,193.00"),
        ("1234567.0", "1234567"),
        ("0.125", "0.1250"),
        ("1990-05-17", "17.05.1990"),
        ("1990-05-17", "17.5.1990"),
        ("1990-05-17", "17.05.90"),
        ("1990-05-17", "17. 05. 1990"),
        ("1990-05-17", "05/17/1990"),
        ("1990-05-17", "17/05/1990"),
        ("1990-05-17", "17-05-1990"),
        ("1990-05-17", "1990/05/17"),
        ("1990-05-17", "1990.5.17"),
        ("1990-05-17", "19900517"),
        ("1990-05-17", "17 May 1990"),
        ("1990-05-17", "17th of May 1990"),
        ("1990-05-17", "May 17, 1990"),
        ("1990-05-17", "MAY 17TH, 1990"),
        ("1990-05-17", "17-May-90"),
        ("1990-05-17", "17. Mai 1990"),
        ("1990-03-07", "7. März 1990"),
        ("1990-03-07", "7 mars 1990"),
        ("1990-03-07", "7 de marzo de 1990"),
        ("17.05.1990", "1990-05-17"),
        ("1990-05-17T01:02:03", "1990-05-17 01:02:03"),
        ("1990-05-17T01:02:03", "1990-05-17T01:02:03Z"),
        ("1990-05-17T01:02:03Z", "1990-05-17 01:02:03+00:00"),
        ("1990-05-17T01:02:03", "17.05.1990 01:02"),
        ("1990-05-17T13:02:03", "05/17/1990 1:02 PM"),
        ("1990-05-17T13:02:03.250000", "17 May 1990, 13:02:03"),
        ("1990-05-17T00:00:00", "17.05.1990"),
        ("10:31:00", "10:31"),
        ("10:31:00", "10:31 AM"),
        ("22:31", "10:31:00 pm"),
        ("1990-05-17T01:31:44+02:00", "1990-05-16 23:31:44"),
        ("1990-05-17T10:31:44Z", "642940304"),
        ("1990-05-17T10:31:44Z", "642940304000"),
        ("1990-05-17T10:31:44.250Z", "642940304.25"),
        ("PT37H31M", "1 day, 13:31:00"),
        ("PT37H31M", "135060.0"),
        ("P12W", "84 days, 0:00:00"),
        ("PT0.5S", "0:00:00.500000"),
    ],
)
def test_a_value_is_found_in_its_usual_spellings(value: str, spelt: str) -> None:
    assert shown(value, f"it is {spelt}, or {spelt}.") == f"it is {MASK}, or {MASK}."
    assert shown(value, spelt) == MASK


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1990-05-17", "datetime.date({})"),
        ("1990-05-17", "datetime.datetime({}, 0, 0)"),
        ("17.05.1990", "date({})"),
        ("1990-05-17", "DateTime(year={}, month=5, day=17)"),
        ("1990-05-17T10:31:44", "datetime.datetime({})"),
        ("1990-05-17T10:31:44Z", "datetime.datetime({}, tzinfo=datetime.timezone.utc)"),
        ("1990-05-17T10:31:44.250Z", "datetime.datetime({}, tzinfo=TzInfo(UTC))"),
        ("10:31:44", "datetime.time({})"),
        ("10:31:00", "datetime.time({}, tzinfo=TzInfo(UTC))"),
        ("PT37H31M", "datetime.timedelta({})"),
        ("-P3DT31M", "datetime.timedelta({})"),
    ],
)
def test_a_value_is_found_as_python_writes_it(value: str, written: str) -> None:
    before, _, after = written.partition("{}")
    made = {
        "1990-05-17": "1990, 5, 17" if "year" not in before else "1990",
        "17.05.1990": "1990, 5, 17",
        "1990-05-17T10:31:44": "1990, 5, 17, 10, 31, 44",
        "1990-05-17T10:31:44Z": "1990, 5, 17, 10, 31, 44",
        "1990-05-17T10:31:44.250Z": "1990, 5, 17, 10, 31, 44, 250000",
        "10:31:44": "10, 31, 44",
        "10:31:00": "10, 31",
        "PT37H31M": "days=1, seconds=48660",
        "-P3DT31M": "days=-4, seconds=84540",
    }[value]

    masked_text = shown(value, f"it is {before}{made}{after}")

    assert MASK in masked_text
    assert not [part for part in ("1990", "31", "17", "48660", "84540") if part in masked_text]


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("52345.60", "52345.61"),
        ("52345.60", "152345.6"),
        ("52345.60", "52345.67"),
        ("52345.60", "5234.56"),
        ("1234.00", "1234.5"),
        ("1234.00", "11234"),
        ("7.50", "7.5"),  # three characters are in every text
        ("7.00", "7"),
        ("1990-05-17", "18.05.1990"),
        ("1990-05-17", "17.06.1990"),
        ("1990-05-17", "17.05.1991"),
        ("1990-05-17", "117.05.1990"),
        ("1990-05-17", "May 1990"),
        ("1990-05-17T01:02:03", "1990-05-17 01:03:03"),
        ("1990-05-17T01:02:03", "17.05.1990"),
        ("1990-05-17", "datetime.date(1990, 5, 18)"),
        ("10:31:00", "10:32"),
        ("10:31:44", "10:31:45"),
        ("PT37H31M", "1 day, 13:32:00"),
    ],
)
def test_another_value_stays(value: str, other: str) -> None:
    assert shown(value, f"it is {other}, or {other}.") == f"it is {other}, or {other}."


@given(st.decimals("10", "1e9", places=2, allow_nan=False))
def test_an_amount_is_masked_as_the_number_that_json_has(amount: Decimal) -> None:
    finder = Finder.of([Secret(str(amount), "salary")])

    made = masked({"result": {"a": float(amount), "b": f"{amount:,.2f}", "c": f"{amount:f} a year"}}, finder)

    short = len(str(float(amount)).removesuffix(".0")) < 4
    assert made["result"] == {"a": float(amount) if short else MASK, "b": MASK, "c": f"{MASK} a year"}


FORMS = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%y", "%Y%m%d")


@given(st.dates(date(1901, 1, 1), date(2099, 12, 31)), st.sampled_from(FORMS))
def test_any_date_is_masked_in_any_form(day: date, form: str) -> None:
    assert shown(day.isoformat(), f"born {day.strftime(form)}!") == f"born {MASK}!"


@given(st.datetimes(datetime(1901, 1, 1), datetime(2099, 12, 31)))  # noqa: DTZ001  what a field holds is its own
def test_any_time_is_masked_as_python_writes_it(moment: datetime) -> None:
    for one in (moment, moment.replace(tzinfo=UTC)):
        assert shown(one.isoformat(), f"at {one}!") == f"at {MASK}!"


LONG = "Meyer-Lübbenau, 4711 open sesame, Hauptstraße 12, 10115 Berlin, second floor on the left, behind the stairs"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f"'{LONG[:25]}...{LONG[-24:]}'", f"'{MASK}...{MASK}'"),
        (f"{LONG[:9]}…", f"{MASK}…"),
        (f"{LONG[:21]}[...]", f"{MASK}[...]"),
        (f"… {LONG[-12:]}", f"… {MASK}"),
        (f"{LONG[:60]}| is what it says", f"{MASK}| is what it says"),
        (f"what it says is{LONG[-60:]}", f"what it says is{MASK}"),
        (f"{LONG[:9]} said", f"{LONG[:9]} said"),
        (f"{LONG[:7]}...", f"{LONG[:7]}..."),
        (f"...and {LONG[:9]}", f"...and {LONG[:9]}"),
    ],
)
def test_what_was_left_of_a_long_value_is_masked(text: str, rest: str) -> None:
    assert shown(LONG, text) == rest


@given(st.integers(2, 200), st.integers(0, 150))
def test_a_cut_leaves_no_part_of_a_value(most: int, before: int) -> None:
    card = "4111 1111 1111 1111"
    finder = Finder.of([Secret(card)])
    text = f"{'x' * before}{card}{'y' * 100}"

    cut = finder.cut(text, most)

    assert len(cut) <= most or cut == text
    assert "4" not in finder.masked(cut)
    assert "1" not in finder.masked(cut)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "text",
    ["a", "ab", "a" * 9 + "c", "1 111 111 ", "52345.61 ", "12 may 90 ", "1990-05-18 ", "&#39;", "10:31:", "1990, 5, "],
)
def test_hard_texts_take_their_length(text: str) -> None:
    values = [
        "a" * 2_000,
        "ab" * 1_000 + "c",
        "a" * 9 + "b",
        "52345.60",
        "1990-05-17T01:02:03",
        "'" * 500,
        "10:31:00",
        "P3D",
    ]
    finds = ValueSearch([*values, *(f"customer-{one}-{one * 7}" for one in range(1_000))])

    finds.spans(text * (60_000 // len(text)))  # the test's own time is the bound
