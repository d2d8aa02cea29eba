// Why a run ended so, or what it waits for: the first thing that a woken person reads of it.
import { get, LOCAL } from "./api.js";
import { block, brief, el, redraw } from "./dom.js";
import { list, object, text, whole } from "./json.js";
import { age, instant, money, span, usd } from "./words.js";

const SHOWN = 12;

/** The report on the run at `path`; read again only when `state` is another one. */
export class Why {
  constructor(path) {
    this.path = `${path}/why`;
    this.report = {};
    this.node = el("section", { class: "why", "aria-label": "Why" });
  }

  /** Whether there is a report. */
  get says() {
    return Boolean(text(this.report.sentence));
  }

  async refresh(state, signal) {
    const seen = JSON.stringify(state);
    if (seen === this.seen) return;
    try {
      this.report = object(await get(this.path, {}, signal));
      this.seen = seen;
    } catch (problem) {
      if (signal?.aborted) throw problem;
      this.report = {}; // the page has the timeline; the next refresh asks again
    }
    redraw(this.node, this.report, () => (this.says ? parts(this.report) : []));
  }
}

function parts(report) {
  const causes = list(report.causes)
    .map(object)
    .filter((one) => one.in_sentence !== true);
  const unknown = list(report.unknown).map(object);
  const did = list(report.did).map(object);
  return [
    act(report),
    el("p", { class: "sentence untrusted", text: brief(report.sentence, 1_000) }),
    ...facts(report),
    lines("What it did", did.length ? did : [{}], ({ words }) => brief(words, 500) || nothing(report)),
    lines("Also", causes, ({ words }) => brief(words, 500)),
    lines("Nobody knows now", unknown, ({ words }) => brief(words, 400), "warn-text"),
    commands(list(report.to_type).map(object)),
    el(
      "details",
      {},
      el("summary", { text: "Where its money and time went, and what would have stopped it sooner" }),
      shares("Money", report.money, ({ microusd }) => [whole(microusd), money, usd]),
      shares("Time", report.time, ({ ms }) => [whole(ms), span, String]),
      lines(
        "Sooner",
        list(report.sooner).map(object),
        ({ change, words }) => `With ${brief(change, 120)} ${brief(words, 400)}.`,
      ),
      text(report.sooner_note) && el("p", { class: "dim untrusted", text: brief(report.sooner_note, 300) }),
    ),
  ];
}

/** Whether somebody has to act now. */
function act(report) {
  const what = brief(report.act, 600);
  if (report.must_act === true) return el("p", { class: "untrusted warn-text", text: `Act: ${what}` });
  return el("p", { class: "untrusted dim", text: `Nobody has to act. ${what}`.trim() });
}

function nothing(report) {
  const broken = list(report.causes).some((one) => object(one).name === "log_unreadable");
  return `Nothing was written${broken ? ", as far as its log can be read" : ""}.`;
}

/** The caller's words, and until when somebody can answer. */
function facts(report) {
  const said = brief(report.request, 210);
  return [
    said && lines("The caller wrote", [report], () => `“${said}”`),
    instant(report.answer_by) !== null &&
      el(
        "div",
        { class: "labelled" },
        el("span", { class: "label", text: "Answer by" }),
        age(report.answer_by, { until: "expires" }),
      ),
  ];
}

function lines(title, items, says, look = "") {
  if (!items.length) return null;
  const more = items.length - SHOWN;
  return el(
    "div",
    { class: "labelled" },
    el("span", { class: "label", text: title }),
    el(
      "ul",
      {},
      items.slice(0, SHOWN).map((item) => el("li", { class: `untrusted ${look}`, text: says(item) })),
      more > 0 && el("li", { class: "dim", text: `and ${more.toLocaleString("en")} more` }),
    ),
  );
}

/** The commands to type. On `ballast up` there is no stack to name, and what needs one is left out. */
function commands(all) {
  const local = LOCAL.includes(location.hostname);
  const items = all.filter(({ only_deployed }) => !local || only_deployed !== true);
  if (!items.length) return null;
  const typed = (command) => (local ? text(command).replace(/^ballast --stack \S+ /, "ballast ") : command);
  return el(
    "div",
    { class: "labelled" },
    el("span", { class: "label", text: "What to type" }),
    el(
      "ul",
      {},
      items.slice(0, SHOWN).map(({ command, words }) =>
        el(
          "li",
          {},
          block(typed(command), { className: "data", limit: 300 }),
          el("p", { class: "dim untrusted", text: brief(words, 300) }),
        ),
      ),
    ),
  );
}

function shares(title, items, of) {
  const found = list(items)
    .map(object)
    .map((item) => [...of(item), item])
    .filter(([amount]) => amount !== null);
  if (!found.length) return null;
  const all = found.reduce((sum, [amount]) => sum + amount, 0);
  return el(
    "div",
    { class: "labelled" },
    el("span", { class: "label", text: title }),
    el(
      "ul",
      {},
      found.slice(0, 2 * SHOWN).map(([amount, shown, exact, { words }]) =>
        el("li", {
          class: "untrusted",
          text: `${shown(amount)}${all > 0 ? `, ${Math.round((100 * amount) / all)} %` : ""}: ${brief(words, 200)}`,
          title: exact(amount),
        }),
      ),
    ),
  );
}
