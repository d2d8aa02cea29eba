// The first screen: what is wrong, the last day, and the runs.
import { asId, get, may, operates, ownTenant } from "./api.js";
import { breakerCard, breakerForm, brokenModes, readBreaker } from "./breaker.js";
import { badge, brief, button, el, keyed, redraw } from "./dom.js";
import { list, object, text } from "./json.js";
import { LastDay } from "./lastday.js";
import { age, capital, count, instant, meaning, microUsd, money, STATUS_NAMES, statusLook, usd, why } from "./words.js";

const DAY_MS = 24 * 3600 * 1000;
const PAGES_A_REFRESH = 6;
const ENDED_BADLY = ["failed", "timed_out", "unanswered"];
// By the most urgent item on the page. An open escalation is routine until most of its time is over.
const HEADLINES = {
  bad: "Something is wrong",
  warn: "Something needs attention",
  info: "People are asked",
  good: "Nothing is wrong",
};

/** The overview for `query` (URLSearchParams: tenant, status). */
export class Overview {
  title = "Overview";

  constructor(query) {
    this.tenant = query.get("tenant") ?? "";
    this.status = query.get("status") ?? "";
    this.older = []; // pages that a person loaded, as they were then
    this.open = new PagedList(
      (next, signal) => get("escalations", { status: "open", limit: "50", next }, signal),
      "escalations",
      "escalation_id",
    );
    this.running = new PagedList(
      (next, signal) => get("runs", { tenant: this.tenant, status: "running", limit: "50", next }, signal),
      "runs",
      "run_id",
    );
    this.seen = {}; // the newest response of each request
    this.stale = []; // requests that failed in the last refresh
    this.verdict = el("section", { class: "verdict", role: "status" });
    this.wrong = el("ul", { class: "cards", "aria-label": "What to look at" });
    this.control = el("div", { class: "control" });
    this.lastDay = new LastDay(this.tenant);
    this.money = el("p", { class: "money-line" });
    this.rows = el("ul", { class: "cards runs", "aria-label": "Runs" });
    this.more = el("div", { class: "row" });
    this.node = el("div", {}, this.verdict, this.wrong, this.control, this.lastDay.node,
      el("section", { "aria-labelledby": "runs-title" }, el("h2", { id: "runs-title", text: "Runs" }), this.filter(),
        this.money, this.rows, this.more));
  }

  /** Fetch everything anew and draw what came; then throw the first failure. */
  async refresh(signal) {
    const since = new Date(Date.now() - DAY_MS).toISOString();
    const runs = (query) => get("runs", { tenant: this.tenant, ...query }, signal);
    const wanted = {
      breaker: readBreaker(signal),
      escalations: this.open.read(signal),
      running: this.running.read(signal),
      page: runs({ status: this.status, limit: "25" }),
      ...Object.fromEntries(ENDED_BADLY.map((status) => [status, runs({ status, since, limit: "20" })])),
    };
    const names = Object.keys(wanted);
    const [came] = await Promise.all([Promise.allSettled(Object.values(wanted)), this.lastDay.read(signal)]);
    signal.throwIfAborted();
    came.forEach((result, at) => { if (result.status === "fulfilled") this.seen[names[at]] = result.value; });
    this.stale = names.filter((_, at) => came[at].status === "rejected");
    this.breaker = this.stale.includes("breaker") ? undefined : this.seen.breaker;
    this.draw();
    const failed = came.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
  }

  draw() {
    const wrong = this.problems();
    this.drawVerdict(wrong);
    keyed(this.wrong, wrong, {
      key: (item) => item.key,
      signature: (item) => item,
      build: (item) => (item.kind === "breaker" ? breakerCard(item) : problemCard(item)),
    });
    redraw(this.control, operates(), () => operates() && breakerForm(() => this.changed?.()));
    const { found, whole } = object(this.seen.escalations);
    this.lastDay.draw({
      open: list(found).filter(isForPeople),
      whole: whole === true && !this.stale.includes("escalations"),
    });
    const first = runsOf(this.seen.page);
    const newest = new Set(first.map((run) => run.run_id));
    const shown = [...first, ...this.older.filter((run) => !newest.has(run.run_id))];
    if (this.seen.page) this.drawRuns(shown);
  }

  /** Return [{key, kind, level, one}], the most urgent first. */
  problems() {
    const tell = (kind, level) => (one) => ({ key: `${kind} ${one.escalation_id ?? one.run_id}`, kind, level, one });
    const mine = list(this.seen.escalations?.found).filter((one) => !this.tenant || one.tenant === this.tenant);
    const open = mine.filter(isForPeople).sort(oldestFirst);
    const late = runsOf({ runs: list(this.seen.running?.found) })
      .filter((run) => run.status === "running" && isLate(run))
      .sort(oldestFirst);
    const ended = ENDED_BADLY.flatMap((status) => runsOf(this.seen[status])).filter(({ status }) =>
      ENDED_BADLY.includes(status),
    );
    const corrupt = new Map(
      [this.seen.page, { runs: list(this.seen.running?.found) }, ...ENDED_BADLY.map((status) => this.seen[status])]
        .flatMap(runsOf)
        .filter((run) => run.status === "corrupt")
        .map((run) => [run.run_id, run]),
    );
    const newest = ended.sort((one, other) => -oldestFirst(one, other));
    return [
      ...brokenModes(this.breaker, this.tenant),
      ...open.map((one) => tell("escalation", urgency(one))(one)),
      ...late.map(tell("late", "bad")),
      ...[...corrupt.values()].map(tell("corrupt", "bad")),
      ...newest.map(tell("ended", "bad")),
    ];
  }

  drawVerdict(wrong) {
    const number = (kind) => wrong.filter((item) => item.kind === kind).length;
    const [broken, open, late, corrupt, ended] = ["breaker", "escalation", "late", "corrupt", "ended"].map(number);
    const whole = (name) => this.seen[name]?.whole !== false;
    const parts = [
      broken && "the spend breaker is not at normal",
      open &&
        (open === 1
          ? "1 escalation waits for a person"
          : `${open}${whole("escalations") ? "" : "+"} escalations wait for a person`),
      late && `${count(late, "run")} past the deadline`,
      corrupt && `the log of ${count(corrupt, "run")} cannot be read`,
      ended && `${count(ended, "run")} ended badly in 24 h`,
    ].filter(Boolean);
    const unknown = this.stale.filter((name) => name !== "page").map((name) => name.replace("_", " "));
    // Nothing is known of a page that was not read yet.
    const unread = [
      !whole("escalations") && "escalations",
      !whole("running") && "running runs",
      ...ENDED_BADLY.map(
        (status) =>
          text(object(this.seen[status]).next) && !runsOf(this.seen[status]).length && `runs that ended as ${status}`,
      ),
    ].filter(Boolean);
    const scope = this.tenant ? ` (tenant ${brief(this.tenant, 60)})` : "";
    const level = ["bad", "warn", "info"].find((one) => wrong.some((item) => item.level === one)) ?? "good";
    const blind = level !== "bad" && unknown.length + unread.length > 0;
    const look = blind ? "warn" : level;
    const headline = blind ? "Cannot tell" : HEADLINES[level];
    const detail = [parts.join(" · "), unknown.length && `Could not be refreshed: ${unknown.join(", ")}`,
      unread.length && `Not read to the end yet: ${unread.join(", ")}`].filter(Boolean);
    this.count = wrong.length;
    redraw(this.verdict, [look, headline, detail, scope, ownTenant()], () => {
      this.verdict.className = `verdict ${look}`;
      return [
        el("h1", { text: headline + scope }),
        ...detail.map((line) => el("p", { text: line })),
        !this.tenant &&
          el("p", {
            class: "scope untrusted",
            text: ownTenant()
              ? `Runs of the tenant ${brief(ownTenant(), 60)}.`
              : `Runs ${operates() ? "" : "of your tenant; for an operator, "}of the tenant “default” unless filtered.`,
          }),
      ];
    });
  }

  drawRuns(shown) {
    const costs = shown.map((run) => microUsd(run.cost_usd) ?? 0);
    const total = costs.reduce((sum, cost) => sum + cost, 0);
    const said = shown.reduce(
      (sum, run, position) => sum + (microUsd(object(run.corrected).cost_usd) ?? costs[position]),
      0,
    );
    const most = shown[costs.indexOf(Math.max(0, ...costs))];
    redraw(this.money, [shown.length, total, said, most?.run_id], () =>
      shown.length
        ? [
            `${count(shown.length, "run")}, `,
            el("b", { text: money(total), title: usd(total) }),
            " in total",
            total ? "; most expensive " : ".",
            total ? runLink(most, money(Math.max(...costs))) : null,
            said === total ? null : `; with operators' corrections ${money(said)}`,
          ]
        : [
            this.tenant || this.status
              ? "No run matches this filter."
              : "No run yet. Start one: POST /runs, or `ballast run`.",
          ],
    );
    keyed(this.rows, shown, { key: (run) => String(run.run_id), signature: (run) => run, build: runRow });
    const next = this.older.length ? this.next : text(object(this.seen.page).next);
    redraw(this.more, next, () => (next ? button("Older runs", (event) => this.loadOlder(next, event.target)) : null));
  }

  async loadOlder(next, pressed) {
    pressed.disabled = true;
    try {
      const page = await get("runs", { tenant: this.tenant, status: this.status, limit: "25", next });
      const known = new Set([...this.older, ...runsOf(this.seen.page)].map((run) => run.run_id));
      this.older.push(...runsOf(page).filter((run) => !known.has(run.run_id)));
      this.next = text(page.next);
      this.draw();
    } catch (problem) {
      pressed.disabled = false;
      pressed.textContent = `Older runs (failed: ${brief(problem.message, 120)})`;
    }
  }

  filter() {
    const tenant = el("input", {
      id: "tenant",
      name: "tenant",
      value: this.tenant,
      autocomplete: "off",
      spellcheck: false,
    });
    const names = ["", ...STATUS_NAMES];
    const status = el("select", { id: "status", name: "status" }, names.map((name) => el("option", {
      value: name, text: name ? statusLook(name)[0] : "any", selected: name === this.status })));
    const submit = (event) => {
      event.preventDefault();
      const query = new URLSearchParams(
        Object.entries({ tenant: tenant.value.trim(), status: status.value }).filter(([, value]) => value),
      );
      location.hash = `#/${query.size ? `?${query}` : ""}`;
    };
    return el("form", { class: "row filter", "aria-label": "Filter the runs", on: { submit } },
      el("div", { class: "field" }, el("label", { for: "tenant", text: "Tenant" }), tenant),
      el("div", { class: "field" }, el("label", { for: "status", text: "Status" }), status),
      el("button", { type: "submit", text: "Filter" }));
  }
}

function runsOf(answer) {
  return list(object(answer).runs).map(object).filter((run) => asId(run.run_id));
}

/** The requester replies to a clarification in the run; everything else waits for people. */
function isForPeople({ escalation_id, kind }) {
  return asId(escalation_id) && kind !== "question";
}

function oldestFirst(one, other) {
  return (instant(one.opened_at) ?? 0) - (instant(other.opened_at) ?? 0);
}

/** A run is late when its deadline is over; a run that waits for a person has none. */
function isLate(run) {
  const deadline = instant(run.deadline_at);
  return deadline !== null && Date.now() > deadline;
}

/** How urgent an open escalation is, by how much of its time is over. */
function urgency(one) {
  const [from, until] = [instant(one.opened_at), instant(one.answer_by)];
  if (from === null || until === null || until <= from) return "warn";
  const over = (Date.now() - from) / (until - from);
  return over < 0.5 ? "info" : over < 0.9 ? "warn" : "bad";
}

const URGENT = {
  info: "",
  warn: "More than half of the time to answer is over.",
  bad: "The time to answer is almost over.",
};

function problemCard({ kind, level, one }) {
  const tenant = one.tenant && `tenant ${one.tenant}`;
  if (kind === "escalation") {
    const ages = [age(one.opened_at, { since: "waits" }), one.answer_by && age(one.answer_by, { until: "expires" })];
    const wanted = one.kind === "approval" ? "Approve or reject" : "Decide";
    return card(level, `#/escalations/${one.escalation_id}`, may("decide") ? wanted : "Waits for a reviewer",
      [URGENT[level], meaning(one.reason), firstRequest(one.summary)], [tenant, one.run_id], ages);
  }
  const href = `#/runs/${one.run_id}`;
  if (kind === "corrupt") {
    return card(
      level,
      href,
      "Log corrupt",
      ["Somebody changed its log: see “The log was touched” in docs/operating.md.", one.text],
      [one.intent, tenant, one.run_id],
      [],
    );
  }
  if (kind === "late") {
    return card(
      level,
      href,
      "Past its deadline",
      [one.text],
      [one.intent, tenant, one.run_id],
      [age(one.deadline_at, { until: "deadline" })],
    );
  }
  return card(
    level,
    href,
    capital(statusLook(one.status)[0]),
    [meaning(one.reason), one.text],
    [one.intent, tenant, one.run_id],
    [age(one.ended_at ?? one.opened_at)],
  );
}

/** The line of the summary that quotes the request. */
function firstRequest(summary) {
  return text(summary).split("\n").find((line) => line.startsWith("Request")) ?? text(summary);
}

function card(level, href, what, lines, names, ages) {
  return el(
    "li",
    { class: `card ${level}` },
    el(
      "a",
      { class: "card-link", href },
      el("b", { class: "what untrusted", text: brief(what, 60) }),
      el("span", { class: "ages" }, ...ages.filter(Boolean)),
      lines.filter(Boolean).map((line) => el("span", { class: "line untrusted", text: brief(line, 180) })),
      facts(names),
    ),
  );
}

function runLink(run, label) {
  return el("a", { href: `#/runs/${run.run_id}`, text: label });
}

function runRow(run) {
  const cost = microUsd(run.cost_usd);
  const said = microUsd(object(run.corrected).cost_usd);
  const who = run.by ? `by ${brief(run.by, 40)}` : "";
  return el("li", { class: "card" }, el("a", { class: "card-link", href: `#/runs/${run.run_id}` },
    badge(statusLook(run.status, run.degraded === true).map((word) => brief(word, 30))),
    el("span", { class: "who", text: who }), costOf(cost, said),
    el("span", { class: "ages" }, age(run.opened_at ?? run.ended_at)),
    why(run) && el("span", { class: "line why untrusted", text: brief(why(run), 180) }),
    run.text && el("span", { class: "line untrusted", text: brief(run.text, 120) }),
    facts([run.intent, run.tenant && `tenant ${run.tenant}`, run.run_id])));
}

function costOf(cost, said) {
  const words = [cost !== null && money(cost), said !== null && `corrected to ${money(said)}`].filter(Boolean);
  const exact = [cost !== null && usd(cost), said !== null && `corrected to ${usd(said)}`].filter(Boolean);
  return el("span", { class: "cost", text: words.join(", "), title: exact.join(", ") });
}

function facts(names) {
  return el("span", {
    class: "facts untrusted",
    text: names
      .filter(Boolean)
      .map((name) => brief(name, 60))
      .join(" · "),
  });
}

/**
 * A paged list that may be longer than one refresh reads: each refresh reads on, to the end, and then begins anew.
 * `page(next, signal)` fetches a page; `items` is the name of its list, `id` that of an item's key. `whole` is false
 * until the list was read to its end once: until then it may have items that are not known.
 */
class PagedList {
  constructor(page, items, id) {
    [this.page, this.items, this.id] = [page, items, id];
    [this.before, this.now, this.next] = [new Map(), new Map(), ""];
    this.whole = false;
  }

  /** Read the first page, then go on where the last refresh stopped; return what is known of the list. */
  async read(signal) {
    const newest = await this.page("", signal);
    const first = this.mapped(newest);
    if (!this.next) [this.now, this.next] = [new Map(first), text(newest.next)];
    for (let pages = 1; this.next && pages < PAGES_A_REFRESH; pages += 1) {
      const token = this.next;
      this.next = ""; // if it fails, the next refresh begins anew
      const answer = await this.page(token, signal);
      for (const [key, one] of this.mapped(answer)) this.now.set(key, one);
      this.next = text(answer.next);
    }
    if (!this.next) [this.before, this.whole] = [this.now, true];
    return { found: [...new Map([...this.before, ...this.now, ...first]).values()], whole: this.whole };
  }

  mapped(answer) {
    return new Map(list(answer[this.items]).map(object).map((one) => [text(one[this.id]), one]));
  }
}
