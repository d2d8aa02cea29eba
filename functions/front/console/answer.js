// The ways to answer an escalation: forms, a confirmation, the request, and what came of it.
import { Problem, Unreachable, post } from "./api.js";
import { button, confirmed, el } from "./dom.js";
import { Digits, list, object, parse, stringify, text } from "./json.js";
import { brief, visible } from "./text.js";
import { microUsd, usd } from "./units.js";
import { callLines, proposedCalls } from "./turn.js";

/** Return the forms for what one may do about an open escalation. `done(answer)` is called once the API has taken an answer. */
export function answerForms(escalation, done) {
  const said = el("div", { class: "outcome", role: "alert" });
  const send = sender(`escalations/${escalation.escalation_id}`, said, done);
  // An API that does not say what one may do refuses what one may not.
  const may = (act) => !Array.isArray(escalation.you_may) || escalation.you_may.includes(act);
  const decide = () => may("decide") && [proposedCalls(escalation) && carryOut(escalation, send), answer(send), backToAgent(escalation, may, send)];
  const forms = escalation.kind === "approval" ? [approval(escalation, may, send)]
    : escalation.kind === "question" ? [may("reply") && reply(escalation, send)] : decide() || [];
  return el("section", { class: "answers", "aria-label": "Your answer" }, forms.filter(Boolean), said);
}

function approval(escalation, may, send) {
  const comment = field("textarea", { id: "comment", rows: 2, maxLength: 2000 });
  const proposed = (proposedCalls(escalation) ?? [])[0];
  const before = stringify(proposed?.arguments ?? {}, 2);
  const other = field("textarea", { id: "arguments", rows: 6, spellcheck: false, value: before });
  const decide = (approve) => (event) => {
    const changed = approve && other.value.trim() !== before ? parsedObject(other.value) : undefined;
    if (changed === null) return complaint(other, "Write one JSON object, such as {\"order_id\": \"O-1001\"}.");
    const calls = changed ? [{ ...proposed, arguments: changed }] : proposedCalls(escalation);
    const effect = escalation.approvals_needed > 1 ? "It is carried out once all who must have approved it." : "It is carried out at once, on real data.";
    return send(event.currentTarget, {
      title: approve ? (changed ? "Approve this call, as you changed it?" : "Approve this call?") : "Reject this call?",
      lines: [...callLines(calls), note(approve ? effect : "It is not carried out. The agent is told so, with your comment.")],
      yes: approve ? "Yes, approve" : "Yes, reject", look: approve ? "primary" : "danger",
      body: { approve, ...(comment.value.trim() ? { comment: comment.value.trim() } : {}),
        ...(changed ? { arguments: changed } : {}), ...(approve && escalation.binding ? { binding: escalation.binding } : {}) },
    });
  };
  return el("form", { class: "card answer-form", "aria-label": "Approve or reject", on: { submit: (event) => event.preventDefault() } },
    !proposed && el("p", { class: "notice warn", text: "The call cannot be shown here, so it cannot be approved here. See it with `ballast trace`." }),
    el("label", { for: "comment", text: "Comment (optional; recorded, and read by the agent)" }), comment,
    proposed && may("change") && el("details", {}, el("summary", { class: "choice", text: "Change the arguments" }),
      el("label", { for: "arguments", text: "What the call is made with, as JSON; it passes the same checks" }), other),
    el("div", { class: "row" }, proposed && may("approve") && button("Approve …", decide(true), "primary"), may("reject") && button("Reject …", decide(false), "danger")));
}

/** The JSON object in `value`, null where there is none. */
function parsedObject(value) {
  try {
    const parsed = parse(value);
    return parsed && typeof parsed === "object" && !Array.isArray(parsed) && !(parsed instanceof Digits) ? parsed : null;
  } catch {
    return null;
  }
}

function carryOut(escalation, send) {
  const proposed = escalation.proposed_decision ?? escalation.proposed;
  const act = (event) => send(event.currentTarget, {
    title: "Carry out what was proposed?", lines: [...callLines(proposedCalls(escalation)), note("It passes the same checks as any call.")],
    yes: "Yes, carry it out", body: { decision: proposed },
  });
  return el("div", { class: "card answer-form" }, button("Carry out what was proposed …", act, "primary"));
}

function answer(send) {
  const say = field("textarea", { id: "say", rows: 3, required: true });
  return form("Answer the requester", [el("label", { for: "say", text: "What the requester shall read; it ends the run" }), say],
    "Answer …", send, () => (say.value.trim()
      ? { title: "End the run with this answer?", lines: [quote(say.value)], yes: "Yes, answer",
        body: { decision: { kind: "answer", text: say.value } } }
      : complaint(say, "Write what the requester shall read.")));
}

/** The requester's reply, or a reviewer's in their place; it goes to the run. */
function reply(escalation, send) {
  const words = field("textarea", { id: "reply", rows: 3, required: true, maxLength: 20000 });
  return form("Reply to the agent", [el("label", { for: "reply", text: "What the agent shall read" }), words], "Reply …", send,
    () => (words.value.trim()
      ? { title: "Send this reply?", lines: [quote(words.value), note("The run goes on with it.")], yes: "Yes, reply",
        path: `runs/${escalation.run_id}/messages`, body: { text: words.value } }
      : complaint(words, "Write what the agent shall read.")), true);
}

function backToAgent(escalation, may, send) {
  const guidance = field("textarea", { id: "guidance", rows: 3, required: true });
  const budget = field("input", { id: "budget", inputMode: "decimal", autocomplete: "off", placeholder: "0.00" });
  const most = microUsd(escalation.you_may_grant_usd);
  const bound = most === null ? "optional" : `optional; you may add up to ${usd(most)}, an operator more`;
  return form("Back to the agent", [
    el("label", { for: "guidance", text: "What it should do differently" }), guidance,
    may("grant") && [el("label", { for: "budget", text: `More budget in US dollars (${bound})` }), budget],
  ], "Back to the agent …", send, () => {
    if (!guidance.value.trim()) return complaint(guidance, "Say what the agent should do differently; without it, it would fail again.");
    const added = budget.value.trim() ? microUsd(budget.value) : 0;
    if (added === null) return complaint(budget, "Write it like 0.25: zero or more, with at most six decimals.");
    if (most !== null && added > most) return complaint(budget, `You may add up to ${usd(most)} to this run. Add less, or ask an operator.`);
    return { title: "Hand the run back to the agent?", yes: "Yes, hand it back",
      lines: [quote(guidance.value), note(added ? `It may spend ${usd(added)} more.` : "It gets time and turns anew, and no more money.")],
      body: { decision: { kind: "hand_over", to: "agent", reason: "guidance", guidance: guidance.value, add_budget_microusd: added } } };
  });
}

/** A form whose `read` returns what to send, or null after it has complained; folded away unless it is `open`. */
export function form(title, fields, label, send, read, open = false) {
  const submit = (event) => {
    event.preventDefault();
    const wanted = read();
    if (wanted) send(event.currentTarget.querySelector("[type=submit]"), wanted);
  };
  return el("details", { class: "card", open }, el("summary", { class: "choice", text: title }),
    el("form", { class: "answer-form", noValidate: true, "aria-label": title, on: { submit } }, fields, el("div", { class: "row" }, el("button", { type: "submit", class: "primary", text: label }))));
}

export function field(tag, props) {
  return el(tag, { ...props, "aria-describedby": `${props.id}-error` });
}

/** Say at the field what is wrong with it, until it changes. */
export function complaint(input, message) {
  const said = el("p", { id: `${input.id}-error`, class: "field-error", role: "alert", text: message });
  document.getElementById(said.id)?.remove();
  input.after(said);
  input.setAttribute("aria-invalid", "true");
  input.addEventListener("input", () => { said.remove(); input.removeAttribute("aria-invalid"); }, { once: true });
  input.focus();
  return null;
}

/** Return what asks for a confirmation, posts to `to` (or the form's own path), and says in `said` what went wrong. */
export function sender(to, said, done) {
  return async (pressed, { title, lines, yes, look, body, path = to }) => {
    if (!await confirmed(title, lines, yes, look)) return pressed.focus();
    const section = said.parentElement;
    const buttons = [...section.querySelectorAll("button")];
    for (const each of buttons) each.disabled = true;
    said.replaceChildren(note("Sending …"));
    try {
      done(await post(path, body));
    } catch (problem) {
      for (const each of buttons) each.disabled = false;
      said.replaceChildren(failure(problem, "The same answer again is harmless: it is taken once."));
    }
  };
}

/** What went wrong, for a person: the problem's title, detail and fields. `again` says whether to repeat is safe. */
export function failure(problem, again = "") {
  if (problem instanceof Problem) {
    return el("div", { class: "notice bad" }, el("b", { class: "untrusted", text: `Not accepted: ${brief(problem.title, 120)} (${problem.status})` }),
      el("p", { class: "untrusted", text: brief(problem.message, 600) }),
      problem.errors.length > 0 && el("ul", {}, problem.errors.slice(0, 20).map(({ field, message }) => el("li", { class: "untrusted" },
        el("code", { text: brief(field, 120) }), ` ${brief(message, 300)}`))));
  }
  const unsure = problem instanceof Unreachable && problem.sent ? `It may have arrived all the same. ${again}` : "";
  return el("div", { class: "notice bad" }, el("b", { text: "Not confirmed." }), el("p", { text: `${text(problem.message)} ${unsure}` }));
}

export function note(line) {
  return el("p", { text: line });
}

function quote(value) {
  return el("blockquote", { class: "untrusted", text: visible(value) });
}
