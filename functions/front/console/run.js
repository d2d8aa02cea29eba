// One run: its header, its escalation, its timeline, and the raw events.
import { asId, get, may, post } from "./api.js";
import { badge, block, brief, button, confirmed, el, failure, keyed, redraw } from "./dom.js";
import { Escalation } from "./escalation.js";
import { filesLine, numberedFiles } from "./files.js";
import { list, object, text, whole } from "./json.js";
import { turnCard, unknownEntry, unreadableEntry } from "./turn.js";
import { Why } from "./why.js";
import { age, count, instant, meaning, microUsd, money, span, statusLook, usd } from "./words.js";

const LIVE = ["running", "waiting"];
const PAGE = "100";
const PAGES_A_REFRESH = 25;
const TURNS_SHOWN = 40;

/** The run with `id`. */
export class Run {
  title = "Run";

  constructor(id) {
    this.id = asId(id);
    this.turns = new Map(); // by number
    this.shownTurns = TURNS_SHOWN;
    this.top = el("div", { class: "run-head" });
    this.why = new Why(`runs/${this.id}`);
    [this.head, this.asks] = [el("section", { class: "run-head", "aria-label": "Run" }), el("div")];
    this.earlier = el("div", { class: "row" });
    this.cards = el("ol", { class: "timeline", "aria-label": "Timeline" });
    this.end = el("div");
    this.raw = new RawEvents(this.id);
    this.node = el(
      "article",
      {},
      this.top,
      this.why.node,
      this.head,
      this.asks,
      el("h2", { text: "Timeline" }),
      this.earlier,
      this.cards,
      this.end,
      this.raw.node,
    );
  }

  async refresh(signal) {
    if (!this.id) {
      this.live = false;
      redraw(this.head, "no id", () => el("p", { class: "notice bad", text: "This is no run's id." }));
      return;
    }
    const path = `runs/${this.id}`;
    this.run = object(await get(path, {}, signal));
    this.live = LIVE.includes(this.run.status);
    await this.readTimeline(`${path}/timeline`, signal);
    const { status, reason, escalation_id: asked, cost_usd: cost } = this.run;
    await this.why.refresh([status, reason, asked, cost, this.turns.size], signal);
    this.draw();
    await this.asking?.refresh(signal);
  }

  /** Read new turns. The newest two are read again: they may still change. */
  async readTimeline(path, signal) {
    let after = this.resumeAt ?? 0;
    for (let page = 0; page < PAGES_A_REFRESH; page += 1) {
      const answer = await get(path, { limit: PAGE, after: after > 0 && String(after) }, signal);
      this.timeline = answer; // its header is whole on every page
      for (const turn of list(answer.turns).map(object)) if (whole(turn.turn) !== null) this.turns.set(turn.turn, turn);
      this.unread = whole(answer.next);
      if (this.unread === null || this.unread <= after) break;
      after = this.unread;
    }
    this.resumeAt = this.unread ?? Math.max(0, ...this.turns.keys()) - 1;
  }

  draw() {
    const turns = [...this.turns.values()].sort((one, other) => one.turn - other.turn);
    this.drawHead(turns);
    this.drawAsking(turns.at(-1));
    const from = Math.max(0, turns.length - this.shownTurns);
    redraw(
      this.earlier,
      from,
      () =>
        from > 0 &&
        button(`Show ${count(from, "earlier turn")}`, () => {
          this.shownTurns = Infinity;
          this.draw();
        }),
    );
    const files = numberedFiles(this.run, this.timeline, turns);
    const cards = turns.slice(from).map((turn) => ({ turn, files: files.get(turn) }));
    keyed(this.cards, cards, {
      key: ({ turn }) => String(turn.turn),
      signature: (card) => [card.turn, card.files],
      build: (card) => turnCard(card.turn, (at) => filesLine(this.id, card.files[at])),
    });
    const outside = list(this.timeline.unreadable).map(object).filter(({ turn }) => !this.turns.has(turn));
    const unknown = list(this.timeline.unknown).map(text);
    redraw(this.end, [outside, unknown, this.unread, turns.length === 0, this.live], () => [
      turns.length === 0 && el("p", { class: "dim", text: this.live ? "No turn yet." : "The log holds no turn." }),
      this.unread !== null &&
        el("p", { class: "notice warn", text: "The run has more turns than are shown. Refresh to read on." }),
      ...outside.map(unreadableEntry),
      ...unknown.map(unknownEntry),
    ]);
  }

  drawHead(turns) {
    const { run, timeline } = this;
    const header = { ...timeline, turns: turns.length };
    this.count = run.status === "waiting" ? 1 : 0;
    redraw(this.top, [run.status, run.degraded, run.by], () => {
      const [label, look] = statusLook(run.status, run.degraded === true);
      const by = run.by ? ` by ${brief(run.by, 60)}` : "";
      return el("h1", {}, badge([brief(label, 40), `${look} big`]), by && el("span", { class: "untrusted", text: by }));
    });
    redraw(this.head, [run, header, this.why.says], () => {
      const said = text(object(timeline.request).text) || text(run.text);
      return [
        !this.why.says &&
          text(timeline.ending) &&
          el("p", { class: "ending untrusted", text: brief(timeline.ending, 500) }),
        !this.why.says &&
          run.reason &&
          el("p", { class: "reason untrusted", text: `${brief(meaning(run.reason), 240)} (${brief(run.reason, 80)})` }),
        corruptLines(run),
        moneyBar(timeline),
        correctedLine(timeline.corrected),
        ...feedbackLines(timeline.feedback),
        el(
          "p",
          { class: "figures" },
          count(Math.max(turns.at(-1)?.turn ?? 0, whole(run.turns) ?? 0), "turn"),
          " · ",
          ...duration(run),
        ),
        said && el("div", { class: "labelled" }, el("span", { class: "label", text: "request" }), block(said)),
        filesLine(
          this.id,
          list(run.attachments)
            .map(object)
            .map((file, at) => ({ file, number: at + 1 })),
        ),
        text(run.answer) &&
          el(
            "div",
            { class: "labelled" },
            el("span", { class: "label", text: "answer" }),
            block(run.answer, { className: "answer" }),
          ),
        text(run.message) && block(run.message, { className: "said" }),
        el(
          "details",
          {},
          el("summary", { class: "dim untrusted", text: brief(run.run_id, 80) }),
          el(
            "dl",
            { class: "arguments" },
            facts(run, timeline).map(([name, value]) =>
              el("div", {}, el("dt", { text: name }), el("dd", {}, block(value))),
            ),
          ),
        ),
        this.live &&
          may("cancel") &&
          el(
            "div",
            { class: "row" },
            button("Cancel the run …", (event) => this.cancel(event.currentTarget), "danger"),
          ),
        el("div", { class: "outcome", role: "alert" }),
      ];
    });
  }

  /** Show the open escalation with its forms, and do not touch it while somebody answers it. */
  drawAsking(last) {
    const waiting = list(last?.calls)
      .map(object)
      .find(({ outcome }) => outcome === "waiting");
    const asked = object(last?.escalation);
    const open = text(asked.by) || text(asked.answered_at) ? null : asked.escalation_id;
    const id = this.live
      ? asId(this.run.escalation_id ?? object(list(waiting?.approvals).at(-1)).escalation_id ?? open)
      : null;
    // An escalation that was just answered stays in sight.
    if (id === (this.asking?.id ?? null) || (!id && this.asking?.sent)) return;
    this.asking = id ? new Escalation(id, { compact: true, answered: () => this.changed?.() }) : null;
    this.asks.replaceChildren(...(this.asking ? [this.asking.node] : []));
  }

  async cancel(pressed) {
    const lines = [el("p", { text: "It stops before its next step. Its effects stay: nothing is rolled back." })];
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

/** The entries of the log that cannot be read. */
function corruptLines(run) {
  const found = list(run.corrupt).map(object);
  if (!found.length && run.status !== "corrupt") return null;
  const says = found.length
    ? `${count(found.length, "entry of the log", "entries of the log")} cannot be read, so this page may be incomplete:`
    : "The entry of the log that gives the run's status cannot be read.";
  return el(
    "div",
    { class: "notice bad" },
    el("b", { text: says }),
    el(
      "ul",
      {},
      found
        .slice(0, 20)
        .map(({ seq, why }) => el("li", { class: "untrusted", text: `${brief(seq, 80)} ${brief(why, 200)}` })),
    ),
    el("p", { text: "See “The log was touched” in docs/operating.md." }),
  );
}

/** What is spent and reserved of the ceiling, for models and tools. */
function moneyBar({ spent_microusd: spent, reserved_microusd: reserved, ceilings }) {
  const [sure, open, ceiling] = [whole(spent) ?? 0, whole(reserved) ?? 0, whole(object(ceilings).cost_microusd)];
  const said = (amount) => {
    const reserved = open > 0 ? ` spent, ${amount(open)} reserved` : "";
    return `${amount(sure)}${reserved}${ceiling === null ? "" : ` of ${amount(ceiling)}`}`;
  };
  const bar = ceiling > 0 && el("meter", {
    min: 0, max: ceiling, low: Math.floor(ceiling * 0.6), high: Math.floor(ceiling * 0.85), optimum: 0,
    value: Math.min(ceiling, sure + open), "aria-label": `Cost: ${said(money)}`,
  });
  return el("div", { class: "bar-line" }, el("span", { class: "money", text: said(money), title: said(usd) }), bar);
}

/** An operator's correction of the cost, beside the cost by the log. */
function correctedLine(said) {
  const { charged_microusd: cost, by, reason } = object(said);
  if (whole(cost) === null) return null;
  const why = text(reason) ? `: ${brief(reason, 500)}` : "";
  return el("p", {
    class: "corrected untrusted",
    text: `corrected to ${money(cost)}, by ${brief(by, 256)}${why}`,
    title: usd(cost),
  });
}

/** What people say of the run, each person's newest words. */
function feedbackLines(said) {
  return list(said).map(object).map(({ verdict, by, note }) => el("p", {
    class: "corrected untrusted",
    text: `${brief(verdict, 20)}, says ${brief(by, 256)}${text(note) ? `: ${brief(note, 2000)}` : ""}`,
  }));
}

function duration(run) {
  const [from, to] = [instant(run.opened_at), instant(run.ended_at)];
  const took = from !== null && to !== null ? [`took ${span(to - from)} · `] : [];
  const late = run.status === "running" && instant(run.deadline_at) !== null && Date.now() > instant(run.deadline_at);
  return [...took, age(run.opened_at, { since: "started" }), from === null ? "" : " ago",
    late && el("span", { class: "error-name", text: " · past its deadline" })].filter(Boolean);
}

function facts(run, timeline) {
  const limits = Object.fromEntries(Object.entries(object(timeline.ceilings)).filter(([, limit]) => limit !== null));
  const { spent_microusd: spent, reserved_microusd: reserved, money: sums } = timeline;
  const by = (ones) =>
    Object.fromEntries(
      list(ones)
        .map(object)
        .map((one) => [text(one.name), usd(whole(one.charged_microusd))]),
    );
  return [
    ["run", run.run_id],
    ["request", run.request_id],
    ["tenant", run.tenant],
    ["agent", run.agent],
    ["intent", run.intent],
    ["on behalf of", list(timeline.on_behalf).length > 0 &&
      `${text(timeline.requested_by)} (${list(timeline.on_behalf).map(text).join(", ")})`],
    ["model", timeline.model],
    ["context", object(timeline.request).context],
    ["limits", limits],
    ["spent", usd(whole(spent))],
    ["reserved", whole(reserved) > 0 && usd(reserved)],
    ["models", by(object(sums).models)],
    ["tools", by(object(sums).tools)],
    ["effects", timeline.effects],
    ["opened", run.opened_at],
    ["ended", run.ended_at],
  ].filter(([, value]) => value && (typeof value !== "object" || Object.keys(value).length));
}

/** The log, entry by entry, for what the timeline does not show. Read on request. */
class RawEvents {
  constructor(id) {
    this.path = `runs/${id}/events`;
    this.seen = new Set();
    this.after = "";
    this.entries = el("ol", { class: "raw", "aria-label": "Raw events" });
    this.more = button("Read the raw events", () => this.read());
    this.said = el("p", { class: "error-name", role: "alert" });
    this.node = el(
      "section",
      { "aria-label": "Raw events" },
      this.entries,
      el("div", { class: "row" }, this.more),
      this.said,
    );
  }

  async read() {
    this.more.disabled = true;
    this.said.textContent = "";
    try {
      const answer = await get(this.path, { limit: "200", after: this.after });
      const events = list(answer.events).map(object);
      const fresh = events.filter((event) => !this.seen.has(keyOf(event)));
      for (const event of fresh) this.seen.add(keyOf(event));
      this.entries.append(...fresh.map(rawEvent));
      this.after = text(answer.next) || text(events.findLast((event) => text(event.seq))?.seq) || this.after;
      this.more.textContent = text(answer.next) ? "Read more raw events" : "Read newer raw events";
    } catch (problem) {
      this.said.textContent = brief(problem.message, 200);
    }
    this.more.disabled = false;
  }
}

function keyOf(event) {
  return text(event.seq) || JSON.stringify(event);
}

function rawEvent({ seq, at, body, corrupt, left_out: bytes }) {
  const wrong =
    text(corrupt) || (whole(bytes) > 0 ? `Its ${bytes.toLocaleString("en")} bytes are too many for this page.` : "");
  return el(
    "li",
    {},
    el(
      "details",
      { class: "other" },
      el(
        "summary",
        {},
        el("code", { class: "untrusted", text: brief(text(seq), 80) || "without a key" }),
        el("span", { class: "dim untrusted", text: ` ${brief(text(at), 40)}` }),
      ),
      wrong && el("p", { class: "notice bad untrusted", text: brief(wrong, 300) }),
      block(body, { className: "data", limit: 4000 }),
    ),
  );
}
