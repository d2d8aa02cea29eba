"""The end of a requester's token: what it says of itself only shortens its life."""

import base64
from datetime import UTC, datetime

import pytest

from ballast.on_behalf import MOST_S, Token

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATEST = int(NOW.timestamp()) + MOST_S


@pytest.mark.parametrize(
    ("said", "ends"),
    [("-1e400", 0), ("1e400", LATEST), ("NaN", LATEST), ("-5", 0), ("7.9", 7), ("true", LATEST), ('"1"', LATEST)],
)
def test_a_token_ends_when_it_says_and_no_later_than_others(said: str, ends: int) -> None:
    claims = base64.urlsafe_b64encode(f'{{"exp": {said}}}'.encode()).decode().rstrip("=")

    assert Token.read("desk", f"e30.{claims}.x", NOW).expires_at == ends
