// Untrusted JSON: numbers keep the digits that were written, and no field is trusted to have its type.
// JavaScript alone would read 9007199254740993 as …992, and 1.0 as 1.

/** A number whose digits a JavaScript number would not keep. `raw` is its JSON. */
export class Digits {
  constructor(raw) {
    this.raw = raw;
  }

  toString() {
    return this.raw;
  }
}

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Return the value of JSON `text`, with `Digits` for numbers that would lose some. Throws SyntaxError. */
export function parse(text) {
  const plain = JSON.parse(text);
  const mark = unguessable();
  let found = false;
  const marked = text.replace(TOKENS, (token) => {
    if (token.startsWith("\"") || kept(token)) return token;
    found = true;
    return `"${mark}${token}"`;
  });
  if (!found) return plain;
  return JSON.parse(marked, (_, value) =>
    typeof value === "string" && value.startsWith(mark) ? new Digits(value.slice(mark.length)) : value,
  );
}

/** Return `value` as JSON, with the digits that `parse` found. */
export function stringify(value, indent) {
  const mark = unguessable();
  const text = JSON.stringify(value, (_, one) => (one instanceof Digits ? mark + one.raw : one), indent);
  return text?.replace(new RegExp(`"${mark}([^"]*)"`, "g"), "$1");
}

/** A word that no author of a text can know. */
function unguessable() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function kept(token) {
  return String(Number(token)) === token;
}

/** The value if it is an object; else an empty one. */
export function object(value) {
  return value && typeof value === "object" && !Array.isArray(value) ? value : {};
}

/** The value if it is an array; else an empty one. */
export function list(value) {
  return Array.isArray(value) ? value : [];
}

/** The value if it is a text; else "". */
export function text(value) {
  return typeof value === "string" ? value : "";
}

/** The value if it is a whole number that JavaScript keeps; else null. */
export function whole(value) {
  return Number.isSafeInteger(value) ? value : null;
}
