// Elements, untrusted text and forms. Whatever is put in becomes a text node, never markup.
import { post, Problem, Unreachable } from "./api.js";
import { stringify, text } from "./json.js";

/**
 * Return an element. `props`: class, text (untrusted is fine), on (listeners), data, hidden and other properties;
 * names with a dash (aria-label) and `role` become attributes.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "on") for (const [type, act] of Object.entries(value)) node.addEventListener(type, act);
    else if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function badge([label, look]) {
  return el("span", { class: `badge ${look}`, text: label });
}

export function button(label, act, look = "") {
  return el("button", { type: "button", class: look, text: label, on: { click: act } });
}

/** Replace the children of `parent` by what `build` returns, unless `signature` is the same as before. */
export function redraw(parent, signature, build) {
  const text = JSON.stringify(signature);
  if (parent.dataset.signature === text) return;
  parent.dataset.signature = text;
  parent.replaceChildren(...[build()].flat(Infinity).filter(Boolean));
}

/**
 * Make the children of `parent` those of `items`, in their order. A child with the same `signature` is kept, with what
 * a person opened, focused or typed there.
 */
export function keyed(parent, items, { key, signature, build }) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const made = items.map((item) => {
    const name = key(item);
    const text = JSON.stringify(signature(item));
    const known = old.get(name);
    if (known && known.dataset.signature === text) return known;
    const node = build(item);
    Object.assign(node.dataset, { key: name, signature: text });
    if (known?.contains(document.activeElement)) queueMicrotask(() => node.querySelector("a, button")?.focus());
    return node;
  });
  const same = made.length === parent.children.length && made.every((node, at) => parent.children[at] === node);
  if (!same) parent.replaceChildren(...made);
}

/** Ask before an act that cannot be undone. Resolves to true or false; Escape is false. */
export function confirmed(title, lines, yes, look = "primary") {
  return new Promise((resolve) => {
    let agreed = false;
    const heading = el("h2", { id: "confirm-title", text: title });
    const back = button("Back", () => dialog.close());
    const go = button(yes, () => { agreed = true; dialog.close(); }, look);
    const dialog = el("dialog", { class: "confirm", "aria-labelledby": "confirm-title" },
      heading, ...lines, el("div", { class: "row end" }, back, go));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(agreed); });
    document.body.append(dialog);
    dialog.showModal();
    back.focus();
  });
}

// ── untrusted text ──
// A text of the log must not steer what the reader sees: what a text node would still obey is made visible.

const TOO_LONG = 500;

// Controls, format characters (bidi overrides, zero widths), lone surrogates, line and paragraph separators.
// Line breaks stay, and so do the joiners that words of real languages and emoji are made with.
const STEERING = /(?![\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
// Real languages put up to four marks on one letter; forty would cover the neighbouring lines.
const PILED_MARKS = /(\p{M}{4})\p{M}+/gu;

/** Return the text with control and format characters made visible, as `\u202e`. */
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
 * Return a block of untrusted text; a long one is clipped and can be shown whole.
 * `compact` puts JSON in one line while it is clipped.
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

/** Return the beginning, and how many characters are left out. Never cuts a character in two. */
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

// ── forms ──

/** A form. `read` returns what to send, or null after it has reported an error; folded unless it is `open`. */
export function form(title, fields, label, send, read, open = false) {
  const submit = (event) => {
    event.preventDefault();
    const wanted = read();
    if (wanted) send(event.currentTarget.querySelector("[type=submit]"), wanted);
  };
  return el(
    "details",
    { class: "card", open },
    el("summary", { class: "choice", text: title }),
    el(
      "form",
      { class: "answer-form", noValidate: true, "aria-label": title, on: { submit } },
      fields,
      el("div", { class: "row" }, el("button", { type: "submit", class: "primary", text: label })),
    ),
  );
}

export function field(tag, props) {
  return el(tag, { ...props, "aria-describedby": `${props.id}-error` });
}

/** Report at the field what is wrong with it, until it changes. */
export function complaint(input, message) {
  const said = el("p", { id: `${input.id}-error`, class: "field-error", role: "alert", text: message });
  document.getElementById(said.id)?.remove();
  input.after(said);
  input.setAttribute("aria-invalid", "true");
  input.addEventListener("input", () => { said.remove(); input.removeAttribute("aria-invalid"); }, { once: true });
  input.focus();
  return null;
}

/** Return a function that asks for confirmation, posts to `to` (or the form's own path) and shows errors in `said`. */
export function sender(to, said, done) {
  return async (pressed, { title, lines, yes, look, body, path = to }) => {
    if (!await confirmed(title, lines, yes, look)) return pressed.focus();
    const section = said.parentElement;
    const buttons = [...section.querySelectorAll("button")];
    for (const each of buttons) each.disabled = true;
    said.replaceChildren(note("Sending …"));
    try {
      done(await post(path, body));
    } catch (problem) {
      for (const each of buttons) each.disabled = false;
      said.replaceChildren(failure(problem, "Sending the same answer again is harmless: it is taken once."));
    }
  };
}

/** The error for a person: the problem's title, detail and fields. `again` says whether it is safe to repeat. */
export function failure(problem, again = "") {
  if (problem instanceof Problem) {
    return el(
      "div",
      { class: "notice bad" },
      el("b", { class: "untrusted", text: `Not accepted: ${brief(problem.title, 120)} (${problem.status})` }),
      el("p", { class: "untrusted", text: brief(problem.message, 600) }),
      problem.errors.length > 0 &&
        el(
          "ul",
          {},
          problem.errors
            .slice(0, 20)
            .map(({ field, message }) =>
              el("li", { class: "untrusted" }, el("code", { text: brief(field, 120) }), ` ${brief(message, 300)}`),
            ),
        ),
    );
  }
  const unsure = problem instanceof Unreachable && problem.sent ? `It may have arrived. ${again}` : "";
  return el(
    "div",
    { class: "notice bad" },
    el("b", { text: "Not confirmed." }),
    el("p", { text: `${text(problem.message)} ${unsure}` }),
  );
}

export function note(line) {
  return el("p", { text: line });
}

export function quote(value) {
  return el("blockquote", { class: "untrusted", text: visible(value) });
}
