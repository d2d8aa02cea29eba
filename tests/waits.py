"""Tests that fail only because the agent makes a request that the model asked does not take.

They wait for the request from the model's card: schemas in the model's dialect, reasoning only to its own model. Each
is expected to fail, and strictly: a change that makes the request legal takes its line out of here.
"""

from collections.abc import Mapping

REASON = "waits for the request from the card"
#: By file.
WAITS: Mapping[str, tuple[str, ...]] = {
    "tests/functions/agent/test_breaker.py": (
        "test_a_model_that_is_set_by_hand_and_cheaper_than_the_cheaper_one_is_kept",
        "test_every_mode_for_everyone_or_the_tenant[None-cheaper-None-None]",
        "test_every_mode_for_everyone_or_the_tenant[default-cheaper-None-None]",
        "test_the_cheaper_model_is_asked_at_its_own_price",
        "test_what_another_models_tokenizer_counted_bounds_nothing",
        "test_where_the_cheaper_model_has_not_the_tier_that_is_asked_for_the_usual_one_is_kept",
    ),
    "tests/functions/agent/test_leaks.py": (
        "test_a_reply_that_says_nothing_is_asked_for_once_more[content4-again0]",
        "test_a_reply_that_says_nothing_is_asked_for_once_more[content4-again1]",
        "test_so_it_is_whatever_the_stop_reason[content2-None]",
        "test_so_it_is_whatever_the_stop_reason[content2-a_reason_of_next_year]",
        "test_so_it_is_whatever_the_stop_reason[content2-malformed_model_output]",
        "test_so_it_is_whatever_the_stop_reason[content2-malformed_tool_use]",
        "test_so_it_is_whatever_the_stop_reason[content2-max_tokens]",
        "test_so_it_is_whatever_the_stop_reason[content2-stop_sequence]",
        "test_so_it_is_whatever_the_stop_reason[content2-tool_use]",
    ),
    "tests/functions/agent/test_limits.py": ("test_the_environment_may_name_another_model",),
    "tests/functions/agent/test_money.py": ("test_the_playbooks_tier_is_asked_for_reserved_for_and_recorded",),
    "tests/functions/agent/test_second_model.py": (
        "test_a_hung_model_leaves_time_for_the_second_one",
        "test_a_throttled_model_is_asked_again_and_then_the_second_one",
        "test_a_wait_that_is_too_long_is_no_wait_and_the_second_model_is_asked_at_once[21]",
        "test_a_wait_that_is_too_long_is_no_wait_and_the_second_model_is_asked_at_once[3600]",
        "test_a_wait_that_is_too_long_is_no_wait_and_the_second_model_is_asked_at_once[80]",
        "test_the_next_turn_begins_with_the_first_model_again",
        "test_when_both_are_away_the_fallback_goes_on_and_every_attempt_was_reserved",
        "test_while_the_circuit_of_the_first_model_is_open_the_second_one_is_asked_at_once",
    ),
    "tests/functions/agent/test_untrusted_replies.py": (
        "test_encrypted_reasoning_survives_the_log_and_is_sent_back_as_bytes",
    ),
}


def waits(node_id: str) -> bool:
    """Return whether the test of that id is one of them."""
    file, _, name = node_id.partition("::")
    return name in WAITS.get(file, ())
