// Ballast's console: choose the screen and keep it current.
import { caller, forgetMe, LOCAL, ownTenant, Problem, readMe, setToken, token } from "./api.js";
import { readBreaker, showMode } from "./breaker.js";
import { brief, button, el } from "./dom.js";
import { Escalation } from "./escalation.js";
import { list, text } from "./json.js";
import { Overview } from "./overview.js";
import { Run } from "./run.js";
import { clock, tick } from "./words.js";

const EVERY_MS = 5000;
const byId = (id) => document.getElementById(id);
const [main, updated, trouble, pause] = ["main", "updated", "trouble", "pause"].map(byId);

let screen = null; // {title, node, refresh(signal), live, count}: live is false if nothing will change any more
let working = null; // the AbortController of the refresh under way
let timer = 0;
let paused = false;
let lastGood = null;

/** Return the screen of a hash such as "#/runs/run-abc". */
function screenOf(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [kind, id = ""] = path.split("/");
  if (kind === "runs" && id) return new Run(id);
  if (kind === "escalations" && id) return new Escalation(id, { answered: () => refresh() });
  return new Overview(new URLSearchParams(query));
}

function show() {
  screen = screenOf(location.hash);
  screen.changed = () => refresh();
  lastGood = null;
  trouble.hidden = true;
  updated.textContent = "loading …";
  main.replaceChildren(screen.node);
  main.setAttribute("aria-busy", "true");
  window.scrollTo(0, 0);
  refresh();
}

async function refresh() {
  working?.abort();
  clearTimeout(timer);
  const mine = screen;
  const controller = working = new AbortController();
  let missed = false;
  try {
    await readMe(controller.signal);
    if (controller.signal.aborted) return;
    showMe(byId("me"));
    await mine.refresh(controller.signal);
    if (controller.signal.aborted) return;
    lastGood = Date.now();
    trouble.hidden = true;
  } catch (problem) {
    if (controller.signal.aborted) return;
    missed = true;
    failed(problem);
  }
  main.setAttribute("aria-busy", "false");
  updated.textContent = lastGood ? `updated ${clock(lastGood)}` : "nothing loaded";
  document.title = `${mine.count ? `(${mine.count}) ` : ""}${mine.title} · Ballast`;
  showBreaker(mine, controller.signal);
  if (!paused && !document.hidden && (missed || mine.live !== false)) timer = setTimeout(refresh, EVERY_MS);
}

/** Report that the refresh failed; what was drawn before stays. */
function failed(problem) {
  const since = lastGood ? ` What you see is from ${clock(lastGood)}.` : "";
  const status = problem instanceof Problem ? ` (${problem.status})` : "";
  trouble.textContent = `Refresh failed at ${clock(Date.now())}${status}: ${brief(problem.message, 300)}${since}`;
  trouble.hidden = false;
  if (problem instanceof Problem && [401, 403].includes(problem.status)) openToken(true);
  if (!(problem instanceof Problem)) console.warn(problem);
}

/** Show the spend breaker, if the API has one; the overview has read it already. */
async function showBreaker(mine, signal) {
  let held = mine.breaker;
  if (held === undefined) {
    try {
      held = await readBreaker(signal);
    } catch {
      if (signal.aborted) return;
    }
  }
  showMode(byId("breaker"), held);
}

function openToken(open) {
  byId("token").setAttribute("aria-expanded", String(open));
  byId("token-panel").hidden = !open;
  if (!open) return;
  if (!byId("token-panel").firstChild) drawToken();
  byId("token-panel").scrollIntoView({ block: "nearest" });
}

function drawToken() {
  const field = el("input", { id: "bearer", type: "password", autocomplete: "off", spellcheck: false });
  const keep = (value) => {
    setToken(value);
    forgetMe();
    field.value = "";
    byId("token-panel").replaceChildren();
    openToken(false);
    show();
  };
  const submit = (event) => { event.preventDefault(); if (field.value.trim()) keep(field.value); };
  byId("token-panel").replaceChildren(
    el(
      "form",
      { on: { submit } },
      el("label", { for: "bearer", text: "Bearer token (JWT); kept in this tab only, until it is closed" }),
      field,
      LOCAL.includes(location.hostname) &&
        el("p", {
          class: "dim",
          text: "On `ballast up`: NAME:ROLE, such as mia:member, rae:reviewer+finance, ann:operator.",
        }),
      el(
        "div",
        { class: "row" },
        el("button", { type: "submit", class: "primary", text: "Use it" }),
        token() ? button("Forget the one in use", () => keep("")) : null,
      ),
    ),
  );
}

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Resume" : "Pause";
  if (paused) clearTimeout(timer);
  else refresh();
});
byId("refresh").addEventListener("click", refresh);
byId("token").addEventListener("click", () => openToken(byId("token-panel").hidden));
byId("skip").addEventListener("click", () => main.focus());
window.addEventListener("hashchange", () => {
  show();
  main.focus({ preventScroll: true }); // a new screen is read from its beginning
});
window.addEventListener("online", refresh);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else if (!paused) refresh();
});
setInterval(tick, 1000);
show();

/** Show in `node` who the caller is. */
function showMe(node) {
  const me = caller();
  node.hidden = !me;
  if (!me) return;
  const groups = list(me.groups).map(text).filter(Boolean);
  const of = ownTenant() ? ` of ${ownTenant()}` : "";
  // An ARN's end is the name.
  node.textContent = brief(`${text(me.principal).split("/").at(-1)} · ${text(me.role)}${of}`, 60);
  node.title = brief(`${text(me.principal)}${groups.length ? `, in ${groups.join(", ")}` : ""}`, 300);
}
