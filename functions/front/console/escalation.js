// One escalation: what a person is asked, and the forms to answer it. A screen of its own, and a part of its run's.
import { asId, get } from "./api.js";
import { badge, block, brief, button, complaint, el, field, form, note, quote, redraw, sender } from "./dom.js";
import { Digits, list, object, parse, stringify, text } from "./json.js";
import { callLines, proposedCalls } from "./turn.js";
import { age, meaning, microUsd, usd } from "./words.js";

const TAKEN = (stillNeeded) =>
  el("p", {
    class: "notice good",
    role: "status",
    text:
      stillNeeded > 0
        ? `Your approval was taken. ${stillNeeded} more must approve before the run goes on.`
        : "Your answer was taken. The run goes on with it.",
  });

/** The escalation with `id`. `compact` leaves out the summary, for a page that shows the run. */
export class Escalation {
  title = "Escalation";

  constructor(id, { compact = false, answered = () => {} } = {}) {
    [this.id, this.compact, this.answered] = [asId(id), compact, answered];
    this.node = el("article", { class: "escalation", "aria-label": "Escalation" });
  }

  async refresh(signal) {
    if (!this.id) {
      this.live = false;
      redraw(this.node, "no id", () => el("p", { class: "notice bad", text: "This is not the id of an escalation." }));
      return;
    }
    const escalation = object(await get(`escalations/${this.id}`, {}, signal));
    this.live = escalation.status === "open";
    this.count = this.live ? 1 : 0;
    if (this.sent && this.live) return; // answered a moment ago; the index may lag
    this.draw(escalation);
  }

  // The signature has only what the reader sees, so that a form that is being filled in outlives a refresh.
  draw(escalation) {
    const {
      status,
      kind,
      reason,
      summary,
      answered_by,
      approvals_given,
      binding,
      you_may,
      you_may_not,
      you_may_grant_usd,
      corrupt,
    } = escalation;
    const seen = [
      status,
      kind,
      reason,
      summary,
      answered_by,
      approvals_given,
      binding,
      you_may,
      you_may_not,
      you_may_grant_usd,
      corrupt,
      this.sent,
    ];
    redraw(this.node, seen, () => this.lines({ ...escalation, escalation_id: this.id }));
  }

  lines(escalation) {
    const run = asId(escalation.run_id);
    const calls = proposedCalls(escalation);
    const approval = escalation.kind === "approval";
    const title = approval
      ? "May this call happen?"
      : escalation.kind === "question"
        ? "The agent asks the requester"
        : "What should happen?";
    return [
      this.sent && TAKEN(this.stillNeeded),
      el(
        "header",
        {},
        el(
          this.compact ? "h2" : "h1",
          {},
          `${title} `,
          badge(this.live ? ["open", "warn"] : [brief(escalation.status, 30) || "closed", "plain"]),
        ),
        el(
          "p",
          {},
          `Opened because ${brief(meaning(escalation.reason), 200) || "the log does not say why"}. `,
          this.live && [
            age(escalation.opened_at, { since: "Waits" }),
            escalation.answer_by ? ", " : "",
            escalation.answer_by && age(escalation.answer_by, { until: "expires" }),
            ".",
          ],
        ),
        !this.compact &&
          run &&
          el(
            "p",
            {},
            el("a", { href: `#/runs/${run}`, text: "See the whole run" }),
            escalation.tenant &&
              el("span", { class: "dim untrusted", text: ` · tenant ${brief(escalation.tenant, 120)}` }),
          ),
      ),
      text(escalation.corrupt) &&
        el("p", {
          class: "notice bad untrusted",
          text: `The log's entry of the proposed decision is not shown: ${brief(escalation.corrupt, 300)}`,
        }),
      calls &&
        el(
          "section",
          { class: "proposed", "aria-label": "Proposed" },
          el("h2", { text: "Proposed" }),
          callLines(calls),
        ),
      approval ? approvalLines(escalation) : partiesLine(escalation),
      !this.compact && this.live && this.forms(escalation),
      !this.compact &&
        el(
          "section",
          { "aria-label": "Summary" },
          el("h2", { text: "What happened" }),
          block(escalation.summary || "The escalation has no summary.", { className: "summary", limit: 3000 }),
        ),
      this.compact && this.live && this.forms(escalation),
      escalation.status === "answered" && answerGiven(escalation),
      escalation.status === "expired" &&
        el("p", { class: "notice warn", text: "The run no longer waits for an answer: it has gone on, or has ended." }),
    ].filter(Boolean);
  }

  forms(escalation) {
    const mayNot = text(escalation.you_may_not);
    if (mayNot) return el("p", { class: "notice untrusted", text: `You cannot answer this. ${brief(mayNot, 300)}` });
    return answerForms(escalation, (taken) => {
      [this.sent, this.live, this.stillNeeded] = [true, false, object(taken).still_needed];
      redraw(this.node, "sent", () => TAKEN(this.stillNeeded));
      this.answered();
    });
  }
}

const names = (values) => brief(list(values).map(text).filter(Boolean).join(", "), 400);

/** The people who may not decide, because it is their own run. */
function partiesLine({ may_not_answer: mayNot }) {
  return (
    list(mayNot).length > 0 &&
    el("p", { class: "dim untrusted", text: `${names(mayNot)} asked for this run, so somebody else must decide.` })
  );
}

/** Why people must approve, how many, of which group, who has, who may not, and who has changed the arguments. */
function approvalLines({
  why,
  approvals_needed: needed,
  approvals_given: given,
  approvers,
  may_not_answer: mayNot,
  changed_by: changedBy,
}) {
  const lines = [
    list(why).length > 0 && `A person must approve because ${names(why)}.`,
    needed > 1 &&
      `Approved by ${list(given).length} of ${needed} people${list(given).length ? `: ${names(given)}` : ""}.`,
    text(approvers) && `Only members of ${brief(approvers, 80)} may approve it.`,
    list(mayNot).length > 0 &&
      `${names(mayNot)} asked for this run, proposed or changed this call, or guided the agent to it, ` +
        "and may not approve it.",
    text(changedBy) && `${brief(changedBy, 200)} has changed the arguments.`,
  ].filter(Boolean);
  return (
    lines.length > 0 &&
    el(
      "section",
      { class: "approval-facts", "aria-label": "Approval" },
      lines.map((line) => el("p", { class: "untrusted", text: line })),
    )
  );
}

/** Who has answered, and when. The run's timeline has the answer itself. */
function answerGiven({ answered_by: by, answered_at: at }) {
  return el(
    "section",
    { class: "card given", "aria-label": "The answer" },
    el("h2", { text: "Answered" }),
    el("p", {}, el("span", { class: "untrusted", text: `by ${brief(by, 128) || "somebody"} ` }), at && age(at)),
    el("p", { class: "dim", text: "The run's timeline has the answer." }),
  );
}

// ── the ways to answer ──

/** Return the forms that the caller may use. `done(answer)` is called once the API has taken an answer. */
function answerForms(escalation, done) {
  const said = el("div", { class: "outcome", role: "alert" });
  const send = sender(`escalations/${escalation.escalation_id}`, said, done);
  // If the API does not say what the caller may do, it still refuses what the caller may not.
  const may = (act) => !Array.isArray(escalation.you_may) || escalation.you_may.includes(act);
  const decide = () =>
    may("decide") && [
      proposedCalls(escalation) && carryOut(escalation, send),
      answer(send),
      backToAgent(escalation, may, send),
    ];
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
    const effect =
      escalation.approvals_needed > 1
        ? "It is carried out once enough people have approved it."
        : "It is carried out at once, on real data.";
    return send(event.currentTarget, {
      title: approve ? (changed ? "Approve this call, as you changed it?" : "Approve this call?") : "Reject this call?",
      lines: [
        ...callLines(calls),
        note(approve ? effect : "It is not carried out. The agent is told so, with your comment."),
      ],
      yes: approve ? "Yes, approve" : "Yes, reject",
      look: approve ? "primary" : "danger",
      body: {
        approve,
        ...(comment.value.trim() ? { comment: comment.value.trim() } : {}),
        ...(changed ? { arguments: changed } : {}),
        ...(approve && escalation.binding ? { binding: escalation.binding } : {}),
      },
    });
  };
  return el(
    "form",
    { class: "card answer-form", "aria-label": "Approve or reject", on: { submit: (event) => event.preventDefault() } },
    !proposed &&
      el("p", {
        class: "notice warn",
        text: "The call cannot be shown here, so it cannot be approved here. To see it, use `ballast trace`.",
      }),
    el("label", { for: "comment", text: "Comment (optional; it is recorded, and the agent reads it)" }),
    comment,
    proposed &&
      may("change") &&
      el(
        "details",
        {},
        el("summary", { class: "choice", text: "Change the arguments" }),
        el("label", { for: "arguments", text: "The call's arguments as JSON; they pass the same checks" }),
        other,
      ),
    el(
      "div",
      { class: "row" },
      proposed && may("approve") && button("Approve …", decide(true), "primary"),
      may("reject") && button("Reject …", decide(false), "danger"),
    ),
  );
}

/** The JSON object in `value`; null if it is not one. */
function parsedObject(value) {
  try {
    const parsed = parse(value);
    return parsed && typeof parsed === "object" && !Array.isArray(parsed) && !(parsed instanceof Digits)
      ? parsed
      : null;
  } catch {
    return null;
  }
}

function carryOut(escalation, send) {
  const proposed = escalation.proposed_decision ?? escalation.proposed;
  const act = (event) =>
    send(event.currentTarget, {
      title: "Carry out the proposed calls?",
      lines: [...callLines(proposedCalls(escalation)), note("They pass the same checks as any call.")],
      yes: "Yes, carry it out",
      body: { decision: proposed },
    });
  return el("div", { class: "card answer-form" }, button("Carry out the proposed calls …", act, "primary"));
}

function answer(send) {
  const say = field("textarea", { id: "say", rows: 3, required: true });
  return form(
    "Answer the requester",
    [el("label", { for: "say", text: "Text for the requester; it ends the run" }), say],
    "Answer …",
    send,
    () =>
      say.value.trim()
        ? {
            title: "End the run with this answer?",
            lines: [quote(say.value)],
            yes: "Yes, answer",
            body: { decision: { kind: "answer", text: say.value } },
          }
        : complaint(say, "Write a text for the requester."),
  );
}

/** The requester's reply, or a reviewer's in their place. It is posted to the run. */
function reply(escalation, send) {
  const words = field("textarea", { id: "reply", rows: 3, required: true, maxLength: 20000 });
  return form("Reply to the agent", [el("label", { for: "reply", text: "Text for the agent" }), words], "Reply …", send,
    () => (words.value.trim()
      ? { title: "Send this reply?", lines: [quote(words.value), note("The run goes on with it.")], yes: "Yes, reply",
        path: `runs/${escalation.run_id}/messages`, body: { text: words.value } }
      : complaint(words, "Write a text for the agent.")), true);
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
    if (!guidance.value.trim())
      return complaint(guidance, "Say what the agent should do differently; without guidance it would fail again.");
    const added = budget.value.trim() ? microUsd(budget.value) : 0;
    if (added === null) return complaint(budget, "Write it like 0.25: zero or more, with at most six decimals.");
    if (most !== null && added > most)
      return complaint(budget, `You may add up to ${usd(most)} to this run. Add less, or ask an operator.`);
    return {
      title: "Hand the run back to the agent?",
      yes: "Yes, hand it back",
      lines: [
        quote(guidance.value),
        note(added ? `It may spend ${usd(added)} more.` : "It gets new time and turns, but no more money."),
      ],
      body: {
        decision: {
          kind: "hand_over",
          to: "agent",
          reason: "guidance",
          guidance: guidance.value,
          add_budget_microusd: added,
        },
      },
    };
  });
}
