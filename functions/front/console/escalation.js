// One escalation: what a person is asked, and their answer. As a screen of its own and inside its run's.
import { asId, get } from "./api.js";
import { answerForms } from "./answer.js";
import { badge, el, settle } from "./dom.js";
import { list, object, text } from "./json.js";
import { block, brief } from "./text.js";
import { callLines, proposedCalls } from "./turn.js";
import { age, usd } from "./units.js";
import { meaning } from "./words.js";

const TAKEN = (stillNeeded) => el("p", { class: "notice good", role: "status", text: stillNeeded > 0
  ? `Your approval was taken. ${stillNeeded} more must approve before the run goes on.` : "Your answer was taken. The run goes on with it." });

/** The escalation with `id`. `compact` leaves out the summary: the run around it tells the same. */
export class Escalation {
  title = "Escalation";

  constructor(id, { compact = false, answered = () => {} } = {}) {
    [this.id, this.compact, this.answered] = [asId(id), compact, answered];
    this.node = el("article", { class: "escalation", "aria-label": "Escalation" });
  }

  async refresh(signal) {
    if (!this.id) {
      this.live = false;
      settle(this.node, "no id", () => el("p", { class: "notice bad", text: "This is no escalation's id." }));
      return;
    }
    const escalation = object(await get(`escalations/${this.id}`, {}, signal));
    this.live = escalation.status === "open";
    this.count = this.live ? 1 : 0;
    if (this.sent && this.live) return; // taken a moment ago: nobody should be asked again by an index that lags
    this.draw(escalation);
  }

  // Only what the reader sees is in the signature: what is being typed into a form outlives a refresh.
  draw(escalation) {
    const { status, kind, reason, summary, answered_by, approvals_given, binding, you_may, you_may_not, you_may_grant_usd, corrupt } = escalation;
    const seen = [status, kind, reason, summary, answered_by, approvals_given, binding, you_may, you_may_not, you_may_grant_usd, corrupt, this.sent];
    settle(this.node, seen, () => this.lines({ ...escalation, escalation_id: this.id }));
  }

  lines(escalation) {
    const run = asId(escalation.run_id);
    const calls = proposedCalls(escalation);
    const approval = escalation.kind === "approval";
    const question = approval ? "May this call happen?" : escalation.kind === "question" ? "The agent asks the requester" : "What shall happen?";
    return [
      this.sent && TAKEN(this.stillNeeded),
      el("header", {},
        el(this.compact ? "h2" : "h1", {}, `${question} `, badge(this.live ? ["open", "warn"] : [brief(escalation.status, 30) || "closed", "plain"])),
        el("p", {}, `Asked because ${brief(meaning(escalation.reason), 200) || "the log does not say why"}. `,
          this.live && [age(escalation.opened_at, { since: "Waits" }), escalation.answer_by ? ", " : "",
            escalation.answer_by && age(escalation.answer_by, { until: "gives up" }), "."]),
        !this.compact && run && el("p", {}, el("a", { href: `#/runs/${run}`, text: "See the whole run" }),
          escalation.tenant && el("span", { class: "dim untrusted", text: ` · tenant ${brief(escalation.tenant, 120)}` }))),
      text(escalation.corrupt) && el("p", { class: "notice bad untrusted", text: `The log's entry of what was proposed cannot be read: ${brief(escalation.corrupt, 300)}` }),
      calls && el("section", { class: "proposed", "aria-label": "Proposed" }, el("h2", { text: "Proposed" }), callLines(calls)),
      approval ? approvalLines(escalation) : partiesLine(escalation),
      !this.compact && this.live && this.forms(escalation),
      !this.compact && el("section", { "aria-label": "Summary" }, el("h2", { text: "What happened" }),
        block(escalation.summary || "The escalation holds no summary.", { className: "summary", limit: 3000 })),
      this.compact && this.live && this.forms(escalation),
      escalation.status === "answered" && answerGiven(escalation),
      escalation.status === "expired" && el("p", { class: "notice warn", text: "Nobody waits for an answer any more: the run has gone on, or has ended." }),
    ].filter(Boolean);
  }

  forms(escalation) {
    const mayNot = text(escalation.you_may_not);
    if (mayNot) return el("p", { class: "notice untrusted", text: `You cannot answer it. ${brief(mayNot, 300)}` });
    return answerForms(escalation, (taken) => {
      [this.sent, this.live, this.stillNeeded] = [true, false, object(taken).still_needed];
      settle(this.node, "sent", () => TAKEN(this.stillNeeded));
      this.answered();
    });
  }
}

const names = (values) => brief(list(values).map(text).filter(Boolean).join(", "), 400);

/** Who does not decide, because it is their own run. */
function partiesLine({ may_not_answer: mayNot }) {
  return list(mayNot).length > 0 && el("p", { class: "dim untrusted", text: `${names(mayNot)} asked for this run: somebody else decides.` });
}

/** Why a person must approve, how many, of which group, who has, who may not, and whether it is as it was proposed. */
function approvalLines({ why, approvals_needed: needed, approvals_given: given, approvers, may_not_answer: mayNot, changed_by: changedBy }) {
  const lines = [
    list(why).length > 0 && `A person must approve because ${names(why)}.`,
    needed > 1 && `Approved by ${list(given).length} of ${needed} people${list(given).length ? `: ${names(given)}` : ""}.`,
    text(approvers) && `Only members of ${brief(approvers, 80)} may approve it.`,
    list(mayNot).length > 0 && `${names(mayNot)} asked for this run, proposed this call or changed it, and may not approve it.`,
    text(changedBy) && `${brief(changedBy, 200)} has changed the arguments.`,
  ].filter(Boolean);
  return lines.length > 0 && el("section", { class: "approval-facts", "aria-label": "Approval" }, lines.map((line) => el("p", { class: "untrusted", text: line })));
}

/** What somebody answered, read-only. */
function answerGiven(escalation) {
  const decision = object(escalation.decision ?? object(escalation.answer).decision);
  const approve = escalation.approve ?? object(escalation.answer).approve;
  const comment = text(escalation.comment ?? object(escalation.answer).comment);
  return el("section", { class: "card given", "aria-label": "The answer" },
    el("h2", { text: "Answered" }),
    el("p", {}, typeof approve === "boolean" && badge(approve ? ["approved", "good"] : ["REJECTED", "bad"]),
      el("span", { class: "untrusted", text: ` by ${brief(escalation.answered_by ?? escalation.by, 128) || "somebody"} ` }),
      escalation.answered_at && age(escalation.answered_at)),
    comment && block(comment),
    !decision.kind && typeof approve !== "boolean" && el("p", { class: "dim", text: "What it was is in the run's timeline." }),
    decision.kind === "answer" && block(decision.text, { className: "answer" }),
    decision.kind === "hand_over" && el("p", { class: "untrusted", text: `Back to ${brief(decision.to, 40)}: ${brief(decision.guidance, 600)}` }),
    Number.isSafeInteger(decision.add_budget_microusd) && decision.add_budget_microusd > 0
      && el("p", { text: `${usd(decision.add_budget_microusd)} more budget` }),
    decision.kind === "call_tools" && callLines(proposedCalls({ proposed: decision })));
}
