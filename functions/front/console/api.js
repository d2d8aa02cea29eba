// The HTTP API, and the caller as the API knows them. Responses are untrusted: whoever reads one checks its shape.
import { list, object, parse, stringify, text } from "./json.js";

const ROOT = new URL("../", import.meta.url); // the API's root: this file is at <root>console/api.js
const TOKEN = "ballast.token"; // in sessionStorage only: it goes when the tab goes
const TIMEOUT_MS = 15_000;
/** Hosts of `ballast up`. */
export const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

/** The API refused the request. `status` is HTTP's; `errors` are [{field, message}]. All its text is untrusted. */
export class Problem extends Error {
  constructor(status, body) {
    super(text(body.detail) || text(body.title) || `The API answered ${status}.`);
    this.status = status;
    this.title = text(body.title) || `HTTP ${status}`;
    this.errors = (Array.isArray(body.errors) ? body.errors : []).filter((error) => error && typeof error === "object")
      .map((error) => ({ field: text(error.field), message: text(error.message) }));
  }
}

/** No response came, or none that can be read. `sent` is true if the request may have had its effect. */
export class Unreachable extends Error {
  constructor(message, sent) {
    super(message);
    this.sent = sent;
  }
}

export function token() {
  return sessionStorage.getItem(TOKEN) ?? "";
}

export function setToken(value) {
  const bare = value.trim().replace(/^Bearer\s+/i, "");
  if (bare) sessionStorage.setItem(TOKEN, bare);
  else sessionStorage.removeItem(TOKEN);
}

/** GET `path` (relative, such as "runs") and return the object. Raises Problem and Unreachable. */
export function get(path, query = {}, signal = undefined) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  return request(url, { method: "GET" }, signal);
}

/** POST JSON and return the object that came back. */
export function post(path, body = {}) {
  const options = { method: "POST", body: stringify(body), headers: { "Content-Type": "application/json" } };
  return request(new URL(path, ROOT), options);
}

/** Return an id that is safe in a path, or null: anyone can type a hash route, and `..` is a path as well. */
export function asId(value) {
  return typeof value === "string" && /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(value) ? value : null;
}

async function request(url, options, signal) {
  const headers = { Accept: "application/json", ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const both = signal ? AbortSignal.any([signal, timeout]) : timeout;
  const sent = options.method !== "GET";
  let response, body;
  try {
    response = await fetch(url, {
      ...options, headers, signal: both, cache: "no-store", credentials: "same-origin", redirect: "error",
    });
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable(
      timeout.aborted ? `No answer within ${TIMEOUT_MS / 1000} s.` : "The API cannot be reached.",
      sent,
    );
  }
  const data = parsed(body);
  if (!response.ok) throw new Problem(response.status, data ?? {});
  if (data === null) throw new Unreachable("The API sent something that is not a JSON object.", sent);
  return data;
}

function parsed(body) {
  try {
    const data = parse(body);
    return data && typeof data === "object" && !Array.isArray(data) ? data : null;
  } catch {
    return null;
  }
}

// ── the caller ──

let me; // undefined: not read yet, or reading failed; null: this API does not tell

/** Read who the caller is, once for each token. An error is not reported: the next request meets it as well. */
export async function readMe(signal) {
  if (me !== undefined) return;
  try {
    me = object(await get("me", {}, signal));
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) me = null;
  }
}

/** Return the caller as the API shows them; nothing if it does not. */
export function caller() {
  return me;
}

/** Another token is another person. */
export function forgetMe() {
  me = undefined;
}

/** Whether the caller has the right; true if unknown, since the API itself refuses what is not allowed. */
export function may(right) {
  return !me || list(me.you_may).includes(right);
}

/** Whether the caller is known to be an operator: only operators see the controls. */
export function operates() {
  return Boolean(me) && may("operate");
}

/** The tenant whose runs the caller sees; "" if it is every tenant, or unknown. */
export function ownTenant() {
  return text(object(me).tenant);
}
