// Whoever uses this page, as the API knows them: their name, role and rights.
import { Problem, get } from "./api.js";
import { list, object, text } from "./json.js";
import { brief } from "./text.js";

let me; // undefined: not asked yet, or nobody could say; null: this API does not tell

/** Ask who one is, once for each token. What goes wrong here the next request says as well. */
export async function readMe(signal) {
  if (me !== undefined) return;
  try {
    me = object(await get("me", {}, signal));
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) me = null;
  }
}

/** Another token is another person. */
export function forgetMe() {
  me = undefined;
}

/** Whether one has the right; true where nobody knows, since the API itself refuses what is not allowed. */
export function may(right) {
  return !me || list(me.you_may).includes(right);
}

/** Whether one is known to be an operator: their controls are for nobody else. */
export function operates() {
  return Boolean(me) && may("operate");
}

/** The tenant whose runs one sees; "" where it is all of them, or unknown. */
export function ownTenant() {
  return text(object(me).tenant);
}

/** Show in `node` who one is. */
export function showMe(node) {
  node.hidden = !me;
  if (!me) return;
  const groups = list(me.groups).map(text).filter(Boolean);
  const of = ownTenant() ? ` of ${ownTenant()}` : "";
  // An ARN's end is the name.
  node.textContent = brief(`${text(me.principal).split("/").at(-1)} · ${text(me.role)}${of}`, 60);
  node.title = brief(`${text(me.principal)}${groups.length ? `, in ${groups.join(", ")}` : ""}`, 300);
}
