// Elements made by hand: whatever is put in becomes a text node, never markup.

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

/** Say in `parent` what `nodes` say, without touching it where it says so already. */
export function settle(parent, signature, build) {
  const text = JSON.stringify(signature);
  if (parent.dataset.signature === text) return;
  parent.dataset.signature = text;
  parent.replaceChildren(...[build()].flat(Infinity).filter(Boolean));
}

/**
 * Make the children of `parent` those of `items`, in their order. A child whose `signature` is the same is kept as it
 * is: what a person opened, focused or typed there stays.
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

/** Ask before something is done that cannot be taken back. Resolves to true or false; Escape is false. */
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
