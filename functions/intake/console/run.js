// One run: its header, what it waits for, and its timeline.
import { asId, get, post } from "./api.js";
import { failure } from "./answer.js";
import { badge, button, confirmed, el, keyed, settle } from "./dom.js";
import { Escalation } from "./escalation.js";
import { fold } from "./fold.js";
import { may } from "./me.js";
import { list, object, text } from "./reading.js";
import { block, brief } from "./text.js";
import { otherEntry, turnCard, unreadEntry } from "./turn.js";
import { age, instant, microUsd, span, usd } from "./units.js";
import { count, meaning, statusLook } from "./words.js";

const LIVE = ["running", "waiting"];
const PAGE = "200";
const PAGES_A_REFRESH = 25;
const TURNS_SHOWN = 40;

/** The run with `id`. */
export class Run {
  title = "Run";

  constructor(id) {
    this.id = asId(id);
    this.entries = new Map(); // by key: an entry never changes
    this.shownTurns = TURNS_SHOWN;
    [this.head, this.asks] = [el("section", { class: "run-head", "aria-label": "Run" }), el("div")];
    this.earlier = el("div", { class: "row" });
    this.turns = el("ol", { class: "timeline", "aria-label": "Timeline" });
    this.end = el("div");
    this.node = el("article", {}, this.head, this.asks, el("h2", { text: "Timeline" }), this.earlier, this.turns, this.end);
  }

  async refresh(signal) {
    if (!this.id) {
      this.live = false;
      settle(this.head, "no id", () => el("p", { class: "notice bad", text: "This is no run's id." }));
      return;
    }
    const path = `runs/${this.id}`;
    this.run = object(await get(path, {}, signal));
    this.live = LIVE.includes(this.run.status);
    await this.readLog(`${path}/events`, signal);
    this.draw();
    await this.asking?.refresh(signal);
  }

  /** Read what is new. The newest turn is read again: within a turn, entries do not come in the order of their keys. */
  async readLog(path, signal) {
    let after = this.resumeAt ?? "";
    for (let page = 0; page < PAGES_A_REFRESH; page += 1) {
      const answer = await get(path, { limit: PAGE, after }, signal);
      for (const entry of list(answer.events).map(object)) this.entries.set(text(entry.seq) || JSON.stringify(entry), entry);
      after = text(answer.next);
      if (!after) break;
    }
    this.unread = after;
    const keys = [...this.entries.keys()].filter((seq) => /^\d{4}\./.test(seq) && !seq.startsWith("9999.")).sort();
    const newest = keys.at(-1)?.slice(0, 4);
    this.resumeAt = after || keys.filter((seq) => seq.slice(0, 4) < newest).at(-1);
  }

  draw() {
    const told = fold([...this.entries.values()]);
    this.drawHead(told);
    this.drawAsking(told);
    const from = Math.max(0, told.turns.length - this.shownTurns);
    settle(this.earlier, from, () => from > 0 && button(`Show ${count(from, "earlier turn")}`, () => { this.shownTurns = Infinity; this.draw(); }));
    keyed(this.turns, told.turns.slice(from), {
      key: ({ turn }) => String(turn), signature: ({ seqs, planner, ceiling, handOver }) => [seqs, planner, ceiling, handOver],
      build: (turn) => turnCard(turn, told.at),
    });
    const outside = told.unread.filter(({ turn }) => turn <= 0 || turn >= 9999);
    settle(this.end, [told.other.length, outside.length, this.unread, told.turns.length === 0, this.live], () => [
      told.turns.length === 0 && el("p", { class: "dim", text: this.live ? "No turn yet." : "The log holds no turn." }),
      this.unread && el("p", { class: "notice warn", text: "The log is longer than what is shown. Refresh reads on." }),
      ...outside.map(unreadEntry), ...told.other.map(otherEntry)]);
  }

  drawHead(told) {
    const { run } = this;
    const spent = microUsd(run.cost_usd) ?? told.spent;
    const ceiling = told.ceiling ?? microUsd(run.ceiling_usd);
    this.count = run.status === "waiting" ? 1 : 0;
    settle(this.head, [run, spent, told.reserved, ceiling, told.turns.length], () => {
      const [label, look] = statusLook(run.status, run.degraded === true);
      const by = run.by ? ` by ${brief(run.by, 60)}` : "";
      const said = text(object(told.opened.request).text) || text(run.text);
      return [
        el("h1", {}, badge([brief(label, 40), `${look} big`]), el("span", { text: by })),
        run.reason && el("p", { class: "reason untrusted", text: `${brief(meaning(run.reason), 240)} (${brief(run.reason, 80)})` }),
        corruptLines(run),
        moneyBar(spent, told.reserved, ceiling),
        correctedLine(run.corrected),
        el("p", { class: "figures" }, count(Math.max(told.turns.length, run.turns ?? 0), "turn"), " · ", ...duration(run)),
        said && el("div", { class: "labelled" }, el("span", { class: "label", text: "request" }), block(said)),
        text(run.answer) && el("div", { class: "labelled" }, el("span", { class: "label", text: "answer" }), block(run.answer, { className: "answer" })),
        text(told.refused?.message) && block(told.refused.message, { className: "said" }),
        el("details", {}, el("summary", { class: "dim untrusted", text: brief(run.run_id, 80) }),
          el("dl", { class: "arguments" }, facts(run, told).map(([name, value]) => el("div", {},
            el("dt", { text: name }), el("dd", {}, block(value)))))),
        this.live && may("cancel") && el("div", { class: "row" }, button("Cancel the run …", (event) => this.cancel(event.currentTarget), "danger")),
        el("div", { class: "outcome", role: "alert" }),
      ];
    });
  }

  /** Show the open escalation with its actions, and leave it alone while somebody answers it. */
  drawAsking(told) {
    const last = told.turns.at(-1);
    const waiting = last?.calls.find(({ outcome }) => outcome === "waiting")?.approval.id;
    const asked = last?.asked && !last.asked.answer ? last.asked.escalation_id : null;
    const id = this.live ? asId(this.run.escalation_id ?? waiting ?? asked) : null;
    if (id === (this.asking?.id ?? null) || (!id && this.asking?.sent)) return; // what was just answered stays in sight
    this.asking = id ? new Escalation(id, { compact: true, answered: () => this.changed?.() }) : null;
    this.asks.replaceChildren(...(this.asking ? [this.asking.node] : []));
  }

  async cancel(pressed) {
    const lines = [el("p", { text: "It stops before its next step. What it has done already stays done: nothing is rolled back." })];
    if (!await confirmed("Cancel this run?", lines, "Yes, cancel it", "danger")) return pressed.focus();
    const said = this.head.querySelector(".outcome");
    pressed.disabled = true;
    try {
      await post(`runs/${this.id}/cancel`);
      said.replaceChildren(el("p", { class: "notice good", text: "The run is being cancelled." }));
      this.changed?.();
    } catch (problem) {
      pressed.disabled = false;
      said.replaceChildren(failure(problem, "Cancelling again is harmless."));
    }
  }
}

/** What of the log cannot be read: what is shown may lack what it said. */
function corruptLines(run) {
  const found = list(run.corrupt).map(object);
  if (!found.length && run.status !== "corrupt") return null;
  const says = found.length ? `${count(found.length, "entry of the log", "entries of the log")} cannot be read, and what is shown may lack what they said:` : "The log cannot be read where it says how the run stands.";
  return el("div", { class: "notice bad" }, el("b", { text: says }),
    el("ul", {}, found.slice(0, 20).map(({ seq, why }) => el("li", { class: "untrusted", text: `${brief(seq, 80)} ${brief(why, 200)}` }))),
    el("p", { text: "See “The log was touched” in docs/operating.md." }));
}

function moneyBar(spent, reserved, ceiling) {
  const words = `${usd(spent)}${reserved ? ` spent, ${usd(reserved)} reserved` : ""}${ceiling === null ? "" : ` of ${usd(ceiling)}`}`;
  const bar = ceiling > 0 && el("meter", {
    min: 0, max: ceiling, low: Math.floor(ceiling * 0.6), high: Math.floor(ceiling * 0.85), optimum: 0,
    value: Math.min(ceiling, spent + reserved), "aria-label": `Cost: ${words}`,
  });
  return el("div", { class: "bar-line" }, el("span", { class: "money", text: words }), bar);
}

/** What an operator says that the run cost instead: beside what its log counts. */
function correctedLine(said) {
  const one = object(said);
  const cost = microUsd(one.cost_usd);
  if (cost === null) return null;
  const why = text(one.reason) ? `: ${brief(one.reason, 500)}` : "";
  return el("p", { class: "corrected untrusted", text: `corrected to ${usd(cost)}, by ${brief(one.by, 256)}${why}` });
}

function duration(run) {
  const [from, to] = [instant(run.opened_at), instant(run.ended_at)];
  const took = from !== null && to !== null ? [`took ${span(to - from)} · `] : [];
  const late = run.status === "running" && instant(run.deadline_at) !== null && Date.now() > instant(run.deadline_at);
  return [...took, age(run.opened_at, { since: "started" }), from === null ? "" : " ago",
    late && el("span", { class: "error-name", text: " · past its deadline" })].filter(Boolean);
}

function facts(run, told) {
  const request = object(told.opened.request);
  return [["run", run.run_id], ["request", run.request_id], ["tenant", run.tenant], ["agent", run.agent], ["intent", run.intent],
    ["model", told.opened.model], ["context", request.context], ["limits", told.opened.limits], ["opened", run.opened_at],
    ["ended", run.ended_at]].filter(([, value]) => value && (typeof value !== "object" || Object.keys(value).length));
}
