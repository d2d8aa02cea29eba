"""Plain words for the log's names. The trace, the console and messages show them to people on call."""

#: Every exit reason, and every reason of the state machine, as a clause.
REASONS: dict[str, str] = {
    "end_turn": "the model ended its turn",
    "tool_use": "the model asked for tools",
    "max_tokens": "the model's turn was cut off at its token limit",
    "stop_sequence": "the model reached a stop sequence",
    "guardrail_intervened": "a guardrail stepped in",
    "content_filtered": "the provider filtered the content",
    "malformed_model_output": "the model sent something that cannot be read",
    "malformed_tool_use": "the model sent a tool call that cannot be read",
    "model_context_window_exceeded": "the conversation outgrew the model's context window",
    "turn_limit": "its limit of turns was reached",
    "tool_call_limit": "its next calls would have exceeded its limit of tool calls",
    "tool_limit": "its next calls would have exceeded its limit of calls of one tool",
    "refused_call_limit": "too many of its calls were refused",
    "repeated_call_limit": "its next calls would have exceeded its limit of repeated calls",
    "token_limit": "its next prompt could have exceeded its limit of tokens",
    "run_token_limit": "the next attempt could have exceeded the run's limit of tokens",
    "cost_limit": "the next attempt could have exceeded the cost ceiling",
    "deadline": "its time was over",
    "history_limit": "its execution has no room for more steps",
    "breaker_open": "the spend breaker allows no model call",
    "breaker_stopped": "the spend breaker has stopped the agent",
    "loop": "it went round in circles, was told so, and went on",
    "model_timeout": "the model did not answer in time",
    "model_throttled": "the provider throttled the model",
    "model_unavailable": "the model could not be reached",
    "model_refused": "the model refused the request, or could not be asked at all",
    "empty_answer": "the model's answer was empty",
    "answer_invalid": "its answer did not have the required form, or named unknown facts",
    "rolled_back": "nothing half done is left",
    "rollback_incomplete": "not everything could be undone",
    "effect_frozen": "an effect is for a person to judge, so nothing was undone",
    "effects_kept": "the fallback goes on from what was done",
    "no_fallback": "no fallback serves this intent",
    "fallback_gave_up": "the fallback gave up",
    "fallback_failed": "the fallback's script failed",
    "planner_failed": "the planner in charge failed",
    "executor_failed": "the executor failed",
    "effect_unknown": "nobody knows whether a call had its effect",
    "guidance": "a person gave guidance",
    "window_full": "no window has room for the budget that was added",
    "lease_failed": "the budget that was added could not be leased",
    "question": "the agent asks the requester",
    "requester_silent": "the requester did not reply in time",
    "another_agent": "the agent handed over to another agent",
    "no_agent": "the playbook has no agent that may go on",
    "approval_unanswered": "nobody answered a request for approval in time",
    "approval_required": "a call needs a person's approval",
}

#: Why a run was refused, by the error's name.
REFUSALS: dict[str, str] = {
    "NotAdmitted": "it was not admitted",
    "ExecutionMisnamed": "its execution does not have its name",
    "RequestConflict": "the same request id was sent with another body",
    "BreakerStopped": "the spend breaker lets no run start",
    "WindowFull": "an hour's or a day's window has no room for its ceiling",
    "TooManyRuns": "the limit of concurrent runs is reached",
}

#: Planners as the subject of a sentence.
PLANNERS = {
    "agent": "the agent",
    "fallback": "the fallback",
    "rollback": "the rollback",
    "human": "a person",
    "requester": "the requester",
}


def meaning(reason: str) -> str:
    """Return ``reason`` in words; an unknown name is returned unchanged."""
    return REASONS.get(reason, reason)


def planner_name(planner: str) -> str:
    """Return the planner as the subject of a sentence."""
    return PLANNERS.get(planner, planner)
