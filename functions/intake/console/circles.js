// An agent that goes round in circles, as the log tells of it: the same words as local/trace.
import { list, object, text, whole } from "./reading.js";

const KINDS = {
  same_call: (first, times) => `the same call as ${first}, ${times} times by now`,
  cycle: (first, times) => `the same calls round and round since ${first}, lap ${times}`,
  near_equal: (first, times) => `nearly the same as ${first}, ${times} times by now`,
  same_error: (first, times) => `failed in the same way since ${first}, ${times} times in a row`,
  write_spiral: (first, times) => `writes nearly the same about the same things as ${first}, ${times} times by now`,
  other_words: (first, times) => `writes about the same things as ${first} in other words, ${times} times by now`,
  unchanged_result: (first, times) => `the same result for different calls since ${first}, ${times} in a row`,
};
const STEPS = { notice: "the agent is told", forbid: "the tool is forbidden" };

/**
 * Return what was noticed, by "turn.index" of the call. With the decision stands what is done about a call that
 * is proposed; with the next prompt, what the agent is told once the outcomes are known.
 */
export function noticed(log) {
  const found = new Map();
  for (const { name, turn, body } of log) {
    const of = name === "model.responded" ? turn : name === "model.requested" ? /^\d{4}/.exec(text(body.after))?.[0] : null;
    if (of === null || of === undefined) continue;
    for (const mark of list(body.despair).map(object)) {
      const at = `${Number(of)}.${whole(mark.index)}`;
      if (whole(mark.index) !== null && !found.has(at)) found.set(at, words(mark));
    }
  }
  return found;
}

function words(mark) {
  const [turn, index] = list(mark.same_as).map(whole);
  const first = Number.isInteger(turn) && Number.isInteger(index) ? `turn ${turn} call ${index}` : "an earlier call";
  const [kind, step] = [text(mark.kind), text(mark.step)];
  const seen = Object.hasOwn(KINDS, kind) ? KINDS[kind](first, whole(mark.count) || "more") : kind;
  return `${seen}: ${Object.hasOwn(STEPS, step) ? STEPS[step] : step}`;
}
