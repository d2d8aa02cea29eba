// The theme that this browser keeps: light, dark, or the system's. Runs before the page is drawn.
"use strict";

(() => {
  const KEY = "ballast.theme"; // in localStorage: a reader's own choice, of every tab
  const THEMES = ["light", "dark"];

  /** Show the theme; anything but a known one is the system's. */
  function apply(kept) {
    const theme = THEMES.includes(kept) ? kept : "";
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    const choice = document.getElementById("theme");
    if (choice) choice.value = theme;
    return theme;
  }

  /** Return what is kept. A browser may forbid to keep anything: then a choice lasts as long as the page. */
  function kept() {
    try {
      return localStorage.getItem(KEY) ?? "";
    } catch {
      return "";
    }
  }

  function keep(theme) {
    try {
      if (theme) localStorage.setItem(KEY, theme);
      else localStorage.removeItem(KEY);
    } catch {
      // it lasts as long as the page
    }
  }

  apply(kept());
  document.addEventListener("DOMContentLoaded", () => {
    apply(kept());
    document.getElementById("theme").addEventListener("change", (event) => keep(apply(event.target.value)));
  });
  // another tab chose; a null key says that all was removed
  addEventListener("storage", ({ key }) => { if (key === KEY || key === null) apply(kept()); });
})();
