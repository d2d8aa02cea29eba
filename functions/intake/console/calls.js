// The calls of one turn, from the decision that proposed them and their entries.
import { list, object, text, whole } from "./reading.js";

const SETTLED = ["ok", "failed", "denied", "unknown"];

/**
 * Return the calls by position: {index, tool, arguments, outcome, effect, result, error, message, latency, undo,
 * undoes, approval}. `undoes` is [turn, position] of what a rollback's call takes back.
 */
export function calls(proposed, events, undoes) {
  const found = new Map();
  const at = (index) => {
    if (!found.has(index)) found.set(index, { index, tool: "", arguments: null, outcome: "open", undoes: "" });
    return found.get(index);
  };
  list(proposed).forEach((call, position) => {
    Object.assign(at(position + 1), { tool: text(object(call).tool), arguments: object(call).arguments ?? null });
    if (Array.isArray(undoes)) at(position + 1).undoes = `turn ${whole(undoes[0]) ?? "?"}, call ${whole(undoes[1]) ?? "?"}`;
  });
  for (const event of events) if (event.kind === "call") change(at(event.index), event.step, event.body);
  return [...found.values()].sort((one, other) => one.index - other.index);
}

function change(call, step, body) {
  if (text(body.tool)) call.tool = body.tool;
  if ("arguments" in body) call.arguments = body.arguments;
  if (object(body.undo).tool) call.undo = object(body.undo);
  switch (step) {
    case "refused":
      Object.assign(call, { outcome: "refused", error: text(body.error), message: text(body.message) });
      break;
    case "intended":
      call.effect = text(body.effect);
      break;
    case "settled":
      Object.assign(call, {
        outcome: SETTLED.includes(body.status) ? body.status : "unknown",
        result: body.result, message: text(body.message), latency: whole(body.latency_ms),
      });
      break;
    default:
      if (step.startsWith("approval_")) approval(call, step.slice("approval_".length), body);
  }
}

/** `by` is who decided; `given` who has approved so far; `silent` that nobody answered; `void` what had moved. */
function approval(call, step, body) {
  const known = call.approval ?? { id: "", approve: null, why: [], given: [], void: [] };
  const id = text(body.escalation_id) || known.id;
  const texts = (values) => list(values).map(text).filter(Boolean);
  if (step === "needed") {
    Object.assign(call, { outcome: "waiting", approval: { ...known, id: "", approve: null, by: "", given: [], why: texts(body.why) } });
  } else if (step === "requested") {
    Object.assign(call, { outcome: "waiting", approval: { ...known, id, approve: null } });
  } else if (step === "given") {
    const given = "arguments" in body ? [] : known.given;
    Object.assign(call, { outcome: "waiting", approval: { ...known, id, given: [...given, text(body.by)] } });
  } else if (step === "answered") {
    const people = list(body.approvals).map((one) => text(object(one).by)).filter(Boolean);
    const approve = body.approve === true;
    const silent = body.approve === null;
    const by = approve && people.length ? people.join(", ") : text(body.by);
    Object.assign(call, { outcome: "open", approval: { ...known, id, approve: silent ? null : approve, silent, by,
      comment: text(body.comment), changed: "arguments" in body } });
  } else if (step === "void") {
    Object.assign(call, { outcome: "open", approval: { ...known, void: texts(body.moved) } });
  }
}
