// One turn of a run's timeline as a card: its planner, model attempts, decision, calls and cost.
import { asId } from "./api.js";
import { badge, block, brief, el, visible } from "./dom.js";
import { Digits, list, object, text, whole } from "./json.js";
import { count, meaning, money, outcomeLook, span, usd } from "./words.js";

const PLANNERS = ["agent", "fallback", "rollback", "human", "requester"];
const RAW = "see the raw events at the end of this page";

/** Return the card of a turn of `GET /runs/{id}/timeline`. `filesOf(at)`: the line of a result's files, by call. */
export function turnCard(turn, filesOf) {
  const number = whole(turn.turn) ?? "?";
  const planner = text(turn.planner);
  const look = PLANNERS.includes(planner) ? planner : "plain";
  const name = agentName(planner, turn.by_agent);
  const decided = object(turn.decided);
  const escalation = turn.escalation ? object(turn.escalation) : null;
  const after = whole(turn.at_ms) === null ? "" : `at ${span(turn.at_ms)}`;
  return el("li", { class: `turn by-${look}`, "aria-label": `Turn ${number}, ${name}` },
    el("header", {},
      el("h3", {}, `Turn ${number} `, el("span", { class: "planner", text: name })),
      el("span", { class: "dim", text: after }),
      el("span", { class: "grow" }),
      soFar(turn)),
    leftOut(turn.left_out),
    list(turn.attempts).map(object).map((attempt) => attemptLines(attempt, decided)),
    escalation && escalationLines(escalation),
    decidedLines(decided, escalation),
    list(turn.calls).map(object).map((call, at) => callCard(call, filesOf(at))),
    turn.pivot && pivotLine(object(turn.pivot)),
    list(turn.unreadable).map(object).map(unreadableEntry),
    list(turn.unknown).map(text).map(unknownEntry));
}

/** An entry of the log that cannot be read because somebody changed it. */
export function unreadableEntry({ seq, why, partly }) {
  return el(
    "p",
    { class: "notice bad unread" },
    `${partly === true ? "Some of this" : "This"} entry of the log cannot be read: `,
    el("code", { class: "untrusted", text: brief(text(seq), 80) || "without a key" }),
    el("span", { class: "untrusted", text: ` ${brief(text(why), 300)}` }),
  );
}

/** An entry of a kind that this page does not know. */
export function unknownEntry(seq) {
  return el(
    "p",
    { class: "other dim" },
    "An entry of an unknown kind: ",
    el("code", { class: "untrusted", text: brief(seq, 80) || "without a key" }),
    `; ${RAW}.`,
  );
}

/** The calls of a proposed decision, as [{tool, arguments}]; null if there are none. */
export function proposedCalls(escalation) {
  const proposed = object(escalation.proposed_decision ?? escalation.proposed);
  const calls = list(proposed.calls).map(object);
  return proposed.kind === "call_tools" && calls.length ? calls : null;
}

export function callLines(calls) {
  return (calls ?? []).map((call) =>
    el(
      "div",
      { class: "call" },
      el("b", { class: "untrusted", text: brief(call.tool, 256) || "(no name)" }),
      argumentList(call.arguments, { whole: true }),
    ),
  );
}

/** Arguments as names and values, one a line; anything else as it is. `whole` clips nothing: people decide by them. */
function argumentList(given, { whole: all = false } = {}) {
  if (given === null || given === undefined) return null;
  if (typeof given !== "object" || Array.isArray(given) || given instanceof Digits)
    return block(given, { className: "data", limit: all ? Infinity : undefined });
  return el("dl", { class: "arguments" }, Object.entries(given).map(([name, value]) => el("div", {},
    el("dt", { class: "untrusted", text: all ? visible(name) : brief(name, 120) }),
    el("dd", {}, block(value, { limit: all ? Infinity : 300, compact: true })))));
}

/** What the run has spent of its ceiling by the end of the turn. */
function soFar({ spent_microusd: spent, reserved_microusd: reserved, cost_ceiling_microusd: ceiling }) {
  const said = (amount) => {
    const open = whole(reserved) > 0 ? `, ${amount(reserved)} reserved` : "";
    return `${amount(whole(spent))}${open}${whole(ceiling) > 0 ? ` of ${amount(ceiling)}` : ""}`;
  };
  return el("span", { class: "money", text: said(money), title: `spent so far: ${said(usd)}` });
}

function leftOut(bytes) {
  return (
    whole(bytes) > 0 &&
    el("p", { class: "notice warn", text: `${bytes.toLocaleString("en")} bytes are left out here; ${RAW}.` })
  );
}

// ── the model ──

function attemptLines(attempt, decided) {
  const again = whole(attempt.attempt) > 1 ? ` (attempt ${attempt.attempt})` : "";
  const prompt = list(attempt.prompt).map(object);
  const lines = [
    prompt.length > 0 && promptLine(prompt, again),
    ...Object.entries(object(attempt.passed_over)).map(([model, why]) =>
      labelled(
        "passed over",
        el("div", { class: "untrusted", text: `${brief(model, 120)}: ${brief(meaning(text(why)), 200)}` }),
      ),
    ),
  ];
  for (const piece of list(attempt.completion).map(object)) {
    if (piece.kind === "reasoning") lines.push(pieceLine("thinks", piece, "dim"));
    // The answer is shown as the turn's decision, and the calls below it.
    else if (piece.kind === "text" && text(piece.text).trim() && decided.kind !== "answer")
      lines.push(pieceLine("model", piece));
    else if (piece.kind === "other") lines.push(pieceLine("model", piece, "data"));
  }
  const refused = list(attempt.refused_answer).map(text).filter(Boolean);
  if (refused.length)
    lines.push(labelled("not sent", el("div", { class: "warn-text untrusted", text: brief(refused.join("; "), 400) })));
  const why = text(attempt.why) || text(attempt.exit_reason) || text(attempt.stop_reason);
  if (attempt.state === "failed") {
    lines.push(
      labelled(
        `model${again}`,
        el(
          "div",
          {},
          badge(["FAILED", "bad"]),
          el("span", { class: "untrusted", text: ` ${brief(why, 200)}` }),
          text(attempt.error) && block(attempt.error, { className: "dim" }),
        ),
      ),
    );
  } else if (attempt.state === "open") {
    const kept = whole(attempt.charged_microusd) > 0 ? ` ${money(attempt.charged_microusd)} stays reserved.` : "";
    lines.push(labelled(`model${again}`, el("div", { class: "warn-text", text: `No reply recorded (yet).${kept}` })));
  } else {
    const odd = !["", "end_turn", "tool_use"].includes(text(attempt.stop_reason));
    if (odd) lines.push(labelled("stopped", el("div", { class: "warn-text untrusted", text: brief(why, 200) })));
    lines.push(
      el("p", {
        class: "dim figures",
        text: `${money(whole(attempt.cost_microusd))} · ${tokens(attempt)}${took(attempt.latency_ms, " · ")}`,
        title: usd(whole(attempt.cost_microusd)),
      }),
    );
  }
  return lines.filter(Boolean);
}

function tokens({ input_tokens: fresh, cached_tokens: cached, cache_write_tokens: kept, output_tokens: written }) {
  const read = [fresh, cached, kept].reduce((sum, one) => sum + (whole(one) ?? 0), 0);
  const part = whole(cached) > 0 ? ` (${cached.toLocaleString("en")} from the cache)` : "";
  return `${read.toLocaleString("en")} tokens in${part}, ${(whole(written) ?? 0).toLocaleString("en")} out`;
}

function took(ms, before = " ") {
  return whole(ms) === null ? "" : `${before}${span(ms)}`;
}

function promptLine(prompt, again) {
  const results = prompt.filter(({ kind }) => kind === "tool_result");
  const wrong = results.filter(({ error }) => error === true).length;
  const said = text(prompt.find((piece) => piece.kind === "text" && text(piece.text).trim())?.text);
  const summary = [
    results.length ? count(results.length, "tool result") + (wrong ? ` (${wrong} with an error)` : "") : "",
    brief(said, 90),
  ].filter(Boolean).join("; ");
  return el(
    "details",
    { class: "prompt" },
    el(
      "summary",
      {},
      el("span", { class: "label", text: `new in the prompt${again}` }),
      el("span", { class: "untrusted", text: ` ${summary}` }),
    ),
    prompt.map((piece) => pieceLine(brief(text(piece.kind).replace("_", " "), 40), piece, "data")),
  );
}

function pieceLine(label, piece, className = "") {
  const cut =
    whole(piece.left_out) > 0 &&
    el("p", { class: "dim", text: `${piece.left_out.toLocaleString("en")} characters are left out; ${RAW}.` });
  return labelled(label, el("div", {}, block(text(piece.text), { className }), cut));
}

// ── the decision ──

function decidedLines(decided, escalation) {
  const breaker = object(decided.breaker);
  return [
    text(decided.note) && labelled("note", block(decided.note)),
    decided.kind === "answer" && labelled("answer", block(text(decided.text), { className: "answer" })),
    text(decided.guidance) && labelled(wordsLabel(decided, escalation), block(decided.guidance)),
    whole(decided.add_budget_microusd) > 0 && labelled("budget", el("div", { text: addedBudget(decided) })),
    ...list(decided.reached)
      .map(object)
      .map((limit) => labelled("limit", el("div", { class: "untrusted", text: brief(text(limit.words), 200) }))),
    text(breaker.mode) &&
      labelled("breaker", el("div", { class: "untrusted", text: brief(breakerWords(breaker), 300) })),
  ].filter(Boolean);
}

/** The budget that the run got: the leased part of what a person added. */
function addedBudget({ add_budget_microusd: added, leased_microusd: leased }) {
  if (whole(leased) >= added) return `${money(added)} more`;
  return whole(leased) > 0 ? `${money(leased)} more: that was leased of the ${money(added)} asked for`
    : `none of the ${money(added)} asked for was leased`;
}

function escalationLines(asked) {
  const answered = Boolean(text(asked.by) || text(asked.answered_at));
  if (asked.kind === "question") {
    return [
      labelled("question", block(text(asked.summary))),
      labelled("requester", el("div", {}, badge(answered ? ["replied", "good"] : ["waits for the requester", "warn"]))),
    ];
  }
  const id = asId(asked.escalation_id);
  const link = id && el("a", { href: `#/escalations/${id}`, text: answered ? "see what was asked" : "answer it" });
  const by = answered && text(asked.by) ? `by ${brief(asked.by, 128)}. ` : "";
  const calls = proposedCalls(asked);
  return [
    labelled(
      "a person",
      el(
        "div",
        {},
        badge(answered ? ["answered", "good"] : ["waits for a person", "warn"]),
        el("span", {
          class: "untrusted",
          text: ` ${by}Opened because ${brief(text(asked.why) || text(asked.reason), 200)}. `,
        }),
        link,
      ),
    ),
    calls &&
      el(
        "details",
        { class: "proposed" },
        el(
          "summary",
          {},
          el("span", { class: "label", text: "proposed, not carried out" }),
          el("span", { class: "untrusted", text: ` ${brief(calls.map((call) => text(call.tool)).join(", "), 120)}` }),
        ),
        callLines(calls),
      ),
  ];
}

/** Whose words a decision carries: a person's, the requester's, or the agent's own. */
function wordsLabel(decided, escalation) {
  if (escalation) return escalation.kind === "question" ? "reply" : "guidance";
  return decided.to === "requester" ? "question" : "note";
}

/** A planner, and the agent's name in a run that was handed to another agent. */
function agentName(planner, agent) {
  return text(agent) ? `${brief(planner, 40)} ${brief(agent, 80)}` : brief(planner, 40);
}

function pivotLine({ giver, taker, reason, why, error, from_agent, to_agent }) {
  const from = agentName(giver, giver === "agent" && from_agent);
  const to = agentName(taker, to_agent);
  return el(
    "p",
    { class: "hand-over" },
    el("b", { class: "untrusted", text: `${from} → ${to || "?"}` }),
    el("span", {
      class: "untrusted",
      text: ` because ${brief(text(why) || text(reason), 200) || "the log does not say why"}`,
    }),
    text(error) && el("span", { class: "error-name untrusted", text: ` (${brief(error, 120)})` }),
  );
}

// ── calls ──

function callCard(call, files) {
  const look = outcomeLook(call.outcome);
  const failed = !["ok", "open", "waiting"].includes(call.outcome);
  const index = whole(call.index) ?? "?";
  const rounds = list(call.approvals).map(object);
  return el(
    "section",
    { class: `call ${look[2]}`, "aria-label": `Call ${index}: ${brief(call.tool, 80)}, ${look[0]}` },
    el(
      "header",
      {},
      el("span", { class: "dim", text: `call ${index} ` }),
      el("b", { class: "untrusted", text: brief(call.tool, 256) || "(no name)" }),
      call.effect === "write" && badge(["writes", "warn"]),
      el("span", { class: "grow" }),
      whole(call.charged_microusd) > 0 &&
        el("span", {
          class: "dim cost",
          text: `costs ${money(call.charged_microusd)}`,
          title: usd(call.charged_microusd),
        }),
      badge(look),
      el("span", { class: "dim", text: took(call.latency_ms) }),
    ),
    call.undoes && el("p", { class: "warn-text", text: `undoes ${position(call.undoes)}` }),
    call.repeats &&
      el("p", { class: "warn-text", text: `not executed again: this is the result of ${position(call.repeats)}` }),
    argumentList(call.arguments),
    leftOut(call.left_out),
    text(object(call.signal).words) &&
      el("p", { class: "warn-text untrusted", text: `Loop? ${brief(call.signal.words, 200)}` }),
    rounds.map((round, at) => approvalLines(round, at === rounds.length - 1)),
    list(call.doubts)
      .map(object)
      .map((doubt) =>
        el("p", {
          class: "warn-text untrusted",
          text: `Outcome unknown after attempt ${whole(doubt.attempt) ?? "?"}: ${brief(text(doubt.message), 300)}`,
        }),
      ),
    text(call.error) && el("p", { class: "error-name untrusted", text: brief(call.error, 120) }),
    text(call.message) && block(call.message, { className: failed ? "said" : "" }),
    call.result !== undefined &&
      call.result !== null &&
      labelled("result", block(call.result, { className: "data", limit: 240, compact: true })),
    files,
    text(call.notice) && labelled("notice", block(call.notice, { className: "dim" })),
    text(object(call.undo).tool) &&
      call.outcome === "ok" &&
      el("p", { class: "dim figures untrusted", text: `can be undone with ${brief(call.undo.tool, 256)}` }),
  );
}

function position(value) {
  const [turn, index] = list(value).map(whole);
  return `turn ${turn ?? "?"}, call ${index ?? "?"}`;
}

/** One request for approval of a call; only the `last` one may still wait. */
function approvalLines(round, last) {
  const id = asId(round.escalation_id);
  const texts = (values) => brief(list(values).map(text).filter(Boolean).join(", "), 200);
  const moved =
    list(round.void).length > 0 &&
    el("p", {
      class: "warn-text untrusted",
      text: `An approval became void because this had changed: ${texts(round.void)}.`,
    });
  const why =
    list(round.why).length > 0 &&
    el("p", { class: "dim untrusted", text: `A person had to approve because ${texts(round.why)}.` });
  if (round.silent === true)
    return [
      el("p", { class: "warn-text", text: "Nobody answered the request for approval in time." }),
      why,
      moved,
    ].filter(Boolean);
  if (typeof round.approve !== "boolean") {
    return (
      last &&
      [
        why,
        el(
          "p",
          {},
          "Not carried out yet: a person must approve. ",
          list(round.given).length > 0 &&
            el("span", { class: "untrusted", text: `Approved so far by ${texts(round.given)}. ` }),
          id && el("a", { href: `#/escalations/${id}`, text: "Decide" }),
        ),
      ].filter(Boolean)
    );
  }
  return [
    el(
      "div",
      {},
      el(
        "p",
        {},
        badge(round.approve ? ["approved", "good"] : ["REJECTED", "bad"]),
        el("span", { class: "untrusted", text: ` by ${brief(text(round.by), 200) || "somebody"}` }),
        round.changed === true && " with changed arguments",
      ),
      text(round.comment) && block(round.comment, { className: "dim" }),
    ),
    why,
    moved,
  ].filter(Boolean);
}

function labelled(label, node) {
  return el("div", { class: "labelled" }, el("span", { class: "label", text: label }), node);
}
