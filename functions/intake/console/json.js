// JSON whose numbers stay as they were written: JavaScript would make 9007199254740992 of …993, and 1 of 1.0.

/** A number whose digits a JavaScript number does not keep. `raw` is its JSON. */
export class Digits {
  constructor(raw) {
    this.raw = raw;
  }

  toString() {
    return this.raw;
  }
}

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Return what JSON `text` says, with `Digits` where a number would lose some. Throws SyntaxError. */
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
  return JSON.parse(marked, (_, value) => (typeof value === "string" && value.startsWith(mark) ? new Digits(value.slice(mark.length)) : value));
}

/** Return `value` as JSON, with the digits that `parse` found. */
export function stringify(value, indent) {
  const mark = unguessable();
  const text = JSON.stringify(value, (_, one) => (one instanceof Digits ? mark + one.raw : one), indent);
  return text?.replace(new RegExp(`"${mark}([^"]*)"`, "g"), "$1");
}

/** A word that nobody who writes a text can know. */
function unguessable() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function kept(token) {
  return String(Number(token)) === token;
}
