// Names of the log, money and time in words, for a person on call. Money is whole micro-USD, never a float.
import { REASONS } from "./reasons.js"; // not a file: the API writes it from the words that `ballast trace` uses

/** Return the reason in words, or the name itself (untrusted) if it is not known. */
export function meaning(reason) {
  return Object.hasOwn(REASONS, reason) ? REASONS[reason] : String(reason ?? "");
}

// Who answers instead of the agent.
const OTHERS = { fallback: "the fallback", rollback: "the rollback", human: "a person", requester: "the requester" };

/** Return why the run waits, was refused or ended so, as one sentence; "" if there is nothing to say. */
export function why(run) {
  const reason = run.reason ? meaning(run.reason) : "";
  if (run.status === "answered" && run.degraded === true) {
    const who = Object.hasOwn(OTHERS, run.by) ? OTHERS[run.by] : String(run.by || "somebody else");
    return `${capital(who)} answered instead of the agent: ${reason || "the log does not say why"}`;
  }
  return run.status === "answered" || run.status === "running" ? "" : capital(reason);
}

export function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

// The look of a status: [label, class]. Words carry the meaning; colour only repeats it.
const STATUSES = {
  running: ["running", "info"],
  waiting: ["waits for an answer", "warn"],
  answered: ["answered", "good"],
  refused: ["refused", "bad"],
  unanswered: ["unanswered", "bad"],
  failed: ["failed", "bad"],
  aborted: ["aborted", "warn"],
  timed_out: ["timed out", "bad"],
  corrupt: ["log corrupt", "bad"],
};

export const STATUS_NAMES = Object.keys(STATUSES);

export function statusLook(status, degraded) {
  if (status === "answered" && degraded) return ["answered, degraded", "warn"];
  return Object.hasOwn(STATUSES, status) ? STATUSES[status] : [String(status || "status unknown"), "plain"];
}

// The outcome of a call. Capitals for what must not be missed without colour.
const OUTCOMES = {
  ok: ["ok", "good"],
  failed: ["failed", "warn"],
  denied: ["DENIED", "bad"],
  unknown: ["UNKNOWN EFFECT", "bad"],
  refused: ["REFUSED", "bad"],
  waiting: ["waits for approval", "warn"],
  open: ["no outcome yet", "plain"],
};

/** Return [label, look, class] of a call's outcome; one that is not known here counts as unknown. */
export function outcomeLook(outcome) {
  const known = Object.hasOwn(OUTCOMES, outcome) ? outcome : "unknown";
  return [...OUTCOMES[known], known];
}

/** Return "1 run", "2 runs". */
export function count(number, noun, plural = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

// ── money and time ──

const AMOUNT = /^\$?(\d{1,9})(?:\.(\d{1,6}))?$/; // at most 15 digits: exact as a JavaScript number

/** Return "1.25" as 1250000, or null if it is not an amount in US dollars. Never rounds. */
export function microUsd(text) {
  const found = AMOUNT.exec(String(text ?? "").trim());
  return found ? Number(found[1] + (found[2] ?? "").padEnd(6, "0")) : null;
}

/** Return 1250000 as "$1.25": exact, with two to six decimals. */
export function usd(micro) {
  if (!Number.isSafeInteger(micro)) return "$?";
  const digits = String(Math.abs(micro)).padStart(7, "0");
  const decimals = digits.slice(-6).replace(/0{1,4}$/, "");
  return `${micro < 0 ? "-" : ""}$${digits.slice(0, -6)}.${decimals}`;
}

/** Return the amount for reading: "$1,204.50", "$1.25", "23¢", "1.6¢", "0.42¢". Rounded; `usd` is exact. */
export function money(micro) {
  if (!Number.isSafeInteger(micro)) return "$?";
  if (micro < 0) return `-${money(-micro)}`;
  if (micro === 0) return "$0.00";
  if (micro < 50) return "under 0.01¢";
  if (micro >= 995_000) {
    const cents = nearest(micro, 10_000) / 10_000;
    return `$${((cents - (cents % 100)) / 100).toLocaleString("en")}.${String(cents % 100).padStart(2, "0")}`;
  }
  const step = micro >= 99_500 ? 10_000 : micro >= 9_950 ? 1_000 : 100;
  const digits = String(nearest(micro, step) / 100).padStart(3, "0"); // hundredths of a cent
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`.replace(/\.?0+$/, "") + "¢";
}

/** Return the nearest multiple of `step`, rounded up from the middle. Whole numbers only. */
function nearest(micro, step) {
  const above = micro + step / 2;
  return above - (above % step);
}

/** Return ms as "340 ms", "2.1 s", "3 min 05 s", "2 h 10 min", "3 d 4 h". */
export function span(ms) {
  if (!Number.isFinite(ms)) return "";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  return coarse(ms);
}

/** Return ms in one or two units, for ages: "12 s", "3 min", "2 h 10 min", "3 d 4 h". */
export function coarse(ms) {
  if (!Number.isFinite(ms)) return "";
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

/** Return the ms since 1970 of an ISO 8601 time, or null. */
export function instant(iso) {
  const ms = typeof iso === "string" ? Date.parse(iso) : NaN;
  return Number.isNaN(ms) ? null : ms;
}

/** Return the time of day on the reader's clock, "03:07:12". */
export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB", { hour12: false });
}

/** Return a <time> with the time since, or until; `tick` keeps it current. */
export function age(iso, { since = "", until = "" } = {}) {
  const node = document.createElement("time");
  const at = instant(iso);
  if (at === null) {
    node.textContent = "time unknown";
    return node;
  }
  node.dateTime = new Date(at).toISOString();
  node.title = new Date(at).toLocaleString("en-GB", { timeZoneName: "short" });
  Object.assign(node.dataset, { at: String(at), since, until });
  write(node, Date.now());
  return node;
}

/** Update every age on the page. */
export function tick(now = Date.now()) {
  for (const node of document.querySelectorAll("time[data-at]")) write(node, now);
}

function write(node, now) {
  const { at, since, until } = node.dataset;
  const ms = now - Number(at);
  const text = until
    ? `${until} ${ms < 0 ? `in ${coarse(-ms)}` : `${coarse(ms)} ago`}`
    : `${since ? `${since} ` : ""}${coarse(ms)}${since ? "" : " ago"}`;
  if (node.textContent !== text) node.textContent = text;
}
