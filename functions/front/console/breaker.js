// The spend breaker: its mode, and what an operator has to know about it.
import { get, may, Problem } from "./api.js";
import { brief, complaint, el, field, form, note, sender } from "./dom.js";
import { list, object, text } from "./json.js";
import { age } from "./words.js";

// [look, meaning]. A mode that is not listed, or none, counts as unknown and never as normal.
const MODES = {
  normal: ["good", "Everything runs as the playbook says."],
  cheaper: ["warn", "The agent uses the playbook's cheaper model."],
  fallback_only: ["bad", "No model is called: fallbacks and people answer."],
  stopped: ["bad", "No run starts; runs that have started wait for a person."],
};

let there = true;

/** Return the breaker; null if the API has none, which is asked only once. Raises Problem and Unreachable. */
export async function readBreaker(signal) {
  if (!there) return null;
  try {
    return object(await get("breaker", {}, signal));
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
    there = false;
    return null;
  }
}

function look(mode) {
  return Object.hasOwn(MODES, mode) ? MODES[mode] : ["warn", "This page does not know the mode."];
}

function name(mode) {
  return brief(String(mode || "unknown").replaceAll("_", " "), 30);
}

/** Show in `node` the mode of `held`; undefined if it is unknown. */
export function showMode(node, held) {
  const { mode, state, reason } = object(held);
  node.textContent = `breaker: ${name(mode)}${state === "half_open" ? ", half-open" : ""}`;
  node.className = `badge ${look(mode)[0]}`;
  node.title = brief(reason, 200);
  node.hidden = held === null;
}

/** Return [{key, kind, level, one}] of breakers that are not normal: everyone's or the caller's, then the tenants'. */
export function brokenModes(held, tenant) {
  const { tenants, ...first } = object(held);
  const own = list(tenants).map(object).filter((one) => !tenant || one.tenant === tenant);
  const all = [first, ...own.filter((one) => one.tenant !== first.tenant)];
  return all.filter((one) => one.mode && one.mode !== "normal")
    .map((one) => ({ key: `breaker ${one.tenant ?? ""}`, kind: "breaker", level: look(one.mode)[0], one }));
}

/** Return the card of a breaker: its mode, since when, by whom, why, and until when. */
export function breakerCard({ level, one }) {
  const who = text(one.by) && `By ${brief(one.by, 80)}${text(one.reason) ? `: ${brief(one.reason, 180)}` : ""}`;
  const half =
    one.state === "half_open" &&
    "Half-open: one run in twenty passes as a probe; the breaker closes when its cause is over.";
  const ages = [
    one.since && age(one.since, { since: "for" }),
    one.until && !half && age(one.until, { until: "until" }),
  ];
  const whose = one.tenant ? `tenant ${brief(one.tenant, 60)}` : "for everyone";
  return el(
    "li",
    { class: `card ${level}` },
    el(
      "div",
      { class: "card-link" },
      el("b", { class: "what", text: `Spend breaker: ${name(one.mode)}` }),
      el("span", { class: "ages" }, ...ages.filter(Boolean)),
      [look(one.mode)[1], half, who].filter(Boolean).map((line) => el("span", { class: "line untrusted", text: line })),
      el("span", {
        class: "facts untrusted",
        text: `${whose} · ${may("operate") ? "to change it: ballast breaker" : "only an operator can change it"}`,
      }),
    ),
  );
}

/** Return the form that sets the breaker, for operators. `done()` is called once it is set. */
export function breakerForm(done) {
  const said = el("div", { class: "outcome", role: "alert" });
  const mode = field("select", { id: "mode" });
  mode.append(...Object.keys(MODES).map((one) => el("option", { value: one, text: `${name(one)}: ${MODES[one][1]}` })));
  const tenant = field("input", { id: "breaker-tenant", autocomplete: "off", spellcheck: false });
  const minutes = field("input", { id: "minutes", inputMode: "numeric", autocomplete: "off" });
  const reason = field("input", { id: "reason", autocomplete: "off", maxLength: 500 });
  const read = () => {
    const typed = minutes.value.trim();
    if (typed && !/^[1-9]\d{0,4}$/.test(typed))
      return complaint(minutes, "Write a whole number of minutes, such as 60, or leave it empty.");
    const body = {
      mode: mode.value,
      ...(tenant.value.trim() ? { tenant: tenant.value.trim() } : {}),
      ...(typed ? { for_minutes: Number(typed) } : {}),
      ...(reason.value.trim() ? { reason: reason.value.trim() } : {}),
    };
    const whose = body.tenant ? `the tenant ${brief(body.tenant, 60)}` : "everyone";
    return {
      title: `Set the breaker to ${name(mode.value)} for ${whose}?`,
      yes: "Yes, set it",
      look: "danger",
      body,
      lines: [
        note(look(mode.value)[1]),
        note(typed ? `It ends by itself after ${typed} min.` : "It stays until somebody sets it back."),
      ],
    };
  };
  const set = sender("breaker", said, () => {
    said.replaceChildren(
      el("p", {
        class: "notice good",
        role: "status",
        text: "The breaker is set. It applies from the next model call on.",
      }),
    );
    for (const each of said.parentElement.querySelectorAll("button")) each.disabled = false;
    done();
  });
  return el("section", { "aria-label": "Spend breaker" }, form("Set the spend breaker", [
    el("label", { for: "mode", text: "Mode" }), mode,
    el("label", { for: "breaker-tenant", text: "Tenant (empty: everyone)" }), tenant,
    el("label", { for: "minutes", text: "Minutes until it ends (optional)" }), minutes,
    el("label", { for: "reason", text: "Reason (others see it)" }), reason,
  ], "Set …", set, read), said);
}
