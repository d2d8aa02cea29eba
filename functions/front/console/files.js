// A run's files, each as a button that loads it as a download: nothing of it is shown here.
import { get } from "./api.js";
import { brief, button, el } from "./dom.js";
import { list, object, text, whole } from "./json.js";

/** Whether it is S3's address, or one of `ballast up`, which serves files beside the console. */
function isLink(url) {
  const { protocol, origin } = URL.canParse(url) ? new URL(url) : {};
  return protocol === "https:" || (protocol === "http:" && origin === location.origin);
}

/** Files of the run with that id, as [{file, number}]. One without a number has no link. */
export function filesLine(id, files) {
  if (!files?.length) return null;
  const said = el("span", { class: "error-name", role: "alert" });
  const load = async (number) => {
    said.textContent = "";
    try {
      const url = text((await get(`runs/${id}/attachments/${number}`)).url);
      if (!isLink(url)) throw new Error("The API gave no link.");
      el("a", { href: url, rel: "noopener noreferrer", target: "_blank" }).click();
    } catch (problem) {
      said.textContent = brief(problem.message, 240);
    }
  };
  const links = files.map(({ file, number }) => {
    const size = `${Math.ceil((whole(file.bytes) ?? 0) / 1000)} kB`;
    const label = `${brief(file.name, 80)} (${brief(file.format, 8)}, ${size})`;
    return number === null ? el("span", { class: "untrusted", text: label }) : button(label, () => load(number));
  });
  return el("div", { class: "labelled" }, el("span", { class: "label", text: "attached" }), ...links, said);
}

/**
 * The files of the calls of each turn, as a map from the turn to a list by call of [{file, number}].
 *
 * The API numbers a run's files in the order in which they came: the request's, then those of results. What the
 * timeline leaves out, or the log has twice, must not shift a number to another file, so each is looked for by what is
 * known of it. A file that is not found has none.
 */
export function numberedFiles(run, timeline, turns) {
  const all = list(run.attachments).map(object);
  let from = list(object(timeline.request).attachments).length;
  const numbered = (file) => {
    const at = all.findIndex((one, place) => place >= from && sameFile(one, file));
    if (at >= 0) from = at + 1;
    return { file, number: at < 0 ? null : at + 1 };
  };
  const ofCall = (call) => list(object(call).files).map(object).map(numbered);
  return new Map(turns.map((turn) => [turn, list(turn.calls).map(ofCall)]));
}

function sameFile(one, other) {
  return ["name", "format", "bytes"].every((name) => one[name] === other[name]);
}
