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
    case "approval_requested":
      Object.assign(call, { outcome: "waiting", approval: { id: text(body.escalation_id), approve: null } });
      break;
    case "approval_answered":
      call.outcome = "open";
      call.approval = {
        id: text(body.escalation_id) || call.approval?.id || "",
        approve: body.approve === true, by: text(body.by), comment: text(body.comment),
      };
      break;
  }
}
