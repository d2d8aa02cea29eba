// Text from the log is untrusted: whoever wrote it must not steer what the reader sees.
// It only ever becomes text nodes; this module makes visible what a text node would still obey.
import { stringify } from "./json.js";

const TOO_LONG = 500;

// Controls, format characters (bidi overrides, zero widths), lone surrogates, line and paragraph separators.
// Line breaks stay, and so do the joiners that words of real languages and emoji are made with.
const STEERING = /(?![\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
// Four marks on one letter are writing; forty climb over the neighbouring lines.
const PILED_MARKS = /(\p{M}{4})\p{M}+/gu;

/** Return the text with everything that steers a reader's eye made visible, as `\u202e`. */
export function visible(value) {
  return asText(value)
    .replace(/\r\n/g, "\n")
    .replace(/\t/g, "    ")
    .replace(STEERING, (char) => escape(char.codePointAt(0)))
    .replace(PILED_MARKS, "$1…");
}

/** Return one line of at most `limit` characters. */
export function brief(value, limit = 160) {
  const [kept, left] = cut(asText(value), limit);
  return visible(kept.replace(/\s*\n\s*/g, " ")) + (left ? " …" : "");
}

/** Return a JSON value as text: a string as it is, null and absent as nothing, else indented JSON. */
export function asText(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : stringify(value, 2);
}

/**
 * Return a block of untrusted text; the long ones are clipped and can be shown whole.
 * `compact` JSON is in one line until then.
 */
export function block(value, { limit = TOO_LONG, className = "", compact = false } = {}) {
  const whole = asText(value);
  const [kept, left] = cut(compact && typeof value === "object" ? spaced(value) : whole, limit);
  const node = document.createElement("div");
  node.className = `untrusted ${className}`.trim();
  const text = document.createElement("span");
  text.textContent = visible(kept);
  node.append(text);
  if (left) node.append(rest(whole, text, left));
  return node;
}

function rest(whole, text, left) {
  const clipped = text.textContent;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "more";
  const label = `Show all (${left.toLocaleString("en")} more characters)`;
  const show = (all) => {
    text.textContent = all ? visible(whole) : `${clipped} … `;
    button.textContent = all ? "Show less" : label;
    button.setAttribute("aria-expanded", String(all));
  };
  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") !== "true"));
  show(false);
  return button;
}

/** Return JSON in one line, with spaces to wrap at. */
function spaced(value) {
  return value === null ? "null" : stringify(value, 1).replace(/\n\s*/g, " ");
}

/** Return the beginning and how many characters are left out. Never cuts a character in two. */
function cut(text, limit) {
  if (text.length <= limit) return [text, 0];
  const code = text.charCodeAt(limit - 1);
  const at = code >= 0xd800 && code < 0xdc00 ? limit - 1 : limit;
  return [text.slice(0, at), text.length - at];
}

function escape(code) {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
