// From a run's log to its turns: a pure function of the entries, whole or cut off anywhere.
// The same fold as local/trace; nothing is taken for granted about an entry's body.
import { calls } from "./calls.js";
import { noticed } from "./circles.js";
import { list, object, text, whole } from "./reading.js";

const SEQ = /^(\d{4})\.([a-z_]+)(?:\.(\d+))?\.(approval_[a-z]+(?=\.\d)|[a-z_.]+$)(?:\.(\d+)(?:\.(\d+))?)?$/;
const LAST_TURN = 9999;
const PHASES = ["run", "model", "model.responded", "plan", "escalation", "call"];
const STEPS = ["opened", "requested", "failed", "responded", "decided", "approval", "refused",
  "ended", "announced", "replied", "answered", "intended", "settled", "corrected"];
const APPROVAL = ["approval_needed", "approval_requested", "approval_given", "approval_answered", "approval_void"];
const SHOWN = new Set(["model.requested", "model.responded", "model.failed", "plan.decided", "call.refused",
  "call.intended", "call.settled", ...APPROVAL.map((step) => `call.${step}`), "escalation.opened",
  "escalation.answered", "escalation.announced"]);

/**
 * Return {opened, refused, ended, at, turns, other, spent, reserved, ceiling} of one run's entries.
 * `other` are entries of no kind that is known here; amounts are micro-USD.
 */
export function fold(entries) {
  const all = entries.map(parsed).sort(byOrder);
  const log = all.filter(({ unread }) => !unread);
  const bodyOf = (name) => log.find((event) => event.name === name)?.body ?? null;
  const opened = bodyOf("run.opened") ?? bodyOf("run.refused") ?? {};
  const ceiling = whole(object(opened.limits).cost_microusd);
  const turns = summed(withPlanners(inTurns(log, all)), ceiling);
  const last = turns.at(-1) ?? { spent: 0, reserved: 0, ceiling };
  const placed = (event) => event.turn > 0 && event.turn < LAST_TURN;
  const known = (event) => event.name.startsWith("run.");
  return {
    opened, refused: bodyOf("run.refused"), ended: bodyOf("run.ended"), at: log[0]?.at ?? "", turns,
    unread: all.filter(({ unread }) => unread),
    other: log.filter((event) => !placed(event) && !known(event)),
    spent: last.spent, reserved: last.reserved, ceiling: last.ceiling,
  };
}

function parsed(entry) {
  const seq = text(entry?.seq);
  const found = SEQ.exec(seq);
  const [turn, kind, index, step] = found ? [Number(found[1]), found[2], Number(found[3] ?? 1), found[4]] : [0, "", 1, ""];
  const [round, number] = [Number(found?.[5] ?? 1), Number(found?.[6] ?? 0)];
  return { seq, turn, kind, index, step, round, number, name: `${kind}.${step}`, at: text(entry?.at), body: object(entry?.body), unread: unread(entry) };
}

/** Why an entry cannot be shown; nothing where it can. */
function unread(entry) {
  const bytes = whole(entry?.left_out);
  return text(entry?.corrupt) || (bytes === null ? "" : `It has ${bytes.toLocaleString("en")} bytes, too many for this page.`);
}

function byOrder(one, other) {
  const rank = (event) => {
    const at = (names, name) => (names.includes(name) ? names.indexOf(name) : names.length);
    const within = APPROVAL.indexOf(event.step); // one round of asking after the other
    return [event.turn, at(PHASES, PHASES.includes(event.name) ? event.name : event.kind), event.index,
      at(STEPS, within < 0 ? event.step : "approval"), event.round, within, event.number];
  };
  const [left, right] = [rank(one), rank(other)];
  const differs = left.findIndex((value, position) => value !== right[position]);
  return differs < 0 ? (one.seq < other.seq ? -1 : Number(one.seq > other.seq)) : left[differs] - right[differs];
}

function inTurns(log, all) {
  const circles = noticed(log);
  const grouped = Map.groupBy(all.filter(({ turn }) => turn > 0 && turn < LAST_TURN), ({ turn }) => turn);
  return [...grouped].map(([number, found]) => {
    const events = found.filter((event) => !event.unread);
    const { decision, decided, undoes } = decisionOf(events);
    return {
      turn: number, at: found[0].at, seqs: found.map(({ seq }) => seq), unread: found.filter((event) => event.unread), planner: plannerOf(events),
      attempts: attempts(events), asked: asked(events), decided,
      calls: calls(decision.calls, events, undoes).map((call) => ({ ...call, circles: circles.get(`${number}.${call.index}`) ?? "" })),
      handedOver: object(events.find(({ body }) => body.handed_over)?.body.handed_over),
      other: events.filter(({ name }) => !SHOWN.has(name)),
    };
  });
}

/** A person's decision counts before a planner's before a completion's. */
function decisionOf(events) {
  for (const name of ["escalation.answered", "plan.decided", "model.responded"]) {
    const body = events.find((event) => event.name === name && event.body.decision)?.body;
    if (body) {
      const decision = object(body.decision);
      return { decision, decided: { ...decision, note: text(body.note) }, undoes: body.undoes };
    }
  }
  return { decision: {}, decided: null, undoes: null };
}

function plannerOf(events) {
  for (const { kind, body } of events) {
    if (kind === "escalation") return body.kind === "question" ? "requester" : "human";
    if (text(body.planner)) return body.planner;
  }
  return events.some(({ kind }) => kind === "model") ? "agent" : "";
}

/** What a person, or the requester, was asked: the entry's body and its `answer`; null where nobody was. */
function asked(events) {
  const mine = events.filter(({ kind }) => kind === "escalation");
  const bodyOf = (name) => mine.find(({ step }) => step === name)?.body ?? null;
  return mine.length ? { ...bodyOf("opened"), answer: bodyOf("answered") } : null;
}

function attempts(events) {
  const found = new Map();
  for (const { kind, step, index, body } of events) {
    if (kind !== "model") continue;
    const at = step === "responded" ? whole(body.attempt) ?? index : index;
    const known = found.get(at) ?? { attempt: at, state: "open", prompt: [], completion: [], cost: 0, reserved: 0 };
    found.set(at, known);
    if (step === "requested") {
      Object.assign(known, { prompt: pieces(body.messages), reserved: whole(body.reserved_microusd) ?? 0 });
    } else if (step === "responded" || step === "failed") {
      Object.assign(known, {
        state: step, completion: pieces(body.message), stopReason: text(body.stop_reason),
        exitReason: text(body.exit_reason), error: text(body.error), cost: whole(body.cost_microusd) ?? 0,
        latency: whole(body.latency_ms), read: whole(body["gen_ai.usage.input_tokens"]) ?? 0,
        written: whole(body["gen_ai.usage.output_tokens"]) ?? 0,
      });
    }
  }
  return [...found.values()].sort((one, other) => one.attempt - other.attempt);
}

/** Return the blocks of Converse messages (an array, or one) as [{kind, text, error}]. */
export function pieces(messages) {
  const all = Array.isArray(messages) ? messages : [messages];
  return all.flatMap((message) => list(object(message).content)).map((part) => {
    const piece = object(part);
    if (typeof piece.text === "string") return { kind: "text", text: piece.text };
    if (piece.reasoningContent) {
      const said = text(object(object(piece.reasoningContent).reasoningText).text);
      return { kind: "reasoning", text: said || "(encrypted)" };
    }
    if (piece.toolUse) return { kind: "tool_use", text: piece.toolUse };
    if (piece.toolResult) {
      const result = object(piece.toolResult);
      const said = list(result.content).map((content) => object(content).text ?? object(content).json ?? content);
      return { kind: "tool_result", text: said.length === 1 ? said[0] : said, error: result.status === "error" };
    }
    return { kind: "other", text: part };
  });
}

/** Name every turn's planner and the hand-over after it, also where a planner died silently. */
function withPlanners(bare) {
  let inCharge = "agent";
  return bare.map((turn, position) => {
    const next = bare[position + 1];
    const cut = next?.handedOver ?? {};
    const planner = turn.planner || text(cut.from) || inCharge;
    let handOver = null;
    if (turn.decided?.kind === "hand_over") {
      handOver = { from: planner, to: text(turn.decided.to), reason: text(turn.decided.reason), error: "" };
    } else if (Object.keys(cut).length && next.planner) {
      handOver = { from: text(cut.from) || planner, to: next.planner, reason: text(cut.reason), error: text(cut.error) };
    }
    inCharge = handOver ? handOver.to : ["human", "requester"].includes(planner) ? inCharge : planner;
    return { ...turn, planner, handOver };
  });
}

/** Add up the money from turn to turn; a person's grant raises the ceiling. */
function summed(turns, limit) {
  let [spent, reserved, ceiling] = [0, 0, limit];
  return turns.map((turn) => {
    for (const attempt of turn.attempts) {
      spent += attempt.cost;
      if (attempt.state === "open") reserved += attempt.reserved;
    }
    if (ceiling !== null && turn.planner === "human" && turn.decided?.to === "agent") {
      ceiling += whole(turn.decided.add_budget_microusd) ?? 0;
    }
    return { ...turn, spent, reserved, ceiling };
  });
}
