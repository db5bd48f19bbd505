/* What a page remembers: the theme of the reader, and its state in the part of the URL after "#". */
"use strict";

window.interpBench = (() => {
  const THEME = "interp-bench-theme";

  function parameters() {
    const text = location.hash.slice(1);
    return new URLSearchParams(text.includes("=") ? text : "");
  }

  /* Values that are null are what the page shows by itself, and are left out. */
  function set(changes) {
    const found = parameters();
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) found.delete(key);
      else found.set(key, value);
    }
    const text = found.toString();
    if (text !== parameters().toString()) history.replaceState(null, "", "#" + text);
  }

  /* A page from a disk may have no storage. */
  function stored() {
    try {
      return localStorage.getItem(THEME) || "";
    } catch {
      return "";
    }
  }

  function show(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  function announce() {
    document.dispatchEvent(new CustomEvent("interp-bench:theme"));
  }

  show(stored());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = stored();
    select.addEventListener("change", () => {
      try {
        localStorage.setItem(THEME, select.value);
      } catch {
        /* The choice then lasts as long as the page. */
      }
      show(select.value);
      announce();
    });
  });

  return { get: (key) => parameters().get(key), set };
})();
