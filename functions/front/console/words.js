// What the names in a log mean, for a person who was woken by them.

const REASONS = {
  end_turn: "the model ended its turn",
  tool_use: "the model asked for tools",
  max_tokens: "the model's turn was cut off at its token limit",
  stop_sequence: "the model reached a stop sequence",
  guardrail_intervened: "a guardrail stepped in",
  content_filtered: "the provider filtered the content",
  malformed_model_output: "the model sent something that cannot be read",
  malformed_tool_use: "the model sent a tool call that cannot be read",
  model_context_window_exceeded: "the conversation outgrew the model's context window",
  turn_limit: "its limit of turns was reached",
  tool_call_limit: "its limit of tool calls was reached",
  tool_limit: "its limit of calls of one tool was reached",
  refused_call_limit: "too many of its calls were refused",
  repeated_call_limit: "its limit of repeated calls was reached",
  token_limit: "its prompt outgrew its limit of tokens",
  run_token_limit: "the run's limit of tokens was reached",
  cost_limit: "the next attempt could have passed the cost ceiling",
  deadline: "its time was up",
  history_limit: "its execution has no room for more steps",
  breaker_open: "the spend breaker lets no model be called",
  breaker_stopped: "the spend breaker has stopped the agent",
  loop: "it went round in circles, was told so, and went on",
  model_timeout: "the model did not answer in time",
  model_throttled: "the provider throttled the model",
  model_unavailable: "the model could not be reached",
  model_refused: "the model cannot be called at all (no price, no access, or no such model)",
  empty_answer: "the model said nothing",
  answer_invalid: "its answer did not fit, or named what nobody knows",
  rolled_back: "nothing half done is left",
  rollback_incomplete: "not everything could be undone",
  effect_frozen: "an effect is for a person to judge, so nothing was undone",
  effects_kept: "the fallback goes on from what was done",
  no_fallback: "no fallback serves this intent",
  fallback_gave_up: "the fallback gave up",
  fallback_failed: "the fallback's script failed",
  planner_failed: "the planner in charge failed",
  executor_failed: "the executor failed",
  effect_unknown: "nobody knows whether a call had its effect",
  guidance: "a person gave guidance",
  window_full: "no window has room for the budget that was added",
  lease_failed: "the budget that was added could not be leased",
  question: "the agent asks the requester",
  requester_silent: "the requester did not reply in time",
  approval_unanswered: "nobody answered a request for approval in time",
  approval_required: "a call needs a person's approval",
  // Of a run that was refused: the error's name.
  NotAdmitted: "it was not admitted",
  ExecutionMisnamed: "its execution does not have its name",
  RequestConflict: "the same request id was sent with another body",
  BreakerStopped: "the spend breaker lets no run start",
  WindowFull: "an hour or a day has no room for its ceiling",
  TooManyRuns: "as many runs go on as may at once",
};

/** Return the reason in words, or the name itself (untrusted) where it is not one of ours. */
export function meaning(reason) {
  return Object.hasOwn(REASONS, reason) ? REASONS[reason] : String(reason ?? "");
}

// Who answers for a run that the agent did not answer.
const OTHERS = { fallback: "the fallback", rollback: "the rollback", human: "a person", requester: "the requester" };

/** Return why the run stands as it does, as one sentence; "" where there is nothing to say. */
export function why(run) {
  const reason = run.reason ? meaning(run.reason) : "";
  if (run.status === "answered" && run.degraded === true) {
    const who = Object.hasOwn(OTHERS, run.by) ? OTHERS[run.by] : String(run.by || "somebody else");
    return `${capital(who)} answered instead of the agent: ${reason || "the log does not say why"}`;
  }
  return run.status === "answered" || run.status === "running" ? "" : capital(reason);
}

export function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

// How a status looks: [label, class]. Words carry the meaning, colour only repeats it.
const STATUSES = {
  running: ["running", "info"],
  waiting: ["waits for an answer", "warn"],
  answered: ["answered", "good"],
  refused: ["refused", "bad"],
  unanswered: ["unanswered", "bad"],
  failed: ["failed", "bad"],
  aborted: ["aborted", "warn"],
  timed_out: ["timed out", "bad"],
  corrupt: ["log corrupt", "bad"],
};

export const STATUS_NAMES = Object.keys(STATUSES);

export function statusLook(status, degraded) {
  if (status === "answered" && degraded) return ["answered, degraded", "warn"];
  return Object.hasOwn(STATUSES, status) ? STATUSES[status] : [String(status || "status unknown"), "plain"];
}

// What came of a call. Capitals for what must not be overlooked without colour.
const OUTCOMES = {
  ok: ["ok", "good"],
  failed: ["failed", "warn"],
  denied: ["DENIED", "bad"],
  unknown: ["UNKNOWN EFFECT", "bad"],
  refused: ["REFUSED", "bad"],
  waiting: ["waits for approval", "warn"],
  open: ["no outcome yet", "plain"],
};

/** Return [label, look, class] of a call's outcome; another one than ours is an unknown one. */
export function outcomeLook(outcome) {
  const known = Object.hasOwn(OUTCOMES, outcome) ? outcome : "unknown";
  return [...OUTCOMES[known], known];
}

/** Return "1 run", "2 runs". */
export function count(number, noun, plural = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}
