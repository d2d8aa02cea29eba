// Read fields of untrusted JSON without trusting their types.

export function object(value) {
  return value && typeof value === "object" && !Array.isArray(value) ? value : {};
}

export function list(value) {
  return Array.isArray(value) ? value : [];
}

export function text(value) {
  return typeof value === "string" ? value : "";
}

export function whole(value) {
  return Number.isSafeInteger(value) ? value : null;
}
