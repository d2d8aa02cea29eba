// The last 24 hours in four small plots: SVG made of nodes, with the numbers in words beside it.
import { get, Problem } from "./api.js";
import { el, redraw } from "./dom.js";
import { list, object, text, whole } from "./json.js";
import { count, instant, microUsd, money } from "./words.js";

const EVERY_MS = 60_000; // hours change slowly
const HOUR_MS = 3600_000;
const HOURS = 24;
const [WIDTH, HEIGHT] = [240, 56];
const ANSWERED_PAGES = 4;

/** The plots, for one tenant ("" is the caller's own). */
export class LastDay {
  constructor(tenant) {
    this.tenant = tenant;
    this.node = el("section", { class: "last-day", "aria-label": "The last 24 hours" });
    this.seen = {};
    this.readAt = null;
  }

  /** Read again once a minute. What cannot be read is left out and reported; the refresh does not fail. */
  async read(signal) {
    const now = Date.now();
    if (this.readAt !== null && now - this.readAt < EVERY_MS) return;
    const names = ["activity", "budget", "answered"];
    const came = await Promise.allSettled([get("activity", { tenant: this.tenant }, signal),
      get("budget", { tenant: this.tenant }, signal), answeredSince(now - HOURS * HOUR_MS, signal)]);
    if (signal.aborted) return;
    this.readAt = now;
    this.unread = names.filter((_, at) => came[at].status === "rejected" && !isAbsent(came[at].reason));
    came.forEach((one, at) => { this.seen[names[at]] = one.status === "fulfilled" ? one.value : null; });
  }

  /** Draw what was read. `open`: the open escalations; `whole`: whether these are all. */
  draw({ open, whole: all }) {
    const { activity, budget, answered } = this.seen;
    const mine = (ones) => ones.filter((one) => !this.tenant || one.tenant === this.tenant);
    const plots = [runsPlot(activity), moneyPlot(budget), othersPlot(activity),
      answered && all && waitingPlot(mine(open), mine(answered), Date.now())].filter(Boolean);
    redraw(this.node, [plots, this.unread], () => [
      plots.length > 0 && el("h2", { text: "The last 24 hours" }),
      plots.length > 0 && el("div", { class: "plots" }, plots.map(figure)),
      this.unread?.length > 0 &&
        el("p", { class: "dim", text: "Part of the last day could not be read; it is tried again in a minute." }),
    ]);
  }
}

/** Without the endpoint the API has no such plot. */
function isAbsent(problem) {
  return problem instanceof Problem && problem.status === 404;
}

/** The escalations that were answered since then, up to a few pages: [{opened_at, answered_at, tenant}]. */
async function answeredSince(since, signal) {
  const found = [];
  let next = "";
  for (let page = 0; page < ANSWERED_PAGES; page += 1) {
    const answer = await get("escalations", { status: "answered", limit: "50", next }, signal);
    const these = list(answer.escalations).map(object);
    found.push(...these);
    next = text(answer.next);
    if (!next || these.some((one) => instant(one.opened_at) < since)) return found;
  }
  return Object.assign(found, { from: Math.min(...found.map((one) => instant(one.opened_at) ?? Infinity)) });
}

// ── plots: {title, headline, note, bars: [{label, height, look, words}], line}, heights from 0 to 1 ──

function runsPlot(activity) {
  const hours = hoursOf(activity, ["runs", "answered", "looked_at", "by_others"]);
  if (!hours.length) return null;
  const total = sum(hours, "runs");
  const most = Math.max(1, ...hours.map(({ runs }) => runs));
  return {
    title: "Runs started",
    headline: count(total, "run"),
    note: `at most ${most.toLocaleString("en")} in an hour${reach(hours)}`,
    bars: hours.map(({ label, runs }) => ({ label, height: runs / most, look: "info", words: count(runs, "run") })),
  };
}

function moneyPlot(budget) {
  const [limit, day, today] = [
    microUsd(object(budget).hour_limit_usd),
    microUsd(object(budget).day_limit_usd),
    microUsd(object(object(budget).day).taken_usd),
  ];
  const hours = list(object(budget).hours)
    .slice(-HOURS)
    .map(object)
    .map((hour) => ({ label: label(hour.since), taken: microUsd(hour.taken_usd) }))
    .filter((hour) => hour.label && hour.taken !== null);
  if (!hours.length || limit === null || day === null || today === null) return null;
  const now = hours.at(-1).taken;
  const top = Math.max(1, limit, ...hours.map(({ taken }) => taken));
  const whose = text(budget.tenant) ? "" : ", the whole account";
  return {
    title: "Spending against the hour's window",
    headline: `${money(now)} of ${money(limit)} this hour`,
    note: `${money(today)} of ${money(day)} today (UTC)${whose}`,
    line: { at: limit / top, words: `the window: ${money(limit)} an hour` },
    bars: hours.map((hour) => ({
      label: hour.label,
      height: hour.taken / top,
      look: fullness(hour.taken, limit),
      words: money(hour.taken),
    })),
  };
}

function othersPlot(activity) {
  const hours = hoursOf(activity, ["runs", "answered", "looked_at", "by_others"]);
  const [answered, looked, others] = ["answered", "looked_at", "by_others"].map((name) => sum(hours, name));
  if (!hours.length) return null;
  const percent = (part, of) => (of ? `${Math.round((100 * part) / of)} %` : "none");
  const some = looked < answered ? `, by a sample of ${looked.toLocaleString("en")}` : "";
  return {
    title: "Not answered by the agent",
    headline: looked ? percent(others, looked) : "no answer yet",
    note: `of ${count(answered, "answer")}${some}`,
    line: null,
    bars: hours.map((hour) => ({
      label: hour.label,
      height: hour.looked_at ? hour.by_others / hour.looked_at : 0,
      look: "warn",
      words: hour.looked_at
        ? `${percent(hour.by_others, hour.looked_at)} of ${count(hour.looked_at, "answer")}`
        : "no answer",
    })),
  };
}

function waitingPlot(open, answered, now) {
  const spans = [
    ...open.map((one) => [instant(one.opened_at), now]),
    ...answered.map((one) => [instant(one.opened_at), instant(one.answered_at)]),
  ].filter(([from, until]) => from !== null && until !== null && from <= until);
  const first = now - (now % HOUR_MS) - (HOURS - 1) * HOUR_MS;
  const starts = Array.from({ length: HOURS }, (_, at) => first + at * HOUR_MS).filter((at) => !(answered.from > at));
  // The most that waited at once in the hour: at its beginning, or when one more was opened.
  const waiting = (at) => spans.filter(([from, until]) => from <= at && at < until).length;
  const hours = starts.map((start) => {
    const moments = [
      start,
      ...spans.map(([from]) => from).filter((from) => from > start && from < Math.min(start + HOUR_MS, now + 1)),
    ];
    return { label: label(new Date(start).toISOString()), most: Math.max(...moments.map(waiting)) };
  });
  if (!hours.length) return null;
  const top = Math.max(1, ...hours.map(({ most }) => most));
  const oldest = Math.min(...open.map((one) => instant(one.opened_at) ?? now));
  return {
    title: "Waiting for a person",
    headline: `${count(open.length, "escalation")} now`,
    note: open.length
      ? `the oldest since ${label(new Date(oldest).toISOString())}, at most ${top} at once`
      : `at most ${Math.max(...hours.map(({ most }) => most))} at once`,
    bars: hours.map(({ label: at, most }) => ({
      label: at,
      height: most / top,
      look: "person",
      words: count(most, "escalation"),
    })),
  };
}

function hoursOf(activity, names) {
  return list(object(activity).hours)
    .slice(-HOURS)
    .map(object)
    .map((hour) => ({
      label: label(hour.since),
      ...Object.fromEntries(names.map((name) => [name, whole(hour[name])])),
    }))
    .filter((hour) => hour.label && names.every((name) => hour[name] !== null && hour[name] >= 0));
}

function sum(hours, name) {
  return hours.reduce((total, hour) => total + hour[name], 0);
}

function reach(hours) {
  return hours.length < HOURS ? `, since ${hours[0].label}` : "";
}

function fullness(taken, limit) {
  return taken >= limit * 0.85 ? "bad" : taken >= limit * 0.6 ? "warn" : "good";
}

/** An ISO time as the reader's time of day, "03:00"; "" if it is not a time. */
function label(iso) {
  const at = instant(iso);
  return at === null ? "" : new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

// ── nodes ──

let figures = 0;

function figure(plot) {
  const id = `plot-${figures += 1}`;
  return el(
    "figure",
    { class: "plot-card" },
    el(
      "figcaption",
      {},
      el("span", { class: "plot-title", text: plot.title }),
      el("b", { text: plot.headline }),
      el("span", { class: "dim", text: plot.note }),
    ),
    drawing(plot, id),
    el(
      "div",
      { class: "plot-axis dim", "aria-hidden": "true" },
      el("span", { text: plot.bars[0].label }),
      el("span", { text: plot.bars.at(-1).label }),
    ),
  );
}

function drawing({ title, headline, note, bars, line }, id) {
  const step = WIDTH / HOURS;
  const offset = (HOURS - bars.length) * step; // the last bar ends now
  const told = bars.filter(({ height }) => height > 0).map(({ label: at, words }) => `${at}: ${words}`).join("; ");
  return svg(
    "svg",
    {
      class: "plot",
      role: "img",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-labelledby": `${id}-title ${id}-text`,
    },
    svg("title", { id: `${id}-title` }, title),
    svg("desc", { id: `${id}-text` }, `${headline}, ${note}. By the hour: ${told || "nothing"}.`),
    ...bars.map(({ label: at, height, look, words }, number) => {
      const tall = height > 0 ? Math.max(1.5, Math.min(1, height) * (HEIGHT - 2)) : 0;
      return svg(
        "rect",
        {
          class: `bar-${look}`,
          x: (offset + number * step + 1).toFixed(2),
          y: (HEIGHT - tall).toFixed(2),
          width: (step - 2).toFixed(2),
          height: tall.toFixed(2),
        },
        svg("title", {}, `${at} ${words}`),
      );
    }),
    svg("line", { class: "ground", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }),
    line &&
      svg(
        "line",
        {
          class: "limit",
          x1: 0,
          x2: WIDTH,
          y1: (HEIGHT - line.at * (HEIGHT - 2)).toFixed(2),
          y2: (HEIGHT - line.at * (HEIGHT - 2)).toFixed(2),
        },
        svg("title", {}, line.words),
      ),
  );
}

/** Return an SVG element, in the namespace of the page's own drawing. Text becomes text nodes. */
function svg(tag, attributes, ...children) {
  const node = document.createElementNS(document.getElementById("drawing").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children.filter(Boolean));
  return node;
}
