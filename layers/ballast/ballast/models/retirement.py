"""The day from which a model is served no longer, and when people are told. Pure; the day of asking is passed in."""

from datetime import date, timedelta

from ballast.models.card import ModelCard

#: From how many days before it a retirement is told.
TOLD_DAYS = 60


def days_left(card: ModelCard, on: date) -> int | None:
    """Return for how many days the model is still served, 0 or less from its day on; None if none is announced."""
    return None if card.retires is None else (card.retires - on).days


def retired(card: ModelCard, model_id: str, on: date) -> str | None:
    """Return in words that the model is retired on that day, and what to do; None if it is not."""
    if card.retires is None or card.retires > on:
        return None
    return (
        f"The model {model_id!r} ({card.name}) has been served until {card.retires}. Name another one, or, if you may "
        "still call it, set `retires: null` for it in the playbook's models.yaml."
    )


def retires_soon(card: ModelCard, model_id: str, on: date) -> str | None:
    """Return in words that the model will be retired soon, and what to do; None if it is not, or already is."""
    if card.retires is None or not timedelta(0) < card.retires - on <= timedelta(TOLD_DAYS):
        return None
    left = (card.retires - on).days
    more = f"{left} more day{'' if left == 1 else 's'}"
    return f"The model {model_id!r} ({card.name}) is served until {card.retires}, {more}. Name another one by then."
