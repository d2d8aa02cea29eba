"""Money and time in the console are exact: no amount is a float."""

from typing import Any

from ballast.contracts import ExitReason
from ballast.errors import NotAdmitted

UNITS = """async ([name, given]) => {
  const units = await import('/console/words.js');
  return given.map((one) => units[name](one));
}"""


def in_page(page: Any, name: str, *given: Any) -> Any:
    return page.evaluate(UNITS, [name, list(given)])


def test_dollars_are_read_exactly_or_not_at_all(visit: Any) -> None:
    # As floats times a million, 8.2, 1.001 and 32.000007 would lose a micro-dollar.
    exact = {"8.2": 8_200_000, "1.001": 1_001_000, "32.000007": 32_000_007, "$0.000001": 1, "1": 1_000_000}
    exact |= {"999999999.999999": 999_999_999_999_999}
    wrong = ["", "1,50", "0.0000001", "-1", "1e3", ".5", "1.", "ten", "1234567890", "0x10", "١", None, 0.29, {}]

    page = visit()

    assert in_page(page, "microUsd", *exact) == list(exact.values())
    assert in_page(page, "microUsd", *(one for one in wrong if one != 0.29)) == [None] * (len(wrong) - 1)


def test_micro_dollars_are_written_exactly(visit: Any) -> None:
    written = {
        0: "$0.00",
        1: "$0.000001",
        500_000: "$0.50",
        15_845: "$0.015845",
        1_250_000: "$1.25",
        -250_000: "-$0.25",
    }

    page = visit()

    assert in_page(page, "usd", *written) == list(written.values())
    assert in_page(page, "usd", 0.5, None, "7") == ["$?", "$?", "$?"]


def test_amounts_are_shown_in_dollars_and_cents_that_people_read(visit: Any) -> None:
    shown = {
        0: "$0.00",
        1: "under 0.01¢",
        420: "0.04¢",
        4_000: "0.4¢",
        15_845: "1.6¢",
        28_140: "2.8¢",
        99_499: "9.9¢",
        99_500: "10¢",
        229_540: "23¢",
        994_999: "99¢",
        995_000: "$1.00",
        1_250_000: "$1.25",
        1_204_500_000: "$1,204.50",
        -250_000: "-25¢",
    }

    page = visit()

    assert in_page(page, "money", *shown) == list(shown.values())
    assert in_page(page, "money", 0.5, None, "7") == ["$?", "$?", "$?"]


def test_every_reason_has_words(visit: Any) -> None:
    reasons = [
        *ExitReason,
        "approval_required",
        *(error.__name__ for error in (NotAdmitted, *NotAdmitted.__subclasses__())),
    ]
    words = "async (reasons) => { const { meaning } = await import('/console/words.js'); return reasons.map(meaning); }"

    found = visit().evaluate(words, reasons)

    assert [reason for reason, said in zip(reasons, found, strict=True) if said == reason or " " not in said] == []


def test_ages_are_told_as_a_person_tells_them(visit: Any) -> None:
    told = {4_000: "4 s", 90_000: "2 min", 7_200_000: "2 h", 7_800_000: "2 h 10 min", 100_800_000: "1 d 4 h", -5: "0 s"}

    assert in_page(visit(), "coarse", *told) == ["4 s", "1 min", *list(told.values())[2:]]
