// One turn as a card: who was in charge, what was asked, proposed, done and refused, and what it cost.
import { badge, el } from "./dom.js";
import { asId } from "./api.js";
import { Digits } from "./json.js";
import { block, brief, visible } from "./text.js";
import { instant, span, usd } from "./units.js";
import { count, meaning, outcomeLook } from "./words.js";

const PLANNERS = ["agent", "fallback", "rollback", "human", "requester"];

/** Return the card. `openedAt` is the run's opening (ISO), which times count from. */
export function turnCard(turn, openedAt) {
  const [at, opened] = [instant(turn.at), instant(openedAt)];
  const after = at === null || opened === null ? "" : `at ${span(at - opened)}`;
  const look = PLANNERS.includes(turn.planner) ? turn.planner : "plain";
  const money = turn.ceiling ? `${usd(turn.spent)} of ${usd(turn.ceiling)}` : usd(turn.spent);
  return el("li", { class: `turn by-${look}`, "aria-label": `Turn ${turn.turn}, ${brief(turn.planner, 40)}` },
    el("header", {},
      el("h3", {}, `Turn ${turn.turn} `, el("span", { class: "planner", text: brief(turn.planner, 40) })),
      el("span", { class: "dim", text: after }),
      el("span", { class: "grow" }),
      el("span", { class: "money", text: money, title: "spent so far" })),
    turn.attempts.map((attempt) => attemptLines(attempt, turn)),
    turn.asked && askedLines(turn.asked),
    turn.decided && decidedLines(turn.decided, turn.asked),
    turn.calls.map(callCard),
    turn.handOver && handOverLine(turn.handOver),
    turn.unread.map(unreadEntry),
    turn.other.map(otherEntry));
}

/** An entry that cannot be shown: somebody changed it, or it is too large. */
export function unreadEntry({ seq, unread }) {
  return el("p", { class: "notice bad unread" }, "This entry of the log cannot be read: ", el("code", { class: "untrusted", text: brief(seq, 80) || "without a key" }),
    el("span", { class: "untrusted", text: ` ${brief(unread, 300)}` }));
}

/** An entry of a kind that this page does not know: shown as it is. */
export function otherEntry(event) {
  return el("details", { class: "other" },
    el("summary", {}, "other entry ", el("code", { text: brief(event.seq, 80) || "without a key" })),
    block(event.body, { className: "data" }));
}

function attemptLines(attempt, turn) {
  const lines = [];
  const again = attempt.attempt > 1 ? ` (attempt ${attempt.attempt})` : "";
  if (attempt.prompt.length) lines.push(promptLine(attempt, again));
  for (const piece of attempt.completion) {
    if (piece.kind === "reasoning") lines.push(labelled("thinks", block(piece.text, { className: "dim" })));
    // The answer is shown as the turn's decision, the calls as calls.
    else if (piece.kind === "text" && piece.text.trim() && turn.decided?.kind !== "answer") {
      lines.push(labelled("model", block(piece.text)));
    } else if (piece.kind === "other") lines.push(labelled("model", block(piece.text, { className: "data" })));
  }
  if (attempt.state === "failed") {
    lines.push(labelled(`model${again}`, el("div", {}, badge(["FAILED", "bad"]), ` ${brief(meaning(attempt.exitReason), 200)}`,
      attempt.error && block(attempt.error, { className: "dim" }))));
  } else if (attempt.state === "open") {
    const kept = attempt.reserved ? ` ${usd(attempt.reserved)} stays reserved.` : "";
    lines.push(labelled(`model${again}`, el("div", { class: "warn-text", text: `No reply recorded (yet).${kept}` })));
  } else {
    const odd = !["", "end_turn", "tool_use"].includes(attempt.stopReason);
    if (odd) lines.push(labelled("stopped", el("div", { class: "warn-text", text: brief(meaning(attempt.exitReason || attempt.stopReason), 200) })));
    const tokens = `${attempt.read.toLocaleString("en")} tokens in, ${attempt.written.toLocaleString("en")} out`;
    const took = attempt.latency === null ? "" : ` · ${span(attempt.latency)}`;
    lines.push(el("p", { class: "dim figures", text: `${usd(attempt.cost)} · ${tokens}${took}` }));
  }
  return lines;
}

function promptLine(attempt, again) {
  const results = attempt.prompt.filter(({ kind }) => kind === "tool_result");
  const wrong = results.filter(({ error }) => error).length;
  const said = attempt.prompt.find(({ kind, text }) => kind === "text" && text.trim())?.text ?? "";
  const summary = [
    results.length ? count(results.length, "tool result") + (wrong ? ` (${wrong} with an error)` : "") : "",
    brief(said, 90),
  ].filter(Boolean).join("; ");
  return el("details", { class: "prompt" },
    el("summary", {}, el("span", { class: "label", text: `new in the prompt${again}` }), ` ${summary}`),
    attempt.prompt.map((piece) => labelled(piece.kind.replace("_", " "), block(piece.text, { className: "data" }))));
}

function decidedLines(decided, asked) {
  return [
    decided.note && labelled("note", block(decided.note)),
    decided.kind === "answer" && labelled("answer", block(decided.text, { className: "answer" })),
    decided.guidance && labelled(asked?.kind === "question" ? "reply" : "guidance", block(decided.guidance)),
    Number.isSafeInteger(decided.add_budget_microusd) && decided.add_budget_microusd > 0
      && labelled("budget", el("div", { text: `${usd(decided.add_budget_microusd)} more` })),
  ].filter(Boolean);
}

function askedLines(asked) {
  if (asked.kind === "question") {
    return [labelled("question", block(asked.summary)),
      labelled("requester", el("div", {}, badge(asked.answer ? ["replied", "good"] : ["waits for the requester", "warn"])))];
  }
  const id = asId(asked.escalation_id);
  const link = id && el("a", { href: `#/escalations/${id}`, text: asked.answer ? "see what was asked" : "answer it" });
  const by = asked.answer && brief(asked.answer.by, 128);
  return [
    labelled("a person", el("div", {}, badge(asked.answer ? ["answered", "good"] : ["waits for a person", "warn"]),
      ` ${by ? `by ${by}. ` : ""}Asked because ${brief(meaning(asked.reason), 200)}. `, link)),
  ];
}

function callCard(call) {
  const look = outcomeLook(call.outcome);
  const took = Number.isFinite(call.latency) ? ` ${span(call.latency)}` : "";
  const failed = !["ok", "open", "waiting"].includes(call.outcome);
  return el("section", { class: `call ${call.outcome}`, "aria-label": `Call ${call.index}: ${brief(call.tool, 80)}, ${look[0]}` },
    el("header", {},
      el("span", { class: "dim", text: `call ${call.index} ` }), el("b", { class: "untrusted", text: brief(call.tool, 256) || "(no name)" }),
      call.effect === "write" && badge(["writes", "warn"]), el("span", { class: "grow" }),
      badge(look), el("span", { class: "dim", text: took })),
    call.undoes && el("p", { class: "warn-text", text: `takes back ${call.undoes}` }),
    argumentList(call.arguments),
    call.circles && el("p", { class: "warn-text untrusted", text: `In circles? ${brief(call.circles, 200)}` }),
    call.approval && approvalLine(call.approval),
    call.error && el("p", { class: "error-name untrusted", text: brief(call.error, 120) }),
    call.message && block(call.message, { className: failed ? "said" : "" }),
    call.result !== undefined && call.result !== null && labelled("result", block(call.result, { className: "data", limit: 240, compact: true })),
    call.undo && call.outcome === "ok" && el("p", { class: "dim figures", text: `can be undone with ${brief(call.undo.tool, 256)}` }));
}

/** Arguments as names and values, one a line; anything that is no object as it is. `whole` clips nothing: somebody decides by it. */
export function argumentList(given, { whole = false } = {}) {
  if (given === null || given === undefined) return null;
  if (typeof given !== "object" || Array.isArray(given) || given instanceof Digits) return block(given, { className: "data", limit: whole ? Infinity : undefined });
  return el("dl", { class: "arguments" }, Object.entries(given).map(([name, value]) => el("div", {},
    el("dt", { class: "untrusted", text: whole ? visible(name) : brief(name, 120) }),
    el("dd", {}, block(value, { limit: whole ? Infinity : 300, compact: true })))));
}

function approvalLine(approval) {
  const id = asId(approval.id);
  const moved = approval.void?.length ? el("p", { class: "warn-text untrusted", text: `An approval became void: ${brief(approval.void.join(", "), 200)} had changed.` }) : null;
  if (approval.silent) return el("p", { class: "warn-text", text: "Nobody answered the request for an approval in time." });
  if (approval.approve === null) {
    return el("div", {}, moved, el("p", {}, "Nothing was done yet: a person must approve. ",
      approval.given?.length > 0 && el("span", { class: "untrusted", text: `Approved so far by ${brief(approval.given.join(", "), 200)}. ` }),
      id && el("a", { href: `#/escalations/${id}`, text: "Decide" })));
  }
  const verdict = approval.approve ? ["approved", "good"] : ["REJECTED", "bad"];
  return el("div", {}, moved, el("p", {}, badge(verdict), el("span", { class: "untrusted", text: ` by ${brief(approval.by, 200) || "somebody"}` }),
    approval.changed && " with other arguments than proposed",
    approval.comment && block(approval.comment, { className: "dim" })));
}

function handOverLine({ from, to, reason, error }) {
  return el("p", { class: "hand-over" }, el("b", { text: `${brief(from, 40)} → ${brief(to, 40) || "?"}` }),
    el("span", { class: "untrusted", text: ` because ${brief(meaning(reason), 200) || "the log does not say why"}` }),
    error && el("span", { class: "error-name untrusted", text: ` (${brief(error, 120)})` }));
}

function labelled(label, node) {
  return el("div", { class: "labelled" }, el("span", { class: "label", text: label }), node);
}
