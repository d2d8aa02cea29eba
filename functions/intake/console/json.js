// JSON as it was sent: a number that a JavaScript number cannot hold keeps its digits.

const DIGITS = "0123456789";
const MARK = [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-"); // nobody can guess it

/** A number by its text, such as 9007199254740993 or 1.0: what JavaScript would write differently. */
export class Digits {
  constructor(digits) {
    this.digits = digits;
  }

  toJSON() {
    return MARK + this.digits;
  }

  toString() {
    return this.digits;
  }
}

/** Return the value of a JSON text, with `Digits` for numbers that would be changed. Raises SyntaxError. */
export function parse(source) {
  JSON.parse(source); // is it JSON at all?
  return JSON.parse(marked(source), (_, value) => (typeof value === "string" && value.startsWith(MARK) ? new Digits(value.slice(MARK.length)) : value));
}

/** Return the JSON text of a value, its `Digits` as they were sent. */
export function stringify(value, space) {
  const text = JSON.stringify(value, null, space);
  return text?.replaceAll(new RegExp(`"${MARK}([^"]*)"`, "g"), "$1");
}

/** Return the text with each number that would be changed as a marked string. */
function marked(source) {
  const parts = [];
  let [from, at] = [0, 0];
  while (at < source.length) {
    if (source[at] === '"') {
      at = afterString(source, at);
    } else if (source[at] === "-" || DIGITS.includes(source[at])) {
      let end = at + 1;
      while (end < source.length && `${DIGITS}+-.eE`.includes(source[end])) end += 1;
      const digits = source.slice(at, end);
      if (JSON.stringify(Number(digits)) !== digits) {
        parts.push(source.slice(from, at), `"${MARK}${digits}"`);
        from = end;
      }
      at = end;
    } else {
      at += 1;
    }
  }
  return parts.length ? parts.join("") + source.slice(from) : source;
}

function afterString(source, begin) {
  let end = source.indexOf('"', begin + 1);
  while (end > 0) {
    let slashes = 0;
    while (source[end - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return end + 1;
    end = source.indexOf('"', end + 1);
  }
  return source.length;
}
